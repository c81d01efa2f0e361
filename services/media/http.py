"""The media service's port for files: who asks, what is answered when something goes wrong, and an end in good order.

What is served comes from others, who add their routes. Who asks is what a gateway's voucher says; without one only
signed links are of use.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import orjson
from aiohttp import hdrs, web
from pydantic import BaseModel

from services.media.bodies import is_awaited
from services.media.errors import error_of
from services.media.refusals import Refused
from shared.auth import Vouchers
from shared.bus.codec import to_json
from shared.bus.requests import refusal_of
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.logging import get_logger
from shared.mongo import is_transient

log = get_logger(__name__)

BACKLOG = 1024
MAX_CONNECTIONS = 2000
"""Beyond them requests are turned away at once; each that is served holds some hundred KiB at most."""

MAX_HEADER = 8190
MAX_HEADERS = 100
CUT = 1.0
"""Seconds handlers have to end after their clients were cut off."""

ACTOR = "actor"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Routes = Callable[[web.Application], None]


class Port:
    """The port.

    Args:
        routes: each adds some.
    """

    def __init__(self, vouchers: Vouchers, *routes: Routes) -> None:
        self._vouchers = vouchers
        self._app = web.Application(middlewares=[answer_errors, self._admit], client_max_size=MAX_HEADER)
        for add in routes:
            add(self._app)
        self._runner = web.AppRunner(
            self._app,
            access_log=None,
            shutdown_timeout=CUT,
            auto_decompress=False,
            max_line_size=MAX_HEADER,
            max_field_size=MAX_HEADER,
            max_headers=MAX_HEADERS,
        )
        self._site: web.TCPSite | None = None
        self._under_way = 0
        self._none_under_way = asyncio.Event()
        self._none_under_way.set()

    async def open(self, host: str, port: int) -> None:
        """Listen.

        Raises:
            SystemExit: with 1, where the port cannot be had; whoever supervises the process may try again.
        """
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, backlog=BACKLOG, reuse_address=True)
        try:
            await site.start()
        except OSError as error:
            log.error("cannot listen", host=host, port=port, error=str(error))
            raise SystemExit(1) from error
        self._site = site

    async def check(self) -> None:
        """Readiness: raises where nobody listens."""
        if self._site is None:
            raise RuntimeError("the port for files is not open")

    async def stop(self) -> None:
        """Take no new connections."""
        if self._site is not None:
            await self._site.stop()
            self._site = None

    async def quiet(self, seconds: float) -> None:
        """Wait until nothing is under way, but no longer than that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._none_under_way.wait()

    async def close(self) -> None:
        """End what is still open."""
        await self._runner.cleanup()

    @web.middleware
    async def _admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Say who asks, if a gateway does."""
        if self._site is None:
            raise ChatError(ErrorCode.UNAVAILABLE, "The server restarts: try again.", retry_after=1.0)
        server = self._runner.server
        if server is not None and len(server.connections) > MAX_CONNECTIONS:
            raise ChatError(ErrorCode.OVERLOADED, "Too many files are on their way; try later.", retry_after=1.0)
        header = request.headers.get(hdrs.AUTHORIZATION)
        if header is not None:
            scheme, _, voucher = header.partition(" ")
            if scheme.lower() != "bearer":
                raise ChatError(ErrorCode.UNAUTHENTICATED, "No gateway vouches for this request.")
            request[ACTOR] = self._vouchers.read(voucher.strip())
        self._under_way += 1
        self._none_under_way.clear()
        try:
            return await handler(request)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._none_under_way.set()


def asker_of(request: web.Request) -> Actor | None:
    """For whom a gateway vouches; None where none does."""
    actor: Actor | None = request.get(ACTOR)
    return actor


def actor_of(request: web.Request) -> Actor:
    """For whom a gateway vouches. Raises ChatError `unauthenticated`."""
    actor = asker_of(request)
    if actor is None:
        raise ChatError(ErrorCode.UNAUTHENTICATED, "No gateway vouches for this request.")
    return actor


def view_response(view: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A view as JSON."""
    return web.Response(body=to_json(view), status=status, content_type="application/json", headers=headers)


def error_response(error: ChatError, status: int | None = None) -> web.Response:
    """An error in its wire shape, with its status and headers."""
    headers: dict[str, str] = {}
    if error.retry_after is not None:
        headers[hdrs.RETRY_AFTER] = str(max(1, round(error.retry_after)))
    if error.code is ErrorCode.UNAUTHENTICATED:
        headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
    body: dict[str, Any] = {"error": error.view().model_dump(mode="json")}
    return web.Response(
        body=orjson.dumps(body),
        status=status or error.row.status,
        content_type="application/json",
        headers=headers,
    )


def failure_of(error: Exception, request: web.Request) -> ChatError:
    """What went wrong in a handler, as an error that can be answered."""
    if isinstance(error, ChatError):
        return error
    if isinstance(error, Refused):
        return error_of(error)
    if is_transient(error):
        log.warning("the database is away", error=f"{type(error).__name__}: {error}"[:500])
        return ChatError(ErrorCode.UNAVAILABLE, "The database is away; try again.", retry_after=1.0)
    return refusal_of(error, request.path)


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever goes wrong in a handler becomes a response in the one error shape."""
    response = await _answer(request, handler)
    if is_awaited(request) and not response.prepared:
        response.force_close()  # a body that was not asked for may come or not: nobody knows what follows
    return response


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return error_response(ChatError(ErrorCode.NOT_FOUND, f"There is nothing at {request.path}."))
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        refused = ChatError(ErrorCode.INVALID, f"{request.method} is not allowed here; allowed: {allowed}.")
        response = error_response(refused, 405)
        response.headers[hdrs.ALLOW] = allowed
        return response
    except web.HTTPException as error:
        return error_response(ChatError(ErrorCode.INVALID, f"{error.reason}."), error.status)
    except Exception as error:  # noqa: BLE001 - the last resort: an answer instead of a broken connection
        return error_response(failure_of(error, request))
