"""One client socket's outward side: a buffer of ready frames and one transport write per flush.

Reads nothing and knows no protocol. A reader too slow for the limit is closed; it resumes by `rev`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

import orjson

from services.gateway.voices import Voice
from shared import metrics
from shared.auth import Identity
from shared.bus.codec import encode_actor
from shared.contracts.errors import CloseCode
from shared.contracts.membership import Role, RoomType
from shared.permissions import Denial

if TYPE_CHECKING:
    from services.gateway.feeds import Feed

CLOSE_GRACE = 5.0
"""Seconds a peer has to answer a close frame before the socket is cut."""

MAX_UNGREETED = 5000
"""Frames that may gather before the greeting, or before an answer that comes first."""

_slow = metrics.counter("slow_consumers", "Connections closed because their reader was too slow")


class Standing(NamedTuple):
    """How a connection's user stands in a room it follows: the room's type, their role if a member, what is denied."""

    kind: RoomType
    role: Role | None
    muted: bool = False
    closed: bool = False

    @property
    def denials(self) -> list[Denial]:
        """What is denied to them there."""
        return [denial for denial, holds in ((Denial.MUTED, self.muted), (Denial.CLOSED, self.closed)) if holds]


class Wire(Protocol):
    """What a connection needs of its transport (`asyncio.Transport`)."""

    def write(self, data: bytes, /) -> None:
        """Send, later where the peer does not read."""

    def get_write_buffer_size(self) -> int:
        """Bytes that the peer has not read yet."""

    def is_closing(self) -> bool:
        """Whether nothing can be sent any more."""

    def close(self) -> None:
        """Close it when everything is sent."""

    def abort(self) -> None:
        """Cut it."""


class Connection:
    """A client's socket.

    `out` holds frames not yet handed to the transport: for at most one batch, as the hub flushes after each, or
    until the client has been greeted, for `ready` is the first frame, or while it is held.
    """

    __slots__ = (
        "_held", "_led", "_limit", "actor", "closed_at", "feeds", "follows_rooms", "greeted", "id", "identity",
        "in_flight", "malformed", "out", "quiet", "refused", "seen_at", "slow", "standing", "stirred", "transport",
        "voice",
    )  # fmt: skip

    def __init__(
        self,
        connection_id: str,
        identity: Identity,
        transport: Wire,
        *,
        voice: Voice,
        limit: int,
        now: float,
    ) -> None:
        self.id = connection_id
        self.transport = transport
        self.voice = voice
        self.out: list[bytes] = []
        self.feeds: dict[str, Feed] = {}
        self.quiet: dict[str, Feed] = {}
        """Rooms that it has left, which its lists still show."""
        self.standing: dict[str, Standing] = {}
        self.follows_rooms = True
        self.greeted = False
        self._held = 0
        self._led = 0
        self.in_flight = 0
        self.malformed = 0
        self.refused = 0
        self.seen_at = now
        self.closed_at: float | None = None
        self.slow = False
        """Whether it was closed because it did not read."""
        self.stirred: Callable[[str], None] | None = None
        """Called when something has happened (its type) that a list of theirs shows."""
        self._limit = limit
        self.identify(identity)

    def identify(self, identity: Identity) -> None:
        """Take over an identity: at first, and when the token is renewed."""
        self.identity = identity
        self.actor: orjson.Fragment = encode_actor(identity.actor)

    @property
    def user(self) -> tuple[str, str]:
        """(tenant, user id): who this is."""
        actor = self.identity.actor
        return (actor.tenant, actor.id)

    @property
    def open(self) -> bool:
        """Whether frames still go out."""
        return self.closed_at is None

    def flush(self, now: float) -> None:
        """Write all that is buffered at once; close a reader that has left too much unread."""
        if self.closed_at is not None or self.transport.is_closing():
            self.out.clear()
            return
        if not self.out:
            return
        if not self.greeted or self._held:
            if len(self.out) > MAX_UNGREETED:
                self.close(CloseCode.SLOW_CONSUMER, "too much happened meanwhile; try again", now)
            return
        self.transport.write(self.out[0] if len(self.out) == 1 else b"".join(self.out))
        self.out.clear()
        if self.transport.get_write_buffer_size() > self._limit:
            _slow.inc()
            self.slow = True
            self.close(CloseCode.SLOW_CONSUMER, "too slow: resume from your last rev", now)

    def greet(self, greeting: list[bytes], now: float) -> None:
        """Send the first frames, and after them what has gathered meanwhile."""
        self.greeted = True
        self.out[:0] = greeting
        self._led += len(greeting) if self._held else 0
        self.flush(now)

    def regreet(self, now: float) -> None:
        """Gather from now on until it is greeted once more."""
        self.flush(now)
        self.greeted = False

    def hold(self, now: float) -> None:
        """Gather from now on, as something is being worked out that comes before it; `release` ends that."""
        if not self._held:
            self.flush(now)
        self._held += 1

    def release(self, first: list[bytes], now: float) -> None:
        """Send what has been worked out, and after it what has gathered meanwhile."""
        self.out[self._led : self._led] = first
        self._held -= 1
        self._led = self._led + len(first) if self._held else 0
        self.flush(now)

    def close(self, code: int, reason: str, now: float) -> None:
        """Send what is buffered and a farewell; nothing goes out after it."""
        if self.closed_at is not None:
            return
        self.closed_at = now
        if not self.transport.is_closing():
            last = self.out if self.greeted else []
            self.transport.write(b"".join([*last, self.voice.farewell(code, reason)]))
        self.out.clear()
