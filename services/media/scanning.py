"""Has every file looked at by a ClamAV daemon, if one is configured. Bytes are streamed: it needs no disk of ours.

Speaks clamd's protocol: `zINSTREAM`, then chunks with their lengths, then an empty one (clamd(8), section COMMANDS).
"""

import asyncio
import re
import struct
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from shared.contracts.errors import ChatError, ErrorCode
from shared.logging import get_logger
from shared.settings import SettingsError

log = get_logger(__name__)

CHUNK = 128 * 1024
CONNECT_TIMEOUT = 5.0
SCAN_TIMEOUT = 120.0
"""Seconds for sending a file and hearing what was found; clamd itself gives a file up after 120."""

RETRY_AFTER = 10.0
_MAX_ANSWER = 4096
_FOUND = re.compile(r"stream: (.+) FOUND")
_TOO_LARGE = "size limit exceeded"


class Scanner:
    """Asks the daemon at `url`, which is `tcp://host:port` or `unix:/path`.

    Raises:
        SettingsError: where the address is neither.
    """

    def __init__(self, url: str, *, timeout: float = SCAN_TIMEOUT) -> None:
        address = urlsplit(url)
        self._timeout = timeout
        self._path: str | None = None
        self._host, self._port = "", 0
        if address.scheme == "unix" and address.path:
            self._path = address.path
        elif address.scheme == "tcp" and address.hostname and address.port:
            self._host, self._port = address.hostname, address.port
        else:
            raise SettingsError(f"CLAMAV_URL is neither 'tcp://host:port' nor 'unix:/path' (got {url!r}).")

    async def scan(self, path: Path) -> str | None:
        """The name of what was found in a file; None where nothing was.

        Raises:
            ChatError: `unavailable`, where the daemon is away, too slow, or would not look at the file: one that nobody
                has looked at is not passed on.
        """
        answer = await self._ask(path)
        if (found := _FOUND.fullmatch(answer)) is not None:
            return found[1]
        if answer == "stream: OK":
            return None
        log.error("the virus scanner did not look at a file", answer=answer[:500])
        advice = "; its StreamMaxLength has to be raised" if _TOO_LARGE in answer else ""
        raise _unavailable(f"The virus scanner would not look at the file{advice}.")

    async def check(self) -> None:
        """Readiness: raises ChatError `unavailable` where the daemon does not answer."""
        if await self._converse(None) != "PONG":
            raise _unavailable("The virus scanner does not answer as it should.")

    async def _ask(self, path: Path) -> str:
        with await asyncio.to_thread(path.open, "rb") as file:
            return await self._converse(file)

    async def _converse(self, file: BinaryIO | None) -> str:
        """Connect, send a file or a ping, and hear the answer."""
        try:
            async with asyncio.timeout(self._timeout):
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    reader, writer = await self._connect()
                try:
                    await _send(file, writer)
                    return await _heard(reader)
                finally:
                    writer.close()
        except (OSError, TimeoutError, ValueError) as error:
            log.warning("the virus scanner is away", error=f"{type(error).__name__}: {error}")
            raise _unavailable("The virus scanner cannot be reached, or is too slow; try again later.") from error

    async def _connect(self) -> tuple[StreamReader, StreamWriter]:
        if self._path is not None:
            return await asyncio.open_unix_connection(self._path, limit=_MAX_ANSWER)
        return await asyncio.open_connection(self._host, self._port, limit=_MAX_ANSWER)


async def _send(file: BinaryIO | None, writer: StreamWriter) -> None:
    """Send what is asked. A daemon that has heard enough answers and closes: what then fails here does not matter."""
    with suppress(ConnectionError):
        if file is None:
            writer.write(b"zPING\x00")
            await writer.drain()
            return
        writer.write(b"zINSTREAM\x00")
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            writer.write(struct.pack(">I", len(chunk)) + chunk)
            await writer.drain()
        writer.write(struct.pack(">I", 0))
        await writer.drain()


async def _heard(reader: StreamReader) -> str:
    """The answer, up to its final zero."""
    try:
        answer = await reader.readuntil(b"\x00")
    except asyncio.IncompleteReadError as error:
        answer = error.partial
    except asyncio.LimitOverrunError as error:
        raise ValueError("it said more than it may") from error
    if not answer:
        raise ConnectionError("it hung up")
    return answer.rstrip(b"\x00\n").decode("utf-8", "replace")


def _unavailable(message: str) -> ChatError:
    return ChatError(ErrorCode.UNAVAILABLE, message, retry_after=RETRY_AFTER)
