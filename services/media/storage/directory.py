"""Files in a directory of the machine, or of a file server that all media processes have mounted.

An object is `{first two digits}/{media id}/{name}`. It is written under a name that no key has and renamed when all of
it has reached the disk, so it is there as a whole or not at all, whatever dies. File calls block, so threads make them.
"""

import asyncio
import errno
import os
import secrets
import shutil
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar

from services.media.storage.store import CHUNK, NoObject, answering, checked_id, even, is_media_id, parts_of, to_the_end
from shared.contracts.errors import ChatError
from shared.settings import SettingsError

UNFINISHED = ".part"
"""What the names of unfinished writes end with; keys have no dots."""

TRIES = 5
"""How often a directory is emptied into which others still write."""

P = ParamSpec("P")
T = TypeVar("T")


class DirectoryStore:
    """Keeps objects as files below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def prepare(self) -> None:
        """Create the directory.

        Raises:
            SettingsError: where it cannot be written to.
        """
        try:
            await _in_thread(_try_out, self._root)
        except OSError as error:
            raise SettingsError(f"UPLOAD_DIR: {self._root} cannot be written to: {error.strerror or error}") from error

    async def check(self) -> None:
        """The directory is there and can be written to."""
        if not await _in_thread(os.access, self._root, os.R_OK | os.W_OK | os.X_OK):
            raise OSError(errno.EACCES, "the directory of files cannot be written to", str(self._root))

    async def write(self, key: str, chunks: AsyncIterable[bytes]) -> int:
        """See Store.write."""
        path = self._path(key)
        part = path.with_name(f"{path.name}.{secrets.token_hex(8)}{UNFINISHED}")
        left = [part]
        try:
            with answering(OSError):
                file = await _in_thread(_begin, self._root, part)
            try:
                size = await _copy(chunks, file)
                with answering(OSError):
                    await _in_thread(_sync, file)
            finally:
                with answering(OSError):
                    await _in_thread(file.close)
            left.append(path)
            with answering(OSError):
                await _in_thread(_put, part, path)
        except BaseException:
            with suppress(ChatError), answering(OSError):
                await _in_thread(_unlink, left)
            raise
        return size

    async def read(self, key: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """See Store.read."""
        path = self._path(key)
        with answering(OSError):
            try:
                file = await _in_thread(_open, path)
            except FileNotFoundError:
                raise NoObject(key) from None
        try:
            left = await _in_thread(_seek, file, start, length)
            while left > 0:
                with answering(OSError):
                    data = await _in_thread(file.read, min(left, CHUNK))
                if not data:
                    break
                left -= len(data)
                yield data
        finally:
            await _in_thread(file.close)

    async def remove(self, media_id: str) -> None:
        """See Store.remove."""
        path = self._directory(checked_id(media_id))
        with answering(OSError):
            await _in_thread(_remove_tree, path)

    async def remove_object(self, key: str) -> None:
        """See Store.remove_object."""
        path = self._path(key)
        with answering(OSError):
            await _in_thread(_unlink_all_of, path)

    async def kept(self) -> AsyncIterator[str]:
        """See Store.kept."""
        with answering(OSError):
            prefixes = await _in_thread(_directories_in, self._root)
        for prefix in prefixes:
            with answering(OSError):
                directories = await _in_thread(_directories_in, prefix)
            for directory in directories:
                if is_media_id(directory.name):
                    yield directory.name

    async def close(self) -> None:
        """There is nothing to let go of."""

    def _directory(self, media_id: str) -> Path:
        return self._root / media_id[:2] / media_id

    def _path(self, key: str) -> Path:
        media_id, name = parts_of(key)
        return self._directory(media_id) / name


async def _in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return await to_the_end(asyncio.to_thread(work, *args, **kwargs))


async def _copy(chunks: AsyncIterable[bytes], file: BinaryIO) -> int:
    size = 0
    async for data in even(chunks, CHUNK):
        with answering(OSError):
            await _in_thread(file.write, data)
        size += len(data)
    return size


def _try_out(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    probe = root / f"{secrets.token_hex(8)}{UNFINISHED}"
    probe.touch()
    probe.unlink()


def _begin(root: Path, part: Path) -> BinaryIO:
    """Open a new file, in directories that outlive a power cut as it does."""
    for _ in range(TRIES):
        directory = part.parent
        if not directory.is_dir():
            directory.mkdir(parents=True, exist_ok=True)
            _sync_directory(directory.parent)
            _sync_directory(root)
        with suppress(FileNotFoundError):  # somebody has removed the directory in between
            return part.open("xb")
    raise FileNotFoundError(errno.ENOENT, "its directory is removed again and again", str(part))


def _open(path: Path) -> BinaryIO:
    return path.open("rb", buffering=0)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _put(part: Path, path: Path) -> None:
    part.replace(path)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _seek(file: BinaryIO, start: int, length: int | None) -> int:
    """Go to `start`; how many bytes are to be read from there."""
    rest = max(os.fstat(file.fileno()).st_size - start, 0)
    file.seek(start)
    return rest if length is None else min(rest, length)


def _directories_in(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if child.is_dir())


def _unlink_all_of(path: Path) -> None:
    """An object, and its unfinished writes."""
    _unlink([path, *path.parent.glob(f"{path.name}.*{UNFINISHED}")])


def _unlink(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
    with suppress(OSError):  # others have their objects there, or it is gone
        paths[0].parent.rmdir()


def _remove_tree(path: Path) -> None:
    for left in reversed(range(TRIES)):
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            if not path.exists():
                return
        except OSError as error:
            if error.errno != errno.ENOTEMPTY or not left:
                raise
