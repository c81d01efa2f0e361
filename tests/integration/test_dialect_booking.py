"""The booking dialect on the real stack: python-socketio's client and plain requests, as its document has them."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from deploy.embedded.stack import Stack
from tests.conftest import ClientOf, TokenOf
from tests.harness.sio import SioPerson

People = Callable[[str], Awaitable[SioPerson]]


@pytest.fixture
async def people(stack: Stack, token: TokenOf, closing: AsyncExitStack) -> People:
    async def connect(name: str, **options: Any) -> SioPerson:
        person = SioPerson(stack.gateway_urls[0], auth={"token": token(name)}, **options)
        return await closing.enter_async_context(person)

    return connect


async def test_basic_flow(people: People, client: ClientOf) -> None:
    """Two who join a room read, see each other type, and see that they have read."""
    owner = await client("alice")
    room = await owner.create_room(members=["bob"])
    alice, bob = await people("alice"), await people("bob")
    for person, name in ((alice, "alice"), (bob, "bob")):
        assert (await person.expect("connected"))["userId"] == name
        assert await person.call("join_room", {"roomId": room.id}) == {"roomId": room.id}
    sent = await alice.call("send_message", {"chat_room_id": room.id, "content": "Hello!", "type": "text"})
    for person in (alice, bob):
        told = await person.expect("new_message")
        assert (told["id"], told["content"], told["sender"]["id"]) == (sent["id"], "Hello!", "alice")
    await bob.emit("typing_start", {"roomId": room.id})
    assert await alice.expect("user_typing") == {"userId": "bob", "roomId": room.id, "isTyping": True}
    await bob.emit("mark_messages_read", {"roomId": room.id})
    assert (await alice.expect("messages_read", lambda data: data["userId"] == "bob"))["roomId"] == room.id
