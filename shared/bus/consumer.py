"""Batch consuming: everything that has arrived, from all queues of a consumer, is taken at once.

Acks go out with `multiple`, so batches must be settled in the order they were taken. Bounded by the prefetch of each
queue. After a lost link every queue is consumed again, and acks of the old connection are void: the broker delivers
those messages again.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.abc import DeliveredMessage

from shared.bus.link import LOST, Link, declare
from shared.bus.topology import Queue
from shared.logging import get_logger

log = get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Source:
    """A queue on a channel of its own. `taken` counts deliveries handed out and not yet settled."""

    channel: AbstractChannel
    closing: bool = False
    abandoned: bool = False
    taken: int = 0
    acked: int = 0
    quiet: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True, frozen=True, eq=False)
class Delivery:
    """One AMQP message as it arrived."""

    queue: str
    key: str
    body: bytes
    redelivered: bool
    tag: int
    source: _Source


class Consumer:
    """Consumes any number of queues.

    Args:
        prefetch: unacked AMQP messages per queue.
        lazy: ack only now and then. For exclusive queues: what is not acked dies with them anyway.
    """

    def __init__(self, link: Link, prefetch: int, *, lazy: bool = False) -> None:
        self._link = link
        self._prefetch = prefetch
        self._unacked = prefetch // 2 if lazy else 0
        self._queues: dict[str, Queue] = {}
        self._sources: dict[str, _Source] = {}
        self._releasing: set[_Source] = set()
        self._arrived: deque[Delivery] = deque()
        self._signal = asyncio.Event()
        self._connection: AbstractConnection | None = None
        link.on_change(self._up, self._down)

    async def add(self, queue: Queue) -> None:
        """Consume `queue` from now on, through every reconnection; at the next one where there is no link now."""
        self._queues[queue.name] = queue
        connection = self._connection
        if connection is None:
            return
        try:
            await self._consume(connection, queue)
        except LOST as error:
            if connection is self._connection:
                self._link.reset(f"{queue.name} cannot be consumed: {error!r}")

    async def release(self, name: str) -> None:
        """Stop consuming a queue without leaving two readers of it.

        What was taken is settled first, the rest returns to the queue, in order, when its channel closes
        (cancelling instead would let the next reader start while unacked messages are still being handled here).
        """
        self._queues.pop(name, None)
        source = self._sources.pop(name, None)
        if source is None:
            return
        source.closing = True
        self._arrived = deque(delivery for delivery in self._arrived if delivery.source is not source)
        self._releasing.add(source)
        try:
            source.quiet.clear()
            if source.taken:
                await source.quiet.wait()
            await source.channel.close()
        except LOST:
            log.debug("channel was gone already", queue=name)
        finally:
            self._releasing.discard(source)

    async def take(self, limit: int) -> list[Delivery]:
        """Wait for deliveries and take up to `limit` of them, oldest first. Each must be settled."""
        while not self._arrived:
            self._signal.clear()
            await self._signal.wait()
        batch = [self._arrived.popleft() for _ in range(min(limit, len(self._arrived)))]
        for delivery in batch:
            delivery.source.taken += 1
        return batch

    async def settle(self, deliveries: Iterable[Delivery]) -> None:
        """Ack what was taken; void where the link was lost meanwhile."""
        last: dict[_Source, int] = {}
        for delivery in deliveries:
            last[delivery.source] = delivery.tag
            delivery.source.taken -= 1
        for source, tag in last.items():
            try:
                if tag - source.acked > self._unacked and not (source.abandoned or source.channel.is_closed):
                    channel = await source.channel.get_underlay_channel()
                    await channel.basic_ack(tag, multiple=True)
                    source.acked = tag
            except LOST:
                log.debug("ack came too late: the link was lost")
            if not source.taken:
                source.quiet.set()

    def abandon(self, deliveries: Iterable[Delivery], reason: str) -> None:
        """Leave what was taken unacked and drop the link, so that the broker delivers it again."""
        for delivery in deliveries:
            delivery.source.abandoned = True  # an ack of what was taken later would cover this as well
            delivery.source.taken -= 1
            if not delivery.source.taken:
                delivery.source.quiet.set()
        self._link.reset(reason)

    async def _up(self, connection: AbstractConnection) -> None:
        self._connection = connection
        for queue in list(self._queues.values()):
            await self._consume(connection, queue)

    def _down(self) -> None:
        self._connection = None
        for source in (*self._sources.values(), *self._releasing):
            source.closing = True
            source.quiet.set()  # what was taken comes again, to whoever consumes it then
        self._sources.clear()
        self._arrived.clear()

    async def _consume(self, connection: AbstractConnection, queue: Queue) -> None:
        channel = await connection.channel(publisher_confirms=False)
        await channel.set_qos(prefetch_count=self._prefetch)
        if queue.exclusive:
            await declare(channel, queue)
        source = _Source(channel)

        async def arrived(message: DeliveredMessage) -> None:
            if source.closing:
                return
            self._arrived.append(
                Delivery(
                    queue=queue.name,
                    key=message.routing_key or "",
                    body=message.body,
                    redelivered=bool(message.redelivered),
                    tag=message.delivery_tag or 0,
                    source=source,
                )
            )
            self._signal.set()

        def closed(*_: object) -> None:
            if not source.closing:
                self._link.reset(f"the channel of {queue.name} was closed")

        channel.close_callbacks.add(closed)
        # The underlying channel hands a delivery over with one task less than Queue.consume does.
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(closed)
        await underlay.basic_consume(queue.name, arrived)
        self._sources[queue.name] = source
