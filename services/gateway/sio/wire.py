"""What Socket.IO's packets are written to.

A WebSocket is written to directly, in ready frames, beside Engine.IO which writes its pings there: both write whole
frames, and at once. A client that polls, or has not upgraded yet, gets packets from Engine.IO's queue. Between the two,
what is to be written directly waits until all is written that is in the queue (`hand_over`).
"""

import asyncio
import itertools
from collections.abc import Callable

from aiohttp import WSMsgType, web
from engineio.async_drivers import aiohttp as driver
from engineio.async_socket import AsyncSocket
from engineio.packet import CLOSE, MESSAGE, NOOP, Packet
from typing_extensions import override

from services.gateway.connection import Connection
from services.gateway.sio import packets

Taken = Callable[[str, str], bool]
"""Takes a message of an Engine.IO session (its id and text) off its way; False leaves it to python-socketio."""

BURST = 32
"""Messages of one client that are taken in without giving others a turn."""

Upgraded = Callable[[AsyncSocket, asyncio.Transport], None]


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


class EngineSocket(driver.WebSocket):  # type: ignore[misc]  # engineio has no types
    """A WebSocket of Engine.IO's, whose frequent messages do not take its way.

    Args:
        taken: is shown every text message.
        pause: how long a client that has sent a burst is to wait, in seconds.
        upgraded: is told when a session has its WebSocket, be it from the start or after polling.
    """

    def __init__(
        self,
        handler: Callable[..., object],
        server: object,
        *,
        taken: Taken,
        pause: Callable[[str], float],
        upgraded: Upgraded,
    ) -> None:
        super().__init__(handler, server)
        self._engine: AsyncSocket = handler.__self__  # type: ignore[attr-defined]
        self._taken = taken
        self._pause = pause
        self._upgraded: Upgraded | None = upgraded

    @override
    async def __call__(self, environ: dict[str, object]) -> web.StreamResponse:
        request = environ["aiohttp.request"]
        assert isinstance(request, web.Request)  # noqa: S101 - engineio's driver says so
        self._transport = request.transport
        self._sock = web.WebSocketResponse(max_msg_size=self.server.max_http_buffer_size, compress=False)
        await self._sock.prepare(request)
        self.environ = environ
        try:
            await self.handler(self)
        finally:
            if not self._engine.upgraded:
                self._engine.upgrading = False  # given up: the library would let the client poll in vain
        return self._sock

    @override
    async def send(self, message: str | bytes) -> None:
        if message != NOTHING:
            await super().send(message)

    @override
    async def wait(self) -> str | bytes:
        if self._engine.upgraded and self._upgraded is not None and self._transport is not None:
            upgraded, self._upgraded = self._upgraded, None
            upgraded(self._engine, self._transport)
        for number in itertools.count(1):
            if number % BURST == 0:
                # What has arrived is received without a pause otherwise, however much it is.
                await asyncio.sleep(self._pause(self._engine.sid))
            message = await self._sock.receive()
            if message.type is WSMsgType.TEXT:
                text: str = message.data
                if not (text.startswith(packets.EVENT) and self._taken(self._engine.sid, text)):
                    return text
            elif message.type is WSMsgType.BINARY:
                return bytes(message.data)
            else:
                break
        raise OSError("the WebSocket is closed")
