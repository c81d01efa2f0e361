"""Who may do what in which room: tables. Pure; applied by the services that own the data.

A decision looks, in this order, at what is denied to everybody or to this member (a denial wins over every right),
at what the room's type gives to the caller's role in it, and at what a global role gives in rooms of its type. The room
must be of the caller's tenant: nobody has a right in another's.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from shared.contracts.membership import Action, Role, RoomType


class GlobalRole(StrEnum):
    """Roles in a token that count in every room of its tenant."""

    ADMIN = "admin"
    SERVICE = "service"
    ASSISTANT = "assistant"


class Denial(StrEnum):
    """What takes rights away, whoever has them."""

    MUTED = "muted"
    CLOSED = "closed"


class Key(StrEnum):
    """What makes a room of its type one and the same, however often it is made."""

    CLIENT = "client"
    """Who makes it, with which `client_id`."""
    PAIR = "pair"
    """Its two members, who stay its members for ever."""
    EXTERNAL = "external"
    """The object of another system that it belongs to. A room with another key may belong to one, too."""


_EVERYBODY = frozenset(Role)
_WRITERS = frozenset({Role.OWNER, Role.ADMIN, Role.MEMBER})
_MODERATORS = frozenset({Role.OWNER, Role.ADMIN})
_OWNER = frozenset({Role.OWNER})
_NOBODY: frozenset[Role] = frozenset()

_TALK: dict[Action, frozenset[Role]] = {
    Action.READ: _EVERYBODY,
    Action.SEND: _WRITERS,
    Action.SEND_SYSTEM: _NOBODY,
    Action.REACT: _WRITERS,
    Action.EDIT_OWN: _WRITERS,
    Action.EDIT_ANY: _NOBODY,
    Action.DELETE_OWN: _WRITERS,
    Action.DELETE_ANY: _MODERATORS,
    Action.READ_REVISIONS_OWN: _EVERYBODY,
    Action.READ_REVISIONS_ANY: _MODERATORS,
    Action.CLEAR: _OWNER,
    Action.MARK: _EVERYBODY,
    Action.TYPE: _WRITERS,
}
"""What members may do with a conversation."""

_GOVERNED: dict[Action, frozenset[Role]] = {
    Action.UPDATE_ROOM: _MODERATORS,
    Action.DELETE_ROOM: _OWNER,
    Action.CLOSE_ROOM: _OWNER,
    Action.LEAVE: _EVERYBODY,
    Action.ADD_MEMBER: _MODERATORS,
    Action.REMOVE_MEMBER: _MODERATORS,
    Action.SET_ROLE: _OWNER,
    Action.MUTE: _MODERATORS,
}
"""Members govern the room."""

_FIXED: dict[Action, frozenset[Role]] = dict.fromkeys(_GOVERNED, _NOBODY)
"""Nobody inside governs it: it is as its members, or another system, have made it."""

_PAIR = _TALK | _FIXED | {Action.DELETE_ANY: _NOBODY, Action.READ_REVISIONS_ANY: _NOBODY, Action.CLEAR: _NOBODY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All that sets one type of room apart."""

    rights: Mapping[Action, frozenset[Role]]
    """Roles that may do each action."""
    key: Key
    founder: Role
    """What its creator becomes; the others become members."""
    creators: frozenset[GlobalRole] | None = None
    """Global roles of which a creator needs one; None lets everybody."""
    pair: tuple[str, str] | None = None
    """Global roles that its two members must have, one each."""
    assistants: frozenset[Action] = frozenset()
    """What a global assistant may do in it without being a member."""
    bounded: bool = False
    """Whether MAX_MESSAGES_PER_SESSION holds."""
    welcome: str | None = None
    """The system message it begins with; `{name}` stands for its name."""
    announces: bool = False
    """Whether system messages say who comes and goes."""


def _between(one: str, other: str) -> Policy:
    """Rooms of two whose roles are verified."""
    return Policy(rights=_PAIR, key=Key.PAIR, founder=Role.MEMBER, pair=(one, other))


POLICIES: Mapping[RoomType, Policy] = {
    RoomType.DIRECT: Policy(rights=_PAIR, key=Key.PAIR, founder=Role.MEMBER),
    RoomType.GROUP: Policy(rights=_TALK | _GOVERNED, key=Key.CLIENT, founder=Role.OWNER),
    RoomType.EVENT: Policy(
        rights=_TALK | _FIXED,
        key=Key.EXTERNAL,
        founder=Role.OWNER,
        creators=frozenset({GlobalRole.SERVICE, GlobalRole.ADMIN}),
        welcome="Welcome to {name}",
        announces=True,
    ),
    RoomType.SESSION: Policy(
        rights=_TALK
        | _FIXED
        | {Action.UPDATE_ROOM: _OWNER, Action.DELETE_ROOM: _OWNER, Action.CLOSE_ROOM: _OWNER, Action.EDIT_ANY: _OWNER},
        key=Key.CLIENT,
        founder=Role.OWNER,
        assistants=frozenset(
            {
                Action.READ,
                Action.SEND,
                Action.REACT,
                Action.EDIT_OWN,
                Action.DELETE_OWN,
                Action.READ_REVISIONS_OWN,
                Action.TYPE,
            }
        ),
        bounded=True,
    ),
    RoomType.CUSTOMER_HOTEL_OWNER: _between("customer", "hotel_owner"),
    RoomType.CUSTOMER_ADMIN: _between("customer", "admin"),
    RoomType.HOTEL_OWNER_ADMIN: _between("hotel_owner", "admin"),
}

_ADMIN = frozenset(
    {
        Action.READ,
        Action.DELETE_ANY,
        Action.READ_REVISIONS_ANY,
        Action.CLEAR,
        Action.UPDATE_ROOM,
        Action.DELETE_ROOM,
        Action.CLOSE_ROOM,
        Action.ADD_MEMBER,
        Action.REMOVE_MEMBER,
        Action.SET_ROLE,
        Action.MUTE,
    }
)
_SERVICE = frozenset(Action) - {Action.EDIT_ANY, Action.LEAVE, Action.MARK}

GLOBAL_RIGHTS: Mapping[str, Mapping[RoomType, frozenset[Action]]] = {
    GlobalRole.ADMIN: dict.fromkeys(RoomType, _ADMIN),
    GlobalRole.SERVICE: dict.fromkeys(RoomType, _SERVICE),
    GlobalRole.ASSISTANT: {kind: policy.assistants for kind, policy in POLICIES.items()},
}
"""What a global role may do in rooms of each type, member or not."""

DENIED: Mapping[Denial, frozenset[Action]] = {
    Denial.MUTED: frozenset({Action.SEND, Action.REACT, Action.EDIT_OWN, Action.EDIT_ANY, Action.TYPE}),
    Denial.CLOSED: frozenset({Action.SEND, Action.REACT, Action.EDIT_OWN, Action.EDIT_ANY, Action.TYPE}),
}
"""What a denial takes away. System messages may still say why."""

RANK: Mapping[Role, int] = {Role.OWNER: 3, Role.ADMIN: 2, Role.MEMBER: 1, Role.READ_ONLY: 0}

NO_DENIALS: frozenset[Denial] = frozenset()


class Verdict(NamedTuple):
    """Whether something is allowed, and the rule that says so."""

    allowed: bool
    rule: str


def allowed(
    action: Action,
    kind: RoomType,
    role: Role | None,
    global_roles: Collection[str],
    denials: Collection[Denial] = NO_DENIALS,
) -> bool:
    """Whether somebody may do `action` in a room of type `kind`.

    Args:
        role: theirs in the room; None for who is no member.
        global_roles: those of their token.
        denials: what holds for the room or for them.
    """
    for denial in denials:
        if action in DENIED[denial]:
            return False
    if role is not None and role in POLICIES[kind].rights[action]:
        return True
    return any(name in GLOBAL_RIGHTS and action in GLOBAL_RIGHTS[name][kind] for name in global_roles)


def explain(
    action: Action,
    kind: RoomType,
    role: Role | None,
    global_roles: Collection[str],
    denials: Collection[Denial] = NO_DENIALS,
) -> Verdict:
    """What `allowed` answers, with the rule that decides."""
    for denial in sorted(denials):
        if action in DENIED[denial]:
            return Verdict(allowed=False, rule=f"denied: {denial}")
    if role is not None and role in POLICIES[kind].rights[action]:
        return Verdict(allowed=True, rule=f"{kind}: {role} may {action}")
    for name in sorted(set(global_roles) & GLOBAL_RIGHTS.keys()):
        if action in GLOBAL_RIGHTS[name][kind]:
            return Verdict(allowed=True, rule=f"global: {name} may {action} in every {kind} room")
    who = "who is no member" if role is None else str(role)
    return Verdict(allowed=False, rule=f"{kind}: {who} may not {action}")


def capabilities(
    kind: RoomType, role: Role | None, global_roles: Collection[str], denials: Collection[Denial] = NO_DENIALS
) -> tuple[Action, ...]:
    """All that somebody may do in a room."""
    return tuple(action for action in Action if allowed(action, kind, role, global_roles, denials))


def outranks(role: Role | None, target: Role, global_roles: Collection[str]) -> bool:
    """Whether a member with `role` may remove or change a member with `target`: only those below, unless owner."""
    if GlobalRole.ADMIN in global_roles or GlobalRole.SERVICE in global_roles:
        return True
    return role is not None and (role is Role.OWNER or RANK[role] > RANK[target])
