"""The broker as a stranger sees it: publishes any bytes anywhere, and reads what was set aside in `dead`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel, DeliveredMessage

from shared.bus.link import Link
from shared.service import Tasks

PATIENCE = 15.0


@dataclass(frozen=True, slots=True)
class Dead:
    """A dead letter. `reason` says why it lies there."""

    key: str
    body: bytes
    reason: str


class Wire:
    """A connection to the broker."""

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self._dead: list[Dead] = []
        self._changed = asyncio.Event()

    async def publish(self, exchange: str, key: str, body: bytes) -> None:
        """Publish bytes as they are."""
        await self._channel.basic_publish(body, exchange=exchange, routing_key=key)

    async def publish_batch(self, exchange: str, key: str, *envelopes: Any) -> None:
        """Publish a batch of envelopes."""
        await self.publish(exchange, key, orjson.dumps(envelopes))

    async def delete_queue(self, name: str) -> None:
        """Remove a queue with all that is in it."""
        await self._channel.queue_delete(name)

    async def dead(self, matches: Callable[[Dead], object]) -> Dead:
        """The dead letter for which `matches` holds, already there or still to come."""
        try:
            async with asyncio.timeout(PATIENCE):
                while (found := next((letter for letter in self._dead if matches(letter)), None)) is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"no such dead letter among {self._dead}") from None
        return found

    async def buried(self, message: DeliveredMessage) -> None:
        """A dead letter has arrived."""
        headers = message.header.properties.headers or {}
        reason = headers.get("x-reason", b"")
        text = reason.decode() if isinstance(reason, bytes | bytearray) else str(reason)
        self._dead.append(Dead(message.routing_key or "", message.body, text))
        self._changed.set()


@asynccontextmanager
async def wire(amqp_url: str) -> AsyncIterator[Wire]:
    """Connect, and begin to read the dead letters."""
    link = Link(amqp_url, "tests", [])
    connected: asyncio.Future[Wire] = asyncio.get_running_loop().create_future()

    async def up(connection: AbstractConnection) -> None:
        channel = await (await connection.channel()).get_underlay_channel()
        result = Wire(channel)
        await channel.basic_consume("dead", result.buried, no_ack=True)
        connected.set_result(result)

    link.on_change(up)
    tasks = Tasks()
    tasks.spawn(link.run(), "link")
    try:
        yield await connected
    finally:
        await tasks.close()
