"""Group commit: what waits for the broker's confirm leaves together as one AMQP message.

Per route: if nothing is under way, an item leaves at once (a batch of one, no added latency); else it waits until the
confirm arrives and leaves with all that waited. So the batch size follows the load by itself, and order per route is
the order of `submit`. A batch cut off by a lost link is sent again: every command, reply and event may come twice,
and every reader copes with that.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractExchange
from aio_pika.exceptions import DeliveryError, PublishError

from shared import metrics
from shared.bus.codec import join_batch
from shared.bus.link import LOST, Link
from shared.bus.topology import COMMANDS, DEAD, EVENTS, EXCHANGES, INTEGRATION, QUERIES
from shared.contracts.envelope import CONTENT_TYPE
from shared.contracts.errors import ChatError, ErrorCode
from shared.logging import get_logger
from shared.service import Tasks

log = get_logger(__name__)

MAX_WAITING = 20_000
"""Items per route that may wait; past it `submit` raises `overloaded`."""

MAX_BATCH = 512
MAX_BATCH_BYTES = 512 * 1024
PERSISTENT = frozenset({COMMANDS, INTEGRATION, DEAD})
MANDATORY = frozenset({COMMANDS, QUERIES, DEAD})
QUERY_EXPIRY = 10.0

_batches = metrics.histogram("publish_batch_items", "Items per published batch", "exchange")

Settled = Callable[[ChatError | None], None]
"""Called once per item: with None when the broker has it, with the error when it will not get it."""


class _Item(NamedTuple):
    key: str
    body: bytes
    settled: Settled | None


class Publisher:
    """Publishes through one channel with confirms.

    Args:
        patience: seconds a batch is tried for, through lost links, before its items fail as `unavailable`.
    """

    def __init__(self, link: Link, tasks: Tasks, patience: float) -> None:
        self._link = link
        self._tasks = tasks
        self._patience = patience
        self._routes: dict[tuple[str, str], deque[_Item]] = {}
        self._exchanges: dict[str, AbstractExchange] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        link.on_change(self._up, self._exchanges.clear)

    async def _up(self, connection: AbstractConnection) -> None:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        channel.close_callbacks.add(lambda *_: self._link.reset("the publishing channel was closed"))
        for exchange in EXCHANGES:
            self._exchanges[exchange.name] = await channel.get_exchange(exchange.name, ensure=False)

    def submit(self, exchange: str, key: str, body: bytes, settled: Settled | None = None) -> None:
        """Hand over one encoded envelope.

        Raises:
            ChatError: `overloaded` where too much waits on this route already.
        """
        # Events of all shards leave as one message with several routing keys: each reader gets it once.
        route = (exchange, "" if exchange == EVENTS else key)
        waiting = self._routes.get(route)
        if waiting is None:
            self._routes[route] = deque((_Item(key, body, settled),))
            self._idle.clear()
            self._tasks.spawn(self._drain(route), f"publish {exchange} {key}")
        elif len(waiting) >= MAX_WAITING:
            raise ChatError(ErrorCode.OVERLOADED, f"Too much waits for {exchange}; try later.", retry_after=1.0)
        else:
            waiting.append(_Item(key, body, settled))

    def publish(self, exchange: str, items: Sequence[tuple[str, bytes]]) -> asyncio.Future[None]:
        """Hand over (key, envelope) pairs; the future ends when the broker has all of them, or with the first error."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        missing = len(items)
        if not missing:
            future.set_result(None)

        def settled(error: ChatError | None) -> None:
            nonlocal missing
            missing -= 1
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            elif not missing:
                future.set_result(None)

        for key, body in items:
            self.submit(exchange, key, body, settled)
        return future

    async def dead_letter(self, key: str, body: bytes, reason: str) -> None:
        """Put aside what cannot be handled, with the reason, and return once the broker has it.

        Raises:
            ChatError: `unavailable`; the caller must then not ack the original.
        """
        headers = {"x-reason": reason[:1000], "x-original-key": key}
        error = await self._publish(DEAD, [_Item(key, body, None)], headers, raw=True)
        if error is not None:
            raise error
        log.error("dead-lettered", key=key, reason=reason[:1000])

    async def flush(self) -> None:
        """Return once nothing waits."""
        await self._idle.wait()

    async def _drain(self, route: tuple[str, str]) -> None:
        waiting = self._routes[route]
        while waiting:
            batch = _take(waiting)
            _batches.labels(route[0]).observe(len(batch))
            error = await self._publish(route[0], batch, None)
            for item in batch:
                if item.settled is not None:
                    item.settled(error)
        del self._routes[route]
        if not self._routes:
            self._idle.set()

    async def _publish(
        self, exchange: str, batch: list[_Item], headers: dict[str, Any] | None, *, raw: bool = False
    ) -> ChatError | None:
        first, *others = dict.fromkeys(item.key for item in batch)
        # With CC one message goes by several routing keys, once to each queue (RabbitMQ: sender-selected distribution).
        carbon: dict[str, Any] = {"CC": others}
        message = aio_pika.Message(
            batch[0].body if raw else join_batch([item.body for item in batch]),
            content_type=CONTENT_TYPE,
            delivery_mode=2 if exchange in PERSISTENT else 1,
            headers=carbon if others else headers,
            expiration=QUERY_EXPIRY if exchange == QUERIES else None,
        )
        deadline = asyncio.get_running_loop().time() + self._patience
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    await self._link.wait_up()
                    await self._exchanges[exchange].publish(message, first, mandatory=exchange in MANDATORY)
                    return None
            except PublishError:
                return ChatError(ErrorCode.UNAVAILABLE, f"No queue takes '{first}'.", retry_after=1.0)
            except DeliveryError:
                return ChatError(ErrorCode.OVERLOADED, f"The queue of '{first}' is full.", retry_after=1.0)
            except (*LOST, KeyError) as error:
                if asyncio.get_running_loop().time() >= deadline:
                    log.warning("publish failed", exchange=exchange, items=len(batch), error=repr(error))
                    return ChatError(ErrorCode.UNAVAILABLE, "The broker is away; try again.", retry_after=1.0)
                await asyncio.sleep(0.02)  # between the loss and the link's own notice of it


def _take(waiting: deque[_Item]) -> list[_Item]:
    size = 0
    batch: list[_Item] = []
    while waiting and len(batch) < MAX_BATCH and size < MAX_BATCH_BYTES:
        item = waiting.popleft()
        size += len(item.body)
        batch.append(item)
    return batch
