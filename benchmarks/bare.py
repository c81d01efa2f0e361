"""The floor under a chat server: aiohttp, a dict of rooms, and nothing else.

It speaks as much of the native protocol as the load generator needs, keeps messages in memory and promises
nothing. Each message is encoded once and each connection written to once per turn of the event loop, so what it
reaches is what aiohttp and the load generator can do together; a server with a broker and a database stays below.

    python -m benchmarks.bare PORT
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import sys
from collections import deque
from typing import Any, Final

import orjson
import uvloop
from aiohttp import web

HISTORY: Final = 20_000
"""Messages remembered per room, for sync."""

PAGE: Final = 1000


def text_frame(payload: bytes) -> bytes:
    """A server's WebSocket text frame (RFC 6455, 5.2): not masked."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65536:
        return bytes((0x81, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x81, 127)) + size.to_bytes(8, "big") + payload


def subject(token: str) -> str:
    """The subject of a JWT, unverified."""
    claims = token.split(".")[1]
    return str(orjson.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"])


class Room:
    """Members, connections and the latest messages of one room."""

    def __init__(self, room_id: str, members: set[str]) -> None:
        self.id = room_id
        self.members = members
        self.connections: set[Connection] = set()
        self.seq = 0
        self.history: deque[dict[str, Any]] = deque(maxlen=HISTORY)


class Connection:
    """One socket; what is written within one turn of the loop goes out in one piece."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._frames: list[bytes] = []

    def write(self, frame: bytes) -> None:
        """Send this frame at the end of the turn."""
        if not self._frames:
            asyncio.get_running_loop().call_soon(self._flush)
        self._frames.append(frame)

    def _flush(self) -> None:
        self._transport.write(b"".join(self._frames))
        self._frames.clear()


class Server:
    """All rooms and the three things one can do: create a room, connect, send (or sync)."""

    def __init__(self) -> None:
        self._rooms: dict[str, Room] = {}
        self._numbers = itertools.count(1)

    def app(self) -> web.Application:
        """The application to serve."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/readyz", self.ready),
                web.post("/v1/rooms", self.create_room),
                web.get("/ws", self.connect),
            ]
        )
        return app

    async def ready(self, request: web.Request) -> web.Response:
        """Answer 200: there is nothing to wait for."""
        return web.Response()

    async def create_room(self, request: web.Request) -> web.Response:
        """Create a room of the token's subject and the members named."""
        body = await request.json(loads=orjson.loads)
        owner = subject(request.headers["Authorization"].removeprefix("Bearer "))
        room_id = f"{next(self._numbers):024x}"
        self._rooms[room_id] = Room(room_id, {owner, *body["members"]})
        return web.json_response({"id": room_id}, status=201)

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one socket until it closes."""
        socket = web.WebSocketResponse(compress=False, autoping=True)
        await socket.prepare(request)
        assert request.transport is not None
        connection = Connection(request.transport)
        user = subject(request.query["token"])
        rooms = [room for room in self._rooms.values() if user in room.members]
        states = [{"id": r.id, "epoch": "bare", "seq": r.seq, "rev": r.seq} for r in rooms]
        connection.write(text_frame(orjson.dumps({"type": "ready", "data": {"rooms": states}})))
        for room in rooms:
            room.connections.add(connection)
        try:
            async for message in socket:
                self._handle(connection, user, orjson.loads(message.data))
        finally:
            for room in rooms:
                room.connections.discard(connection)
        return socket

    def _handle(self, connection: Connection, user: str, command: dict[str, Any]) -> None:
        handle = self._send if command["type"] == "message.send" else self._sync
        data = handle(user, command["data"])
        connection.write(text_frame(orjson.dumps({"type": "ack", "id": command["id"], "data": data})))

    def _send(self, user: str, data: dict[str, Any]) -> dict[str, Any]:
        room = self._rooms[data["room_id"]]
        room.seq = seq = room.seq + 1
        message_id = f"{next(self._numbers):024x}"
        message = {
            "id": message_id,
            "room_id": room.id,
            "seq": seq,
            "rev": seq,
            "sender": {"id": user, "name": user},
            "type": data["type"],
            "content": data["content"],
            "client_id": data["client_id"],
        }
        room.history.append(message)
        event = {"type": "message.created", "room_id": room.id, "seq": seq, "rev": seq, "data": message}
        frame = text_frame(orjson.dumps(event))
        for connection in room.connections:
            connection.write(frame)
        return {"message_id": message_id, "seq": seq, "rev": seq}

    def _sync(self, user: str, data: dict[str, Any]) -> dict[str, Any]:
        ((room_id, cursor),) = data["cursors"].items()
        room, rev = self._rooms[room_id], int(cursor.partition(":")[2])
        missed = room.seq - rev
        page = list(itertools.islice(room.history, len(room.history) - missed, None))[:PAGE] if missed else []
        last = page[-1]["seq"] if page else rev
        answer = {
            "epoch": "bare",
            "seq": room.seq,
            "rev": room.seq,
            "cursor": f"bare:{last}",
            "reset": False,
            "has_more": last < room.seq,
            "messages": page,
        }
        return {"rooms": {room_id: answer}}


def main() -> None:
    """Serve on loopback until a signal arrives."""
    port = int(sys.argv[1])
    uvloop.install()
    web.run_app(Server().app(), host="127.0.0.1", port=port, print=None, access_log=None, backlog=4096)


if __name__ == "__main__":
    main()
