"""What readers see of timelines: acks, states, pages, what has changed, who has read how far."""

from datetime import datetime
from enum import StrEnum

from shared.contracts.base import View
from shared.contracts.content import MessageView, RevisionView


class Status(StrEnum):
    """How far a message has got, by the least of its readers."""

    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"


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


class ClearedView(View):
    """The ack of timeline.clear: nothing up to `seq` is left. `changed` is false where it had already been so."""

    room_id: str
    seq: int
    rev: int
    changed: bool


class ReceiptView(View):
    """How far one member has got in a room."""

    user_id: str
    read_seq: int
    delivered_seq: int
    unread_from: int | None = None
    """From where on the member has marked the room as unread; told to the member alone."""
    read_from: int | None = None
    """In `receipts.updated`, where reading has gone on: the first message of those that are newly read.

    None is left out; some may have been told before.
    """


class DeliveredView(View):
    """Whether delivery is recorded in a room at all: not in one of more members than RECEIPTS_MAX_MEMBERS."""

    room_id: str
    recorded: bool


class StatusView(View):
    """Who has got a message, its sender left out. `status` is what all members but the sender have reached."""

    message_id: str
    status: Status
    delivered_to: list[str]
    read_by: list[str]


class RoomStateView(View):
    """Where a room's timeline stands, and where the asking user stands in it."""

    room_id: str
    epoch: str
    seq: int
    rev: int
    cleared_seq: int = 0
    """Up to here the conversation was cleared: no message is left."""
    read_seq: int = 0
    unread: int = 0
    mentions: int = 0
    """Unread messages that mention the asking user."""
    last_message: MessageView | None = None


class RoomStatesView(View):
    """One state per room asked for, and the sums of what is unread in them."""

    states: list[RoomStateView]
    unread: int = 0
    mentions: int = 0


class HistoryView(View):
    """A page of messages, ascending by `seq`."""

    messages: list[MessageView]
    has_before: bool
    has_after: bool
    total: int = 0
    """Messages in the room: deleted ones count, as they keep their place; cleared ones do not."""


class RoomSyncView(View):
    """What changed in a room after the cursor: all of it up to `cursor`, ascending by `rev`.

    With `reset` the cursor belonged to another epoch (or there was none): `messages` is a snapshot of the latest
    ones, ascending by `seq`, and everything known before must be dropped. So must, always, what lies at or before
    `cleared_seq`.
    """

    epoch: str
    seq: int
    rev: int
    cleared_seq: int = 0
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


class RevisionsView(View):
    """What a message said before each of its edits, the oldest first."""

    revisions: list[RevisionView]


class PurgedView(View):
    """How many messages a purge removed."""

    removed: int
