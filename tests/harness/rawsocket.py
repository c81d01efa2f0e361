"""A bare WebSocket that sends whatever a test wants, and shows every frame as it came."""

import asyncio
from typing import Any

import orjson
from aiohttp import ClientWebSocketResponse, WSMsgType

from shared.contracts.errors import ErrorCode

PATIENCE = 15.0

JSON = dict[str, Any]


class RawSocket:
    """A native WebSocket without a client around it."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket
        self._numbers = 0

    async def ready(self) -> JSON:
        """The first frame's data; fails where it is not `ready`."""
        frame = await self.receive()
        assert frame["type"] == "ready", frame
        data: JSON = frame["data"]
        return data

    async def send(self, type: str, data: JSON | None = None) -> str:
        """Send a frame; its id."""
        self._numbers += 1
        number = str(self._numbers)
        await self.send_text(orjson.dumps({"type": type, "id": number, "data": data or {}}))
        return number

    async def send_text(self, text: bytes) -> None:
        """Send any text frame."""
        await self.socket.send_frame(text, WSMsgType.TEXT)

    async def receive(self) -> JSON:
        """The next frame. Raises ConnectionError, with the code, where the connection was closed instead."""
        async with asyncio.timeout(PATIENCE):
            message = await self.socket.receive()
        if message.type is not WSMsgType.TEXT:
            raise ConnectionError(f"closed with {self.socket.close_code} {message.extra or ''}".strip())
        frame: JSON = orjson.loads(message.data)
        return frame

    async def answer(self, number: str | int | None) -> JSON:
        """The ack or error that answers a frame; others before it are passed over."""
        while True:
            frame = await self.receive()
            if frame["type"] in {"ack", "error"} and frame.get("id") == number:
                return frame

    async def ask(self, type: str, data: JSON | None = None) -> JSON:
        """Send a frame and wait for its answer, an ack or error."""
        return await self.answer(await self.send(type, data))

    async def event(self, type: str) -> JSON:
        """The next frame of a type; others before it are passed over."""
        while (frame := await self.receive())["type"] != type:
            pass
        return frame

    async def closed(self) -> int:
        """Read to the end; the code the server closed with."""
        async with asyncio.timeout(PATIENCE):
            while (await self.socket.receive()).type in {WSMsgType.TEXT, WSMsgType.PING, WSMsgType.PONG}:
                pass
        return int(self.socket.close_code or 0)


def code_of(frame: JSON) -> ErrorCode:
    """The error code of an error frame; fails where it is none."""
    assert frame["type"] == "error", frame
    return ErrorCode(frame["error"]["code"])
