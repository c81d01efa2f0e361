"""Somebody inside: publishes anything on the bus in anybody's name, and hears what is answered.

Envelopes are written by hand here, so that they owe nothing to the code that reads them.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import orjson
from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic

from shared.bus.link import Link
from shared.contracts.envelope import CONTENT_TYPE
from shared.service import Tasks

PATIENCE = 15.0

JSON = dict[str, Any]


class Insider:
    """A process on the bus. `name` is where answers to it go."""

    def __init__(self, name: str, channel: AbstractChannel) -> None:
        self.name = name
        self._channel = channel
        self._asked: dict[str, asyncio.Future[JSON]] = {}

    def envelope(self, kind: str, body: Any, actor: Mapping[str, Any], /, **changes: Any) -> JSON:
        """A command or query of this process, as CloudEvents has it; `changes` replace attributes."""
        return {
            "specversion": "1.0",
            "id": f"{self.name}.{uuid4().hex}",
            "source": f"/{self.name}",
            "type": kind,
            "subject": uuid4().hex,
            "tenant": actor.get("tenant", "default"),
            "replyto": self.name,
            "data": {"actor": actor, "body": body},
            **changes,
        }

    async def publish(self, exchange: str, key: str, body: bytes, *, content_type: str = CONTENT_TYPE) -> None:
        """Publish bytes as they are."""
        properties = Basic.Properties(content_type=content_type, delivery_mode=2)
        await self._channel.basic_publish(body, exchange=exchange, routing_key=key, properties=properties)

    async def send(self, exchange: str, key: str, *items: Any) -> list[asyncio.Future[JSON]]:
        """Publish items as one batch; what will hold the answer to each that asks for one."""
        loop = asyncio.get_running_loop()
        futures = [
            self._asked.setdefault(item["id"], loop.create_future())
            for item in items
            if isinstance(item, dict) and item.get("replyto") == self.name and isinstance(item.get("id"), str)
        ]
        await self.publish(exchange, key, orjson.dumps(items))
        return futures

    async def ask(self, exchange: str, key: str, envelope: JSON) -> JSON:
        """Publish an envelope and wait for the data of its answer: `{"ok": …}` or `{"error": …}`."""
        [answer] = await self.send(exchange, key, envelope)
        async with asyncio.timeout(PATIENCE):
            return await answer

    async def heard(self, message: DeliveredMessage) -> None:
        """An answer has arrived."""
        for reply in orjson.loads(message.body):
            future = self._asked.pop(reply["id"], None)
            if future is not None and not future.done():
                future.set_result(reply["data"])


@asynccontextmanager
async def insider(amqp_url: str) -> AsyncIterator[Insider]:
    """Get onto the bus."""
    name = f"insider-{uuid4().hex[:8]}"
    link = Link(amqp_url, name, [])
    connected: asyncio.Future[Insider] = asyncio.get_running_loop().create_future()

    async def up(connection: AbstractConnection) -> None:
        channel = await (await connection.channel()).get_underlay_channel()
        result = Insider(name, channel)
        await channel.queue_declare(f"replies.{name}", exclusive=True)
        await channel.queue_bind(f"replies.{name}", "chat.replies", name)
        await channel.basic_consume(f"replies.{name}", result.heard, no_ack=True)
        connected.set_result(result)

    link.on_change(up)
    tasks = Tasks()
    tasks.spawn(link.run(), "link")
    try:
        yield await connected
    finally:
        await tasks.close()
