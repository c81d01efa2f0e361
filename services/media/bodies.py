"""The bodies of requests as they come: what breaks off says so in one way, and none is waited for without end."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader

from shared.contracts.errors import ChatError, ErrorCode

IDLE = 30.0
"""Seconds in which something has to come."""


RESTART = "The server restarts: send it again."


class BrokenOff(ChatError):  # noqa: N818 - what became of a body
    """A body ended before its end: what has come of it is all there will be."""


class Bodies:
    """The bodies that one process is reading."""

    def __init__(self) -> None:
        self._open: set[StreamReader] = set()
        self._leaving = False

    @contextmanager
    def reading(self, request: web.Request) -> Iterator[StreamReader]:
        """A request's body, while it is read.

        Raises:
            ChatError: `invalid`, where it is encoded.
        """
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            raise ChatError(ErrorCode.INVALID, "Content-Encoding is not taken here: send the file as it is.")
        content = request.content
        self._open.add(content)
        if self._leaving:
            cut(content, RESTART)
        try:
            yield content
        finally:
            self._open.discard(content)

    def cut(self) -> None:
        """Let all of them break off, and those that follow: this process ends."""
        self._leaving = True
        for content in self._open:
            cut(content, RESTART)


def cut(content: StreamReader, why: str) -> None:
    """Let a body break off."""
    content.set_exception(BrokenOff(ErrorCode.UNAVAILABLE, why, retry_after=1.0))


async def chunks_of(content: StreamReader) -> AsyncIterator[bytes]:
    """What comes, as it comes. Raises BrokenOff."""
    while True:
        async with coming():
            chunk = await content.readany()
        if not chunk:
            return
        yield chunk


class coming:  # noqa: N801 - read as a word: `async with coming()`
    """Around one wait for bytes: says in one way what went wrong with them."""

    def __init__(self) -> None:
        self._timeout = asyncio.timeout(IDLE)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)  # type: ignore[arg-type]
        except TimeoutError:
            raise BrokenOff(ErrorCode.TIMEOUT, f"Nothing has come for {IDLE:g} s: send it again.") from error
        if isinstance(error, web.RequestPayloadError | HttpProcessingError):
            raise BrokenOff(ErrorCode.INVALID, "The body is not as its headers say, or ends too early.") from error
        if isinstance(error, OSError):
            raise BrokenOff(ErrorCode.INVALID, "The connection was lost.") from error
