"""How far members have got in a room: the rules of marks, and what is counted by them. Pure.

A member's marks are three: what has reached them, what they have read, and from where on they want to see the room as
unread. The first two never move back and never lie beyond the last message; the third is the member's own business.
"""

from collections.abc import Callable, Mapping
from typing import Any

from services.messages.batch import Batch
from services.messages.state import Marks, Moved, Request
from shared.contracts.base import View
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.membership import Action
from shared.contracts.messages import MarkDelivered, MarkRead, MarkUnread, MessageCommand, ReportDelivered
from shared.contracts.timeline import DeliveredView, ReceiptView, Status, StatusView
from shared.permissions import GlobalRole

# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────


def read(before: Marks, seq: int, last: int) -> Marks:
    """Marks after everything up to `seq` was read; the room's last message is `last`."""
    return before.reached(min(seq, last))._replace(unread_from=None)


def delivered(before: Marks, seq: int, last: int) -> Marks:
    """Marks after everything up to `seq` has arrived."""
    return before._replace(delivered=max(before.delivered, min(seq, last)))


def unread(before: Marks, seq: int, last: int) -> Marks:
    """Marks after the member wants to see the room as unread from `seq` on."""
    return before._replace(unread_from=seq)


Move = Callable[[Marks, int, int], Marks]


def _marking(move: Move) -> Callable[[Batch, Request, Any], ReceiptView]:
    """The rule of a command that moves the marks of who sends it."""

    def rule(batch: Batch, request: Request, command: MarkRead | MarkDelivered | MarkUnread) -> ReceiptView:
        room_id, user_id = command.room_id, request.actor.id
        batch.access(room_id, request.actor, Action.MARK)
        before = batch.marks(room_id, user_id)
        after = move(before, command.seq, batch.timeline(room_id).seq)
        if after != before:
            batch.plan.marks[room_id, user_id] = after
            moved = batch.plan.moved.get((room_id, user_id), Moved())
            batch.plan.moved[room_id, user_id] = moved.also(moved_by(before, after))
        return receipt(user_id, after, own=True)

    return rule


def _report(batch: Batch, request: Request, command: ReportDelivered) -> DeliveredView:
    """What has been written to members' connections. Not stored with the batch: services.messages.receipts does."""
    if GlobalRole.SERVICE not in request.actor.roles:
        raise ChatError(ErrorCode.FORBIDDEN, f"{ReportDelivered.TYPE} is for services only.")
    room_id = command.room_id
    members = batch.access(room_id, request.actor, Action.READ).members
    recorded = len(members) <= batch.limits.receipts
    if recorded:
        last = batch.timeline(room_id).seq
        for user_id in command.delivered.keys() & members.keys():
            seq = min(command.delivered[user_id], last)
            reported = batch.plan.reported.get((room_id, user_id), 0)
            batch.plan.reported[room_id, user_id] = max(seq, reported)
    return DeliveredView(room_id=room_id, recorded=recorded)


MARK_RULES: dict[type[MessageCommand], Callable[[Any, Request, Any], View]] = {
    MarkRead: _marking(read),
    MarkDelivered: _marking(delivered),
    MarkUnread: _marking(unread),
    ReportDelivered: _report,
}

NEEDS_MARKS = frozenset({MarkRead, MarkDelivered, MarkUnread})
"""Commands that are decided by the marks of who sends them."""


# ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────────


def moved_by(before: Marks, after: Marks) -> Moved:
    """What the step from some marks to others has changed."""
    read_from = before.read + 1 if after.read > before.read else None
    return Moved(before[:2] != after[:2], before.unread_from != after.unread_from, read_from)


def receipt(user_id: str, marks: Marks, *, own: bool, read_from: int | None = None) -> ReceiptView:
    """Marks as readers see them; where from they are unread is for the member's `own` eyes."""
    return ReceiptView(
        user_id=user_id,
        read_seq=marks.read,
        delivered_seq=marks.delivered,
        unread_from=marks.unread_from if own else None,
        read_from=read_from,
    )


# ── what follows from marks ──────────────────────────────────────────────────────────────────────────────────────


def seen(marks: Marks, cleared: int = 0) -> int:
    """The last message that does not count as unread; nothing up to `cleared` ever does."""
    upto = marks.read if marks.unread_from is None else min(marks.read, marks.unread_from - 1)
    return max(upto, cleared)


def status(message_id: str, seq: int, others: Mapping[str, Marks]) -> StatusView:
    """How far a message has got.

    Args:
        others: the marks of all members but its sender.
    """
    reached = sorted(user_id for user_id, marks in others.items() if marks.delivered >= seq)
    readers = sorted(user_id for user_id, marks in others.items() if marks.read >= seq)
    if others and len(readers) == len(others):
        least = Status.READ
    elif others and len(reached) == len(others):
        least = Status.DELIVERED
    else:
        least = Status.SENT
    return StatusView(message_id=message_id, status=least, delivered_to=reached, read_by=readers)
