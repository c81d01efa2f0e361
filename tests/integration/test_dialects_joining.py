"""Who joins a room while others write in it: the answer to joining comes first, then what happens, each thing once."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import pytest

from deploy.embedded.stack import Stack
from tests.conftest import ClientOf, TokenOf
from tests.harness.sio import SioPerson


class Api(NamedTuple):
    """How a dialect calls it."""

    join: str
    room: str
    joined: str
    recent: str
    told: str


APIS = {
    "session": Api("join_session", "sessionId", "session_joined", "recentMessages", "message_received"),
    "eventchat": Api("join_chat", "chatId", "chat_joined", "messages", "message_created"),
    "outing": Api("joinRoom", "chatId", "joinedRoom", "messages", "receiveMessage"),
}
WRITTEN = 120


@pytest.mark.parametrize("dialect", APIS)
async def test_the_answer_comes_first_and_nothing_twice(
    stack: Stack, client: ClientOf, token: TokenOf, closing: AsyncExitStack, dialect: str
) -> None:
    """The messages it holds and those that are told after it are what was written, without a gap."""
    api = APIS[dialect]
    alice = await client("alice")
    room = await alice.create_room(members=["bob"])
    people = [SioPerson(stack.gateway_urls[n % 2], auth={"token": token("bob")}) for n in range(12)]
    for person in people:
        await closing.enter_async_context(person)
    written = [str(number) for number in range(WRITTEN)]

    async def write() -> None:
        for text in written:
            await alice.send(room.id, text)

    async def join() -> None:
        for person in people:
            await person.emit(api.join, {api.room: room.id})
            await person.expect(api.joined)

    await asyncio.gather(write(), join())
    await alice.send(room.id, "fence")
    for person in people:
        await person.expect(api.told, lambda told: inside(told)["content"] == "fence")
        first, *others = [heard for heard in person.log if heard.name in {api.joined, api.told}]
        assert first.name == api.joined
        read = [message["content"] for message in inside(first.data)[api.recent]]
        read += [inside(heard.data)["content"] for heard in others]
        assert read == [*written, "fence"][-len(read) :]


def inside(payload: Any) -> Any:
    """What is in the envelope, where there is one."""
    return payload["data"] if payload.keys() == {"type", "data", "timestamp"} else payload
