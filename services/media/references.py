"""Follows what is told about files in messages, from the durable queue `events.media`: what is shown is kept.

The queue has one reader at a time. What cannot be read, or fails by itself, is put aside as a dead letter; what fails
because the database is away waits for it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

from services.media.attaching import Fact, fact_in
from services.media.reference_store import ReferenceStore
from shared import metrics
from shared.bus.codec import Malformed, batch_of_one, split_batch
from shared.bus.consumer import Consumer, Delivery
from shared.bus.publisher import Publisher
from shared.bus.topology import EVENTS
from shared.contracts.errors import ChatError
from shared.mongo import is_transient
from shared.retry import until_done

MAX_TAKEN = 64
"""AMQP messages handled as one batch."""

_told = metrics.counter("media_references_told", "Facts about files in messages that were taken in")


class _Told(NamedTuple):
    """A fact, and the event it came in."""

    fact: Fact
    key: str
    item: Any


class References:
    """Reads the queue of one process."""

    def __init__(self, consumer: Consumer, publisher: Publisher, store: ReferenceStore) -> None:
        self._consumer = consumer
        self._publisher = publisher
        self._store = store

    async def run(self) -> None:
        """Take in what comes, ack what has been stored. Ends only by cancellation."""
        while True:
            deliveries = await self._consumer.take(MAX_TAKEN)
            told = [item for delivery in deliveries for item in await self._open(delivery)]
            await self._take_in(told)
            await self._consumer.settle(deliveries)

    async def _open(self, delivery: Delivery) -> list[_Told]:
        """The facts in a delivery; what is none, and what cannot be read, is put aside alone."""
        try:
            items = split_batch(delivery.body)
        except Malformed as error:
            await self._put_aside(delivery.key, delivery.body, str(error))
            return []
        told = []
        for item in items:
            try:
                fact = fact_in(item)
            except ValueError as error:
                await self._put_aside(delivery.key, batch_of_one(item), f"{type(error).__name__}: {error}")
            else:
                if fact is not None:
                    told.append(_Told(fact, delivery.key, item))
        return told

    async def _take_in(self, told: Sequence[_Told]) -> None:
        """Store all of it; where that fails beyond repair, halve until the fact that fails stands alone."""
        if not told:
            return
        work = partial(self._store.take_in, [item.fact for item in told], datetime.now(UTC))
        try:
            await until_done(work, is_transient, "taking in references")
        except Exception as error:  # noqa: BLE001 - one event must not stop all others
            if len(told) == 1:
                reason = f"{type(error).__name__}: {error}"
                await self._put_aside(told[0].key, batch_of_one(told[0].item), reason)
                return
            half = len(told) // 2
            await self._take_in(told[:half])
            await self._take_in(told[half:])
        else:
            _told.inc(len(told))

    async def _put_aside(self, key: str, body: bytes, reason: str) -> None:
        """Dead-letter, however long the broker is away: only then may the original be acked."""
        await until_done(
            lambda: self._publisher.dead_letter(EVENTS, key, body, reason),
            lambda error: isinstance(error, ChatError),
            "dead-lettering",
        )
