"""Group commit: what waits for the broker's confirm leaves together as one AMQP message.

Per route: if nothing is under way, an item leaves at once (a batch of one, no added latency); else it waits until the
confirm arrives and leaves with all that waited. So the batch size follows the load by itself, and order per route is
the order of `submit`. A batch cut off by a lost link is sent again: every command, reply and event may come twice,
and every reader copes with that.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import DeliveryError, PublishError
from aiormq import spec
from aiormq.channel import Channel

from shared import metrics
from shared.bus.codec import join_batch
from shared.bus.link import LOST, Link
from shared.bus.topology import COMMANDS, DEAD, EVENTS, EXCHANGES, INTEGRATION, LATER, QUERIES, REPLIES
from shared.contracts.envelope import CONTENT_TYPE
from shared.contracts.errors import ChatError, ErrorCode
from shared.logging import get_logger
from shared.service import Tasks

log = get_logger(__name__)

MAX_WAITING = 20_000
"""Envelopes per route that may wait; past it `submit` raises `overloaded`."""

MAX_BATCH = 512
MAX_BATCH_BYTES = 96 * 1024
"""Below the size of an AMQP frame, and of what the allocator fetches from the system anew each time."""

PERSISTENT = frozenset({COMMANDS, INTEGRATION, DEAD, LATER})
UNCONFIRMED = frozenset({REPLIES})
"""A reply lost with the link costs its asker a timeout and a harmless retry; a confirm for each costs everybody."""

MANDATORY = frozenset({COMMANDS, QUERIES, DEAD, LATER})
QUERY_EXPIRY = "10000"
"""Milliseconds."""

_batches = metrics.histogram("publish_batch_items", "Items per published batch", "exchange")

Settled = Callable[[ChatError | None], None]
"""Called once: with None when the broker has what was handed over, with the error when it will not get it."""


class _Chunk(NamedTuple):
    """Envelopes handed over together: they leave together and are settled together."""

    keys: Sequence[str]
    bodies: Sequence[bytes]
    settled: Settled | None


class _Route:
    """What waits to be published, in order."""

    __slots__ = ("chunks", "waiting")

    def __init__(self) -> None:
        self.chunks: deque[_Chunk] = deque()
        self.waiting = 0

    def put(self, chunk: _Chunk) -> None:
        self.chunks.append(chunk)
        self.waiting += len(chunk.bodies)

    def take(self) -> list[_Chunk]:
        """As much as fits one AMQP message, but at least one chunk."""
        count = size = 0
        batch: list[_Chunk] = []
        while self.chunks and count < MAX_BATCH and size < MAX_BATCH_BYTES:
            chunk = self.chunks.popleft()
            count += len(chunk.bodies)
            size += sum(map(len, chunk.bodies))
            batch.append(chunk)
        self.waiting -= count
        return batch


class Publisher:
    """Publishes with confirms, but for replies.

    Args:
        patience: seconds a batch is tried for, through lost links, before its items fail as `unavailable`.
    """

    def __init__(self, link: Link, tasks: Tasks, patience: float) -> None:
        self._link = link
        self._tasks = tasks
        self._patience = patience
        self._routes: dict[tuple[str, str], _Route] = {}
        self._channels: dict[str, Channel] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        link.on_change(self._up, self._channels.clear)

    async def _up(self, connection: AbstractConnection) -> None:
        confirmed = await connection.channel(publisher_confirms=True, on_return_raises=True)
        unconfirmed = await connection.channel(publisher_confirms=False)
        for channel in (confirmed, unconfirmed):
            channel.close_callbacks.add(lambda *_: self._link.reset("a publishing channel was closed"))
        for exchange in EXCHANGES:
            channel = unconfirmed if exchange.name in UNCONFIRMED else confirmed
            # The underlying channel publishes with a third less work than an exchange does.
            self._channels[exchange.name] = cast(Channel, await channel.get_underlay_channel())

    def submit(self, exchange: str, key: str, body: bytes, settled: Settled | None = None) -> None:
        """Hand over one encoded envelope.

        Raises:
            ChatError: `overloaded` where too much waits on this route already.
        """
        self._admit(exchange, key, 1)
        self._hand_over(exchange, _Chunk((key,), (body,), settled))

    def publish(self, exchange: str, items: Sequence[tuple[str, bytes]]) -> asyncio.Future[None]:
        """Hand over (key, envelope) pairs of one route, all or none.

        Returns:
            A future that ends when the broker has all of them, or with the first error.

        Raises:
            ChatError: `overloaded` where too much waits on this route already.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        chunks = [items[start : start + MAX_BATCH] for start in range(0, len(items), MAX_BATCH)]
        missing = len(chunks)
        if not missing:
            future.set_result(None)
            return future
        self._admit(exchange, items[0][0], len(items))

        def settled(error: ChatError | None) -> None:
            nonlocal missing
            missing -= 1
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            elif not missing:
                future.set_result(None)

        for chunk in chunks:
            keys, bodies = zip(*chunk, strict=True)
            self._hand_over(exchange, _Chunk(keys, bodies, settled))
        return future

    def _admit(self, exchange: str, key: str, count: int) -> None:
        route = self._routes.get(_route_name(exchange, key))
        if route is not None and route.waiting + count > MAX_WAITING:
            raise ChatError(ErrorCode.OVERLOADED, f"Too much waits for {exchange}; try later.", retry_after=1.0)

    def _hand_over(self, exchange: str, chunk: _Chunk) -> None:
        name = _route_name(exchange, chunk.keys[0])
        route = self._routes.get(name)
        if route is None:
            route = self._routes[name] = _Route()
            self._idle.clear()
            self._tasks.spawn(self._drain(name, route), f"publish {exchange} {chunk.keys[0]}", vital=True)
        route.put(chunk)

    async def dead_letter(self, exchange: str, key: str, body: bytes, reason: str) -> None:
        """Put aside what cannot be handled, with the reason, and return once the broker has it.

        Args:
            exchange: where it came from, by the routing key `key`.

        Raises:
            ChatError: `unavailable`; the caller must then not ack the original.
        """
        headers = {"x-reason": reason[:1000], "x-original-exchange": exchange, "x-original-key": key}
        error = await self._publish(DEAD, (key,), body, headers)
        if error is not None:
            raise error
        log.error("dead-lettered", key=key, reason=reason[:1000])

    async def flush(self) -> None:
        """Return once nothing waits."""
        await self._idle.wait()

    async def _drain(self, name: tuple[str, str], route: _Route) -> None:
        exchange = name[0]
        while route.chunks:
            batch = route.take()
            bodies = [body for chunk in batch for body in chunk.bodies]
            keys = tuple(dict.fromkeys(key for chunk in batch for key in chunk.keys))
            _batches.labels(exchange).observe(len(bodies))
            # With CC one message goes by several routing keys, once to each queue (RabbitMQ: sender-selected
            # distribution).
            headers: dict[str, Any] | None = {"CC": list(keys[1:])} if len(keys) > 1 else None
            error = await self._publish(exchange, keys, join_batch(bodies), headers)
            for chunk in batch:
                if chunk.settled is not None:
                    chunk.settled(error)
        del self._routes[name]
        if not self._routes:
            self._idle.set()

    async def _publish(
        self, exchange: str, keys: Sequence[str], body: bytes, headers: dict[str, Any] | None
    ) -> ChatError | None:
        first = keys[0]
        properties = spec.Basic.Properties(
            content_type=CONTENT_TYPE,
            delivery_mode=2 if exchange in PERSISTENT else 1,
            headers=headers,
            expiration=QUERY_EXPIRY if exchange == QUERIES else None,
        )
        deadline = asyncio.get_running_loop().time() + self._patience
        while True:
            try:
                if not self._link.is_up:
                    async with asyncio.timeout_at(deadline):
                        await self._link.wait_up()
                await self._channels[exchange].basic_publish(
                    body,
                    exchange=exchange,
                    routing_key=first,
                    properties=properties,
                    mandatory=exchange in MANDATORY,
                    timeout=max(deadline - asyncio.get_running_loop().time(), 0.001),
                    wait=exchange in UNCONFIRMED,  # what is confirmed has been written
                )
            except PublishError:
                return ChatError(ErrorCode.UNAVAILABLE, f"No queue takes '{first}'.", retry_after=1.0)
            except DeliveryError:
                return ChatError(ErrorCode.OVERLOADED, f"The queue of '{first}' is full.", retry_after=1.0)
            except (*LOST, KeyError) as error:
                if asyncio.get_running_loop().time() >= deadline:
                    log.warning("publish failed", exchange=exchange, bytes=len(body), error=repr(error))
                    return ChatError(ErrorCode.UNAVAILABLE, "The broker is away; try again.", retry_after=1.0)
                await asyncio.sleep(0.02)  # between the loss and the link's own notice of it
            else:
                return None


def _route_name(exchange: str, key: str) -> tuple[str, str]:
    # Events of all shards leave as one message with several routing keys: each reader gets it once.
    return exchange, "" if exchange == EVENTS else key
