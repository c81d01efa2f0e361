"""One AMQP connection kept alive, with everything that hangs on it rebuilt after each loss.

There is exactly one way to recover: the connection is dropped and made anew, topology declared, and every owner of
channels called again (`on_up`). A channel that fails alone drops the whole connection (`reset`), so that no state
between "works" and "gone" exists. Deliveries that were not acked come back from the broker.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from yarl import URL

from shared.bus.topology import EXCHANGES, Queue
from shared.logging import get_logger

log = get_logger(__name__)

HEARTBEAT = 10
CONNECT_TIMEOUT = 5.0
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
"""Seconds between attempts to connect; the longest is what a process may stay away longer than the broker."""

LOST = (*CONNECTION_EXCEPTIONS, TimeoutError)
"""What an operation on a lost or broken connection raises."""

OnUp = Callable[[AbstractConnection], Awaitable[None]]
OnDown = Callable[[], None]


class Link:
    """The connection of one process.

    Args:
        url: the broker.
        name: shown in the broker's list of connections.
        queues: durable queues to declare, beside all exchanges.
    """

    def __init__(self, url: str, name: str, queues: Sequence[Queue]) -> None:
        self._url = URL(url).update_query(heartbeat=HEARTBEAT, name=name)
        self._queues = queues
        self._up = asyncio.Event()
        self._connection: AbstractConnection | None = None
        self._lost = asyncio.Event()
        self._on_up: list[OnUp] = []
        self._on_down: list[OnDown] = []

    def on_change(self, up: OnUp, down: OnDown | None = None) -> None:
        """Call `up` with each new connection, in order of registration, and `down` when it is lost."""
        self._on_up.append(up)
        if down is not None:
            self._on_down.append(down)

    @property
    def is_up(self) -> bool:
        """Whether the connection works as far as is known."""
        return self._up.is_set()

    async def wait_up(self) -> None:
        """Return once everything hangs on a working connection."""
        await self._up.wait()

    def reset(self, reason: str) -> None:
        """Drop the connection so that everything is rebuilt: something on it has failed."""
        if not self._lost.is_set():
            log.warning("broker link reset", reason=reason)
            self._lost.set()

    async def check(self) -> None:
        """Readiness: the broker opens a channel on the working connection."""
        if self._connection is None or not self.is_up:
            raise ConnectionError("no connection to RabbitMQ")
        async with self._connection.channel():
            pass

    async def waiting(self, queue: str) -> int:
        """How many messages of a queue nobody has taken yet. Raises LOST where the broker does not say."""
        if self._connection is None or not self.is_up:
            raise ConnectionError("no connection to RabbitMQ")
        try:
            async with self._connection.channel() as channel:
                declared = await channel.declare_queue(queue, passive=True)
        except LOST:
            raise
        except Exception as error:  # what the driver raises for a call whose connection ends meanwhile is of no kind
            raise ConnectionError("the connection to RabbitMQ has ended meanwhile") from error
        return declared.declaration_result.message_count or 0

    async def run(self) -> None:
        """Connect, and connect again after every loss, with growing pauses. Ends only by cancellation."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self._connect()
                pause = FIRST_PAUSE
                await self._lost.wait()
                log.warning("broker link lost")
            except LOST as error:
                log.warning("broker not reachable", error=str(error) or type(error).__name__)
            finally:
                await self._drop()
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _connect(self) -> None:
        self._lost = lost = asyncio.Event()
        self._connection = connection = await aio_pika.connect(self._url, timeout=CONNECT_TIMEOUT)
        connection.close_callbacks.add(lambda *_: lost.set())
        async with connection.channel() as channel:
            for exchange in EXCHANGES:
                await channel.declare_exchange(exchange.name, exchange.kind, durable=True)
            for queue in self._queues:
                await declare(channel, queue)
        for up in self._on_up:
            await up(connection)
        self._up.set()
        log.info("broker link up")

    async def _drop(self) -> None:
        self._up.clear()
        for down in self._on_down:
            down()
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    await connection.close()
            except LOST:
                log.debug("broker link closed uncleanly")


async def declare(channel: AbstractChannel, queue: Queue) -> None:
    """Declare a queue of the topology and its bindings."""
    declared = await channel.declare_queue(
        queue.name, durable=queue.durable, exclusive=queue.exclusive, arguments=dict(queue.arguments)
    )
    for binding in queue.bindings:
        await declared.bind(binding.exchange, binding.key)
