"""Who may do what, asked of the real service: every command and query, by role, global role and tenant.

The permission table decides what is expected; tests/unit/test_permissions.py holds the table itself.
"""

import asyncio
from itertools import product
from typing import Any

import pytest

from shared.contracts.base import Command, Query
from shared.contracts.envelope import Actor
from shared.contracts.integration import ApplyExternal, ListParticipations, SetParticipation
from shared.contracts.membership import Action, Role, RoomType
from shared.contracts.people import GetUsers, ListFavorites, ListPeople, RecordUser, ToggleFavorite
from shared.contracts.presence import GetOnline, GetPresence, ReportPresence, SetPresence
from shared.contracts.rooms import (
    COMMANDS,
    QUERIES,
    AddMember,
    CloseRoom,
    CreateRoom,
    DeleteRoom,
    ExplainRight,
    FindRoom,
    GetAccess,
    GetRoom,
    LeaveRoom,
    ListAudit,
    ListMembers,
    ListRooms,
    MuteMember,
    RemoveMember,
    SetMembers,
    SetRole,
    UpdateRoom,
)
from shared.permissions import allowed
from tests.integration.rooms_client import Caller

pytest_plugins = ("tests.integration.rooms_fixtures",)
pytestmark = pytest.mark.usefixtures("rooms_process")

# What is asked of a group of otto (owner), ada (admin), mia (member), rex (reader) and zed (reader), and the right it
# takes. Nothing asked is refused for another reason than rights.
ABOUT_A_ROOM: dict[type[Command | Query], tuple[dict[str, Any], Action]] = {
    UpdateRoom: ({"name": "new"}, Action.UPDATE_ROOM),
    LeaveRoom: ({}, Action.LEAVE),
    DeleteRoom: ({}, Action.DELETE_ROOM),
    AddMember: ({"user_id": "new", "role": Role.READ_ONLY}, Action.ADD_MEMBER),
    RemoveMember: ({"user_id": "zed"}, Action.REMOVE_MEMBER),
    SetRole: ({"user_id": "zed", "role": Role.MEMBER}, Action.SET_ROLE),
    MuteMember: ({"user_id": "zed"}, Action.MUTE),
    SetMembers: ({"members": [{"user_id": "otto", "role": Role.OWNER}]}, Action.SET_ROLE),
    CloseRoom: ({}, Action.CLOSE_ROOM),
    GetRoom: ({}, Action.READ),
    ListMembers: ({}, Action.READ),
    GetOnline: ({}, Action.READ),
}
ABOUT_ONESELF = {
    CreateRoom, RecordUser, ListRooms, SetPresence, GetPresence, GetUsers, ListPeople, ToggleFavorite, ListFavorites,
}  # fmt: skip
ABOUT_ALL = {GetAccess, ReportPresence}
ELSEWHERE = {FindRoom, ExplainRight, ListAudit, ApplyExternal, ListParticipations, SetParticipation}
"""In tests/integration/test_rooms_types.py, test_integration_requests.py and test_integration_participations.py."""

MEMBERS = {Role.OWNER: "otto", Role.ADMIN: "ada", Role.MEMBER: "mia", Role.READ_ONLY: "rex", None: "eve"}
GLOBAL_ROLES: tuple[tuple[str, ...], ...] = ((), ("admin",), ("service",), ("assistant",))


def named(kind: type[Command | Query]) -> str:
    """The type's name on the wire, as the test's name."""
    return kind.TYPE


async def make_group(caller: Caller) -> str:
    """The group that everything is asked of."""
    members = [name for name in (*MEMBERS.values(), "zed") if name not in {"otto", "eve"}]
    room_id: str = (await caller.ask("otto", CreateRoom(members=members)))["room"]["id"]
    for user_id, role in (("ada", Role.ADMIN), ("rex", Role.READ_ONLY), ("zed", Role.READ_ONLY)):
        await caller.ask("otto", SetRole(room_id=room_id, user_id=user_id, role=role))
    return room_id


async def snapshot(caller: Caller, room_id: str) -> object:
    """The room and its members, as its owner sees them."""
    return [await caller.ask("otto", query) for query in (GetRoom(room_id=room_id), ListMembers(room_id=room_id))]


def test_every_command_and_query_is_tried() -> None:
    """A new one must be sorted into one of the kinds here."""
    assert set(ABOUT_A_ROOM) | ABOUT_ONESELF | ABOUT_ALL | ELSEWHERE == {*COMMANDS.values(), *QUERIES.values()}


@pytest.mark.parametrize("kind", ABOUT_A_ROOM, ids=named)
async def test_rights_in_a_room(caller: Caller, kind: type[Command | Query]) -> None:
    """Done where the table allows it, else `forbidden`, and then nothing has changed."""
    fields, action = ABOUT_A_ROOM[kind]

    async def ask(role: Role | None, global_roles: tuple[str, ...]) -> None:
        room_id = await make_group(caller)
        before = await snapshot(caller, room_id)
        actor = Actor(id=MEMBERS[role], roles=global_roles)
        outcome = await caller.refusal(actor, kind.model_validate({"room_id": room_id, **fields}))
        expected = "ok" if allowed(action, RoomType.GROUP, role, global_roles) else "forbidden"
        assert outcome == expected, f"{role} with {global_roles}"
        if outcome != "ok":
            assert await snapshot(caller, room_id) == before

    await asyncio.gather(*(ask(role, global_roles) for role, global_roles in product(MEMBERS, GLOBAL_ROLES)))


@pytest.mark.parametrize("kind", ABOUT_A_ROOM, ids=named)
async def test_no_room_is_seen_from_another_tenant(caller: Caller, kind: type[Command | Query]) -> None:
    """Whatever name or role one has there: it is answered as a room that never was, and nothing has changed."""
    fields, _ = ABOUT_A_ROOM[kind]
    room_id = await make_group(caller)
    before = await snapshot(caller, room_id)
    for name, global_roles in product(MEMBERS.values(), GLOBAL_ROLES):
        stranger = Actor(id=name, tenant="t2", roles=global_roles)
        request = kind.model_validate({"room_id": room_id, **fields})
        missing = kind.model_validate({"room_id": "never", **fields})
        assert await caller.refusal(stranger, request) == await caller.refusal(stranger, missing) == "not_found"
    assert await snapshot(caller, room_id) == before


async def test_the_same_name_in_another_tenant_is_somebody_else(caller: Caller) -> None:
    """What is about oneself: rooms made and listed, the directory, and the client_id of a room."""
    here, there = Actor(id="tess", name="Tess"), Actor(id="tess", tenant="t2", name="Other")
    for actor in (here, there):
        await caller.ask(actor, RecordUser())
    rooms = {
        actor.tenant: await caller.ask(actor, CreateRoom(client_id="1", name=actor.tenant)) for actor in (here, there)
    }
    for actor in (here, there):
        (room,) = (await caller.ask(actor, ListRooms()))["rooms"]
        assert room == rooms[actor.tenant]["room"]
        (member,) = (await caller.ask(actor, ListMembers(room_id=room["id"])))["members"]
        assert member["user"]["name"] == actor.name


async def test_only_services_ask_across_tenants(caller: Caller) -> None:
    """`rooms.access` is the one query that sees all tenants."""
    room_id = await make_group(caller)
    for global_roles in GLOBAL_ROLES:
        outcome = await caller.refusal(Actor(id="x", tenant="t3", roles=global_roles), GetAccess(room_ids=[room_id]))
        assert outcome == ("ok" if "service" in global_roles else "forbidden")
