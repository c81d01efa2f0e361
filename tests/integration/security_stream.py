"""A WebSocket from the byte up: frames no library would send, and every frame of the server as it came (RFC 6455)."""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

JSON = dict[str, Any]

PATIENCE = 15.0
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
ANSWERS = {"ack", "error"}


class Frame(NamedTuple):
    """What the server sent."""

    opcode: int
    payload: bytes

    @property
    def close_code(self) -> int:
        """Why the server closes; 1005 where it does not say."""
        return int.from_bytes(self.payload[:2]) if self.payload else 1005


class Stream:
    """A connection after its handshake."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._numbers = 0

    def put(
        self, payload: bytes, opcode: int = TEXT, *, fin: bool = True, rsv: int = 0, masked: bool = True,
        size: int | None = None,
    ) -> None:  # fmt: skip
        """Write a frame; `size` is what its header claims."""
        size = len(payload) if size is None else size
        head = bytes([(fin << 7) | (rsv << 4) | opcode])
        mask = os.urandom(4) if masked else b""
        if size < 126:
            head += bytes([(masked << 7) | size])
        elif size < 65536:
            head += bytes([(masked << 7) | 126]) + struct.pack("!H", size)
        else:
            head += bytes([(masked << 7) | 127]) + struct.pack("!Q", size)
        self.writer.write(head + mask + (_masked(payload, mask) if masked else payload))

    async def frame(self) -> Frame:
        """The next frame. Raises IncompleteReadError where the connection ends instead."""
        async with asyncio.timeout(PATIENCE):
            first, second = await self._reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                size = int.from_bytes(await self._reader.readexactly(2))
            elif size == 127:
                size = int.from_bytes(await self._reader.readexactly(8))
            return Frame(first & 0x0F, await self._reader.readexactly(size))

    async def answer(self) -> JSON:
        """The next ack or error."""
        while True:
            frame = await self.frame()
            if frame.opcode == CLOSE:
                raise ConnectionError(f"closed with {frame.close_code}: {frame.payload[2:]!r}")
            if frame.opcode == TEXT and (told := orjson.loads(frame.payload))["type"] in ANSWERS:
                return dict(told)

    async def answers(self, count: int) -> list[JSON]:
        """So many answers, and not one more before that of a ping frame."""
        found = [await self.answer() for _ in range(count)]
        self._numbers += 1
        number = f"fence-{self._numbers}"
        self.put(orjson.dumps({"type": "ping", "id": number}))
        fence = await self.answer()
        assert fence.get("id") == number, f"one answer too many: {fence}"
        return found

    async def ended(self) -> int | None:
        """Read to the end, answering a close; its code, None where the server just cut."""
        code = None
        try:
            while True:
                frame = await self.frame()
                if frame.opcode == CLOSE:
                    code = frame.close_code
                    self.put(frame.payload[:2], CLOSE)
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return code


@asynccontextmanager
async def stream(url: str, token: str, *, receive_buffer: int = 0) -> AsyncIterator[Stream]:
    """Connect and shake hands; `ready` is the first frame, and is passed over by `answer`.

    Args:
        receive_buffer: bytes that the kernel keeps for who does not read; 0 leaves that to it.
    """
    address = urlsplit(url)
    raw = socket.socket()
    if receive_buffer:  # has to be known before the handshake of TCP
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, (address.hostname, address.port))
    reader, writer = await asyncio.open_connection(sock=raw)
    lines = [
        "GET /ws HTTP/1.1", f"Host: {address.netloc}", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", f"Authorization: Bearer {token}",
    ]  # fmt: skip
    writer.write("\r\n".join([*lines, "", ""]).encode())
    try:
        status = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0]
        assert status == b"HTTP/1.1 101 Switching Protocols", status
        yield Stream(reader, writer)
    finally:
        writer.transport.abort()


def _masked(payload: bytes, mask: bytes) -> bytes:
    key = mask * (len(payload) // 4 + 1)
    number = int.from_bytes(payload) ^ int.from_bytes(key[: len(payload)])
    return number.to_bytes(len(payload))
