"""Events as another service consumes them: a queue of its own on `chat.events`, for some keys."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from shared.bus.codec import JSON, readable_events
from shared.bus.consumer import Consumer
from shared.bus.link import Link
from shared.bus.topology import durable_queues, events_queue
from shared.service import Tasks

PATIENCE = 20.0
SHARDS = 4


class Overheard:
    """What has come so far, in order."""

    def __init__(self) -> None:
        self.events: list[JSON] = []
        self._changed = asyncio.Event()

    def heard(self, body: bytes) -> None:
        """A batch has come."""
        self.events += readable_events(body)
        self._changed.set()

    async def until(self, wanted: Callable[[JSON], Any]) -> JSON:
        """The first event that is wanted, already here or still to come. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            while (found := next(filter(wanted, self.events), None)) is None:
                self._changed.clear()
                await self._changed.wait()
        return found

    def all(self, type: str, **data: Any) -> list[JSON]:
        """All events of a type so far whose data have these values."""
        return [event for event in self.events if event["type"] == type and data.items() <= event["data"].items()]


@asynccontextmanager
async def overhear(amqp_url: str, *patterns: str) -> AsyncIterator[Overheard]:
    """Listen for events by the patterns of their keys."""
    name = f"overheard-{uuid4().hex[:8]}"
    link = Link(amqp_url, name, durable_queues(SHARDS))
    consumer, result, tasks = Consumer(link, 64), Overheard(), Tasks()

    async def listen() -> None:
        while True:
            deliveries = await consumer.take(64)
            for delivery in deliveries:
                result.heard(delivery.body)
            await consumer.settle(deliveries)

    tasks.spawn(link.run(), "link")
    await consumer.add(events_queue(name, *patterns))
    await link.wait_up()
    tasks.spawn(listen(), "listen")
    try:
        yield result
    finally:
        await tasks.close()
