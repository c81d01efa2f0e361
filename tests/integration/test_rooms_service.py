"""The rooms service through its queues: every command and query, its answer and its events."""

import asyncio
from typing import Any, ClassVar

import pytest

from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.membership import LeftView, Role, RoomType
from shared.contracts.people import FavoriteKind, RecordUser, ToggleFavorite
from shared.contracts.rooms import (
    MAX_MEMBERS,
    AddMember,
    CreateRoom,
    DeleteRoom,
    GetAccess,
    GetRoom,
    LeaveRoom,
    ListMembers,
    ListRooms,
    RemoveMember,
    RoomCommand,
    RoomQuery,
    SetRole,
    UpdateRoom,
)
from tests.integration.rooms_client import Caller, RoomsProcess

pytest_plugins = ("tests.integration.rooms_fixtures",)
pytestmark = pytest.mark.usefixtures("rooms_process")

WORKER = Actor(id="messages", roles=("service",))


async def make(caller: Caller, who: str = "alice", **fields: Any) -> str:
    """A room's id."""
    room_id: str = (await caller.ask(who, CreateRoom(**fields)))["room"]["id"]
    return room_id


def types(events: list[dict[str, Any]]) -> list[str]:
    """What happened, in order."""
    return [event["type"] for event in events]


async def test_a_room_lives_and_ends(caller: Caller) -> None:
    """Each change is answered, can be read at once, and is told in order with its version."""
    metadata = {"$set": {"a.b": [1, 2**40, None]}}
    created = await caller.ask("alice", CreateRoom(name="ops", members=["bob"], metadata=metadata))
    room_id = created["room"]["id"]
    assert created["created"] is True
    assert await caller.ask("alice", GetRoom(room_id=room_id)) == created["room"]
    assert (await caller.ask("bob", GetRoom(room_id=room_id)))["role"] == "member"

    updated = await caller.ask("alice", UpdateRoom(room_id=room_id, name="dev", version=1))
    assert updated["room"]["name"] == "dev"
    assert updated["room"]["metadata"] == metadata
    added = await caller.ask("alice", AddMember(room_id=room_id, user_id="carol"))
    assert added["member"]["role"] == "member"
    await caller.ask("alice", SetRole(room_id=room_id, user_id="carol", role=Role.ADMIN))
    await caller.ask("carol", RemoveMember(room_id=room_id, user_id="bob"))
    await caller.ask("alice", LeaveRoom(room_id=room_id))
    assert (await caller.ask("carol", GetRoom(room_id=room_id)))["role"] == "owner"
    assert await caller.ask("carol", DeleteRoom(room_id=room_id)) == {"room_id": room_id}
    assert await caller.refusal("carol", GetRoom(room_id=room_id)) == "not_found"

    events = await caller.events_of(room_id, lambda events: "room.deleted" in types(events))
    assert types(events) == [
        "room.created",
        "room.updated",
        "member.added",
        "member.updated",
        "member.removed",
        "member.updated",
        "member.removed",
        "room.deleted",
    ]
    assert [event["data"]["version"] for event in events] == [1, 2, 3, 4, 5, 6, 6, 7]
    assert len({event["id"] for event in events}) == len(events)
    assert events[-1]["data"]["members"] == ["carol"]
    assert {event["tenant"] for event in events} == {"default"}


async def test_a_direct_room_is_one_for_both(caller: Caller) -> None:
    """Also when both start at the same moment."""
    commands = [("dora", "emil"), ("emil", "dora")] * 5
    results = await asyncio.gather(
        *(caller.ask(who, CreateRoom(type=RoomType.DIRECT, members=[other])) for who, other in commands)
    )
    assert len({result["room"]["id"] for result in results}) == 1
    assert sorted(result["created"] for result in results) == [False] * 9 + [True]


async def test_lists_come_in_pages(caller: Caller) -> None:
    """By room id and by user id, without gap or repetition; with what the directory knows."""
    rooms = [await make(caller, "paul", members=["rita"], name=f"{number}") for number in range(7)]
    seen, after = [], None
    while True:
        page = await caller.ask("rita", ListRooms(after=after, limit=3))
        seen += page["rooms"]
        if (after := page.get("next")) is None:
            break
    assert [room["id"] for room in seen] == sorted(rooms)
    assert {room["role"] for room in seen} == {"member"}

    await caller.ask(Actor(id="paul", name="Paul P", avatar="https://example.org/p.png"), RecordUser())
    first = await caller.ask("rita", ListMembers(room_id=rooms[0], limit=1))
    second = await caller.ask("rita", ListMembers(room_id=rooms[0], limit=1, after=first["next"]))
    person = {"id": "paul", "name": "Paul P", "avatar": "https://example.org/p.png", "roles": []}
    assert first["members"][0]["user"] == person
    assert second["members"][0]["user_id"] == "rita"
    assert "user" not in second["members"][0]
    assert "next" not in second


async def test_the_directory_keeps_what_claims_say(caller: Caller) -> None:
    """A claim that is absent later erases nothing, and one user's entry is not another tenant's."""
    room_id = await make(caller, "sue")
    await caller.ask(Actor(id="sue", first_name="Sue", last_name="S"), RecordUser())
    await caller.ask(Actor(id="sue", last_name="Smith"), RecordUser())
    await caller.ask(Actor(id="sue", tenant="t2", first_name="Other"), RecordUser())
    (member,) = (await caller.ask("sue", ListMembers(room_id=room_id)))["members"]
    assert member["user"] == {"id": "sue", "first_name": "Sue", "last_name": "Smith", "roles": []}
    await caller.ask("tom", RecordUser())
    added = await caller.ask("sue", AddMember(room_id=room_id, user_id="tom"))
    assert added["member"]["user"] == {"id": "tom", "roles": []}


async def test_services_see_who_may_enter(caller: Caller) -> None:
    """Rooms of every tenant by id; what is deleted or unknown is absent; nobody else may ask."""
    mine = await make(caller, "alice", members=["bob"])
    theirs = (await caller.ask(Actor(id="eve", tenant="t2"), CreateRoom()))["room"]["id"]
    gone = await make(caller, "alice")
    await caller.ask("alice", DeleteRoom(room_id=gone))
    answer = await caller.ask(WORKER, GetAccess(room_ids=[mine, theirs, gone, "never"]))
    assert {room["room_id"]: (room["tenant"], room["members"], room["version"]) for room in answer["rooms"]} == {
        mine: ("default", {"alice": "owner", "bob": "member"}, 1),
        theirs: ("t2", {"eve": "owner"}, 1),
    }
    assert await caller.refusal(Actor(id="root", roles=("admin",)), GetAccess(room_ids=[mine])) == "forbidden"


async def test_a_repeated_command_happens_once(caller: Caller) -> None:
    """Sent again by the client, or delivered again by the broker: one change, one event."""
    room_id = await make(caller)
    first = await caller.ask("alice", AddMember(room_id=room_id, user_id="bob", client_id="1"))
    assert await caller.ask("alice", AddMember(room_id=room_id, user_id="bob", client_id="1")) == first
    rename = caller.envelope("alice", UpdateRoom(room_id=room_id, name="dev"), "gateway.7")
    await caller.publish(rename)
    await caller.publish(rename)
    await caller.ask("alice", UpdateRoom(room_id=room_id, name="qa"))
    events = await caller.events_of(room_id, lambda events: types(events).count("room.updated") == 2)
    assert types(events) == ["room.created", "member.added", "room.updated", "room.updated"]


async def test_one_client_id_for_two_things_is_a_conflict(caller: Caller) -> None:
    """A room made with it, and a command within a room."""
    room_id = await make(caller, name="ops", client_id="c1")
    assert await make(caller, name="ops", client_id="c1") == room_id
    assert await caller.refusal("alice", CreateRoom(name="dev", client_id="c1")) == "conflict"
    await caller.ask("alice", UpdateRoom(room_id=room_id, name="a", client_id="c2"))
    assert await caller.refusal("alice", UpdateRoom(room_id=room_id, name="b", client_id="c2")) == "conflict"


async def test_commands_to_one_room_keep_their_order(caller: Caller) -> None:
    """However many are under way at once."""
    room_id = await make(caller)
    results = await asyncio.gather(
        *(caller.ask("alice", UpdateRoom(room_id=room_id, name=f"{number}")) for number in range(50))
    )
    assert [result["room"]["version"] for result in results] == list(range(2, 52))
    assert (await caller.ask("alice", GetRoom(room_id=room_id)))["name"] == "49"


async def test_the_largest_room(caller: Caller) -> None:
    """MAX_MEMBERS members can be made, read by a worker, not exceeded, and deleted."""
    members = [f"crowd-{number}" for number in range(MAX_MEMBERS - 1)]
    room_id = await make(caller, members=members)
    (access,) = (await caller.ask(WORKER, GetAccess(room_ids=[room_id])))["rooms"]
    assert len(access["members"]) == MAX_MEMBERS
    assert await caller.refusal("alice", AddMember(room_id=room_id, user_id="late")) == "conflict"
    await caller.ask("alice", DeleteRoom(room_id=room_id))
    events = await caller.events_of(room_id, lambda events: len(events) == 2)
    assert set(events[-1]["data"]["members"]) == {"alice", *members}
    assert not (await caller.ask("crowd-7", ListRooms()))["rooms"]


class Unknown(RoomCommand):
    """A command nobody knows."""

    TYPE: ClassVar = "room.explode"
    RESULT: ClassVar = LeftView


class Misspelt(RoomCommand):
    """A command with a wrong and an unknown field."""

    TYPE: ClassVar = "room.update"
    RESULT: ClassVar = LeftView

    room_id: str
    name: int = 7
    colour: str = "red"


class UnknownQuery(RoomQuery):
    """A query nobody knows."""

    TYPE: ClassVar = "rooms.guess"
    RESULT: ClassVar = LeftView


async def test_what_cannot_be_understood_is_answered(caller: Caller) -> None:
    """An unknown type and a malformed body get an error that names what is wrong."""
    for request in (Unknown(), UnknownQuery()):
        with pytest.raises(ChatError, match=f"'{request.TYPE}' is not known here; known are ") as unknown:
            await caller.ask("alice", request)
        assert unknown.value.code is ErrorCode.INVALID
    with pytest.raises(ChatError) as malformed:
        await caller.ask("alice", Misspelt(room_id="r"))
    assert malformed.value.code is ErrorCode.INVALID
    assert {detail["field"] for detail in malformed.value.details} == {"name", "colour"}


async def test_health_and_metrics(rooms_process: RoomsProcess, caller: Caller) -> None:
    """Ready by its real links; commands are counted by type and outcome."""
    await make(caller)
    status, body = await rooms_process.health("readyz")
    assert (status, body["checks"]) == (200, {"rabbitmq": "ok", "mongodb": "ok"})
    assert 'parley_requests_handled_total{outcome="ok",type="room.create"}' in await rooms_process.metrics()


async def test_what_changed_nothing_is_remembered_by_its_client_id(caller: Caller) -> None:
    """Stored like any other: sent again when it would change something, it does not, also among rivals."""
    room_id = await make(caller, name="Tea")
    same = UpdateRoom(room_id=room_id, name="Tea", client_id="no-change")
    others = [UpdateRoom(room_id=room_id, name="Tea", client_id=f"rival-{number}") for number in range(5)]
    answers = await asyncio.gather(*(caller.ask("alice", command) for command in (same, *others)))
    assert {answer["room"]["version"] for answer in answers} == {1}
    await caller.ask("alice", UpdateRoom(room_id=room_id, name="Coffee"))
    for command in (same, *others):
        answer = await caller.ask("alice", command)
        assert (answer["room"]["name"], answer["room"]["version"]) == ("Coffee", 2)
    assert await caller.refusal("alice", UpdateRoom(room_id=room_id, name="x", client_id="no-change")) == "conflict"


async def test_favorites_remember_what_changed_nothing(caller: Caller) -> None:
    """Before there is anything to remember beside, and after."""
    room_id = await make(caller, "zoe")

    def toggle(client_id: str, *, favorite: bool) -> ToggleFavorite:
        return ToggleFavorite(kind=FavoriteKind.ROOM, id=room_id, favorite=favorite, client_id=client_id)

    assert (await caller.ask("zoe", toggle("1", favorite=False)))["version"] == 0
    assert (await caller.ask("zoe", toggle("2", favorite=True)))["version"] == 1
    assert (await caller.ask("zoe", toggle("3", favorite=True)))["version"] == 1
    again = await caller.ask("zoe", toggle("1", favorite=False))
    assert (again["version"], len(again["favorites"])) == (1, 1)
    assert (await caller.ask("zoe", toggle("4", favorite=False)))["version"] == 2
    again = await caller.ask("zoe", toggle("3", favorite=True))
    assert (again["version"], again["favorites"]) == (2, [])
