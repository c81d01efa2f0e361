"""The lists of the team dialect: what a client begins with, and how it is kept up to date."""

from collections.abc import Callable
from typing import Any

from tests.conftest import ClientOf
from tests.harness.sio import People, SioPerson

pytest_plugins = ("tests.integration.team_fixtures",)


async def listed(person: SioPerson, name: str, that: Callable[[list[Any]], object]) -> list[Any]:
    """A list that a person is told sooner or later; what is told before may lie behind."""
    found: list[Any] = await person.expect(f"chat:{name}_update", that)
    return found


async def test_what_a_client_begins_with(people: People, client: ClientOf) -> None:
    """All its rooms with direct ones among them, people, favorites: exactly as documented, unknown fields left out."""
    owner = await client("alice")
    group = await owner.create_room(name="Plans", members=["bob"])
    alice = await people("alice")
    assert await alice.expect("chat:init_data") == {
        "rooms": [{"id": group.id, "name": "Plans", "type": "GROUP", "unreadCount": 0}],
        "people": [],
        "favorites": [],
    }
    direct = (await alice.call("chat:start_direct", "bob"))["roomId"]
    for room_id in (direct, group.id):
        await alice.call("chat:send_message", {"roomId": room_id, "content": f"said in {room_id}"})
    await alice.call("chat:toggle_favorite", {"id": direct, "type": "ROOM"})
    bob = await people("bob", gateway=1)
    data = await bob.expect("chat:init_data")
    assert data.keys() == {"rooms", "people", "favorites"}
    assert [room["id"] for room in data["rooms"] if room["type"] == "DIRECT"] == [direct]
    for room, room_id in zip(data["rooms"], (group.id, direct), strict=True):
        assert room.keys() == {"id", "name", "type", "lastMessage", "unreadCount"}
        assert room["name"] == {group.id: "Plans", direct: "Alice"}[room_id]
        assert room["unreadCount"] == 1
        assert room["lastMessage"].pop("timestamp")
        assert room["lastMessage"] == {"content": f"said in {room_id}", "type": "TEXT"}
    assert data["people"][0].pop("status") in {"online", "offline"}  # it may not be known yet that she is here
    assert data["people"] == [{"id": "alice", "name": "Alice"}]
    assert data["favorites"] == []
    again = await people("alice", gateway=1)
    mine = await again.expect("chat:init_data")
    assert mine["favorites"] == [
        {"id": direct, "type": "ROOM", "name": mine["rooms"][1]["name"], "lastMessage": f"said in {direct}"}
    ]


async def test_rooms_that_come_change_and_go_are_told(people: People, client: ClientOf) -> None:
    """To everybody in them, as one's list of them is then."""
    owner = await client("alice")
    bob = await people("bob", gateway=1)
    await bob.expect("chat:init_data")
    room = await owner.create_room(name="Plans", members=["bob"])
    here = {"id": room.id, "name": "Plans", "type": "GROUP", "unreadCount": 0}
    assert await listed(bob, "room_list", bool) == [here]
    await owner.send(room.id, "first")
    rooms = await listed(bob, "room_list", lambda rooms: rooms[0]["unreadCount"])
    assert (rooms[0]["unreadCount"], rooms[0]["lastMessage"]["content"]) == (1, "first")
    await owner.request("room.update", {"room_id": room.id, "name": "Better plans"})
    await listed(bob, "room_list", lambda rooms: rooms[0]["name"] == "Better plans")
    await owner.request("member.remove", {"room_id": room.id, "user_id": "bob"})
    assert await listed(bob, "room_list", lambda rooms: not rooms) == []
    await owner.request("member.add", {"room_id": room.id, "user_id": "bob"})
    await listed(bob, "room_list", bool)
    await owner.request("room.delete", {"room_id": room.id})
    assert await listed(bob, "room_list", lambda rooms: not rooms) == []


async def test_a_room_that_was_left_stays_up_to_date_in_lists(people: People, client: ClientOf) -> None:
    """What is said there is not told any more, but counted; until the room is gone."""
    owner = await client("alice")
    room = await owner.create_room(name="Plans", members=["bob"])
    bob = await people("bob", gateway=1)
    await bob.expect("chat:init_data")
    await bob.call("chat:leave", room.id)
    await owner.send(room.id, "unheard")
    rooms = await listed(bob, "room_list", lambda rooms: rooms[0]["unreadCount"])
    assert (rooms[0]["unreadCount"], rooms[0]["lastMessage"]["content"]) == (1, "unheard")
    await owner.request("room.update", {"room_id": room.id, "name": "Better plans"})
    await listed(bob, "room_list", lambda rooms: rooms[0]["name"] == "Better plans")
    assert not [heard for heard in bob.log if heard.name == "chat:message"]
    await bob.call("chat:join", room.id)
    await bob.call("chat:leave", room.id)
    await owner.request("room.delete", {"room_id": room.id})
    assert await listed(bob, "room_list", lambda rooms: not rooms) == []


async def test_joining_a_room_reads_it(people: People, client: ClientOf) -> None:
    """Nothing is unread there then, on any device."""
    owner = await client("alice")
    room = await owner.create_room(members=["bob"])
    await owner.send(room.id, "unread")
    bob, elsewhere = await people("bob"), await people("bob", gateway=1)
    for person in (bob, elsewhere):
        assert (await person.expect("chat:init_data"))["rooms"][0]["unreadCount"] == 1
    await bob.emit("chat:join", room.id)
    for person in (bob, elsewhere):
        assert (await listed(person, "room_list", bool))[0]["unreadCount"] == 0


async def test_people_are_who_one_has_a_direct_chat_with(people: People) -> None:
    """They are told to both when it begins, and again when one of them comes or goes."""
    alice, bob = await people("alice"), await people("bob", gateway=1)
    for person in (alice, bob):
        assert (await person.expect("chat:init_data"))["people"] == []
    started = await alice.call("chat:start_direct", "bob")
    here = {"id": "bob", "name": "Bob", "status": "online"}
    assert await listed(alice, "people_list", lambda them: them and them[0]["status"] == "online") == [here]
    assert [one["name"] for one in await listed(bob, "people_list", bool)] == ["Alice"]
    await alice.call("chat:leave", started["roomId"])  # people are told of wherever one is
    await bob.emit("chat:presence", "away")
    assert await listed(alice, "people_list", lambda them: them[0]["status"] == "away") == [{**here, "status": "away"}]
    assert await alice.expect("chat:presence_update", lambda told: told["status"] == "away")
    await bob.client.disconnect()
    gone = await listed(alice, "people_list", lambda them: "lastSeen" in them[0])
    assert gone[0].keys() == {"id", "name", "status", "lastSeen"}
    assert gone[0]["status"] == "offline"
    assert await alice.expect("chat:presence_update", lambda told: told["status"] == "offline")


async def test_favorites(people: People, client: ClientOf) -> None:
    """Rooms and people are marked and unmarked, on all one's devices; an error where there is nothing to mark."""
    owner = await client("alice")
    room = await owner.create_room(name="Plans")
    alice, elsewhere = await people("alice"), await people("alice", gateway=1)
    bob = await people("bob")
    for person in (alice, elsewhere, bob):
        await person.expect("chat:init_data")
    direct = (await alice.call("chat:start_direct", "bob"))["roomId"]
    await bob.call("chat:send_message", {"roomId": direct, "content": "hi"})
    await alice.emit("chat:toggle_favorite", {"id": room.id, "type": "ROOM"})
    marked = {"id": room.id, "type": "ROOM", "name": "Plans"}
    for person in (alice, elsewhere):
        assert await listed(person, "favorites", bool) == [marked]
    await alice.emit("chat:toggle_favorite", {"id": "bob", "type": "USER"})
    friend = {"id": "bob", "type": "USER", "name": "Bob", "lastMessage": "hi"}
    for person in (alice, elsewhere):
        assert await listed(person, "favorites", lambda marks: len(marks) == 2) == [marked, friend]
    await bob.call("chat:send_message", {"roomId": direct, "content": "are you there?"})
    newer = {**friend, "lastMessage": "are you there?"}
    assert await listed(elsewhere, "favorites", lambda marks: marks != [marked, friend]) == [marked, newer]
    await elsewhere.emit("chat:toggle_favorite", {"id": room.id, "type": "ROOM"})
    for person in (alice, elsewhere):
        assert await listed(person, "favorites", lambda marks: len(marks) == 1) == [newer]
    await alice.emit("chat:toggle_favorite", {"id": "nobody", "type": "USER"})
    assert (await alice.expect("chat:error")).keys() == {"message"}
    assert not [heard for heard in bob.log if heard.name == "chat:favorites_update"]


async def test_many_changes_are_few_lists(people: People, client: ClientOf) -> None:
    """A burst of messages is told message by message, and the list of rooms about once a second, the last one right."""
    owner = await client("alice")
    room = await owner.create_room(members=["bob"])
    bob = await people("bob")
    await bob.expect("chat:init_data")
    for number in range(100):
        await owner.send(room.id, f"message {number}")
    rooms = await listed(bob, "room_list", lambda rooms: rooms[0]["unreadCount"] == 100)
    assert rooms[0]["lastMessage"]["content"] == "message 99"
    told = [heard.name for heard in bob.log]
    assert told.count("chat:message") == 100
    assert told.count("chat:room_list_update") <= 20
