"""TCP in front of the broker: cuts a process's link, or holds back what goes one way, while the process lives on.

Knows a connection by the name its process gave it, as AMQP's Connection.StartOk carries it; understands nothing else.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

from shared.service import Tasks

CHUNK = 65_536
# AMQP 0-9-1 section 4.2.5.5: a short string as the name, then `S` and a long string with its length in four bytes.
NAMED = re.compile(rb"\x0fconnection_nameS(?P<length>.{4})(?P<rest>.*)", re.DOTALL)
LOOPBACK = "127.0.0.1"


@dataclass(slots=True, eq=False)
class _Link:
    """One connection through the proxy. Bytes pass in a direction while its gate is open."""

    process: asyncio.StreamWriter
    broker: asyncio.StreamWriter
    name: str = ""
    speaks: asyncio.Event = field(default_factory=asyncio.Event)
    hears: asyncio.Event = field(default_factory=asyncio.Event)
    holds: asyncio.Event = field(default_factory=asyncio.Event)
    orphaned: bool = False

    def abort(self) -> None:
        """End it without a word, on both sides."""
        for writer in (self.process, self.broker):
            writer.transport.abort()


class Proxy:
    """Every link of a stack's services to its broker.

    Args:
        port: of the broker.
    """

    def __init__(self, port: int) -> None:
        self._broker = port
        self._links: set[_Link] = set()
        self._tasks = Tasks()
        self.port = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Proxy"]:
        """Listen on a free port while in the context."""
        server = await asyncio.start_server(self._accept, LOOPBACK, 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for link in self._links:
                link.abort()
            await self._tasks.close()

    @property
    def url(self) -> str:
        """AMQP_URL through the proxy."""
        return f"amqp://guest:guest@{LOOPBACK}:{self.port}/"

    @property
    def names(self) -> dict[int, str]:
        """Whose connection comes to the broker from which port."""
        return {link.broker.get_extra_info("sockname")[1]: link.name for link in self._links}

    def cut(self, name: str) -> int:
        """Cut the links of a process, as a failing network would; how many there were."""
        links = self._of(name)
        for link in links:
            link.abort()
        return len(links)

    @contextmanager
    def deaf(self, name: str) -> Iterator[None]:
        """Hold back what the broker says to a process while in the context: confirms, deliveries, heartbeats."""
        links = self._of(name)
        for link in links:
            link.hears.clear()
        try:
            yield
        finally:
            for link in links:
                link.hears.set()

    @contextmanager
    def mute(self, name: str) -> Iterator[None]:
        """Hold back what a process says to the broker while in the context; lost for good if it is cut meanwhile."""
        links = self._of(name)
        for link in links:
            link.speaks.clear()
        try:
            yield
        finally:
            for link in links:
                link.speaks.set()

    async def holding(self, name: str) -> None:
        """Return once something is held back of what goes to or from a process."""
        [link] = self._of(name)
        await link.holds.wait()

    @contextmanager
    def orphaned(self, name: str) -> Iterator[None]:
        """Cut the links of a process on the broker's side only: while in the context, the process believes in them."""
        links = self._of(name)
        for link in links:
            link.orphaned = True
            link.broker.transport.abort()
        try:
            yield
        finally:
            for link in links:
                link.abort()

    def _of(self, name: str) -> list[_Link]:
        return [link for link in self._links if link.name == name]

    # ── one connection ───────────────────────────────────────────────────────────────────────────────────────────

    async def _accept(self, reader: asyncio.StreamReader, process: asyncio.StreamWriter) -> None:
        try:
            answers, broker = await asyncio.open_connection(LOOPBACK, self._broker)
        except OSError:
            process.transport.abort()
            return
        link = _Link(process, broker)
        link.speaks.set()
        link.hears.set()
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass_on(link, reader, broker, link.speaks, listen=True))
                both.create_task(self._pass_on(link, answers, process, link.hears, listen=False))
        except* OSError:
            pass
        finally:
            self._links.discard(link)
            link.abort()

    async def _pass_on(
        self, link: _Link, source: asyncio.StreamReader, target: asyncio.StreamWriter, gate: asyncio.Event, *,
        listen: bool,
    ) -> None:  # fmt: skip
        while data := await source.read(CHUNK):
            if listen and not link.name:
                link.name = _name_in(data)
            if not gate.is_set():
                link.holds.set()
                await gate.wait()
            if not target.is_closing():
                target.write(data)
                with suppress(ConnectionError):
                    await target.drain()
            elif not link.orphaned:
                break
        # The end of one direction is the end of both: AMQP has no half-closed connections.
        if listen or not link.orphaned:
            link.abort()


def _name_in(data: bytes) -> str:
    found = NAMED.search(data)
    if found is None:
        return ""
    return found["rest"][: int.from_bytes(found["length"])].decode()
