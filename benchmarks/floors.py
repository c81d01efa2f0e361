"""What the database and the broker can do by themselves, on this machine, in this run.

A chat server that promises what Parley promises cannot be faster than these; figures are read against them. The
third floor, sockets without anything behind them, is the target `bare`.
"""

from __future__ import annotations

import secrets
from array import array
from collections.abc import Awaitable, Callable
from time import perf_counter, perf_counter_ns
from typing import Any, Final

import aio_pika
import aiormq
from aio_pika import DeliveryMode, Message
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import WriteConcern

from benchmarks.codecs import PADDING
from benchmarks.sample import percentiles

BATCH: Final = 100
"""Documents per insert."""

COMMAND: Final = 312
"""Bytes of one command on the wire, roughly."""

GROUP: Final = 64
"""Commands in one grouped AMQP message: some 20 KB."""

FloorFigures = dict[str, dict[str, float]]


async def _repeat(seconds: float, work: Callable[[], Awaitable[None]]) -> tuple[float, dict[str, float]]:
    """Do the work again and again, one at a time; returns how often per second, and percentiles of its duration."""
    times = array("q")
    began = perf_counter()
    while (elapsed := perf_counter() - began) < seconds:
        start = perf_counter_ns()
        await work()
        times.append(perf_counter_ns() - start)
    return len(times) / elapsed, percentiles("each", times)


def _document(room: str, seq: int) -> dict[str, Any]:
    return {
        "_id": secrets.token_hex(12),
        "room_id": room,
        "tenant": "default",
        "seq": seq,
        "rev": seq,
        "sender": {"id": "floor-user", "name": "floor-user"},
        "type": "text",
        "content": f"0.{seq}.{perf_counter_ns()} {PADDING}",
        "client_id": f"floor-user-{seq}",
        "created_at": "2025-01-01T00:00:00.000Z",
    }


async def versions(mongo_url: str | None, amqp_url: str | None) -> str:
    """Which database and broker these are."""
    found = []
    if mongo_url:
        client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongo_url)
        found.append(f"MongoDB {(await client.server_info())['version']}")
        client.close()
    if amqp_url:
        connection = await aiormq.connect(amqp_url)
        version = connection.server_properties.get("version", b"?")
        found.append(f"RabbitMQ {version.decode() if isinstance(version, bytes) else version}")
        await connection.close()
    return ", ".join(found) or "unknown"


async def mongodb(url: str, seconds: float) -> FloorFigures:
    """Bulk inserts, journaled by a majority, with the unique index that a room's order needs, one at a time."""
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(url)
    name = f"floor_{secrets.token_hex(4)}"
    durable = WriteConcern(w="majority", j=True)
    room, seq = secrets.token_hex(12), 0
    messages = client[name].get_collection("messages", write_concern=durable)
    await messages.create_index([("room_id", 1), ("seq", 1)], unique=True)

    async def insert() -> None:
        nonlocal seq
        await messages.insert_many([_document(room, seq + i + 1) for i in range(BATCH)], ordered=True)
        seq += BATCH

    try:
        rate, each = await _repeat(seconds, insert)
    finally:
        await client.drop_database(name)
        client.close()
    return {f"MongoDB insert_many of {BATCH}, w=majority, j=true": {"documents/s": rate * BATCH, **each}}


async def rabbitmq(url: str, seconds: float) -> FloorFigures:
    """Confirmed publishes of persistent messages to a quorum queue, one at a time: single and grouped commands."""
    figures: FloorFigures = {}
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        for label, commands in (("1 command", 1), (f"{GROUP} commands", GROUP)):
            name = f"floor.{secrets.token_hex(4)}"
            await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
            message = Message(bytes(COMMAND * commands), delivery_mode=DeliveryMode.PERSISTENT)

            async def publish(message: Message = message, name: str = name) -> None:
                await channel.default_exchange.publish(message, name, mandatory=True)

            try:
                rate, each = await _repeat(seconds, publish)
            finally:
                await channel.queue_delete(name)
            figures[f"RabbitMQ confirmed publish, quorum queue, {label} a message"] = {
                "messages/s": rate,
                "commands/s": rate * commands,
                **each,
            }
    return figures
