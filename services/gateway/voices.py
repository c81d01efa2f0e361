"""How connections are spoken to: what happens, as bytes that a kind of client reads.

The native protocol is one voice; each dialect has one per way its clients can be reached. A voice is shared by all
connections that are spoken to alike, so an event is encoded once per voice and not once per connection.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Container
from typing import Any, NamedTuple

JSON = dict[str, Any]

SUBSCRIBED, RESET, MISSED = "room.subscribed", "room.reset", "missed"
"""What connections are told besides events: that they follow a room now, are to read it afresh, or everything."""


class About(NamedTuple):
    """The room that something happens in, as far as clients are told of it along with what happens."""

    id: str
    type: str = ""
    name: str | None = None
    external: dict[str, Any] | None = None
    """The object of another system that it belongs to: its kind and id."""
    closed: bool = False
    """Whether it is over: nothing is written there any more."""


def about(room: JSON) -> About:
    """What a room's view (`RoomView`, as JSON) says of it."""
    return About(room["id"], room["type"], room.get("name"), room.get("external"), room.get("closed", False))


class Voice(ABC):
    """Makes what is written to connections. Every method may return nothing, where these clients are not told."""

    ping: bytes = b""
    """What asks for a sign of life; nothing where whoever serves the transport sees to that."""

    syncs = True
    """Whether these clients ask by `rev` for what has happened before they followed a room; others are told it."""

    stirs: Container[str] = ()
    """The events after which these connections ask for a list of theirs again (`Hub.stir`)."""

    @abstractmethod
    def timeline(self, kind: str, room: About, seq: int, rev: int, data: JSON) -> bytes:
        """A change of a room's timeline. `rev` is the cursor after it."""

    @abstractmethod
    def happening(self, kind: str, room: About, data: JSON) -> bytes:
        """Anything else that happens in or to a room."""

    @abstractmethod
    def personal(self, kind: str, data: JSON) -> bytes:
        """What happens to a user, or is told to one connection."""

    def spares(self, kind: str, data: JSON) -> str | None:
        """The user who is not told of it: themselves, mostly."""
        return None

    def only(self, kind: str, data: JSON) -> str | None:
        """The user who alone is told of it, on all their connections; nobody, where all of the room are."""
        return None

    def unnamed(self, kind: str, data: JSON) -> Collection[int]:
        """The places (`seq`) of messages whose ids must be known to tell it: as `names` in the data, by place."""
        return ()

    @abstractmethod
    def farewell(self, code: int, reason: str) -> bytes:
        """The last that is written, before the connection is closed."""
