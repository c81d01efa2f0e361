"""Commands, queries, events and views of the messages service: the timeline of a room."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field, StringConstraints

from shared.contracts.base import Command, Event, Id, MessageId, Metadata, Query, Seq, Service, View

MAX_CONTENT = 100_000
"""Hard ceiling on characters; the deployment's MAX_MESSAGE_LENGTH lies below it."""

MAX_PAGE = 200
MAX_REACTION_KINDS = 50


class MessageType(StrEnum):
    """What a message is made of."""

    TEXT = "text"
    SYSTEM = "system"


Content = Annotated[str, StringConstraints(min_length=1, max_length=MAX_CONTENT)]
Emoji = Annotated[str, StringConstraints(min_length=1, max_length=32, strip_whitespace=True)]
Cursor = Annotated[str, StringConstraints(pattern=r"^[0-9a-z]{1,16}:[0-9]{1,16}$")]
"""`epoch:rev`, the last change a client has seen of a room."""


# ── views ────────────────────────────────────────────────────────────────────────────────────────────────────────


class SenderView(View):
    """Who wrote a message, as known when it was written."""

    id: str
    name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    avatar: str | None = None


class ReactionView(View):
    """One emoji and who chose it."""

    emoji: str
    users: tuple[str, ...]


class MessageView(View):
    """A message in its latest state. A deleted one keeps its place (`seq`) and loses its content."""

    id: str
    room_id: str
    seq: int
    rev: int
    type: MessageType
    content: str
    sender: SenderView
    client_id: str | None = None
    metadata: dict[str, Any] | None = None
    reactions: tuple[ReactionView, ...] = ()
    created_at: datetime
    edited_at: datetime | None = None
    deleted_at: datetime | None = None


class SentView(View):
    """The ack of message.send: the message is journaled by a majority."""

    message_id: str
    seq: int
    rev: int
    created_at: datetime
    duplicate: bool = False


class ChangedView(View):
    """The ack of an edit, deletion or reaction. `changed` is false where it had already been so."""

    message_id: str
    rev: int
    changed: bool


class ReceiptView(View):
    """How far one member has got in a room."""

    user_id: str
    read_seq: int
    delivered_seq: int


class RoomStateView(View):
    """Where a room's timeline stands, and where the asking user stands in it."""

    room_id: str
    epoch: str
    seq: int
    rev: int
    read_seq: int = 0
    unread: int = 0
    last_message: MessageView | None = None


class RoomStatesView(View):
    """One state per room asked for."""

    states: list[RoomStateView]


class HistoryView(View):
    """A page of messages, ascending by `seq`."""

    messages: list[MessageView]
    has_before: bool
    has_after: bool


class RoomSyncView(View):
    """What changed in a room after the cursor: all of it up to `cursor`, ascending by `rev`.

    With `reset` the cursor belonged to another epoch (or there was none): `messages` is a snapshot of the latest
    ones, ascending by `seq`, and everything known before must be dropped.
    """

    epoch: str
    seq: int
    rev: int
    cursor: str
    reset: bool
    has_more: bool
    messages: list[MessageView]


class SyncView(View):
    """One answer per room, or the error code where the caller may not read it."""

    rooms: dict[str, RoomSyncView]
    errors: dict[str, str] = {}


class ReceiptsView(View):
    """Every member's marks in a room."""

    receipts: list[ReceiptView]


class PurgedView(View):
    """How many messages a purge removed."""

    removed: int


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────


class MessageCommand(Command):
    """A command to the messages service: goes to the shard of its room or message."""

    OWNER: ClassVar = Service.MESSAGES


class SendMessage(MessageCommand):
    """Write a message. Acked once durable; the same `client_id` again gives the same ack."""

    TYPE: ClassVar = "message.send"
    RESULT: ClassVar = SentView

    room_id: Id
    content: Content
    type: MessageType = MessageType.TEXT
    metadata: Metadata | None = None


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
    """A page by `seq`: the latest, or before, after or around one (at most one of the three)."""

    TYPE: ClassVar = "history.get"
    RESULT: ClassVar = HistoryView

    room_id: Id
    before: Seq | None = None
    after: Seq | None = None
    around: Seq | None = None
    limit: int = Field(default=50, ge=1, le=MAX_PAGE)


class GetMessage(MessageQuery):
    """One message by its id."""

    TYPE: ClassVar = "message.get"
    RESULT: ClassVar = MessageView

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


class ReceiptUpdated(Event):
    """A member's marks moved."""

    TYPE: ClassVar = "receipt.updated"
    TOPIC: ClassVar = "message"

    room_id: str
    receipt: ReceiptView


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
        PurgeRoom,
    )
}
QUERIES: dict[str, type[MessageQuery]] = {
    query.TYPE: query for query in (GetHistory, GetMessage, Sync, GetRoomStates, GetReceipts)
}
EVENTS: dict[str, type[Event]] = {
    event.TYPE: event
    for event in (MessageCreated, MessageUpdated, MessageDeleted, MessageReacted, ReceiptUpdated, WorkerBeat)
}
