"""socket.io-client in Node and in a browser, by every transport: what the booking document has them send and hear."""

import re
from typing import Any

import pytest

from tests.conftest import ClientOf
from tests.e2e.conftest import Connect
from tests.e2e.runtimes import Runtime


async def test_two_talk(runtime: Runtime, transports: dict[str, Any], connect: Connect, client: ClientOf) -> None:
    """They join, write, see each other type and read, and have every event answered that they want an answer to."""
    room = (await (await client("alice")).create_room(members=["bob"])).id
    alice, bob = await connect(runtime, "alice", **transports), await connect(runtime, "bob", **transports)
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


async def test_what_is_refused_is_told_and_answered(
    runtime: Runtime, transports: dict[str, Any], connect: Connect, client: ClientOf
) -> None:
    """As the event `error` and to the callback; and the connection goes on."""
    room = (await (await client("alice")).create_room(members=["bob"])).id
    carol = await connect(runtime, "carol", **transports)
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


@pytest.mark.parametrize("kind", ["auth", "bearer in auth", "query"])
async def test_ways_to_give_a_token(
    runtime: Runtime, transports: dict[str, Any], connect: Connect, token: Any, kind: str
) -> None:
    """In the handshake's `auth`, with and without its scheme, and in the query string."""
    given: dict[str, Any] = {
        "auth": {"auth": {"token": token("alice")}},
        "bearer in auth": {"auth": {"token": f"Bearer {token('alice')}"}},
        "query": {"auth": {}, "query": {"token": token("alice")}},
    }[kind]
    alice = await connect(runtime, "alice", **transports, **given)
    assert (await alice.expect("connected"))["userId"] == "alice"


@pytest.mark.parametrize("kind", ["missing", "malformed", "foreign", "expired"])
async def test_without_a_valid_token_the_reason_is_told(
    runtime: Runtime, transports: dict[str, Any], connect: Connect, token: Any, kind: str
) -> None:
    """As `connect_error`, in words and with the error's code."""
    auth = {
        "missing": {},
        "malformed": {"token": "abc"},
        "foreign": {"token": token("alice")[:-6] + "AAAAAA"},
        "expired": {"token": token("alice", ttl=-3600)},
    }[kind]
    alice = await connect(runtime, "alice", **transports, auth=auth)
    error = await alice.expect("@connect_error")
    assert "token" in error["message"].lower()
    assert error["data"]["code"] == "unauthenticated"
    assert not alice.all("@connect")
