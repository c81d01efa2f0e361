"""What Socket.IO clients followed when they were last here: where each goes on when it comes back soon.

These clients know no cursors. So the gateway remembers, for two minutes, which rooms a client had joined and how far
each had been told to it; who comes back to another gateway joins its rooms anew, as its own code does.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from services.gateway.connection import Connection

KEPT = 120.0
"""Seconds."""

MAX_KEPT = 20_000
"""Departures remembered; past it the oldest are forgotten."""

MAX_RESUMED = 500
"""Rooms that a client may ask to go on in."""


class Place(NamedTuple):
    """How far a room had been told."""

    epoch: str
    rev: int
    seq: int


@dataclass(slots=True)
class Departure:
    """What a client left with."""

    dialect: str
    places: dict[str, Place]
    here: dict[str, Any] = field(default_factory=dict)


class Client(NamedTuple):
    """Who comes back as whom."""

    tenant: str
    user_id: str
    namespace: str


class Recall:
    """Departures of the last two minutes.

    Args:
        now: a clock that never goes back, in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._left: dict[Client, deque[tuple[float, Departure]]] = {}
        self._order: deque[tuple[float, Client]] = deque()

    def keep(self, client: Client, departure: Departure) -> None:
        """Remember a departure."""
        now = self._now()
        self._forget(now)
        self._left.setdefault(client, deque()).append((now, departure))
        self._order.append((now, client))

    def find(self, client: Client) -> Departure | None:
        """The earliest departure of such a client that nobody has come back to."""
        self._forget(self._now())
        left = self._left.get(client)
        return left[0][1] if left else None

    def take(self, client: Client) -> Departure | None:
        """The same; now somebody has come back to it."""
        departure = self.find(client)
        if departure is not None:
            self._left[client].popleft()
        return departure

    def _forget(self, now: float) -> None:
        while self._order and (self._order[0][0] < now - KEPT or len(self._order) >= MAX_KEPT):
            at, client = self._order.popleft()
            left = self._left.get(client)
            while left and left[0][0] <= at:
                left.popleft()
            if not left:
                self._left.pop(client, None)


def places(connection: Connection) -> dict[str, Place]:
    """How far each of the rooms that a connection follows has been told to it; those that are just being joined not."""
    return {
        feed.room_id: Place(feed.epoch, feed.rev, feed.seq)
        for feed in connection.feeds.values()
        if connection in feed.voices.get(connection.voice, ())
    }


class Trail:
    """How far a client is known to have been told of its rooms, and how far it has been written to.

    What was written before a ping has arrived when that is answered: two places per room are enough.

    Args:
        places: where it goes on; what it is told from there may be lost like all else.
    """

    def __init__(self, connection: Connection, places: Mapping[str, Place]) -> None:
        self._connection = connection
        self._sure = dict(places)
        self._asked: dict[str, Place] = {}
        self._silent = False

    def pinged(self) -> None:
        """The client is asked for a sign of life, after all that has been written until now."""
        self._silent = True
        # What has yet to be written comes after the ping, though the feeds count it as told.
        self._asked = self._sure if self._connection.out else places(self._connection)

    def answered(self) -> None:
        """The client has given it."""
        if self._silent:
            self._silent, self._sure = False, self._asked

    def left(self) -> dict[str, Place]:
        """Where it goes on when it comes back: rather told twice than never, where it was gone before it went."""
        written = places(self._connection)
        if not (self._silent or self._connection.slow):
            return written
        return {room_id: self._sure.get(room_id) or self._joined(room_id) for room_id in written}

    def _joined(self, room_id: str) -> Place:
        feed = self._connection.feeds[room_id]
        since = feed.voices[self._connection.voice][self._connection]
        return Place(feed.epoch, since.rev, since.seq)


def resumed(auth: Mapping[str, Any]) -> dict[str, Place]:
    """The places that a client names itself: `resume` in its auth, by room `epoch:rev:seq`. Others are passed over."""
    named = auth.get("resume")
    found: dict[str, Place] = {}
    for room_id, cursor in named.items() if isinstance(named, dict) else ():
        parts = cursor.split(":") if isinstance(cursor, str) else []
        if len(parts) == len(Place._fields) and all(part.isdigit() and len(part) < 17 for part in parts[1:]):
            found[str(room_id)] = Place(parts[0], int(parts[1]), int(parts[2]))
        if len(found) == MAX_RESUMED:
            break
    return found
