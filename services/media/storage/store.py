"""What the media service asks of a store. An object is written once, whole or not at all, and never changed."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import Protocol

CHUNK = 256 * 1024
"""Bytes that are read at once, at most."""


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
