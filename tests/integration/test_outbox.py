"""What the outbox makes good: what was left behind, by whatever hindered it, on the real broker and database."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from deploy.embedded.stack import Stack
from services.rooms.outbox import LEFT_BEHIND, PAGE, Outbox
from services.rooms.records import Record
from services.rooms.repository import Repository
from shared.bus.codec import split_batch, unique_id
from shared.bus.consumer import Consumer
from shared.bus.link import Link
from shared.bus.publisher import Publisher
from shared.bus.topology import COMMANDS, EVENTS, Binding, Queue, events_queue
from shared.mongo import Document, Mongo
from shared.service import Tasks

pytest_plugins = ("tests.integration.rooms_fixtures",)

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE = 10.0
OTHERS = "outbox-test-others"
"""A key of commands that no queue takes, until a test declares one."""


class World:
    """An outbox with a link of its own, and the queue that shows what it has published."""

    def __init__(self, amqp_url: str, mongo: Mongo) -> None:
        self.tasks = Tasks()
        self.name = f"outbox-{unique_id()[:8]}"
        self.link = Link(amqp_url, self.name, [])
        self.heard = Consumer(self.link, 256)
        self.outbox = Outbox(Repository(mongo), Publisher(self.link, self.tasks, 1.0))
        self.stored = mongo.collection("outbox")

    def start(self) -> None:
        """Reach the broker."""
        self.tasks.spawn(self.link.run(), "link")

    def relay(self) -> None:
        """Look for what was left behind."""
        self.tasks.spawn(self.outbox.relay(), "relay")

    def record(self, number: str, *, exchange: str = EVENTS, key: str = "") -> Record:
        """An event that only this world hears, or a command."""
        body = orjson.dumps({"id": number, "type": "test", "subject": "test", "data": {}})
        return Record(f"{self.name}:{number}", exchange, key or f"{self.name}.event", body)

    async def hear(self, count: int) -> list[str]:
        """The numbers of the next so many envelopes that arrive, in order."""
        numbers: list[str] = []
        async with asyncio.timeout(PATIENCE):
            while len(numbers) < count:
                deliveries = await self.heard.take(64)
                numbers += [item["id"] for delivery in deliveries for item in split_batch(delivery.body)]
                await self.heard.settle(deliveries)
        return numbers

    async def left(self) -> set[str]:
        """The numbers of the records that are stored."""
        return {item["_id"].removeprefix(f"{self.name}:") async for item in self.stored.find({}, {"_id": 1})}

    async def until(self, met: Callable[[], Awaitable[bool]]) -> None:
        """Return when the collection is as it should be, looking again at each of its changes."""
        async with asyncio.timeout(PATIENCE), self.stored.watch() as changes:
            await changes.try_next()  # only now are they watched
            while not await met():
                await changes.next()

    async def emptied(self) -> bool:
        """Whether nothing waits."""
        return not await self.stored.count_documents({})


@pytest.fixture
async def world(rooms_servers: Stack, rooms_database: Mongo) -> AsyncIterator[World]:
    """Not linked to the broker yet. Nobody else is at the outbox."""
    made = World(rooms_servers.amqp_url, rooms_database)
    await made.stored.delete_many({})
    await made.heard.add(events_queue(made.name, f"{made.name}.#"))
    yield made
    await made.tasks.close()
    await made.stored.delete_many({})


@asynccontextmanager
async def taker(world: World) -> AsyncIterator[None]:
    """A queue that takes the commands nobody took."""
    queue = Queue(f"{world.name}-others", (Binding(COMMANDS, OTHERS),), durable=False, exclusive=True)
    await world.heard.add(queue)
    yield


async def test_what_a_crash_left_is_published_in_order_and_removed(world: World) -> None:
    """More than a page of it, the oldest first."""
    records = [world.record(f"{number:03}") for number in range(PAGE + 50)]
    aged = [record.since(LONG_AGO + timedelta(seconds=number)) for number, record in enumerate(records)]
    await world.stored.insert_many(aged[::-1])
    world.start()
    world.relay()
    assert await world.hear(len(records)) == [f"{number:03}" for number in range(PAGE + 50)]
    await world.until(world.emptied)


async def test_what_is_young_is_its_own_process_business(world: World) -> None:
    """Nobody else publishes it before its time; who has died is told from who is slow by age alone."""
    await world.stored.insert_many(
        [
            world.record("young").since(datetime.now(UTC) + timedelta(hours=1)),
            world.record("old").since(datetime.now(UTC) - LEFT_BEHIND),
        ]
    )
    world.start()
    world.relay()
    assert await world.hear(1) == ["old"]
    await world.until(lambda: _holds(world, {"young"}))


async def _holds(world: World, numbers: set[str]) -> bool:
    return await world.left() == numbers


async def test_the_broker_was_away(world: World) -> None:
    """What a process could not publish is not taken for published, and published by its own relay later."""
    record = world.record("later")
    await world.stored.insert_one(record.since(LONG_AGO))
    world.outbox.publish([record])
    world.tasks.spawn(world.outbox.clear(), "clear")
    world.relay()  # the link is not up: neither of both gets through
    world.start()
    assert await world.hear(1) == ["later"]
    await world.until(world.emptied)


async def test_what_is_published_is_removed_and_not_published_again(world: World) -> None:
    """Though it is old, and its removal takes its time: the relay knows what its own process has published."""
    world.start()
    await world.link.wait_up()
    mine, lost = world.record("mine"), world.record("lost")
    await world.stored.insert_many([mine.since(LONG_AGO), lost.since(LONG_AGO + timedelta(seconds=1))])
    world.outbox.publish([mine])
    assert await world.hear(1) == ["mine"]
    world.relay()
    assert await world.hear(1) == ["lost"]
    await world.until(lambda: _holds(world, {"mine"}))
    await world.outbox.flush()
    assert await world.emptied()


async def test_a_way_that_is_closed_keeps_its_records_in_order_and_holds_up_no_other(world: World) -> None:
    """No queue takes the commands: they stay. Events leave all the while; the commands as soon as there is a queue."""
    commands = [world.record(f"c{number}", exchange=COMMANDS, key=OTHERS) for number in range(3)]
    events = [world.record(f"e{number}") for number in range(3)]
    mixed = [record for pair in zip(commands, events, strict=True) for record in pair]
    await world.stored.insert_many(
        [record.since(LONG_AGO + timedelta(seconds=number)) for number, record in enumerate(mixed)]
    )
    world.start()
    world.relay()
    assert await world.hear(3) == ["e0", "e1", "e2"]
    await world.until(lambda: _holds(world, {"c0", "c1", "c2"}))
    async with taker(world):
        assert await world.hear(3) == ["c0", "c1", "c2"]
    await world.until(world.emptied)


UNREADABLE: dict[str, dict[str, Any]] = {
    "no key": {"exchange": EVENTS, "body": b"{}"},
    "no body": {"exchange": EVENTS, "key": "room.0"},
    "a key of another kind": {"exchange": EVENTS, "key": 5, "body": b"{}"},
    "a body of another kind": {"exchange": EVENTS, "key": "room.0", "body": "{}"},
    "a body that is no JSON": {"exchange": EVENTS, "key": "room.0", "body": b"\xff"},
    "a body that is no envelope": {"exchange": EVENTS, "key": "room.0", "body": b"1"},
    "an exchange that is not ours": {"exchange": "amq.topic", "key": "room.0", "body": b"{}"},
    "an exchange of another kind": {"exchange": [], "key": "room.0", "body": b"{}"},
}


async def test_whatever_cannot_be_published_is_set_aside(world: World, rooms_database: Mongo) -> None:
    """With its reason and all it held; what is behind it leaves, and what is beside it in a batch is unharmed."""
    aside = rooms_database.collection("outbox_aside")
    documents: list[Document] = [{"_id": name, "created_at": LONG_AGO, **fields} for name, fields in UNREADABLE.items()]
    documents.append({"_id": 7, "created_at": LONG_AGO})
    behind = world.record("behind").since(LONG_AGO + timedelta(seconds=1))
    await world.stored.insert_many([*documents, behind])
    world.start()
    world.relay()
    assert await world.hear(1) == ["behind"]
    await world.until(world.emptied)
    kept = {item["_id"]: item async for item in aside.find()}
    await aside.delete_many({})
    assert kept.keys() == {document["_id"] for document in documents}
    for document in documents:
        item = kept[document["_id"]]
        assert item.pop("reason")
        assert item == document


async def test_what_is_mended_is_published(world: World, rooms_database: Mongo) -> None:
    """Put back as it was set aside, with what was wrong mended, it leaves; set aside twice, it is there once."""
    aside = rooms_database.collection("outbox_aside")
    good = world.record("mended").since(LONG_AGO)
    world.start()
    world.relay()
    for _ in range(2):
        await world.stored.insert_one({**good, "exchange": "nowhere"})
        await world.until(world.emptied)
    (item,) = await aside.find().to_list(None)
    await aside.delete_many({})
    await world.stored.insert_one({**item, "exchange": EVENTS})
    assert await world.hear(1) == ["mended"]
