"""Feeds: one per subscribed room, in step with the room's `rev`. Pure state; healing and queries live in fanout.py.

A feed delivers each change once and in order. A change that skips a `rev` marks the feed as behind; what comes
until it is healed is dropped, for the healing brings it. A connection that joins holds back what arrives until it
knows from which `rev` on it is told.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from services.gateway.connection import Connection
from services.gateway.voices import About, Voice

MAX_NAMED = 200
"""Messages of a room, the latest that were told, of which it is remembered which is where."""

MAX_HELD = 2000
"""Frames a joining connection may hold back before it counts as too slow."""


class Since(NamedTuple):
    """Where a room stood when a connection began to be told of it."""

    seq: int
    rev: int


NOWHERE = Since(0, 0)


@dataclass(slots=True)
class _Join:
    """A subscription on its way.

    What comes after `base` is held back; `start` is the `rev` the client was told, `since` where the room stood then.
    """

    base: int
    start: int | None = None
    since: Since = NOWHERE
    held: list[tuple[int, bytes]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Feed:
    """A room's stream at this gateway. `rev` is -1 until the room's state is known."""

    room_id: str
    tenant: str
    about: About = field(init=False)
    epoch: str = "0"
    seq: int = 0
    rev: int = -1
    ahead: int = -1
    """The highest `rev` heard of; more than `rev` while the feed is behind."""
    cleared: int = 0
    """Up to here everybody subscribed knows that the conversation was cleared."""
    healing: bool = False
    suspect: bool = False
    """Whether events may have passed unheard, for instance while its state was still being asked for."""
    voices: dict[Voice, dict[Connection, Since]] = field(default_factory=dict)
    """Who follows the room, by how they are spoken to; somebody may be joining where there is nobody yet.

    Each with what it was told when it came: what is later has been written to it.
    """
    joining: dict[Connection, _Join] = field(default_factory=dict)
    quiet: set[Connection] = field(default_factory=set)
    """Who has left the room and hears nothing of it, but is shown lists that change with it."""
    names: dict[int, str] = field(default_factory=dict)
    """The ids of some messages by their `seq`."""

    def __post_init__(self) -> None:
        self.about = About(self.room_id)

    @property
    def members(self) -> dict[Connection, Since]:
        """Who follows the room, however they are spoken to."""
        return {connection: since for members in self.voices.values() for connection, since in members.items()}

    @property
    def unused(self) -> bool:
        """Whether nobody is subscribed."""
        return not self.voices and not self.quiet

    @property
    def connections(self) -> list[Connection]:
        """Everybody subscribed."""
        return [*self.members, *self.joining]

    def accept(self, seq: int, rev: int) -> bool:
        """Whether the change `rev` is the next one, to be delivered now."""
        if rev == self.rev + 1 and self.rev >= 0 and not self.healing:
            self.rev = rev
            self.seq = max(self.seq, seq)
            self.ahead = max(self.ahead, rev)
            return True
        self.ahead = max(self.ahead, rev)
        return False

    @property
    def behind(self) -> bool:
        """Whether something was missed that only a query can bring."""
        return self.rev >= 0 and (self.suspect or self.ahead > self.rev)

    def name(self, seq: int, message_id: str) -> None:
        """Remember which message is where, and forget the one that has been remembered longest."""
        self.names[seq] = message_id
        if len(self.names) > MAX_NAMED:
            del self.names[next(iter(self.names))]

    def join(self, connection: Connection) -> None:
        """Begin a subscription."""
        if connection not in self.voices.setdefault(connection.voice, {}):
            self.joining[connection] = _Join(base=self.rev)

    def start(self, connection: Connection, epoch: str, seq: int, rev: int, cleared: int = 0) -> list[bytes] | None:
        """The client is to be told that the room stands at `rev`, cleared up to `cleared`.

        Returns:
            What it is not told of by that, of all that was held back; None where that is not enough, because the
            feed has begun at a later `rev` meanwhile, or one of the two is of another epoch: ask for the state again.
        """
        if self.rev < 0:
            self.epoch, self.seq, self.rev, self.cleared = epoch, seq, rev, cleared
            self.ahead = max(self.ahead, rev)
            for other in self.joining.values():
                other.base = rev  # until now nothing was held back
        join = self.joining.get(connection)
        if join is None:
            return []
        if epoch != self.epoch:
            self.suspect = True
            return None
        if rev < join.base:
            return None
        held, join.held = join.held, []
        join.since = Since(seq, rev)
        if self.rev >= rev:
            self._admit(connection)
        else:
            join.start = rev  # the feed itself has yet to arrive there
        return [frame for at, frame in held if at > rev]

    def reset(self, epoch: str, seq: int, rev: int, cleared: int = 0) -> None:
        """Go on from a state, without what was missed before: everybody subscribed is to read the room afresh."""
        self.epoch, self.seq, self.rev, self.ahead, self.cleared = epoch, seq, rev, rev, cleared
        self.names.clear()
        self.suspect = True  # what was heard meanwhile may have counted by either epoch
        self.voices = {voice: dict.fromkeys(members, Since(seq, rev)) for voice, members in self.voices.items()}
        for connection, join in list(self.joining.items()):
            join.base, join.held, join.since = rev, [], Since(seq, rev)
            if join.start is not None:
                self._admit(connection)

    def leave(self, connection: Connection) -> None:
        """End a subscription."""
        self.joining.pop(connection, None)
        voice = connection.voice
        members = self.voices.get(voice, {})
        members.pop(connection, None)
        if not members and not any(other.voice is voice for other in self.joining):
            self.voices.pop(voice, None)

    def revoice(self, connection: Connection, voice: Voice, again: Callable[[bytes], bytes]) -> None:
        """Speak to a connection in another voice from now on; `again` says in it what has been held back."""
        members = self.voices.get(connection.voice, {})
        since = members.pop(connection, None)
        if (join := self.joining.get(connection)) is not None:
            join.held = [(rev, again(frame)) for rev, frame in join.held]
        others = self.voices.setdefault(voice, {})
        if since is not None:
            others[connection] = since
        if not members and not any(
            other.voice is connection.voice for other in self.joining if other is not connection
        ):
            self.voices.pop(connection.voice, None)

    def offer(self, rev: int, frames: Mapping[Voice, bytes]) -> tuple[list[Connection], list[Connection]]:
        """Show a change to those who are joining.

        Args:
            frames: what each voice says of it.

        Returns:
            Those who get it now, and those who have held back too much to go on.
        """
        ready, full = [], []
        for connection, join in self.joining.items():
            if join.start is not None:
                if rev > join.start:
                    ready.append(connection)
            elif len(join.held) < MAX_HELD:
                join.held.append((rev, frames[connection.voice]))
            else:
                full.append(connection)
        return ready, full

    def promote(self) -> None:
        """Make members of those who joined at a `rev` that the feed has reached."""
        for connection, join in list(self.joining.items()):
            if join.start is not None and self.rev >= join.start:
                self._admit(connection)

    def _admit(self, connection: Connection) -> None:
        self.voices[connection.voice][connection] = self.joining.pop(connection).since
