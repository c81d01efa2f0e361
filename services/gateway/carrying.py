"""Carries one request to the media service and its answer back: in pieces, as fast as the slower side, either way.

What breaks on one side breaks on the other: a client that goes ends the request, and an answer that ends early is never
made to look whole. Only listed headers go through. Nothing is logged of what is carried, and no address.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
from aiohttp import (
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    HttpVersion11,
    TCPConnector,
    hdrs,
    web,
)
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from shared import metrics
from shared.auth import Vouchers
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.tracing import accepted_traceparent

CHUNK = 65_536
"""Bytes that are read at once; aiohttp keeps some twice as many for each direction."""

MAX_PASSES = 256
"""Requests carried at once, which bounds their memory."""

CONNECT = 5.0
"""Seconds to reach the media service."""

PATIENCE = 90.0
"""Seconds without progress until a request is given up: more than a client may have an answer wait (`Prefer`)."""

MAX_JSON = 262_144
"""Bytes of an answer that is read here and not only passed on."""

PASSED_ON = (
        hdrs.ACCEPT, hdrs.CONTENT_TYPE, hdrs.CONTENT_LENGTH, hdrs.CONTENT_DISPOSITION, "Content-Digest", "Prefer",
    "X-HTTP-Method-Override",
        hdrs.RANGE, hdrs.IF_RANGE, hdrs.IF_MATCH, hdrs.IF_NONE_MATCH, hdrs.IF_MODIFIED_SINCE, hdrs.IF_UNMODIFIED_SINCE,
        "Tus-Resumable", "Upload-Length", "Upload-Defer-Length", "Upload-Offset", "Upload-Metadata", "Upload-Checksum",
)  # fmt: skip
"""Headers of a request that the media service is told."""

HANDED_BACK = (
        hdrs.CONTENT_TYPE, hdrs.CONTENT_LENGTH, hdrs.CONTENT_RANGE, hdrs.CONTENT_DISPOSITION, hdrs.CACHE_CONTROL,
        hdrs.ETAG, hdrs.LAST_MODIFIED, hdrs.EXPIRES, hdrs.VARY, hdrs.ACCEPT_RANGES, hdrs.LOCATION, hdrs.ALLOW,
        hdrs.RETRY_AFTER, hdrs.WWW_AUTHENTICATE, "Content-Digest", "Preference-Applied", "Content-Security-Policy",
        "X-Content-Type-Options", "Cross-Origin-Resource-Policy", "Referrer-Policy",
        "Tus-Resumable", "Tus-Version", "Tus-Extension", "Tus-Max-Size", "Tus-Checksum-Algorithm",
        "Upload-Length", "Upload-Defer-Length", "Upload-Offset", "Upload-Metadata", "Upload-Expires",
)  # fmt: skip
"""Headers of an answer that the client is told."""

WITH_BODY = frozenset({"POST", "PATCH"})
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_passes = metrics.gauge("passes", "Requests about files that are on their way")
_broken = metrics.counter("passes_broken", "Answers about files that broke off when they had begun")


@dataclass(frozen=True, slots=True)
class Target:
    """What the media service is asked: a path and query as they stand in an address, and on whose behalf.

    `headers` are set beside, or instead of, those that are passed on.
    """

    path: str
    actor: Actor | None
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


async def expect_later(_request: web.Request) -> None:
    """Say nothing yet to `Expect: 100-continue`: the media service decides whether it wants the body."""


def listed(headers: CIMultiDictProxy[str], names: Iterable[str]) -> CIMultiDict[str]:
    """Some of a message's headers."""
    return CIMultiDict((name, value) for name in names for value in headers.getall(name, ()))


class Carrier:
    """Owns the connections to the media service: one per request, so that none can harm the next.

    Args:
        origin: the media service's, `http://host:port`.
        at_once: requests carried at once; those on top are refused.
        patience: seconds without progress until one is given up.
    """

    def __init__(
        self, origin: str, vouchers: Vouchers, *, at_once: int = MAX_PASSES, patience: float = PATIENCE
    ) -> None:
        self._origin = origin
        self._vouchers = vouchers
        self._at_once = at_once
        self._patience = patience
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False
        self._session = ClientSession(
            connector=TCPConnector(limit=0, force_close=True),
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=None, sock_connect=CONNECT),
            auto_decompress=False,
            read_bufsize=CHUNK,
            skip_auto_headers=(hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE, hdrs.USER_AGENT),
        )

    async def drain(self) -> None:
        """Begin nothing more, and return when all that is under way has ended."""
        self._stopping = True
        await self._idle.wait()

    async def close(self) -> None:
        """End what is still under way."""
        await self._session.close()

    @asynccontextmanager
    async def carry(self, request: web.Request, target: Target) -> AsyncIterator["Carried"]:
        """Carry a request there; what is given holds the answer, for as long as it is read.

        Raises:
            ChatError: `overloaded`, `unavailable`, `timeout`, or `invalid` for a body that is not as it is said to be.
        """
        self._begin()
        carried = Carried(request, self._patience)
        try:
            async with asyncio.timeout(None) as deadline:
                carried.extends(deadline)
                async with self._session.request(**self._request(request, target, carried.body)) as answer:
                    carried.answer = answer
                    yield carried
        except (OSError, ClientError) as error:
            carried.break_off()
            raise carried.failure(error) from error
        except BaseException:
            carried.break_off()
            raise
        finally:
            self._end()
            await carried.end()

    def _request(self, request: web.Request, target: Target, body: "Body | None") -> dict[str, Any]:
        headers = listed(request.headers, PASSED_ON)
        if body is None:
            headers.popall(hdrs.CONTENT_LENGTH, None)
        headers["traceparent"] = accepted_traceparent(request.headers.get("traceparent"))
        headers.update(target.headers)
        if target.actor is not None:
            headers[hdrs.AUTHORIZATION] = f"Bearer {self._vouchers.issue(target.actor)}"
        address = self._origin + target.path + (f"?{target.query}" if target.query else "")
        return {
            "method": request.method,
            "url": URL(address, encoded=True),
            "headers": headers,
            "data": body,
            "expect100": body is not None and body.expected,
            "allow_redirects": False,
        }

    def _begin(self) -> None:
        if self._stopping:
            raise ChatError(ErrorCode.UNAVAILABLE, "The server restarts; try again.", retry_after=1.0)
        if self._under_way >= self._at_once:
            raise ChatError(ErrorCode.OVERLOADED, "Too many files are under way here; try later.", retry_after=1.0)
        self._under_way += 1
        self._idle.clear()
        _passes.set(self._under_way)

    def _end(self) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._idle.set()
        _passes.set(self._under_way)


class Carried:
    """A request that is being carried, and its answer once it is there."""

    answer: ClientResponse

    def __init__(self, request: web.Request, patience: float) -> None:
        self._request = request
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._begun = False
        self._deadline: asyncio.Timeout | None = None
        wanted = request.method in WITH_BODY and request.can_read_body
        self.body = Body(request, self.progress) if wanted else None

    @property
    def status(self) -> int:
        """The answer's."""
        return self.answer.status

    def extends(self, deadline: asyncio.Timeout) -> None:
        """From now on, what is carried makes progress before the deadline, which then is a later one."""
        self._deadline = deadline
        self.progress()

    def progress(self) -> None:
        """Something has gone through."""
        if self._deadline is not None:
            self._deadline.reschedule(self._loop.time() + self._patience)

    async def hand_back(self) -> web.StreamResponse:
        """Answer the client with the answer, as it comes."""
        response = web.StreamResponse(status=self.status, headers=listed(self.answer.headers, HANDED_BACK))
        self.finish(response)
        self._begun = True
        await response.prepare(self._request)
        async for chunk in self.answer.content.iter_chunked(CHUNK):
            self.progress()
            await response.write(chunk)
        await response.write_eof()
        return response

    def finish(self, response: web.StreamResponse) -> None:
        """Let the connection end with a response that comes before all of the body: that is in the next one's way."""
        if self.body is not None and not self.body.whole:
            response.force_close()

    async def json(self) -> Any:
        """The answer's JSON. Raises ChatError `unavailable` where it is none, or no short one."""
        text = bytearray()
        async for chunk in self.answer.content.iter_chunked(CHUNK):
            text += chunk
            if len(text) > MAX_JSON:
                break
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise ChatError(ErrorCode.UNAVAILABLE, "The media service gave no answer that can be read.") from error

    def break_off(self) -> None:
        """Let the client see that what it has got of the answer is not all of it (RFC 9112, section 8)."""
        if self._begun and self._request.transport is not None:
            _broken.inc()
            self._request.transport.abort()

    def failure(self, error: Exception) -> ChatError:
        """Why it could not be carried."""
        if self.body is not None and self.body.failure is not None:
            return self.body.failure
        if isinstance(error, ClientError) or not isinstance(error, TimeoutError):
            return ChatError(ErrorCode.UNAVAILABLE, "The media service cannot be reached; try again.", retry_after=1.0)
        late = "Nothing more came of the body." if self.body is not None and self.body.wanting else "No answer in time."
        return ChatError(ErrorCode.TIMEOUT, late, retry_after=1.0)

    async def end(self) -> None:
        """Return when the client's body is read no more: what is left of it is the server's to pass over."""
        self._deadline = None
        if self.body is not None:
            await self.body.at_rest.wait()


class Body:
    """A client's body, read piece by piece when the media service takes it."""

    def __init__(self, request: web.Request, progress: Callable[[], None]) -> None:
        self._request = request
        self._progress = progress
        self.expected = (
            request.version >= HttpVersion11 and request.headers.get(hdrs.EXPECT, "").lower() == "100-continue"
        )
        self._told = not self.expected
        self.whole = False
        """Whether it has been read to its end."""
        self.wanting = False
        """Whether the client is being waited for."""
        self.failure: ChatError | None = None
        self.at_rest = asyncio.Event()
        self.at_rest.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next piece."""
        self._progress()
        self.wanting = True
        self.at_rest.clear()
        try:
            if not self._told:
                self._told = True
                await self._request.writer.write(CONTINUE)
                self._request.writer.output_size = 0  # the answer is yet to come
            chunk = await self._request.content.read(CHUNK)
        except Exception as error:
            self.failure = ChatError(ErrorCode.INVALID, "The body is not what its headers say, or ended early.")
            raise self.failure from error
        finally:
            self.at_rest.set()
        self.wanting = False
        self._progress()
        if not chunk:
            self.whole = True
            raise StopAsyncIteration
        return chunk
