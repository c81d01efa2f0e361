"""Who is typing: published at most every few seconds, stopped by itself, never stored."""

import asyncio

from services.gateway.connection import Connection
from services.gateway.hub import Hub
from shared.bus.signals import Signals
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.membership import Action
from shared.contracts.presence import Typing
from shared.permissions import allowed

THROTTLE = 2.0
EXPIRY = 6.0
MAX_ROOMS = 20
"""Rooms a connection may be typing in at once."""


class Typists:
    """Everybody who is typing at this gateway."""

    def __init__(self, hub: Hub, signals: Signals) -> None:
        self._hub = hub
        self._signals = signals
        self._typing: dict[Connection, dict[str, float]] = {}

    def typing(self, connection: Connection, room_id: str, *, started: bool) -> None:
        """Somebody says they have started or stopped.

        Raises:
            ChatError: `forbidden` where the connection does not follow the room, or its user may not type there.
        """
        standing = connection.standing.get(room_id)
        if room_id not in connection.feeds or standing is None:
            raise ChatError(ErrorCode.FORBIDDEN, f"This connection does not follow room '{room_id}'.")
        if not allowed(Action.TYPE, standing.kind, standing.role, connection.identity.actor.roles, standing.denials):
            raise ChatError(ErrorCode.FORBIDDEN, "You may not type in this room.")
        rooms = self._typing.setdefault(connection, {})
        since = rooms.get(room_id)
        now = self._hub.now()
        if not started:
            self._stop(connection, room_id)
        elif (since is None and len(rooms) < MAX_ROOMS) or (since is not None and now - since >= THROTTLE):
            rooms[room_id] = now
            self._publish(connection, room_id, typing=True)

    def forget(self, connection: Connection) -> None:
        """A connection is gone, and so is what it was typing."""
        for room_id in list(self._typing.get(connection, ())):
            self._stop(connection, room_id)
        self._typing.pop(connection, None)

    async def run(self) -> None:
        """Stop who has not been heard of for a while. Ends only by cancellation."""
        while True:
            await asyncio.sleep(1.0)
            late = self._hub.now() - EXPIRY
            for connection, rooms in list(self._typing.items()):
                for room_id in [room_id for room_id, since in rooms.items() if since < late]:
                    self._stop(connection, room_id)

    def _stop(self, connection: Connection, room_id: str) -> None:
        rooms = self._typing.get(connection, {})
        if rooms.pop(room_id, None) is not None:
            self._publish(connection, room_id, typing=False)
        if not rooms:
            self._typing.pop(connection, None)

    def _publish(self, connection: Connection, room_id: str, *, typing: bool) -> None:
        tenant, user_id = connection.user
        self._signals.publish(Typing(room_id=room_id, user_id=user_id, typing=typing), tenant)
