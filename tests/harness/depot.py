"""A server in the place of the media service, for tests of how a gateway passes requests on: it answers as told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from deploy.embedded import ports
from shared.auth import Vouchers
from shared.contracts.envelope import Actor
from shared.settings import DEVELOPMENT_SECRET

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it came in."""

    method: str
    target: str
    headers: dict[str, str]

    @property
    def actor(self) -> Actor:
        """Who is vouched for."""
        return Vouchers(DEVELOPMENT_SECRET).read(self.headers["Authorization"].removeprefix("Bearer "))


@dataclass(slots=True)
class Depot:
    """What the server answers, and what it has seen."""

    answer: Answer
    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    """How each request has ended: `answered`, or the name of what it has failed by."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, there: Callable[[], bool]) -> None:
        """Return once something holds of what has been seen."""
        async with asyncio.timeout(20):
            while not there():
                self.changed.clear()
                await self.changed.wait()

    @property
    def last(self) -> Seen:
        """The latest request."""
        return self.seen[-1]


async def taken(request: web.Request) -> web.StreamResponse:
    """Ask for the body where that is waited for, take it, and tell its length."""
    if "Expect" in request.headers:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    length = 0
    async for chunk in request.content.iter_chunked(65_536):
        length += len(chunk)
    return web.json_response({"length": length}, status=201)


@asynccontextmanager
async def depot(answer: Answer = taken) -> AsyncIterator[Depot]:
    """Run such a server on the loopback."""
    described = Depot(answer)

    async def handle(request: web.Request) -> web.StreamResponse:
        described.seen.append(Seen(request.method, request.raw_path, dict(request.headers)))
        described.changed.set()
        end = "answered"
        try:
            return await described.answer(request)
        except BaseException as error:
            end = type(error).__name__
            raise
        finally:
            described.ended.append(end)
            described.changed.set()

    async def later(_request: web.Request) -> None:
        """A body is asked for when it is read."""

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle, expect_handler=later)
    options: dict[str, Any] = {"access_log": None, "handler_cancellation": True, "shutdown_timeout": 0.1}
    runner = web.AppRunner(app, **options)
    await runner.setup()
    port = ports.find_free()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    described.url = f"http://127.0.0.1:{port}"
    try:
        yield described
    finally:
        await runner.cleanup()
