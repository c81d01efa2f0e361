"""What a client has of a room, and what of all that arrives is new to it. Pure: no I/O, no clock.

A position is complete: every change up to its `rev` has been handed to the application. Changes beyond it may have
been too, one by one, while the server was repairing its own stream; they are remembered until the position has passed
them, so that a resumption in the middle of that repeats nothing.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from shared.contracts.content import MessageView
from shared.contracts.timeline import RoomSyncView

MAX_HELD = 1000
"""Live changes that wait for the end of a resumption; past it they are dropped, and another one brings them."""

READY, DISCONNECTED, RESET, GONE = "ready", "disconnected", "reset", "room.gone"
"""Types of the events that the client makes itself."""

CREATED, CLEARED = "message.created", "timeline.cleared"


class Position(NamedTuple):
    """Where a client stands in a room; what it resumes from."""

    epoch: str
    seq: int
    rev: int

    @property
    def cursor(self) -> str:
        """What the protocol's `sync` takes."""
        return f"{self.epoch}:{self.rev}"


@dataclass(frozen=True, slots=True)
class Event:
    """Something for the application, in the order in which it is to be applied.

    The server's own types (`message.created`, `timeline.cleared`, `typing`, …) and those made here: `ready` (data as
    the protocol's), `disconnected` (`code`, `reason`), `reset` (a RoomSyncView: drop the room's messages, take these),
    `room.gone` (`code`: the room may not be followed any more).

    Args:
        seq, rev: for changes of a timeline: the message's `seq`, and from where one resumes after this event.
        resumed: fetched after a reconnection. Of several changes to one message only the last is told.
    """

    type: str
    data: dict[str, Any]
    room_id: str = ""
    seq: int = 0
    rev: int = 0
    resumed: bool = False

    @property
    def is_change(self) -> bool:
        """Whether this is a durable change of a room's timeline."""
        return self.seq > 0 and self.type != RESET

    @property
    def message(self) -> MessageView:
        """The message of a change of a timeline, in its new state."""
        return MessageView.model_validate(self.data)


class Timeline:
    """One room. While `position` is unknown or a resumption is under way (`hold`), live changes are kept back."""

    __slots__ = ("_beyond", "_cleared", "_held", "_overflowed", "holding", "position", "room_id")

    def __init__(self, room_id: str, position: Position | None = None) -> None:
        self.room_id = room_id
        self.position = position
        self.holding = position is None
        self._beyond: dict[str, int] = {}
        self._cleared = 0
        self._held: deque[Event] = deque()
        self._overflowed = False

    def hold(self) -> None:
        """Keep live changes back from now on."""
        self.holding = True

    def drop_held(self) -> None:
        """The connection was lost: what it brought and is still kept back will be fetched."""
        self._held.clear()
        self._overflowed = False

    def meet(self, standing: Position, cleared: int = 0) -> bool:
        """The server says where the room stands: whether the client has all of that, so that it is live from here.

        Where nothing is known yet, that is where the client begins.

        Args:
            cleared: up to which `seq` the conversation was cleared.
        """
        if self.position is None:
            self.position = standing
        if (self.position.epoch, self.position.rev) == (standing.epoch, standing.rev):
            self._cleared = cleared
        if (self.position.epoch, self.position.rev) != (standing.epoch, standing.rev) or self._held:
            return False
        return self.release()

    def take(self, event: Event) -> Event | None:
        """Move on to a change; the event to hand over now, or None where the application has been told of it."""
        position = self.position
        if position is None:
            return event
        if event.type == CLEARED:
            return self._take_clearing(event, position)
        message_id, rev, known = event.data["id"], event.data["rev"], event.seq <= position.seq
        new = rev > max(position.rev, self._beyond.get(message_id, 0)) and event.seq > self._cleared
        if new and rev > event.rev:
            self._beyond[message_id] = rev
        self._move(position._replace(seq=max(position.seq, event.seq), rev=max(position.rev, event.rev)))
        if new and known and event.type == CREATED:
            # A gateway that repairs its stream shows as new what was new to it; a client may have resumed past that.
            return replace(event, type=_kind_of(event.data, new=False))
        return event if new else None

    def _take_clearing(self, event: Event, position: Position) -> Event | None:
        cleared: int = event.data["seq"]
        new, self._cleared = cleared > self._cleared, max(self._cleared, cleared)
        self._move(position._replace(seq=max(position.seq, cleared), rev=max(position.rev, event.rev)))
        return event if new else None

    def keep(self, event: Event) -> None:
        """Hold a live change back."""
        self._overflowed = self._overflowed or len(self._held) >= MAX_HELD
        if not self._overflowed:  # after a gap nothing is of use: all of it will be fetched
            self._held.append(event)

    def merge(self, pages: Sequence[RoomSyncView]) -> Iterator[Event]:
        """What the pages of a `sync` bring: a clearing, new messages by `seq`, changes of older ones; or a reset."""
        last, position = pages[-1], self.position
        if last.reset or position is None:
            data = last.model_dump(mode="json", exclude_none=True)
            yield Event(RESET, data, self.room_id, last.seq, last.rev, resumed=True)
            return
        cleared = last.cleared_seq
        if cleared > self._cleared:
            clearing = {"room_id": self.room_id, "seq": cleared, "rev": position.rev}
            yield Event(CLEARED, clearing, self.room_id, cleared, position.rev, resumed=True)
        # A message that changed while the pages were read is in several: the last has its latest state.
        latest = {message.id: message for page in pages for message in page.messages if message.seq > cleared}
        ordered = sorted(latest.values(), key=lambda it: (0, it.seq) if it.seq > position.seq else (1, it.rev))
        for message in ordered:
            data = message.model_dump(mode="json", exclude_none=True)
            kind = _kind_of(data, new=message.seq > position.seq)
            # Not in the order of `rev`: until all are handed over, one resumes from where one stood before.
            yield Event(kind, data, self.room_id, message.seq, position.rev, resumed=True)

    def resumed(self, last: RoomSyncView) -> None:
        """All of `merge` was handed over, up to the page `last`; what is held follows."""
        epoch, rev = last.cursor.split(":")
        seqs = [last.seq, *(message.seq for message in last.messages)]
        if last.reset:
            # The snapshot may be newer than its cursor.
            self._beyond = {message.id: message.rev for message in last.messages}
            self._cleared = last.cleared_seq
        elif self.position is not None:
            seqs.append(self.position.seq)
        self._move(Position(epoch, max(seqs), int(rev)))

    def next_held(self) -> Event | None:
        """The next change that was held back."""
        return self._held.popleft() if self._held else None

    def release(self) -> bool:
        """Hold nothing back any more; False where too much had to be, so that what was dropped must be fetched."""
        self.holding, self._overflowed = self._overflowed, False
        return not self.holding

    def _move(self, position: Position) -> None:
        if self._beyond and position != self.position:
            self._beyond = {key: rev for key, rev in self._beyond.items() if rev > position.rev}
        self.position = position


def _kind_of(message: dict[str, Any], *, new: bool) -> str:
    if new:
        return CREATED
    return "message.updated" if message.get("deleted_at") is None else "message.deleted"
