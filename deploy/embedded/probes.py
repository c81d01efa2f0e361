"""Is it ready? One question per kind of process, asked over its real port.

A probe answers `None` for ready, else what is missing, in words for the user. It never raises and never waits longer
than `TIMEOUT`.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable

from deploy.embedded.ports import LOOPBACK

Probe = Callable[[], Awaitable[str | None]]

TIMEOUT = 2.0
AMQP_0_9_1 = b"AMQP\x00\x00\x09\x01"
METHOD_FRAME = b"\x01"


def answers(question: Probe) -> Probe:
    """Turn what a question fails with into its answer."""

    @functools.wraps(question)
    async def probe() -> str | None:
        try:
            async with asyncio.timeout(TIMEOUT):
                return await question()
        except TimeoutError:
            return f"no answer within {TIMEOUT:.0f} s"
        except OSError as error:
            return error.strerror or str(error)

    return probe


def listens(port: int) -> Probe:
    """Ready when the port accepts connections."""

    async def question() -> str | None:
        await _ask(LOOPBACK, port, b"", 0)
        return None

    return answers(question)


def speaks_amqp(port: int) -> Probe:
    """Ready when the broker answers the AMQP 0-9-1 protocol header with a method frame (Connection.Start)."""

    async def question() -> str | None:
        first = await _ask(LOOPBACK, port, AMQP_0_9_1, 1)
        return None if first == METHOD_FRAME else f"port {port} does not speak AMQP 0-9-1"

    return answers(question)


def readyz(host: str, port: int) -> Probe:
    """Ready when `GET /readyz` answers 200."""
    request = f"GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()

    async def question() -> str | None:
        response = await _ask(host, port, request, 4096)
        head, _, body = response.partition(b"\r\n\r\n")
        status = head[len("HTTP/1.1 ") :].split(b"\r\n", 1)[0].decode(errors="replace")
        return (
            None if status.startswith("200") else f"/readyz answers {status}: {body.decode(errors='replace').strip()}"
        )

    return answers(question)


async def _ask(host: str, port: int, request: bytes, limit: int) -> bytes:
    """Send `request` and read up to `limit` bytes, or to the end."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(request)
        received = b""
        while len(received) < limit and (more := await reader.read(limit - len(received))):
            received += more
        return received
    finally:
        writer.close()
