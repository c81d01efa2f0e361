"""What the media service asks of a store. An object is written once, whole or not at all, and never changed."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from shared.contracts.errors import ChatError, ErrorCode
from shared.logging import get_logger

log = get_logger(__name__)

CHUNK = 256 * 1024
"""Bytes that are read at once, at most."""

_MEDIA_ID = re.compile(r"[0-9a-f]{32}")
_KEY = re.compile(r"([0-9a-f]{32})/([0-9A-Za-z]{1,64})")

T = TypeVar("T")


class NoObject(Exception):  # noqa: N818 - an absence, which callers may expect
    """There is no such object (any more)."""


class Store(Protocol):
    """Keeps objects by key: `{media id}/{name}`, the media id being 32 hex digits and the name letters and digits.

    A write that fails, is cancelled or dies with its process leaves nothing that can be read, and nothing that `remove`
    does not find. What goes wrong with the store itself is raised as ChatError `unavailable`.
    """

    async def prepare(self) -> None:
        """Create what is missing; fail where the store cannot be used as it is configured (SettingsError)."""

    async def check(self) -> None:
        """Readiness: raises where the store does not answer."""

    async def write(self, key: str, chunks: AsyncIterable[bytes]) -> int:
        """Keep what comes as one object, in place of one of that key; its size in bytes.

        What `chunks` raises is passed on, and nothing is kept then. At most some hundred KiB are held in memory, for S3
        some parts of a multipart upload (5 MiB each).
        """
        ...

    def read(self, key: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """An object's bytes from `start` on, `length` of them at most. Raises NoObject before the first chunk."""
        ...

    async def remove(self, media_id: str) -> None:
        """Remove all objects of a file, and what unfinished writes have left of it. Nothing there is no error."""

    async def remove_object(self, key: str) -> None:
        """Remove one object, with what unfinished writes of it have left. Nothing there is no error."""

    def kept(self) -> AsyncIterator[str]:
        """The ids of all files of which there is anything, unfinished writes included; each at least once."""
        ...

    async def close(self) -> None:
        """Let go of connections."""


def checked_id(media_id: str) -> str:
    """A media id as it is. Raises ValueError where it is none: nothing else may become part of a path or a query."""
    if _MEDIA_ID.fullmatch(media_id) is None:
        raise ValueError(f"{media_id[:100]!r} is no media id")
    return media_id


def parts_of(key: str) -> tuple[str, str]:
    """Media id and name of a key. Raises ValueError where it is none."""
    found = _KEY.fullmatch(key)
    if found is None:
        raise ValueError(f"{key[:100]!r} is no key of an object")
    return found[1], found[2]


def is_media_id(text: str) -> bool:
    """Whether this names a file of ours: a store may hold what others have put there."""
    return _MEDIA_ID.fullmatch(text) is not None


@contextmanager
def answering(*errors: type[Exception]) -> Iterator[None]:
    """What goes wrong with the store, said in the one way callers know: ChatError `unavailable`."""
    try:
        yield
    except errors as error:
        log.warning("the media store failed", error=f"{type(error).__name__}: {error}"[:500])
        raise ChatError(
            ErrorCode.UNAVAILABLE, "Where files are kept does not answer; try again.", retry_after=1.0
        ) from error


async def even(chunks: AsyncIterable[bytes], size: int) -> AsyncGenerator[bytes, None]:
    """The same bytes in pieces of `size`; only the last one is shorter, and none is empty."""
    held = bytearray()
    async for data in chunks:
        rest = memoryview(data)
        while rest:
            missing = size - len(held)
            held += rest[:missing]
            rest = rest[missing:]
            if len(held) == size:
                yield bytes(held)
                held.clear()
    if held:
        yield bytes(held)


async def to_the_end(work: Awaitable[T]) -> T:
    """The result of work that cannot be stopped, such as a thread's.

    Who is cancelled meanwhile is so when it has ended: until then nothing that it makes could be cleared away.
    """
    task = asyncio.ensure_future(work)  # noqa: TID251 - it is awaited here, whatever happens
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
