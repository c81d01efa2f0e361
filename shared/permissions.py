"""Who may do what in which room: one table. Pure; applied by the services that own the data.

A decision takes the room's type, the caller's role in it (if a member) and their global roles. The room must be of
the caller's tenant: `allowed` says no to everything else.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum

from shared.contracts.rooms import Role, RoomType


class Action(StrEnum):
    """Everything that needs a right in a room."""

    READ = "read"
    SEND = "send"
    SEND_SYSTEM = "send_system"
    REACT = "react"
    EDIT_OWN = "edit_own"
    EDIT_ANY = "edit_any"
    DELETE_OWN = "delete_own"
    DELETE_ANY = "delete_any"
    MARK = "mark"
    TYPE = "type"
    UPDATE_ROOM = "update_room"
    DELETE_ROOM = "delete_room"
    LEAVE = "leave"
    ADD_MEMBER = "add_member"
    REMOVE_MEMBER = "remove_member"
    SET_ROLE = "set_role"


class GlobalRole(StrEnum):
    """Roles in a token that count in every room of its tenant."""

    ADMIN = "admin"
    SERVICE = "service"


_EVERYBODY = frozenset(Role)
_WRITERS = frozenset({Role.OWNER, Role.ADMIN, Role.MEMBER})
_MODERATORS = frozenset({Role.OWNER, Role.ADMIN})
_OWNER = frozenset({Role.OWNER})
_NOBODY: frozenset[Role] = frozenset()

ROOM_POLICY: Mapping[RoomType, Mapping[Action, frozenset[Role]]] = {
    RoomType.GROUP: {
        Action.READ: _EVERYBODY,
        Action.SEND: _WRITERS,
        Action.SEND_SYSTEM: _NOBODY,
        Action.REACT: _WRITERS,
        Action.EDIT_OWN: _WRITERS,
        Action.EDIT_ANY: _NOBODY,
        Action.DELETE_OWN: _WRITERS,
        Action.DELETE_ANY: _MODERATORS,
        Action.MARK: _EVERYBODY,
        Action.TYPE: _WRITERS,
        Action.UPDATE_ROOM: _MODERATORS,
        Action.DELETE_ROOM: _OWNER,
        Action.LEAVE: _EVERYBODY,
        Action.ADD_MEMBER: _MODERATORS,
        Action.REMOVE_MEMBER: _MODERATORS,
        Action.SET_ROLE: _OWNER,
    },
    RoomType.DIRECT: {
        Action.READ: _EVERYBODY,
        Action.SEND: _WRITERS,
        Action.SEND_SYSTEM: _NOBODY,
        Action.REACT: _WRITERS,
        Action.EDIT_OWN: _WRITERS,
        Action.EDIT_ANY: _NOBODY,
        Action.DELETE_OWN: _WRITERS,
        Action.DELETE_ANY: _NOBODY,
        Action.MARK: _EVERYBODY,
        Action.TYPE: _WRITERS,
        Action.UPDATE_ROOM: _NOBODY,
        Action.DELETE_ROOM: _NOBODY,
        Action.LEAVE: _NOBODY,
        Action.ADD_MEMBER: _NOBODY,
        Action.REMOVE_MEMBER: _NOBODY,
        Action.SET_ROLE: _NOBODY,
    },
}

GLOBAL_POLICY: Mapping[GlobalRole, frozenset[Action]] = {
    GlobalRole.ADMIN: frozenset(
        {
            Action.READ,
            Action.DELETE_ANY,
            Action.UPDATE_ROOM,
            Action.DELETE_ROOM,
            Action.ADD_MEMBER,
            Action.REMOVE_MEMBER,
            Action.SET_ROLE,
        }
    ),
    GlobalRole.SERVICE: frozenset(Action) - {Action.EDIT_ANY, Action.LEAVE, Action.MARK},
}

RANK: Mapping[Role, int] = {Role.OWNER: 3, Role.ADMIN: 2, Role.MEMBER: 1, Role.READ_ONLY: 0}


def allowed(action: Action, kind: RoomType, role: Role | None, global_roles: Collection[str]) -> bool:
    """Whether someone with `role` in a room of type `kind` and `global_roles` in its tenant may do `action`."""
    if role is not None and role in ROOM_POLICY[kind][action]:
        return True
    return globally_allowed(action, global_roles)


def globally_allowed(action: Action, global_roles: Collection[str]) -> bool:
    """Whether a global role alone gives the right to `action`, member or not."""
    return any(action in actions for name, actions in GLOBAL_POLICY.items() if name in global_roles)


def outranks(role: Role | None, target: Role, global_roles: Collection[str]) -> bool:
    """Whether a member with `role` may remove or change a member with `target`: only those below, unless owner."""
    if any(name in global_roles for name in GlobalRole):
        return True
    return role is not None and (role is Role.OWNER or RANK[role] > RANK[target])
