"""The permission table against a second one, written by hand: every room type, action, role and global role."""

from itertools import combinations, product

import pytest

from shared.contracts.membership import Action, Role, RoomType
from shared.permissions import RANK, GlobalRole, allowed, globally_allowed, outranks

# In these tables x is yes and . is no. The columns: members by role, then those who are no member but have a global
# role in the room's tenant. Who is neither may do nothing.
COLUMNS = ("owner", "admin", "member", "read_only", "global admin", "global service")

GROUP = """
    read            x x x x   x x
    send            x x x .   . x
    send_system     . . . .   . x
    react           x x x .   . x
    edit_own        x x x .   . x
    edit_any        . . . .   . .
    delete_own      x x x .   . x
    delete_any      x x . .   x x
    mark            x x x x   . .
    type            x x x .   . x
    update_room     x x . .   x x
    delete_room     x . . .   x x
    leave           x x x x   . .
    add_member      x x . .   x x
    remove_member   x x . .   x x
    set_role        x . . .   x x
"""
DIRECT = """
    read            x x x x   x x
    send            x x x .   . x
    send_system     . . . .   . x
    react           x x x .   . x
    edit_own        x x x .   . x
    edit_any        . . . .   . .
    delete_own      x x x .   . x
    delete_any      . . . .   x x
    mark            x x x x   . .
    type            x x x .   . x
    update_room     . . . .   x x
    delete_room     . . . .   x x
    leave           . . . .   . .
    add_member      . . . .   x x
    remove_member   . . . .   x x
    set_role        . . . .   x x
"""

# Rows: who acts. Columns: the role of the member acted upon, or the role to be given.
OUTRANKS = """
                owner admin member read_only
    owner         x     x     x       x
    admin         .     .     x       x
    member        .     .     .       x
    read_only     .     .     .       .
    nobody        .     .     .       .
"""

GLOBAL_ROLES = [
    *((),),
    *(("assistant",),),
    *((role.value,) for role in GlobalRole),
    *(tuple(pair) for pair in combinations([*GlobalRole, "assistant"], 2)),
]


def expectations(table: str) -> dict[tuple[str, str], bool]:
    """(action, column) -> expected answer."""
    rows = [line.split() for line in table.strip().splitlines()]
    return {(row[0], column): cell == "x" for row in rows for column, cell in zip(COLUMNS, row[1:], strict=True)}


EXPECTED = {RoomType.GROUP: expectations(GROUP), RoomType.DIRECT: expectations(DIRECT)}


def test_every_room_type_and_action_is_in_the_table() -> None:
    """A new room type or action must be written down here as well."""
    assert set(EXPECTED) == set(RoomType)
    for table in EXPECTED.values():
        assert {action for action, _ in table} == {action.value for action in Action}


@pytest.mark.parametrize("kind", RoomType)
@pytest.mark.parametrize("action", Action)
def test_every_right(kind: RoomType, action: Action) -> None:
    """A role or a global role that the table crosses gives the right; nothing else does."""
    for role, global_roles in product((*Role, None), GLOBAL_ROLES):
        expected = any(
            EXPECTED[kind].get((action, column), False)
            for column in (role, *(f"global {name}" for name in global_roles))
            if column is not None
        )
        assert allowed(action, kind, role, global_roles) is expected, f"{role} with {global_roles}"


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("global_roles", GLOBAL_ROLES)
def test_global_roles_count_whatever_the_room(action: Action, global_roles: tuple[str, ...]) -> None:
    """What a global role gives needs no room to be known."""
    expected = any(EXPECTED[RoomType.GROUP].get((action, f"global {name}"), False) for name in global_roles)
    assert globally_allowed(action, global_roles) is expected


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
    """Admin and service may change any member; an unknown global role means nothing."""
    for name in GlobalRole:
        assert outranks(role, target, [name])
    assert outranks(role, target, ["assistant"]) is outranks(role, target, [])


def test_ranks_are_distinct() -> None:
    """The order of roles, from the least."""
    assert sorted(RANK, key=lambda role: RANK[role]) == [Role.READ_ONLY, Role.MEMBER, Role.ADMIN, Role.OWNER]
