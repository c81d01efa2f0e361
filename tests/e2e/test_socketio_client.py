"""Every make of client, by every transport: what the booking document has them send and hear."""

import re
from typing import Any

from tests.conftest import ClientOf
from tests.e2e.conftest import Meet


async def test_two_talk(transports: dict[str, Any], meet: Meet, client: ClientOf) -> None:
    """They join, write, see each other type and read, and have every event answered that they want an answer to."""
    room = (await (await client("alice")).create_room(members=["bob"])).id
    alice, bob = await meet("alice", **transports), await meet("bob", **transports)
    for person, name in ((alice, "alice"), (bob, "bob")):
        assert (await person.expect("connected"))["userId"] == name
        assert await person.call("join_room", {"roomId": room}) == {"roomId": room}
        assert await person.expect("joined_room") == {"roomId": room}
    sent = await alice.call("send_message", {"chat_room_id": room, "content": "Hello! 👋", "type": "text"})
    for person in (alice, bob):
        told = await person.expect("new_message")
        assert (told["id"], told["content"], told["sender"]["id"]) == (sent["id"], "Hello! 👋", "alice")
    for name, typing in (("typing_start", True), ("typing_stop", False)):
        await bob.emit(name, {"roomId": room})
        assert await alice.expect("user_typing") == {"userId": "bob", "roomId": room, "isTyping": typing}
    assert (await bob.call("mark_messages_read", {"roomId": room}))["success"] is True
    assert (await alice.expect("messages_read", lambda data: data["userId"] == "bob"))["roomId"] == room
    assert await bob.call("leave_room", {"roomId": room}) == {"roomId": room}
    await alice.call("send_message", {"chat_room_id": room, "content": "Still there?"})
    await alice.expect("new_message")
    assert await bob.call("join_room", {"roomId": room}) == {"roomId": room}
    assert len(bob.all("new_message")) == 1, "what is said in a room that one has left is not told"


async def test_what_is_refused_is_told_and_answered(transports: dict[str, Any], meet: Meet, client: ClientOf) -> None:
    """As the event `error` and to the callback; and the connection goes on."""
    room = (await (await client("alice")).create_room(members=["bob"])).id
    carol = await meet("carol", **transports)
    await carol.expect("connected")
    for name, payload, code in [
        ("join_room", {"roomId": room}, "forbidden|not_found"),
        ("send_message", {"chat_room_id": room, "content": "let me in"}, "forbidden|not_found"),
        ("send_message", {"content": "where to?"}, "invalid"),
        ("send_message", "no object", "invalid"),
        ("join_room", None, "invalid"),
        ("no_such_event", {}, "invalid"),
    ]:
        answer = await carol.call(name, payload)
        assert re.fullmatch(code, answer["code"])
        assert answer["message"]
        assert await carol.expect("error") == answer
