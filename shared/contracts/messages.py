"""Commands, queries and events of the messages service: the timeline of a room."""

from datetime import datetime
from typing import Annotated, ClassVar, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from shared.contracts.base import Command, Event, Id, MessageId, Metadata, Query, Seq, Service
from shared.contracts.content import (
    MAX_CONTENT,
    MAX_MENTIONS,
    Attachment,
    Content,
    Emoji,
    Location,
    MessageType,
    MessageView,
    check_parts,
)
from shared.contracts.timeline import (
    ChangedView,
    ClearedView,
    DeliveredView,
    HistoryView,
    PurgedView,
    ReceiptsView,
    ReceiptView,
    RevisionsView,
    RoomStatesView,
    SentView,
    StatusView,
    SyncView,
)

MAX_PAGE = 200
MAX_REACTION_KINDS = 50
MAX_REPORTED = 1000
"""Members in one report of what was delivered."""

MAX_REACTIONS = 5000
"""Reactions of one message, all kinds together."""

MAX_REVISIONS = 100

Cursor = Annotated[str, StringConstraints(pattern=r"^[0-9a-z]{1,16}:[0-9]{1,16}$")]
"""`epoch:rev`, the last change a client has seen of a room."""


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────


class MessageCommand(Command):
    """A command to the messages service: goes to the shard of its room or message."""

    OWNER: ClassVar = Service.MESSAGES


class SendMessage(MessageCommand):
    """Write a message. Acked once durable; the same `client_id` again gives the same ack.

    A text needs `content`; an image, video, audio or file an `attachment`; a location a `location`. `reply_to` is a
    message of the same room. `mentions` adds to the members that the content names as `@id`.
    """

    TYPE: ClassVar = "message.send"
    RESULT: ClassVar = SentView

    room_id: Id
    content: str = Field(default="", max_length=MAX_CONTENT)
    type: MessageType = MessageType.TEXT
    attachment: Attachment | None = None
    location: Location | None = None
    reply_to: MessageId | None = None
    mentions: tuple[Id, ...] = Field(default=(), max_length=MAX_MENTIONS)
    metadata: Metadata | None = None

    @model_validator(mode="after")
    def _has_its_parts(self) -> Self:
        if self.type is not MessageType.TEXT or not self.content or self.attachment or self.location:
            check_parts(self.type, self.content, self.attachment, self.location)
        return self


class EditMessage(MessageCommand):
    """Replace a message's content."""

    TYPE: ClassVar = "message.edit"
    RESULT: ClassVar = ChangedView

    message_id: MessageId
    content: Content
    metadata: Metadata | None = None


class DeleteMessage(MessageCommand):
    """Take a message's content away; its place in the order remains."""

    TYPE: ClassVar = "message.delete"
    RESULT: ClassVar = ChangedView

    message_id: MessageId


class ReactToMessage(MessageCommand):
    """Add one's emoji to a message."""

    TYPE: ClassVar = "message.react"
    RESULT: ClassVar = ChangedView

    message_id: MessageId
    emoji: Emoji


class UnreactToMessage(MessageCommand):
    """Take one's emoji back."""

    TYPE: ClassVar = "message.unreact"
    RESULT: ClassVar = ChangedView

    message_id: MessageId
    emoji: Emoji


class MarkRead(MessageCommand):
    """Say that everything up to `seq` was read. Never moves backwards, never beyond the last message."""

    TYPE: ClassVar = "read.mark"
    RESULT: ClassVar = ReceiptView

    room_id: Id
    seq: Seq


class MarkDelivered(MessageCommand):
    """Say that everything up to `seq` has reached this member."""

    TYPE: ClassVar = "delivered.mark"
    RESULT: ClassVar = ReceiptView

    room_id: Id
    seq: Seq


class MarkUnread(MessageCommand):
    """Show the room as unread from `seq` on, to oneself only: until the next `read.mark`, on all one's devices.

    What others know of one's reading stays.
    """

    TYPE: ClassVar = "unread.mark"
    RESULT: ClassVar = ReceiptView

    room_id: Id
    seq: Seq


class ReportDelivered(MessageCommand):
    """Say how far a room's messages have been written to its members' connections. Only gateways ask this.

    Members of other rooms, and marks that lie further already, are passed over.
    """

    TYPE: ClassVar = "delivered.report"
    RESULT: ClassVar = DeliveredView

    room_id: Id
    delivered: dict[Id, Seq] = Field(min_length=1, max_length=MAX_REPORTED)


class ClearTimeline(MessageCommand):
    """Clear a conversation: every message there is loses what it said, in one change."""

    TYPE: ClassVar = "timeline.clear"
    RESULT: ClassVar = ClearedView

    room_id: Id


class PurgeRoom(MessageCommand):
    """Remove a deleted room's timeline. Only the service itself asks this, on `room.deleted`.

    What was written after `until` stays: a direct room may have been made again, under the same id.
    """

    TYPE: ClassVar = "timeline.purge"
    RESULT: ClassVar = PurgedView

    room_id: Id
    until: datetime


# ── queries ──────────────────────────────────────────────────────────────────────────────────────────────────────


class MessageQuery(Query):
    """A question to the messages service; any of its workers answers."""

    OWNER: ClassVar = Service.MESSAGES


class GetHistory(MessageQuery):
    """A page by `seq`: the latest, or before, after or around one; or counted, or timed, from the latest.

    At most one of `before`, `after`, `around`, `offset` and `before_time`. A page before a time never ends within an
    instant, lest the next one leave something out: it may hold some more than `limit`.
    """

    TYPE: ClassVar = "history.get"
    RESULT: ClassVar = HistoryView

    room_id: Id
    before: Seq | None = None
    after: Seq | None = None
    around: Seq | None = None
    offset: Seq | None = None
    """So many of the latest are passed over."""
    before_time: AwareDatetime | None = None
    limit: int = Field(default=50, ge=1, le=MAX_PAGE)


class GetMessage(MessageQuery):
    """One message by its id."""

    TYPE: ClassVar = "message.get"
    RESULT: ClassVar = MessageView

    message_id: MessageId


class GetRevisions(MessageQuery):
    """What a message said before each of its last `MAX_REVISIONS` edits."""

    TYPE: ClassVar = "revisions.get"
    RESULT: ClassVar = RevisionsView

    message_id: MessageId


class GetStatus(MessageQuery):
    """Whom a message has reached, and who has read it."""

    TYPE: ClassVar = "message.status"
    RESULT: ClassVar = StatusView

    message_id: MessageId


class Sync(MessageQuery):
    """What changed since each room's cursor (`epoch:rev`; null for a snapshot)."""

    TYPE: ClassVar = "sync"
    RESULT: ClassVar = SyncView

    cursors: dict[Id, Cursor | None] = Field(min_length=1, max_length=500)
    limit: int = Field(default=100, ge=1, le=MAX_PAGE)


class GetRoomStates(MessageQuery):
    """Where the given rooms stand for the asking user."""

    TYPE: ClassVar = "rooms.states"
    RESULT: ClassVar = RoomStatesView

    room_ids: list[Id] = Field(max_length=1000)


class GetReceipts(MessageQuery):
    """Who has read how far in a room."""

    TYPE: ClassVar = "receipts.get"
    RESULT: ClassVar = ReceiptsView

    room_id: Id


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────


class TimelineEvent(Event):
    """A durable change of a room's timeline; the envelope carries its `roomseq` and `roomrev`."""

    TOPIC: ClassVar = "message"

    message: MessageView


class MessageCreated(TimelineEvent):
    """A message was written."""

    TYPE: ClassVar = "message.created"


class MessageUpdated(TimelineEvent):
    """A message was edited."""

    TYPE: ClassVar = "message.updated"


class MessageDeleted(TimelineEvent):
    """A message was deleted."""

    TYPE: ClassVar = "message.deleted"


class MessageReacted(TimelineEvent):
    """A message's reactions changed."""

    TYPE: ClassVar = "message.reacted"


class TimelineCleared(Event):
    """A conversation was cleared up to `seq`, in one change of the timeline.

    `by` and `at` are absent where a gateway makes good what it has missed.
    """

    TYPE: ClassVar = "timeline.cleared"
    TOPIC: ClassVar = "message"

    room_id: str
    seq: int
    rev: int
    by: str | None = None
    at: datetime | None = None


class TimelinePurged(Event):
    """What was written in a room that was deleted is gone, and its timeline has begun a new epoch.

    For gateways: who follows the room again, since it was made again meanwhile, may have been told of the former one.
    """

    TYPE: ClassVar = "timeline.purged"
    TOPIC: ClassVar = "message"

    room_id: str


class ReceiptsUpdated(Event):
    """Members' marks have moved since the last of these, which come at most once a second and room.

    Where `everyone` is false, each one is told to its owner's connections only: in a large room, and where somebody has
    marked the room as unread or has read it since.
    """

    TYPE: ClassVar = "receipts.updated"
    TOPIC: ClassVar = "receipt"

    room_id: str
    receipts: list[ReceiptView]
    everyone: bool = True


class WorkerBeat(Event):
    """A messages worker is alive, or leaving. Workers spread the shards by it."""

    TYPE: ClassVar = "worker.beat"
    TOPIC: ClassVar = "worker"

    worker: str
    alive: bool


COMMANDS: dict[str, type[MessageCommand]] = {
    command.TYPE: command
    for command in (
        SendMessage,
        EditMessage,
        DeleteMessage,
        ReactToMessage,
        UnreactToMessage,
        MarkRead,
        MarkDelivered,
        MarkUnread,
        ReportDelivered,
        ClearTimeline,
        PurgeRoom,
    )
}
QUERIES: dict[str, type[MessageQuery]] = {
    query.TYPE: query for query in (GetHistory, GetMessage, GetRevisions, GetStatus, Sync, GetRoomStates, GetReceipts)
}
EVENTS: dict[str, type[Event]] = {
    event.TYPE: event
    for event in (
        MessageCreated,
        MessageUpdated,
        MessageDeleted,
        MessageReacted,
        TimelineCleared,
        TimelinePurged,
        ReceiptsUpdated,
        WorkerBeat,
    )
}
