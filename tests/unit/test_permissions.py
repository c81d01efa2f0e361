"""The tables of rights against others, written by hand: every room type, action, role, global role and denial."""

from itertools import chain, combinations, product

import pytest

from shared.contracts.membership import Action, Role, RoomType
from shared.permissions import (
    DENIED,
    POLICIES,
    RANK,
    Denial,
    GlobalRole,
    Key,
    allowed,
    capabilities,
    explain,
    outranks,
)

# In these tables x is yes and . is no. The columns: members by role, then those who have a global role in the room's
# tenant, member or not. Who is neither may do nothing.
COLUMNS = ("owner", "admin", "member", "read_only", "global admin", "global service", "global assistant")

TALK = """
    read                x x x x   x x .
    send                x x x .   . x .
    send_system         . . . .   . x .
    react               x x x .   . x .
    edit_own            x x x .   . x .
    edit_any            . . . .   . . .
    delete_own          x x x .   . x .
    delete_any          x x . .   x x .
    read_revisions_own  x x x x   . x .
    read_revisions_any  x x . .   x x .
    clear               x . . .   x x .
    mark                x x x x   . . .
    type                x x x .   . x .
"""
GROUP = (
    TALK
    + """
    update_room         x x . .   x x .
    delete_room         x . . .   x x .
    close_room          x . . .   x x .
    leave               x x x x   . . .
    add_member          x x . .   x x .
    remove_member       x x . .   x x .
    set_role            x . . .   x x .
    mute                x x . .   x x .
"""
)
EVENT = (
    TALK
    + """
    update_room         . . . .   x x .
    delete_room         . . . .   x x .
    close_room          . . . .   x x .
    leave               . . . .   . . .
    add_member          . . . .   x x .
    remove_member       . . . .   x x .
    set_role            . . . .   x x .
    mute                . . . .   x x .
"""
)
PAIR = (
    EVENT
    + """
    delete_any          . . . .   x x .
    read_revisions_any  . . . .   x x .
    clear               . . . .   x x .
"""
)
SESSION = (
    EVENT
    + """
    update_room         x . . .   x x .
    delete_room         x . . .   x x .
    close_room          x . . .   x x .
    edit_any            x . . .   . . .
    read                x x x x   x x x
    send                x x x .   . x x
    react               x x x .   . x x
    edit_own            x x x .   . x x
    delete_own          x x x .   . x x
    read_revisions_own  x x x x   . x x
    type                x x x .   . x x
"""
)

# Rows: who acts. Columns: the role of the member acted upon, or the role to be given.
OUTRANKS = """
                owner admin member read_only
    owner         x     x     x       x
    admin         .     .     x       x
    member        .     .     .       x
    read_only     .     .     .       .
    nobody        .     .     .       .
"""

SILENCED = {"send", "react", "edit_own", "edit_any", "type"}

NAMES = (*GlobalRole, "customer")
GLOBAL_ROLES = [tuple(some) for some in chain.from_iterable(combinations(NAMES, count) for count in range(4))]
DENIALS = [(), *((denial,) for denial in Denial), tuple(Denial)]


def expectations(table: str) -> dict[tuple[str, str], bool]:
    """(action, column) -> expected answer; of two rows for one action the later holds."""
    rows = [line.split() for line in table.splitlines() if line.strip()]
    return {(row[0], column): cell == "x" for row in rows for column, cell in zip(COLUMNS, row[1:], strict=True)}


EXPECTED = {
    RoomType.GROUP: expectations(GROUP),
    RoomType.EVENT: expectations(EVENT),
    RoomType.SESSION: expectations(SESSION),
    **dict.fromkeys(
        (
            RoomType.DIRECT,
            RoomType.CUSTOMER_HOTEL_OWNER,
            RoomType.CUSTOMER_ADMIN,
            RoomType.HOTEL_OWNER_ADMIN,
        ),
        expectations(PAIR),
    ),
}


def test_every_room_type_and_action_is_in_the_table() -> None:
    """A new room type or action must be written down here as well."""
    assert set(EXPECTED) == set(RoomType) == set(POLICIES)
    for table in EXPECTED.values():
        assert {action for action, _ in table} == {action.value for action in Action}


@pytest.mark.parametrize("kind", RoomType)
@pytest.mark.parametrize("action", Action)
def test_every_right(kind: RoomType, action: Action) -> None:
    """A role or a global role that the table crosses gives the right; nothing else does, and a denial takes it."""
    for role, global_roles, denials in product((*Role, None), GLOBAL_ROLES, DENIALS):
        given = any(
            EXPECTED[kind].get((action, column), False)
            for column in (role, *(f"global {name}" for name in global_roles))
            if column is not None
        )
        expected = given and not (denials and action in SILENCED)
        who = f"{role} with {global_roles} under {denials}"
        assert allowed(action, kind, role, global_roles, denials) is expected, who
        assert explain(action, kind, role, global_roles, denials).allowed is expected, who
        assert (action in capabilities(kind, role, global_roles, denials)) is expected, who


def test_what_denials_take() -> None:
    """Everything that others would hear of, and nothing else."""
    assert {denial: {action.value for action in actions} for denial, actions in DENIED.items()} == dict.fromkeys(
        Denial, SILENCED
    )


@pytest.mark.parametrize(
    ("action", "role", "global_roles", "denials", "rule"),
    [
        (Action.SEND, Role.MEMBER, (), (), "group: member may send"),
        (Action.SEND, None, (), (), "group: who is no member may not send"),
        (Action.SEND, Role.OWNER, (), (Denial.MUTED,), "denied: muted"),
        (Action.SEND, Role.OWNER, ("service",), (Denial.MUTED, Denial.CLOSED), "denied: closed"),
        (Action.READ, None, ("service", "admin"), (), "global: admin may read in every group room"),
        (Action.DELETE_ROOM, Role.ADMIN, ("customer",), (), "group: admin may not delete_room"),
    ],
)
def test_the_rule_that_decides_is_named(
    action: Action, role: Role | None, global_roles: tuple[str, ...], denials: tuple[Denial, ...], rule: str
) -> None:
    """Denials first, then the role in the room, then the global roles."""
    assert explain(action, RoomType.GROUP, role, global_roles, denials).rule == rule


def test_what_makes_rooms_one() -> None:
    """By type: what a room is known by, and whose roles it takes."""
    assert {kind: policy.key for kind, policy in POLICIES.items()} == {
        RoomType.GROUP: Key.CLIENT,
        RoomType.SESSION: Key.CLIENT,
        RoomType.EVENT: Key.EXTERNAL,
        RoomType.DIRECT: Key.PAIR,
        RoomType.CUSTOMER_HOTEL_OWNER: Key.PAIR,
        RoomType.CUSTOMER_ADMIN: Key.PAIR,
        RoomType.HOTEL_OWNER_ADMIN: Key.PAIR,
    }
    assert {kind: policy.pair for kind, policy in POLICIES.items() if policy.pair} == {
        RoomType.CUSTOMER_HOTEL_OWNER: ("customer", "hotel_owner"),
        RoomType.CUSTOMER_ADMIN: ("customer", "admin"),
        RoomType.HOTEL_OWNER_ADMIN: ("hotel_owner", "admin"),
    }


def test_rank_decides_who_deals_in_which_roles() -> None:
    """Only those above may change a member, and owners may change everybody."""
    head, *rows = (line.split() for line in OUTRANKS.strip().splitlines())
    assert len(rows) == len(Role) + 1
    for who, *cells in rows:
        role = None if who == "nobody" else Role(who)
        for target, cell in zip(head, cells, strict=True):
            assert outranks(role, Role(target), ()) is (cell == "x"), f"{who} over {target}"


@pytest.mark.parametrize("role", [*Role, None])
@pytest.mark.parametrize("target", Role)
def test_global_roles_outrank_everybody(role: Role | None, target: Role) -> None:
    """Admin and service may change any member; other global roles mean nothing here."""
    for name in (GlobalRole.ADMIN, GlobalRole.SERVICE):
        assert outranks(role, target, [name])
    assert outranks(role, target, [GlobalRole.ASSISTANT, "customer"]) is outranks(role, target, [])


def test_ranks_are_distinct() -> None:
    """The order of roles, from the least."""
    assert sorted(RANK, key=lambda role: RANK[role]) == [Role.READ_ONLY, Role.MEMBER, Role.ADMIN, Role.OWNER]
