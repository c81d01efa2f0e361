"""What Socket.IO's packets are written to.

A WebSocket is written to directly, in ready frames, beside Engine.IO which writes its pings there: both write whole
frames, and at once. A client that polls, or has not upgraded yet, gets packets from Engine.IO's queue. Between the two,
what is to be written directly waits until all is written that is in the queue (`hand_over`).
"""

import asyncio
from base64 import b64decode
from collections.abc import Callable
from typing import Protocol

from aiohttp import WSMsgType, hdrs, web
from engineio.async_drivers import aiohttp as driver
from engineio.async_socket import AsyncSocket
from engineio.packet import CLOSE, MESSAGE, NOOP, PING, PONG, Packet
from engineio.payload import Payload
from typing_extensions import override

from services.gateway.connection import Connection
from services.gateway.sio import packets
from services.gateway.socket import BURST
from shared.contracts.errors import ChatError, ErrorCode

MAX_QUEUED = 20_000
"""Packets that Engine.IO may hold for a client."""

Payload.max_decode_packets = MAX_QUEUED  # a body's length bounds them; Engine.IO would pass over the 17th of a batch


class Taker(Protocol):
    """What a session's messages are shown to before Engine.IO sees them."""

    def taken(self, engine_id: str, text: str) -> bool:
        """Take a message off its way; False leaves it to python-socketio."""

    def upgraded(self, engine: AsyncSocket, transport: asyncio.Transport) -> None:
        """A session has its WebSocket."""

    def odd(self, engine_id: str, problem: str) -> None:
        """Something came that nobody can read."""

    def toll(self, engine_id: str) -> float:
        """Seconds for which a session is not read after a burst."""


class EngineWire:
    """The queue of an Engine.IO session, as a transport of packets (`packets.END` after each)."""

    def __init__(self, engine: AsyncSocket, end: Callable[[], None]) -> None:
        self._engine = engine
        self._end = end
        self._unread = 0

    def write(self, data: bytes, /) -> None:
        """Put packets into the queue."""
        if self._engine.queue.empty():
            self._unread = 0
        self._unread += len(data)
        for packet in data.split(packets.END):
            if packet == packets.CLOSE:
                self._end()
            elif packet:
                self._engine.queue.put_nowait(Packet(MESSAGE, packet[1:].decode()))

    def get_write_buffer_size(self) -> int:
        """Bytes put into the queue since it was last empty."""
        return 0 if self._engine.queue.empty() else self._unread

    def is_closing(self) -> bool:
        """Whether the session is over."""
        return bool(self._engine.closed or self._engine.closing)

    def close(self) -> None:
        """End the session when everything is sent."""
        self._engine.queue.put_nowait(Packet(CLOSE))
        self._end()

    def abort(self) -> None:
        """End the session."""
        self._end()


class Handover:
    """A WebSocket to which Engine.IO has yet to write what is in its queue: what is written here waits for that."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._waiting: list[bytes] = []
        self._size = 0

    def write(self, data: bytes, /) -> None:
        """Keep it, to be written when it is its turn."""
        self._waiting.append(data)
        self._size += len(data)

    def get_write_buffer_size(self) -> int:
        """Bytes that wait here, and those that the transport has yet to send."""
        return self._size + self._transport.get_write_buffer_size()

    def is_closing(self) -> bool:
        """Whether the transport closes."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Close the transport."""
        self._transport.close()

    def abort(self) -> None:
        """Cut the transport."""
        self._transport.abort()

    def end(self, connection: Connection) -> None:
        """Write what has waited; from now on the connection writes to its WebSocket itself."""
        if not self._transport.is_closing():
            self._transport.write(b"".join(self._waiting))
        self._waiting.clear()
        connection.transport = self._transport


class _Turn(Packet):  # type: ignore[misc]  # engineio has no types
    """Nothing to be sent: a place in the queue, and what is to happen when all before it is written."""

    def __init__(self, reached: Callable[[], None]) -> None:
        super().__init__(NOOP)
        self._reached = reached

    @override
    def encode(self, b64: bool = False) -> str:
        self._reached()
        return NOTHING


NOTHING = ""


def hand_over(engine: AsyncSocket, connection: Connection, handover: Handover) -> None:
    """Let a connection write to its WebSocket itself, once Engine.IO has written there what is in its queue now."""
    connection.transport = handover
    engine.queue.put_nowait(_Turn(lambda: handover.end(connection)))


class Pulse(Protocol):
    """Whom to tell that a session is pinged, and that it has answered."""

    def __call__(self, *, answered: bool) -> None:
        """It is pinged, or has answered."""


def feel_pulse(engine: AsyncSocket, told: Pulse) -> None:
    """Let it be known when a session is pinged, before all that is written from then on, and when it has answered."""
    send, receive = engine.send, engine.receive

    async def sending(packet: Packet) -> None:
        if packet.packet_type == PING:
            told(answered=False)
        await send(packet)

    async def receiving(packet: Packet) -> None:
        if packet.packet_type == PONG:
            told(answered=True)
        await receive(packet)

    engine.send, engine.receive = sending, receiving


class EngineSocket(driver.WebSocket):  # type: ignore[misc]  # engineio has no types
    """A WebSocket of Engine.IO's, whose frequent messages do not take its way, nor what Engine.IO cannot read."""

    def __init__(self, handler: Callable[..., object], server: object, *, taker: Taker) -> None:
        super().__init__(handler, server)
        self._engine: AsyncSocket = handler.__self__  # type: ignore[attr-defined]
        self._taker = taker
        self._gone_over = False
        self._number = 0

    @override
    async def __call__(self, environ: dict[str, object]) -> web.StreamResponse:
        request = environ["aiohttp.request"]
        assert isinstance(request, web.Request)  # noqa: S101 - engineio's driver says so
        if self._engine.upgrading:
            raise ChatError(ErrorCode.INVALID, "This client is upgrading to another WebSocket already.")
        self._transport = request.transport
        self._sock = web.WebSocketResponse(max_msg_size=self.server.max_http_buffer_size, compress=False)
        await self._sock.prepare(request)
        self.environ = environ
        try:
            await self.handler(self)
        finally:
            self._engine.upgrading = False  # where it has not come to that, the client goes on polling
        return self._sock

    @override
    async def send(self, message: str | bytes) -> None:
        if message != NOTHING:
            await super().send(message)

    @override
    async def wait(self) -> str | bytes:
        if not self._engine.upgraded:
            return await self._probe()
        if not self._gone_over and self._transport is not None:
            self._gone_over = True
            self._taker.upgraded(self._engine, self._transport)
        while True:
            self._number += 1
            if self._number % BURST == 0:  # what has arrived is received without a pause otherwise, however much it is
                await asyncio.sleep(self._taker.toll(self._engine.sid))
            if self._engine.closed or self._engine.queue.qsize() > MAX_QUEUED:
                raise OSError("the session is over, or the client does not read")
            message = await self._sock.receive()
            if message.type is WSMsgType.BINARY:
                return bytes(message.data)
            if message.type is not WSMsgType.TEXT:
                raise OSError("the WebSocket is closed")
            text: str = message.data
            if text.startswith(packets.EVENT) and self._taker.taken(self._engine.sid, text):
                continue
            if packets.readable(text):
                return text
            self._taker.odd(self._engine.sid, "this is no packet of Engine.IO's")

    async def _probe(self) -> str:
        """What a client says that comes over from polling; anything else ends the attempt."""
        message = await self._sock.receive()
        if message.type is not WSMsgType.TEXT or message.data not in (packets.PROBE, packets.UPGRADE):
            raise OSError("the WebSocket is no upgrade")
        text: str = message.data
        return text


async def translated(request: web.Request) -> dict[str, object]:
    """A request as Engine.IO reads it, its body whole: the library reads what has arrived, and no more."""
    environ: dict[str, object] = driver.translate_request(request)
    if request.method == hdrs.METH_POST:
        body = readable_payload(await request.read())
        environ |= {"wsgi.input": Body(body), "CONTENT_LENGTH": str(len(body))}
    return environ


def readable_payload(body: bytes) -> bytes:
    """Those packets of a payload that Engine.IO can read.

    Raises:
        ChatError: `invalid`, where there are others, too.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise ChatError(ErrorCode.INVALID, "The payload is not UTF-8.") from error
    if not text:
        return b""
    for packet in text.split(packets.END.decode()):
        if not (packets.readable(packet) or _is_attachment(packet)):
            raise ChatError(ErrorCode.INVALID, f"'{packet[:20]}' is no packet of Engine.IO's that is taken here.")
    return body


def _is_attachment(packet: str) -> bool:
    try:
        b64decode(packet[1:], validate=True)
    except ValueError:
        return False
    return packet.startswith("b")


class Body:
    """A request's body that has been read."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self, _length: int) -> bytes:
        """All of it."""
        return self._body
