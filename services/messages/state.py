"""What is known of rooms and what is decided about them: plain data that the rules read and write. Pure.

Holds no rule: those are in domain.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from shared.contracts.base import Event, View
from shared.contracts.content import MessageView
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError
from shared.contracts.media import MediaView
from shared.contracts.membership import RoomAccess
from shared.contracts.messages import MessageCommand, SendMessage
from shared.ids import message_id

MAX_REVS = 500
"""A writer that was replaced, and slept through more changes of one message than this, might take an old `rev`."""

MAX_APPLIED = 64


class Limits(NamedTuple):
    """What a deployment allows."""

    length: float
    """Characters a message may have."""
    session: float
    """Messages that a room of a bounded type may have before it must be cleared."""
    receipts: int
    """Members a room may have for what gateways report as delivered to be recorded."""


class Timeline(NamedTuple):
    """Where a room stands."""

    epoch: str = "0"
    seq: int = 0
    rev: int = 0
    cleared: int = 0
    """The messages up to this `seq` were cleared: to readers and rules they are not there."""


class Marks(NamedTuple):
    """How far a member has got in a room."""

    read: int = 0
    delivered: int = 0
    unread_from: int | None = None
    """From where on the member wants to see it as unread, until the next time they read."""

    def reached(self, seq: int) -> "Marks":
        """These, or `seq` where that is further: who has written or read a message has got there."""
        return self._replace(read=max(self.read, seq), delivered=max(self.delivered, seq))


class Moved(NamedTuple):
    """What has changed in a member's marks: what others may know of, or what only the member does."""

    shared: bool = False
    private: bool = False
    read_from: int | None = None
    """The first message that was newly read, where one was."""

    def also(self, other: "Moved") -> "Moved":
        """What either of two has changed."""
        begun = [moved.read_from for moved in (self, other) if moved.read_from is not None]
        return Moved(self.shared or other.shared, self.private or other.private, min(begun, default=None))


@dataclass(frozen=True, slots=True)
class Message:
    """A stored message: what readers see, and what only its writer needs."""

    view: MessageView
    tenant: str
    fingerprint: str
    born: int
    """The `rev` of its creation, which its ack repeats for every retry."""
    revs: tuple[int, ...]
    """All it has ever had, the last `MAX_REVS`: no other message of the room may take one of them."""
    applied: tuple[str, ...] = ()
    """Keys of the last `MAX_APPLIED` requests to change it, by which a late copy of one is known."""
    edited: int = 0
    """The `rev` of its last edit; 0 where it says what it was written with."""

    @property
    def said(self) -> int:
        """The `rev` at which its present content was written."""
        return self.edited or self.born


@dataclass(frozen=True, slots=True)
class Clearing:
    """That a room was cleared: one record per room, stored among its messages, whose `rev` it shares in."""

    room_id: str
    tenant: str
    seq: int
    """Up to here. 0, with a `rev` of 0, where there has been nothing to clear yet."""
    rev: int
    revs: tuple[int, ...]
    by: str
    at: datetime
    applied: tuple[str, ...] = ()
    swept: int = 0
    """Up to here the messages have lost what they said in the database, too."""


class Revision(NamedTuple):
    """What a message said from `rev` on, before an edit replaced it."""

    message_id: str
    room_id: str
    seq: int
    rev: int
    content: str
    metadata: dict[str, Any] | None
    since: datetime
    created_at: datetime
    """When the message was written."""


@dataclass(slots=True)
class Request:
    """A command with who asks, and the id that answers go to."""

    id: str
    actor: Actor
    command: MessageCommand
    traceparent: str | None = None
    echo: bool = False
    """Who asks reads the events: what one of them tells needs no other answer."""
    target: str | None = field(init=False)
    """The message this is about: the one it names, or the one it would create."""

    def __post_init__(self) -> None:
        command = self.command
        if isinstance(command, SendMessage):
            self.target = message_id(command.room_id, self.actor.id, command.client_id or self.id)
        else:
            self.target = command.message


class FileKey(NamedTuple):
    """A file, and who wants to show it: what there is for one is not there for all."""

    tenant: str
    user_id: str
    roles: tuple[str, ...]
    media_id: str

    @classmethod
    def of(cls, actor: Actor, media_id: str) -> "FileKey":
        """A file, for an actor."""
        return cls(actor.tenant, actor.id, actor.roles, media_id)


@dataclass(slots=True)
class Snapshot:
    """All the state a batch touches. `access` is None for rooms that do not exist, absent where it is not known.

    `messages` has those that a reply quotes, too. It may lack what a send would create: an id that exists is refused by
    the database, and what follows it in the batch decided again with all of it.
    """

    access: Mapping[str, RoomAccess | None]
    timelines: Mapping[str, Timeline]
    messages: Mapping[str, Message]
    marks: Mapping[tuple[str, str], Marks] = field(default_factory=dict)
    clearings: Mapping[str, Clearing] = field(default_factory=dict)
    """By room; read where a room is to be cleared."""
    files: Mapping[FileKey, MediaView | None] = field(default_factory=dict)
    """Those that new messages show; None where there is none for who sends it, absent where that is not known."""


class Write(NamedTuple):
    """The new state of a message, or of a room's clearing; `previous` is the `rev` it replaces, None for a new one."""

    state: Message | Clearing
    previous: int | None


class Announcement(NamedTuple):
    """An event about a room, with its position where it changed the timeline."""

    event: Event
    room_id: str
    tenant: str
    id: str
    traceparent: str | None
    seq: int | None = None
    rev: int | None = None
    cause: str | None = None
    """The request that it answers by itself."""


@dataclass(slots=True)
class Plan:
    """What a batch comes to, in order. `refused_by_access` names rooms whose members said no.

    `answers` lacks the requests that are answered by what is announced. `ends`: how many writes there are after each
    request.
    """

    writes: list[Write] = field(default_factory=list)
    announcements: list[Announcement] = field(default_factory=list)
    notes: list[Announcement] = field(default_factory=list)
    """What is told beside, to who follows it (shared.contracts.notifications, shared.contracts.media)."""
    answers: dict[str, View | ChatError] = field(default_factory=dict)
    timelines: dict[str, Timeline] = field(default_factory=dict)
    marks: dict[tuple[str, str], Marks] = field(default_factory=dict)
    moved: dict[tuple[str, str], Moved] = field(default_factory=dict)
    """What of each of the marks has changed."""
    reported: dict[tuple[str, str], int] = field(default_factory=dict)
    """What gateways say has been delivered, which may be stored later."""
    refused_by_access: set[str] = field(default_factory=set)
    unsure: bool = False
    """Whether a message was refused that may have been written before, when there was nothing against it."""
    ends: list[int] = field(default_factory=list)
    revisions: list[Revision] = field(default_factory=list)
    """What edits have replaced."""
    forgotten: set[str] = field(default_factory=set)
    """Deleted messages, whose revisions go with them."""

    @property
    def pointed(self) -> set[tuple[str, str]]:
        """Whose marks begin or end to say from where on they are unread."""
        return {key for key, moved in self.moved.items() if moved.private}
