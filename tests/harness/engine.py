"""A bare Engine.IO client over a WebSocket: sends whatever a test wants, and shows what it is told."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

PATIENCE = 15.0


class Engine:
    """A WebSocket to `/socket.io/`, past its handshake."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self.told: list[tuple[str, Any]] = []
        """Events so far: their names and payloads."""
        self.dismissed = False
        """Whether Socket.IO's goodbye was said."""

    async def send_text(self, text: str) -> None:
        """Send a text message; where the connection is closed already, nothing."""
        if not self._socket.closed:
            await self._socket.send_str(text)

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        await self._socket.send_bytes(data)

    async def receive(self) -> str:
        """The next text. Raises ConnectionError where the connection is closed instead."""
        async with asyncio.timeout(PATIENCE):
            message = await self._socket.receive()
        if message.type is not WSMsgType.TEXT:
            raise ConnectionError(f"closed with {self._socket.close_code}")
        text: str = message.data
        if text == "2":
            await self.send_text("3")
        self.dismissed |= text.startswith("41")
        if text.startswith("42"):
            name, payload = orjson.loads(text[text.index("[") :])
            self.told.append((name, payload))
        return text

    async def starting_with(self, *starts: str) -> str:
        """The next text that begins so; others before it are passed over."""
        while not (text := await self.receive()).startswith(starts):
            pass
        return text

    async def connect(self, namespace: str, auth: Any) -> None:
        """Connect to a namespace. Raises ConnectionError where that is refused."""
        await self.send_text(f"40{namespace},{orjson.dumps(auth).decode()}")
        text = await self.starting_with(f"40{namespace},", f"44{namespace},")
        if text.startswith("44"):
            raise ConnectionError(text)

    async def refused(self, namespace: str) -> Any:
        """With what a connection to a namespace is refused."""
        text = await self.starting_with(f"44{namespace},")
        return orjson.loads(text[text.index(",") + 1 :])

    async def ack(self, number: int) -> Any:
        """The acknowledgement of an event."""
        start = f"43/chat,{number}["
        return orjson.loads((await self.starting_with(start))[len(start) - 1 :])[0]

    async def event(self, name: str, that: Callable[[Any], object] = lambda _payload: True) -> Any:
        """The payload of the next event of a name (which `that` accepts)."""
        while True:
            before = len(self.told)
            await self.receive()
            for told, payload in self.told[before:]:
                if told == name and that(payload):
                    return payload

    async def ended(self) -> int | None:
        """Read to the end; the code the server closed with."""
        try:
            while True:
                await self.receive()
        except ConnectionError:
            return self._socket.close_code

    def stop_reading(self) -> None:
        """Leave what comes from now on to the kernel."""
        connection = self._socket._response.connection
        assert connection is not None
        assert connection.transport is not None
        connection.transport.pause_reading()

    @property
    def closed(self) -> bool:
        """Whether it is closed, as far as known here."""
        return self._socket.closed

    async def close(self) -> None:
        """Close it."""
        await self._socket.close()


async def engine(session: ClientSession, url: str, query: str = "") -> Engine:
    """Open a WebSocket, and read what Engine.IO says first."""
    address = f"{url}/socket.io/?EIO=4&transport=websocket{query}"
    opened = Engine(await session.ws_connect(address, max_msg_size=0, autoping=True))
    await opened.starting_with("0")
    return opened
