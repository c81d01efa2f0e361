"""The REST API of the team dialect: rooms, history, reactions, errors."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.conftest import ClientOf
from tests.harness.rest import Answer, Api
from tests.harness.sio import People

pytest_plugins = ("tests.integration.team_fixtures",)

ApiOf = Callable[..., Api]
ROOMS, MESSAGES, REACTIONS = "/api/v2/chat/rooms", "/api/v2/chat/messages", "/api/v2/chat/reactions"


@pytest.fixture
def refused() -> Callable[[Awaitable[Answer], int], Awaitable[dict[str, Any]]]:
    """Checks that a request is refused with a status, in the documented shape."""

    async def check(asked: Awaitable[Answer], status: int) -> dict[str, Any]:
        answer = await asked
        assert answer.status == status, answer
        assert answer.body.keys() == {"error", "details", "code"}
        assert answer.body["code"] == status
        assert isinstance(answer.body["error"], str)
        assert answer.body["details"] is None or isinstance(answer.body["details"], str)
        body: dict[str, Any] = answer.body
        return body

    return check


Refused = Callable[[Awaitable[Answer], int], Awaitable[dict[str, Any]]]


async def test_rooms_are_made_and_listed(api: ApiOf, client: ClientOf) -> None:
    """With their participants as what they are known, and what was said last; of another tenant, nothing."""
    bob = await client("bob")
    alice = api("alice", name="Alice")
    made = await alice("POST", ROOMS, {"name": "Plans", "participants": ["bob", "alice", "carol"]})
    assert made.status == 201
    participants = {one["user"]["id"]: one for one in made.body.pop("participants")}
    room_id = made.body.pop("id")
    assert made.body == {"name": "Plans", "type": "GROUP"}
    assert {name: one["role"] for name, one in participants.items()} == {
        "alice": "OWNER",
        "bob": "MEMBER",
        "carol": "MEMBER",
    }
    assert participants["alice"]["user"] == {"id": "alice", "name": "Alice", "avatar": None}
    assert all(one["joinedAt"].endswith("Z") for one in participants.values())
    listed = (await alice("GET", ROOMS)).body["rooms"]
    assert listed[0].pop("participants")[0].keys() == {"id", "name", "avatar"}
    assert listed == [{"id": room_id, "name": "Plans", "type": "GROUP", "lastMessage": None}]
    await bob.send(room_id, "Hello")
    [shown] = (await alice("GET", ROOMS)).body["rooms"]
    assert shown["lastMessage"].pop("timestamp")
    assert shown["lastMessage"] == {"content": "Hello", "sender": {"id": "bob", "name": "bob"}}
    assert (await api("alice", tenant="elsewhere")("GET", ROOMS)).body == {"rooms": []}


async def test_large_rooms_show_all_their_participants(api: ApiOf) -> None:
    """Also where these take several questions."""
    users = [f"user-{number}" for number in range(600)]
    made = await api("alice")("POST", ROOMS, {"name": "Everybody", "participants": users})
    assert made.status == 201
    assert {one["user"]["id"] for one in made.body["participants"]} == {"alice", *users}


async def test_direct_rooms_bear_the_name_of_the_other_one(api: ApiOf, people: People) -> None:
    """In the list of each of the two."""
    alice = await people("alice")
    await people("bob")
    room_id = (await alice.call("chat:start_direct", "bob"))["roomId"]
    for name, other in (("alice", "Bob"), ("bob", "Alice")):
        [room] = (await api(name, name=name.title())("GET", ROOMS)).body["rooms"]
        assert (room["id"], room["type"], room["name"]) == (room_id, "DIRECT", other)
        assert [one["name"] for one in room["participants"]] == ["Alice", "Bob"]


async def test_history_is_paged_by_time(api: ApiOf, client: ClientOf) -> None:
    """Backwards, each page in the order of writing; what was deleted is not there."""
    owner = await client("alice")
    room = await owner.create_room()
    sent = [await owner.send(room.id, f"message {number}") for number in range(7)]
    await owner.delete(sent[5].message_id)
    alice, before = api("alice"), ""
    contents: list[str] = []
    for _ in range(3):
        page = (await alice("GET", f"{MESSAGES}?roomId={room.id}&limit=3{before}")).body
        contents = [message["content"] for message in page["messages"]] + contents
        before = f"&before={quote(page['messages'][0]['timestamp'])}"
        assert page["hasMore"] is (len(contents) < 6)
    assert contents == [f"message {number}" for number in (0, 1, 2, 3, 4, 6)]
    whole = (await alice("GET", f"{MESSAGES}?roomId={room.id}&limit=100000")).body
    assert len(whole["messages"]) == 6
    assert whole["messages"][0].keys() == {"id", "content", "sender", "timestamp", "type", "reactions"}
    assert whole["messages"][0]["sender"] == {"id": "alice", "name": "alice"}


async def test_history_of_direct_rooms_only(api: ApiOf, client: ClientOf) -> None:
    """Where it is asked for so; a group's is empty then."""
    owner = await client("alice")
    group = await owner.create_room(members=["bob"])
    direct = await owner.create_room(type="direct", members=["bob"])
    for room in (group, direct):
        await owner.send(room.id, "Hello")
    bob = api("bob")
    for room, asked, number in ((direct, "direct", 1), (group, "direct", 0), (group, "group", 1), (direct, "group", 0)):
        page = (await bob("GET", f"{MESSAGES}?roomId={room.id}&type={asked}")).body
        assert len(page["messages"]) == number, (room, asked)
    await owner.send(group.id, "Hello again")
    page = (await bob("GET", f"{MESSAGES}?roomId={group.id}&type=direct&limit=1")).body
    assert page == {"messages": [], "hasMore": False}


async def test_deleted_messages_do_not_stop_a_reader(api: ApiOf, client: ClientOf) -> None:
    """They are left out, but where a page would be empty without them."""
    owner = await client("alice")
    room = await owner.create_room()
    sent = [await owner.send(room.id, f"message {number}") for number in range(3)]
    for gone in sent[1:]:
        await owner.delete(gone.message_id)
    alice = api("alice")
    page = (await alice("GET", f"{MESSAGES}?roomId={room.id}&limit=2")).body
    assert ([message["content"] for message in page["messages"]], page["hasMore"]) == (["", ""], True)
    page = (await alice("GET", f"{MESSAGES}?roomId={room.id}&limit=3")).body
    assert ([message["content"] for message in page["messages"]], page["hasMore"]) == (["message 0"], False)


async def test_reactions(api: ApiOf, client: ClientOf, people: People, refused: Refused) -> None:
    """They have an id by which they are taken back by whose they are; history names who reacted."""
    owner = await client("alice")
    room = await owner.create_room(members=["bob", "carol"])
    sent = await owner.send(room.id, "What do you think?")
    watching = await people("alice")
    await watching.expect("chat:init_data")
    bob, carol = api("bob", name="Bob"), api("carol", name="Carol")
    ids = []
    for caller, name in ((bob, "bob"), (carol, "carol")):
        made = await caller("POST", REACTIONS, {"messageId": sent.message_id, "emoji": "👍"})
        assert made.status == 201
        ids.append(made.body.pop("id"))
        assert made.body == {"emoji": "👍", "messageId": sent.message_id, "userId": name}
        told = await watching.expect("chat:message_update")
        assert name in [user["id"] for user in told["message"]["reactions"][0]["users"]]
    page = (await bob("GET", f"{MESSAGES}?roomId={room.id}")).body
    users = [{"id": "bob", "name": "Bob"}, {"id": "carol", "name": "Carol"}]
    assert page["messages"][0]["reactions"] == [{"emoji": "👍", "users": users}]
    await refused(bob("DELETE", f"{REACTIONS}/{ids[1]}"), 403)
    for unknown in ("nonsense", "a.b.c", "a.b.c.d"):
        await refused(bob("DELETE", f"{REACTIONS}/{unknown}"), 404)
    assert (await bob("DELETE", f"{REACTIONS}/{quote(ids[0], safe='')}")).body == {"success": True}
    told = await watching.expect("chat:message_update")
    assert told["message"]["reactions"] == [{"emoji": "👍", "users": [{"id": "carol", "name": "carol"}]}]
    eve = api("eve")
    await refused(eve("POST", REACTIONS, {"messageId": sent.message_id, "emoji": "👍"}), 403)
    stranger = api("bob", tenant="elsewhere")
    await refused(stranger("POST", REACTIONS, {"messageId": sent.message_id, "emoji": "👍"}), 404)


async def test_errors(api: ApiOf, client: ClientOf, refused: Refused) -> None:
    """All of them in the documented shape, wherever they come from."""
    owner = await client("alice")
    room = await owner.create_room()
    alice, eve, nobody = api("alice"), api("eve"), api(None)
    for method, path in (("GET", ROOMS), ("POST", ROOMS), ("GET", MESSAGES), ("DELETE", f"{REACTIONS}/x")):
        await refused(nobody(method, path), 401)
    await refused(api("alice", ttl=-60)("GET", ROOMS), 401)
    await refused(alice("GET", ROOMS, x_tenant_tag="elsewhere"), 403)
    await refused(eve("GET", f"{MESSAGES}?roomId={room.id}"), 403)
    await refused(alice("GET", f"{MESSAGES}?roomId=nowhere"), 404)
    for method, path in (("GET", "/api/v2/chat/nothing"), ("PUT", ROOMS), ("GET", "/api/v2/chat/")):
        await refused(alice(method, path), 404)
    assert "roomId" in str((await refused(alice("GET", MESSAGES), 400))["details"])
    for query in ("before=yesterday", "limit=0", "limit=few", "type=planet"):
        await refused(alice("GET", f"{MESSAGES}?roomId={room.id}&{query}"), 400)
    bodies: tuple[Any, ...] = ({}, {"name": "Plans"}, {"name": "Plans", "participants": "bob"}, [], "nonsense")
    for body in bodies:
        await refused(alice("POST", ROOMS, body), 400)
    await refused(alice("POST", ROOMS, raw=b"{"), 400)
    await refused(alice("POST", REACTIONS, {"messageId": "nonsense", "emoji": "👍"}), 400)
    await refused(alice("POST", REACTIONS, {"emoji": "👍"}), 400)


async def test_health(api: ApiOf) -> None:
    """For everybody, without a token."""
    answer = await api(None)("GET", "/health")
    assert answer.status == 200
    assert answer.body.pop("timestamp").endswith("Z")
    assert answer.body == {"status": "ok"}
