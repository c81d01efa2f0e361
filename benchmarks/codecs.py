"""The wire protocols the load generator speaks: Parley's native one, and Socket.IO as the peer and Parley serve it.

A codec turns frames into calls on a `Receiver` and builds the frames a client sends. It keeps no state and
does no I/O. The frequent case, a frame that another member has already received, never gets here (see
`client`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote

import orjson
from typing_extensions import override

PADDING: Final = "the quick brown fox jumps over the lazy dog and runs on to the sea"
"""Brings a content to about 90 characters, an ordinary chat message."""

PEER_PAGE: Final = 1000
"""A sync answer of the peer that is this long is not the last one."""


class RoomState(NamedTuple):
    """Where a room stood when the server said `ready`; None where the protocol does not tell."""

    epoch: str | None
    seq: int | None
    rev: int | None


class SyncPage(NamedTuple):
    """One page of what changed since a cursor: (seq, rev, content) of each message."""

    messages: list[tuple[int, int, str]]
    cursor: str
    has_more: bool
    reset: bool


class Receiver(Protocol):
    """What a frame may mean to a client."""

    @property
    def room_id(self) -> str:
        """The client's room."""

    def on_delivery(self, seq: int, rev: int, content: str, payload: bytes) -> None:
        """Receive a message of the client's room."""

    def on_ack(self, number: int, seq: int) -> None:
        """Learn that the send with this number is durable."""

    def on_error(self, number: int, code: str, retry_after: float) -> None:
        """Learn that the command with this number failed."""

    def on_result(self, number: int, data: dict[str, Any]) -> None:
        """Receive the answer to a command other than a send."""

    def on_ready(self, rooms: Mapping[str, RoomState]) -> None:
        """Learn that the connection is usable, and which rooms it hears."""

    def on_demand(self, reply: bytes) -> None:
        """Answer the server with this frame at once (handshake, heartbeat)."""


class Codec(Protocol):
    """One wire protocol, seen from the client."""

    name: str

    def url(self, base: str, token: str) -> str:
        """The WebSocket URL of a server whose HTTP base URL is given."""

    def room_request(self, name: str, members: Sequence[str]) -> tuple[str, dict[str, Any]]:
        """The path and body of the POST with which the first member creates a room of all the members."""

    def send_template(self, room_id: str, sender: int, user: str) -> bytes:
        """A send as a %-template of (number, number, perf_counter_ns, number)."""

    def sync(self, number: int, room_id: str, cursor: str) -> bytes:
        """The command that asks for what changed in a room since a cursor."""

    def cursor(self, epoch: str | None, seq: int, rev: int) -> str:
        """The cursor of a client that has seen everything up to this seq and rev."""

    def read_sync(self, room_id: str, data: Mapping[str, Any], cursor: str) -> SyncPage:
        """Read the answer to `sync` with that cursor."""

    def decode(self, payload: bytes, token: str, receiver: Receiver) -> None:
        """Tell the receiver what this frame means."""


def _literal(value: str) -> str:
    """A JSON string for use in a %-template."""
    return orjson.dumps(value).decode().replace("%", "%%")


class Native(Codec):
    """The protocol of `GET /ws` (docs/protocol.md)."""

    name = "native"

    @override
    def url(self, base: str, token: str) -> str:
        return f"{base.replace('http', 'ws', 1)}/ws?token={quote(token)}"

    @override
    def room_request(self, name: str, members: Sequence[str]) -> tuple[str, dict[str, Any]]:
        return "/v1/rooms", {"type": "group", "name": name, "members": list(members[1:]), "client_id": name}

    @override
    def send_template(self, room_id: str, sender: int, user: str) -> bytes:
        content = f'"{sender}.%d.%d {PADDING}"'
        client_id = f'"{user}-%d"'
        return (
            f'{{"type":"message.send","id":"%d","data":{{"room_id":{_literal(room_id)},'
            f'"content":{content},"type":"text","client_id":{client_id}}}}}'
        ).encode()

    @override
    def sync(self, number: int, room_id: str, cursor: str) -> bytes:
        return orjson.dumps({"type": "sync", "id": str(number), "data": {"cursors": {room_id: cursor}}})

    @override
    def cursor(self, epoch: str | None, seq: int, rev: int) -> str:
        return f"{epoch}:{rev}"

    @override
    def read_sync(self, room_id: str, data: Mapping[str, Any], cursor: str) -> SyncPage:
        room = data["rooms"][room_id]
        messages = [(m["seq"], m["rev"], m["content"]) for m in room["messages"]]
        return SyncPage(messages, room["cursor"], room["has_more"], room["reset"])

    @override
    def decode(self, payload: bytes, token: str, receiver: Receiver) -> None:
        frame = orjson.loads(payload)
        match frame["type"]:
            case "message.created":
                receiver.on_delivery(frame["seq"], frame["rev"], frame["data"]["content"], payload)
            case "ack":
                data = frame["data"]
                if "message_id" in data:
                    receiver.on_ack(int(frame["id"]), data["seq"])
                else:
                    receiver.on_result(int(frame["id"]), data)
            case "error":
                error = frame["error"]
                receiver.on_error(int(frame.get("id") or 0), error["code"], error.get("retry_after") or 0)
            case "ready":
                rooms = frame["data"]["rooms"]
                receiver.on_ready({r["id"]: RoomState(r["epoch"], r["seq"], r["rev"]) for r in rooms})
            case _:
                """Presence, room events and the like are not what is measured."""


class SocketIo(Codec):
    """Engine.IO 4 and Socket.IO 5 in text frames over a WebSocket, with the peer's events (peers/node)."""

    name = "socketio"

    @override
    def url(self, base: str, token: str) -> str:
        return f"{base.replace('http', 'ws', 1)}/socket.io/?EIO=4&transport=websocket"

    @override
    def room_request(self, name: str, members: Sequence[str]) -> tuple[str, dict[str, Any]]:
        return "/rooms", {"name": name, "members": list(members)}

    @override
    def send_template(self, room_id: str, sender: int, user: str) -> bytes:
        content = f'"{sender}.%d.%d {PADDING}"'
        client_id = f'"{user}-%d"'
        return (f'42%d["send",{{"room_id":{_literal(room_id)},"content":{content},"client_id":{client_id}}}]').encode()

    @override
    def sync(self, number: int, room_id: str, cursor: str) -> bytes:
        event = ["sync", {"room_id": room_id, "after_seq": int(cursor)}]
        return b"42%d%b" % (number, orjson.dumps(event))

    @override
    def cursor(self, epoch: str | None, seq: int, rev: int) -> str:
        return str(seq)

    @override
    def read_sync(self, room_id: str, data: Mapping[str, Any], cursor: str) -> SyncPage:
        messages = [(m["seq"], m["seq"], m["content"]) for m in data["messages"]]
        cursor = str(messages[-1][0]) if messages else cursor
        return SyncPage(messages, cursor, has_more=len(messages) >= PEER_PAGE, reset=False)

    @override
    def decode(self, payload: bytes, token: str, receiver: Receiver) -> None:
        if payload.startswith(b"42"):
            name, data = orjson.loads(payload[2:])
            if name == "message":
                receiver.on_delivery(data["seq"], data["seq"], data["content"], payload)
            elif name == "ready":
                receiver.on_ready({room_id: RoomState(None, None, None) for room_id in data["rooms"]})
        elif payload.startswith(b"43"):
            start = payload.index(b"[")
            self._answer(int(payload[2:start]), orjson.loads(payload[start:])[0], receiver)
        elif payload.startswith(b"0"):
            receiver.on_demand(b"40" + orjson.dumps({"token": token}))
        elif payload == b"2":
            receiver.on_demand(b"3")
        elif payload.startswith(b"44"):
            raise ConnectionRefusedError(f"the peer refused the connection: {payload[2:].decode()}")

    def _answer(self, number: int, data: dict[str, Any], receiver: Receiver) -> None:
        if "message_id" in data:
            receiver.on_ack(number, data["seq"])
        elif data.get("ok") is False:
            receiver.on_error(number, str(data.get("error")), 0)
        else:
            receiver.on_result(number, data)


class Booking(SocketIo):
    """Socket.IO as Parley serves it, in one of its dialects: `join_room`, `send_message`, `new_message`."""

    name = "booking"

    @override
    def room_request(self, name: str, members: Sequence[str]) -> tuple[str, dict[str, Any]]:
        return Native().room_request(name, members)

    @override
    def send_template(self, room_id: str, sender: int, user: str) -> bytes:
        content = f'"{sender}.%d.%d {PADDING}"'
        client_id = f'"{user}-%d"'
        return (
            f'42/chat,%d["send_message",{{"chat_room_id":{_literal(room_id)},"content":{content},'
            f'"client_id":{client_id}}}]'
        ).encode()

    @override
    def decode(self, payload: bytes, token: str, receiver: Receiver) -> None:
        if payload.startswith(b"42/chat,"):
            name, data = orjson.loads(payload[8:])
            if name == "new_message":
                receiver.on_delivery(data["seq"], data["seq"], data["content"], payload)
            elif name == "connected":
                join = ["join_room", {"roomId": receiver.room_id}]
                receiver.on_demand(b"42/chat,%b" % orjson.dumps(join))
            elif name == "joined_room":
                receiver.on_ready({data["roomId"]: RoomState(None, None, None)})
        elif payload.startswith(b"43/chat,"):
            start = payload.index(b"[")
            self._answered(int(payload[8:start]), orjson.loads(payload[start:])[0], receiver)
        elif payload.startswith(b"0"):
            receiver.on_demand(b"40/chat," + orjson.dumps({"token": token}))
        else:
            super().decode(payload, token, receiver)

    def _answered(self, number: int, data: dict[str, Any], receiver: Receiver) -> None:
        if "seq" in data:
            receiver.on_ack(number, data["seq"])
        else:
            receiver.on_error(number, data["code"], 0)
