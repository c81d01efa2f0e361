"""What nobody waits for is tried again until it can be decided: a room's own words come, however late."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from deploy.embedded.stack import Stack
from shared.bus.link import declare
from shared.bus.topology import LATER, durable_queues
from shared.contracts.content import MessageType
from shared.contracts.envelope import Actor
from shared.contracts.messages import ReportDelivered, SendMessage
from shared.ids import message_id
from shared.mongo import Document, Mongo
from shared.permissions import GlobalRole
from tests.faults.writers import Writers, writers
from tests.integration.rooms_client import Caller, next_dead

pytest_plugins = ("tests.integration.rooms_fixtures",)

SYSTEM = Actor(id="system", roles=(GlobalRole.SERVICE,))
PATIENCE = 20.0


class World:
    """A writer who cannot look rooms up until told."""

    def __init__(self) -> None:
        self.writer = f"put-off-{uuid4().hex[:8]}"
        self.room = f"room-{uuid4().hex[:8]}"
        self.looked_up = 0
        self.away = True
        self.writers: Writers

    def reachable(self) -> bool:
        """Whether the rooms service answers."""
        self.looked_up += 1
        return not self.away

    def say(self, number: int) -> None:
        """Have the room say something by itself."""
        command = SendMessage(room_id=self.room, type=MessageType.SYSTEM, content="Welcome")
        self.writers.tell(self.writer, SYSTEM, command, f"{self.room}:1:said:{number}")

    def message(self, number: int) -> str:
        """The id of what it then has said."""
        return message_id(self.room, SYSTEM.id, f"{self.room}:1:said:{number}")

    async def stored(self, mongo: Mongo, count: int) -> list[Document]:
        """The room's messages, once there are so many."""
        messages = mongo.collection("messages")
        async with asyncio.timeout(PATIENCE), messages.watch() as changes:
            await changes.try_next()  # only now are they watched
            while await messages.count_documents({"room_id": self.room}) < count:
                await changes.next()
        return await messages.find({"room_id": self.room}).sort("seq").to_list(None)


@pytest.fixture
async def channel(rooms_servers: Stack, caller: Caller) -> AsyncIterator[AbstractChannel]:
    """The broker, with all its queues; those in which commands wait and die are empty."""
    async with await aio_pika.connect(rooms_servers.amqp_url) as connection, connection.channel() as channel:
        for name in ("later", "dead"):
            await (await channel.get_queue(name)).purge()
        yield channel


@pytest.fixture
async def world(
    rooms_servers: Stack,
    rooms_database: Mongo,
    channel: AbstractChannel,
) -> AsyncIterator[World]:
    """A writer beside the rooms service that is away."""
    made = World()
    async with writers(
        rooms_servers.amqp_url, rooms_database, [made.writer], ["alice"], made.reachable
    ) as made.writers:
        yield made


async def asked_again(world: World, times: int) -> None:
    """Return once rooms were looked up so often."""
    async with asyncio.timeout(PATIENCE):
        while world.looked_up < times:  # noqa: ASYNC110 - counted in a callback of the writer
            await asyncio.sleep(0.05)


async def test_what_a_room_says_comes_when_it_can_be_looked_up_again(world: World, rooms_database: Mongo) -> None:
    """Several times in vain, then once, and once only though it was told twice."""
    for number in (0, 1, 0):
        world.say(number)
    await asked_again(world, 3)
    assert await rooms_database.collection("messages").count_documents({"room_id": world.room}) == 0
    world.away = False
    found = await world.stored(rooms_database, 2)
    assert [item["seq"] for item in found] == [1, 2]
    assert {item["_id"] for item in found} == {world.message(0), world.message(1)}
    reply = await world.writers.ask(world.writer, "alice", SendMessage(room_id=world.room, content="hi"))
    assert reply["ok"]["seq"] == 3


async def test_who_waits_is_answered_at_once_and_tries_again_by_themselves(world: World, rooms_database: Mongo) -> None:
    """Else they would get two answers; reports of what was delivered are repeated anyway."""
    report = ReportDelivered(room_id=world.room, delivered={"alice": 1})
    world.writers.tell(world.writer, SYSTEM, report, "report")
    asking = SendMessage(room_id=world.room, content="hi", client_id="1")
    reply = await world.writers.ask(world.writer, "alice", asking)
    assert reply["error"]["code"] == "unavailable"
    world.say(0)
    await asked_again(world, 2)
    world.away = False
    assert [item["type"] for item in await world.stored(rooms_database, 1)] == [MessageType.SYSTEM]
    reply = await world.writers.ask(world.writer, "alice", asking)
    assert (reply["ok"]["seq"], reply["ok"]["duplicate"]) == (2, False)


async def test_more_than_can_wait_is_a_dead_letter(
    world: World, rooms_servers: Stack, channel: AbstractChannel, rooms_database: Mongo
) -> None:
    """For an operator to replay; the writer goes on."""
    await channel.queue_delete("later")
    try:
        full = await channel.declare_queue("later", arguments={"x-max-length": 0, "x-overflow": "reject-publish"})
        await full.bind(LATER, "#")
        world.say(0)
        reason, body = await next_dead(rooms_servers.amqp_url)
        assert "put off" in reason
        assert f"{world.room}:1:said:0".encode() in body
    finally:
        await channel.queue_delete("later")
        await declare(channel, next(queue for queue in durable_queues(1) if queue.name == "later"))
    world.away = False
    world.say(1)
    (found,) = await world.stored(rooms_database, 1)
    assert found["_id"] == world.message(1)
