"""The team dialect on the real stack: the events of its document, and its sample flows."""

import asyncio

import pytest

from tests.conftest import ClientOf
from tests.harness.sio import People, SioPerson

pytest_plugins = ("tests.integration.team_fixtures",)


async def test_what_is_sent_reaches_the_room(people: People, client: ClientOf) -> None:
    """Also who has not joined it: one hears of all one's rooms from the start. Both gateways tell it alike."""
    owner = await client("alice")
    room = await owner.create_room(name="Plans", members=["bob"])
    alice, bob = await people("alice"), await people("bob", gateway=1)
    for person in (alice, bob):
        await person.expect("chat:init_data")
    await alice.emit("chat:join", room.id)
    await alice.emit("chat:send_message", {"roomId": room.id, "content": "Hello, world!", "type": "TEXT"})
    for person in (alice, bob):
        message = await person.expect("chat:message")
        assert message.pop("timestamp").endswith("Z")
        assert len(message.pop("id")) == 24
        assert message == {
            "roomId": room.id,
            "roomType": "GROUP",
            "content": "Hello, world!",
            "type": "TEXT",
            "sender": {"id": "alice", "name": "Alice"},
            "reactions": [],
        }


@pytest.mark.parametrize("namespace", ["/chat/", "/"])
async def test_what_is_sent_at_once_comes_after_the_greeting(people: People, client: ClientOf, namespace: str) -> None:
    """Clients emit without waiting for `chat:init_data`: they are told what they have said, each time.

    Also where it is the first thing to tell which API they were written for (`/`).
    """
    owner = await client("alice")
    room = await owner.create_room(members=["bob"])
    for number in range(10):
        bob = await people("bob", namespace=namespace)
        await bob.emit("chat:send_message", {"roomId": room.id, "content": f"at once {number}"})
        assert (await bob.expect("chat:message"))["content"] == f"at once {number}"
        names = [heard.name for heard in bob.log if heard.name in {"chat:init_data", "chat:message"}]
        assert names[0] == "chat:init_data"


async def test_messages_change_and_go(people: People, client: ClientOf) -> None:
    """What their sender does to them is told as the document says."""
    owner = await client("alice")
    room = await owner.create_room(members=["bob"])
    alice, bob = await people("alice"), await people("bob")
    await bob.expect("chat:init_data")
    sent = await alice.call("chat:send_message", {"roomId": room.id, "content": "Helo"})
    assert sent["roomId"] == room.id
    await alice.emit("chat:update_message", {"messageId": sent["id"], "content": "Hello"})
    update = await bob.expect("chat:message_update")
    assert update["roomId"] == room.id
    assert (update["message"]["id"], update["message"]["content"]) == (sent["id"], "Hello")
    assert (update["message"]["roomType"], update["message"]["type"]) == ("GROUP", "TEXT")
    await alice.emit("chat:delete_message", sent["id"])
    assert await bob.expect("chat:message_delete") == {"roomId": room.id, "messageId": sent["id"]}


async def test_typing(people: People, client: ClientOf) -> None:
    """Others see it, and see it end; oneself does not."""
    owner = await client("alice")
    room = await owner.create_room(members=["bob"])
    alice, bob = await people("alice"), await people("bob")
    for person in (alice, bob):
        await person.expect("chat:init_data")
    for typing in (True, False):
        await alice.emit("chat:typing", {"roomId": room.id, "isTyping": typing})
        told = {"userId": "alice", "roomId": room.id, "isTyping": typing}
        assert await bob.expect("chat:typing_status") == told
    assert not [heard for heard in alice.log if heard.name == "chat:typing_status"]


async def test_a_room_that_was_left_is_heard_of_no_more(people: People, client: ClientOf) -> None:
    """Until it is joined again. The membership stays."""
    owner = await client("alice")
    room, other = await owner.create_room(members=["bob"]), await owner.create_room(members=["bob"])
    bob = await people("bob")
    await bob.expect("chat:init_data")
    assert await bob.call("chat:leave", room.id) == {"roomId": room.id}
    await owner.send(room.id, "unheard")
    await owner.send(other.id, "heard")
    assert (await bob.expect("chat:message"))["content"] == "heard"
    assert await bob.call("chat:join", room.id) == {"roomId": room.id}
    await owner.send(room.id, "heard again")
    assert (await bob.expect("chat:message"))["content"] == "heard again"


async def test_presence(people: People, client: ClientOf) -> None:
    """Room mates are told who comes and what they choose to appear as."""
    owner = await client("alice")
    await owner.create_room(members=["bob"])
    alice = await people("alice")
    await alice.expect("chat:init_data")
    bob = await people("bob", gateway=1)
    of_bob = {"userId": "bob", "status": "online"}
    assert await alice.expect("chat:presence_update", lambda told: told["userId"] == "bob") == of_bob
    await bob.emit("chat:presence", "away")
    told = await alice.expect("chat:presence_update", lambda told: told["userId"] == "bob")
    assert told == {"userId": "bob", "status": "away"}


async def test_direct_messaging(people: People) -> None:
    """The document's sample: start, learn the room from the system message, send; direct ones show by their room."""
    alice, bob = await people("alice"), await people("bob", gateway=1)
    for person in (alice, bob):
        await person.expect("chat:init_data")
    await alice.emit("chat:start_direct", "bob")
    rooms = []
    for person in (alice, bob):
        started = await person.expect("chat:message", lambda message: message["type"] == "SYSTEM")
        assert (started["content"], started["roomType"]) == ("Direct chat started", "DIRECT")
        rooms.append(started["roomId"])
    assert rooms[0] == rooms[1]
    await alice.emit("chat:send_message", {"roomId": rooms[0], "content": "Hey, how are you?", "type": "TEXT"})
    for person in (alice, bob):
        message = await person.expect("chat:message", lambda message: message["type"] == "TEXT")
        assert (message["roomId"], message["roomType"]) == (rooms[0], "DIRECT")
        assert message["content"] == "Hey, how are you?"


async def test_a_direct_chat_is_the_same_whoever_starts_it(people: People) -> None:
    """Who starts it again is told where it is, and nobody else is."""
    alice, bob = await people("alice"), await people("bob")
    for person in (alice, bob):
        await person.expect("chat:init_data")
    await alice.emit("chat:start_direct", "bob")
    first = [await person.expect("chat:message") for person in (alice, bob)]
    again = await bob.call("chat:start_direct", "alice")
    assert again == {"roomId": first[0]["roomId"]}
    assert (await bob.expect("chat:message"))["roomId"] == first[0]["roomId"]
    await bob.call("chat:send_message", {"roomId": again["roomId"], "content": "the next thing"})
    assert (await alice.expect("chat:message"))["content"] == "the next thing"


async def test_what_is_written_at_once_reaches_who_has_just_come_into_a_room(people: People, client: ClientOf) -> None:
    """However soon it is written: clients of this API cannot ask for what came before they followed the room."""
    owner = await client("alice")
    bob = await people("bob", gateway=1)
    await bob.expect("chat:init_data")

    async def begin(number: int) -> None:
        room = await owner.create_room(members=["bob"])
        await owner.send(room.id, str(number))

    await asyncio.gather(*map(begin, range(60)))
    await bob.expect("chat:message", lambda _: len(told(bob)) == 60)
    assert sorted(told(bob), key=int) == [str(number) for number in range(60)]


def told(person: SioPerson) -> list[str]:
    """The messages that a person has been told."""
    return [heard.data["content"] for heard in person.log if heard.name == "chat:message"]
