"""What has changed in a room, as it is told to who knew it before: from pages of a sync to an order of events. Pure."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from shared.contracts.messages import MessageCreated, MessageDeleted, MessageUpdated, TimelineCleared
from shared.contracts.timeline import RoomSyncView


class Change(NamedTuple):
    """An event, as it would have been told when it happened."""

    kind: str
    seq: int
    rev: int
    data: dict[str, Any]


def changes(room_id: str, pages: Sequence[RoomSyncView], *, seq: int, cleared: int, reached: int) -> list[Change]:
    """What the pages bring, in the order in which it is to be told.

    Args:
        seq: the last message that is known to those who are told.
        cleared: up to where they know that the conversation was cleared.
        reached: the `rev` that the pages lead to.
    """
    now_cleared = pages[-1].cleared_seq
    # What changed while the pages were read is in several of them, and in the last as it is now.
    latest = {message.id: message for page in pages for message in page.messages if message.seq > now_cleared}
    # New messages first and by seq, for all clients see one order; then what happened to older ones.
    messages = sorted(latest.values(), key=lambda message: (0, message.seq) if message.seq > seq else (1, message.rev))
    found: list[Change] = []
    if now_cleared > cleared:
        data = {"room_id": room_id, "seq": now_cleared, "rev": reached}
        found.append(Change(TimelineCleared.TYPE, now_cleared, reached, data))
    for message in messages:
        kind = _kind_of(new=message.seq > seq, deleted=message.deleted_at is not None)
        found.append(Change(kind, message.seq, message.rev, message.model_dump(mode="json", exclude_none=True)))
    return found


def _kind_of(*, new: bool, deleted: bool) -> str:
    if new:
        return MessageCreated.TYPE
    return MessageDeleted.TYPE if deleted else MessageUpdated.TYPE
