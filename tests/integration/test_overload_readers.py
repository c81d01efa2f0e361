"""A peer that does not read costs bounded memory and then its connection; everybody else gets everything."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson
import pytest
from aiohttp import ClientSession

from tests.harness.gateway import Gateway
from tests.harness.rawsocket import RawSocket
from tests.integration.security_stream import CLOSE, PING, Stream, stream

JSON = dict[str, Any]
GatewayWith = Callable[..., Awaitable[Gateway]]
SocketOf = Callable[..., Awaitable[RawSocket]]

MEBI = 1024 * 1024
BUFFER = MEBI // 4
"""WRITE_BUFFER_LIMIT here: what may lie unread in the gateway."""

POURED = 48 * MEBI
GROWTH = 24 * MEBI
"""How much a gateway may grow while twice as much is poured at a reader who never reads: caches and arenas, no more."""


@asynccontextmanager
async def deaf(url: str, token: str) -> AsyncIterator[Stream]:
    """A connection that reads its `ready`, and then nothing; the kernel keeps little for it."""
    async with stream(url, token, receive_buffer=65_536) as opened:
        await opened.frame()
        opened.writer.transport.pause_reading()  # type: ignore[attr-defined]
        yield opened


async def slow_consumers(http: ClientSession, gateway: Gateway) -> int:
    """How many the gateway has closed."""
    async with http.get(f"{gateway.url}/metrics", headers={"Accept": "text/plain"}) as response:
        text = await response.text()
    return int(
        float(next(line for line in text.splitlines() if line.startswith("parley_slow_consumers_total")).split()[1])
    )


async def test_a_reader_who_never_reads_is_closed_and_nobody_else_waits(
    gateway_with: GatewayWith, socket: SocketOf, http: ClientSession, token: Callable[..., str]
) -> None:
    """Big messages pour into a room: the deaf member is closed with 4408, the other sees all, memory stays bounded."""
    gateway = await gateway_with(WRITE_BUFFER_LIMIT=BUFFER)
    sender, witness = await socket("sender"), await socket("witness", url=gateway.url)
    await sender.ready()
    await witness.ready()
    room = await sender.ask("room.create", {"members": ["witness", "deaf"]})
    room_id = room["data"]["room"]["id"]
    await witness.event("room.subscribed")
    content = "€" * 10_000
    number = POURED // len(content.encode())
    async with deaf(gateway.url, token("deaf")) as reader:
        before = gateway.resident_bytes()
        for start in range(0, number, 32):
            sent = [await sender.send("message.send", {"room_id": room_id, "content": content}) for _ in range(32)]
            for expected in range(start + 1, start + 33):
                assert (await witness.event("message.created"))["seq"] == expected
            for one in sent:
                await sender.answer(one)
        assert gateway.resident_bytes() - before < GROWTH
        assert await slow_consumers(http, gateway) == 1
        reader.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert await reader.ended() in {4408, None}
    assert (await witness.ask("ping"))["type"] == "ack"


async def test_who_asks_and_never_reads_is_closed_and_a_neighbour_talks_on(
    gateway_with: GatewayWith, socket: SocketOf, http: ClientSession, token: Callable[..., str]
) -> None:
    """What lies unread are answers here: 4408, or cut where even that is not read; memory stays bounded throughout."""
    gateway = await gateway_with(WRITE_BUFFER_LIMIT=BUFFER)
    neighbour = await socket("neighbour", url=gateway.url)
    await neighbour.ready()
    big, small = [(await neighbour.ask("room.create", {"members": ["deaf"]}))["data"]["room"]["id"] for _ in range(2)]
    await neighbour.ask("message.send", {"room_id": big, "content": "€" * 10_000})
    async with deaf(gateway.url, token("deaf")) as asker:
        before = gateway.resident_bytes()
        # Commands fill the kernel's buffers: by pings alone, whose answers are tiny segments, the asker's kernel
        # comes to refuse segments together with the acknowledgements in them, and its own sending stops.
        while not await slow_consumers(http, gateway):
            for _ in range(50):
                asker.put(orjson.dumps({"type": "history.get", "id": 1, "data": {"room_id": big}}))
                asker.put(orjson.dumps({"type": "ping", "id": 2}))
                asker.put(b"still there?", PING)
            with suppress(ConnectionError):  # cut already, the grace being over
                await asker.writer.drain()
            assert (await neighbour.ask("message.send", {"room_id": small, "content": "hi"}))["type"] == "ack"
            assert gateway.resident_bytes() - before < GROWTH
        assert await slow_consumers(http, gateway) == 1
        asker.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert await asker.ended() in {4408, None}
    assert (await neighbour.ask("ping"))["type"] == "ack"


async def test_a_slow_reader_comes_back_and_has_missed_nothing(
    gateway_with: GatewayWith, socket: SocketOf, token: Callable[..., str]
) -> None:
    """Closed with 4408 after what it could take; sync from its last rev brings the rest."""
    gateway = await gateway_with(WRITE_BUFFER_LIMIT=65_536)
    sender = await socket("sender")
    await sender.ready()
    room = await sender.ask("room.create", {"members": ["slow"]})
    room_id = room["data"]["room"]["id"]
    async with deaf(gateway.url, token("slow")) as slow:
        for _ in range(400):
            await sender.ask("message.send", {"room_id": room_id, "content": "€" * 10_000})
        slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
        seen = []
        while (frame := await slow.frame()).opcode != CLOSE:
            told = orjson.loads(frame.payload)
            if told["type"] == "message.created":
                seen.append(told["rev"])
        assert frame.close_code == 4408
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) < 400
    again = await socket("slow", url=gateway.url)
    await again.ready()
    cursor = f"0:{seen[-1]}"
    while len(seen) < 400:
        answer = await again.ask("sync", {"cursors": {room_id: cursor}, "limit": 100})
        page = answer["data"]["rooms"][room_id]
        seen += [message["rev"] for message in page["messages"]]
        cursor = page["cursor"]
    assert seen == list(range(1, 401))


@pytest.mark.parametrize("size", [65_536, 4_000_000])
async def test_half_frames_take_no_more_than_they_are(
    gateway_with: GatewayWith, socket: SocketOf, token: Callable[..., str], size: int
) -> None:
    """Many peers that announce a frame and never finish it: memory for what they sent, not for what they said."""
    gateway = await gateway_with()
    neighbour = await socket("neighbour", url=gateway.url)
    await neighbour.ready()
    before = gateway.resident_bytes()
    opened = []
    try:
        for _ in range(40):
            context = stream(gateway.url, token("sloth"))
            sloth = await context.__aenter__()
            opened.append(context)
            await sloth.frame()
            sloth.put(b"x" * 1000, size=size)
        assert (await neighbour.ask("ping"))["type"] == "ack"
        assert gateway.resident_bytes() - before < GROWTH
    finally:
        for context in opened:
            await context.__aexit__(None, None, None)
