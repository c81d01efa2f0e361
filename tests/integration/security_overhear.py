"""Listening at a socket for what is none of its business, with a fence: silence proves something only before a sound.

An event reaches all sockets of a gateway in one go. So once a witness on the same gateway has seen it, whoever was to
get it has it too, ahead of everything that is sent afterwards on the same socket.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from tests.harness.rawsocket import RawSocket

JSON = dict[str, Any]
Open = Callable[..., Awaitable[RawSocket]]

PATIENCE = 15.0


class Listener:
    """A connected user with a room of their own, whose every frame is kept."""

    def __init__(self, socket: RawSocket, room_id: str) -> None:
        self.socket = socket
        self.own_room = room_id
        self.frames: list[JSON] = []

    @classmethod
    async def open(cls, socket: RawSocket) -> "Listener":
        """Greet, and make the room."""
        await socket.ready()
        room = (await socket.ask("room.create", {"name": "own"}))["data"]["room"]
        listener = cls(socket, room["id"])
        await listener.until(lambda frame: frame["type"] == "room.subscribed" and frame["room_id"] == room["id"])
        return listener

    async def ask(self, type: str, data: JSON) -> JSON:
        """Send a frame and wait for its answer, keeping what comes before."""
        number = await self.socket.send(type, data)
        return await self.until(lambda frame: frame["type"] in {"ack", "error"} and frame.get("id") == number)

    async def until(self, wanted: Callable[[JSON], bool]) -> JSON:
        """Read up to the frame that is wanted, already read or still to come."""
        for frame in self.frames:
            if wanted(frame):
                return frame
        async with asyncio.timeout(PATIENCE):
            while True:
                self.frames.append(await self.socket.receive())
                if wanted(self.frames[-1]):
                    return self.frames[-1]

    async def saw(self, type: str, room_id: str, content: str | None = None) -> JSON:
        """Wait for an event of a room, by content where it is a message."""
        return await self.until(
            lambda frame: (
                frame["type"] == type
                and frame.get("room_id") == room_id
                and (content is None or frame["data"].get("content") == content)
            )
        )

    async def overheard(self, *traces: str) -> list[JSON]:
        """All frames kept so far with one of the traces in them, up to a message in the own room, sent now."""
        sound = uuid4().hex
        await self.ask("message.send", {"room_id": self.own_room, "content": sound})
        await self.saw("message.created", self.own_room, sound)
        heard = [frame for frame in self.frames if any(trace in str(frame) for trace in traces)]
        self.frames.clear()
        return heard
