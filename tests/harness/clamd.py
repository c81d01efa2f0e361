"""A ClamAV daemon of one's own, which knows one virus: on a socket in its directory and on a port of loopback."""

import asyncio
import socket
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.media.scanning import Scanner
from shared.contracts.errors import ChatError
from tests.harness.npm import program

VIRUS = b"PARLEY-TEST-VIRUS-5f1d"
"""What the daemon takes for a virus."""

NAME = "Parley.Test.Virus.UNOFFICIAL"
STREAM_MAX = 1_000_000
START_TIMEOUT = 60.0

CONFIGURATION = """
DatabaseDirectory {home}/database
LocalSocket {home}/clamd.sock
TCPSocket {port}
TCPAddr 127.0.0.1
TemporaryDirectory {home}
LogFile {home}/clamd.log
Foreground yes
StreamMaxLength {stream_max}
MaxThreads 4
ConcurrentDatabaseReload no
"""


@dataclass(frozen=True)
class Clamd:
    """A running daemon: its addresses, as `CLAMAV_URL` has them."""

    unix_url: str
    tcp_url: str


@asynccontextmanager
async def clamd(home: Path) -> AsyncIterator[Clamd]:
    """Run a daemon in a directory whose path is short (it holds a socket).

    Skips the test where clamd is missing; in continuous integration that is a failure.
    """
    path = program("clamd", "clamav-daemon")
    port = _free_port()
    (home / "database").mkdir()
    (home / "database" / "parley.ndb").write_text(f"Parley.Test.Virus:0:*:{VIRUS.hex()}\n")
    (home / "clamd.conf").write_text(CONFIGURATION.format(home=home, port=port, stream_max=STREAM_MAX))
    process = await asyncio.create_subprocess_exec(
        path, f"--config-file={home / 'clamd.conf'}", stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
    )
    running = Clamd(f"unix:{home / 'clamd.sock'}", f"tcp://127.0.0.1:{port}")
    try:
        async with asyncio.timeout(START_TIMEOUT):
            await _until_ready(process, running, home)
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def _until_ready(process: asyncio.subprocess.Process, running: Clamd, home: Path) -> None:
    for url in (running.unix_url, running.tcp_url):
        while True:
            assert process.returncode is None, (home / "clamd.log").read_text()
            try:
                await Scanner(url).check()
                break
            except ChatError:
                await asyncio.sleep(0.05)
