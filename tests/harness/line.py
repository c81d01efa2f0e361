"""A network line between a client and a gateway: it can be cut, and it can swallow what the gateway says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from shared.service import Tasks


class Line:
    """Forwards TCP connections to a gateway.

    `swallowing`: what the gateway sends does not arrive any more. `broken`: new connections are cut at once.
    """

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._host, self._port = address.hostname, address.port
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks = Tasks()
        self.url = ""
        self.swallowing = self.broken = False
        self.swallowed = asyncio.Event()

    @asynccontextmanager
    async def up(self) -> AsyncIterator["Line"]:
        """Listen while in the context, at `url`."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            self.cut()
            await self._tasks.close()

    def cut(self) -> None:
        """End every connection without a word."""
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.broken:
            writer.transport.abort()
            return
        there_reader, there = await asyncio.open_connection(self._host, self._port)
        self._open |= {writer, there}
        self._tasks.spawn(self._forward(reader, there, swallows=False), "to the gateway")
        self._tasks.spawn(self._forward(there_reader, writer, swallows=True), "from the gateway")

    async def _forward(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, swallows: bool) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                if swallows and self.swallowing:
                    self.swallowed.set()
                else:
                    target.write(data)
                    await target.drain()
        target.transport.abort()
