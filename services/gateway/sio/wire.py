"""What Socket.IO's packets are written to.

A WebSocket is written to directly, in ready frames, beside Engine.IO which writes its pings there: both write whole
frames, and at once. A client that polls, or has not upgraded yet, gets packets from Engine.IO's queue.
"""

import asyncio
from collections.abc import Callable

from aiohttp import WSMsgType, web
from engineio.async_drivers import aiohttp as driver
from engineio.async_socket import AsyncSocket
from engineio.packet import CLOSE, MESSAGE, Packet
from typing_extensions import override

from services.gateway.sio import packets

Taken = Callable[[str, str], bool]
"""Takes a message of an Engine.IO session (its id and text) off its way; False leaves it to python-socketio."""

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
            if packet:
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


class EngineSocket(driver.WebSocket):  # type: ignore[misc]  # engineio has no types
    """A WebSocket of Engine.IO's, whose frequent messages do not take its way.

    Args:
        taken: is shown every text message.
        upgraded: is told when a session that began with polling has its WebSocket.
    """

    def __init__(self, handler: Callable[..., object], server: object, *, taken: Taken, upgraded: Upgraded) -> None:
        super().__init__(handler, server)
        self._engine: AsyncSocket = handler.__self__  # type: ignore[attr-defined]
        self._taken = taken
        self._upgraded: Upgraded | None = upgraded

    @override
    async def __call__(self, environ: dict[str, object]) -> web.StreamResponse:
        request = environ["aiohttp.request"]
        assert isinstance(request, web.Request)  # noqa: S101 - engineio's driver says so
        self._transport = request.transport
        self._sock = web.WebSocketResponse(max_msg_size=self.server.max_http_buffer_size, compress=False)
        await self._sock.prepare(request)
        self.environ = environ
        await self.handler(self)
        return self._sock

    @override
    async def wait(self) -> str | bytes:
        if self._engine.upgraded and self._upgraded is not None and self._transport is not None:
            upgraded, self._upgraded = self._upgraded, None
            upgraded(self._engine, self._transport)
        while True:
            message = await self._sock.receive()
            if message.type is WSMsgType.TEXT:
                text: str = message.data
                if not (text.startswith(packets.EVENT) and self._taken(self._engine.sid, text)):
                    return text
            elif message.type is WSMsgType.BINARY:
                return bytes(message.data)
            else:
                raise OSError("the WebSocket is closed")
