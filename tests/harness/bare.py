"""A native WebSocket below any library: it reads when told to, so that what it is sent stays on the server's side."""

import asyncio
import base64
import os
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

PATIENCE = 20.0
CLOSE = 0x88
"""First byte of a close frame (RFC 6455 section 5.2)."""


@dataclass(slots=True)
class BareSocket:
    """A connection that has seen `ready`, with the smallest receive buffer the system grants."""

    connection: socket.socket

    async def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        await asyncio.get_running_loop().sock_sendall(self.connection, data)

    async def read_to_the_end(self) -> tuple[int, int]:
        """Read; how many bytes still came, and the code of the close frame at their end."""
        loop = asyncio.get_running_loop()
        total, tail = 0, b""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        async with asyncio.timeout(PATIENCE):
            while not _ends_with_close(tail) and (chunk := await loop.sock_recv(self.connection, 1 << 20)):
                total += len(chunk)
                tail = (tail + chunk)[-127:]
        start = tail.rindex(CLOSE)
        return total, int.from_bytes(tail[start + 2 : start + 4])


async def connect_bare(url: str, token: str) -> BareSocket:
    """Shake hands, and then read nothing. Call `connection.close()` at the end."""
    loop = asyncio.get_running_loop()
    address = urlsplit(url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    connection.setblocking(False)
    await loop.sock_connect(connection, (address.hostname, address.port))
    request = (
        f"GET /ws?token={token} HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n"
    )
    await loop.sock_sendall(connection, request.encode())
    answer = b""
    while b'"type":"ready"' not in answer:
        answer += await loop.sock_recv(connection, 4096)
    return BareSocket(connection)


def _ends_with_close(tail: bytes) -> bool:
    start = tail.rfind(CLOSE)
    return start >= 0 and len(tail) == start + 2 + tail[start + 1]
