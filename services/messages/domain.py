"""What a command does to a room's timeline. Pure: no I/O, no clock, no randomness.

`plan` takes a batch of requests and a snapshot of everything they touch, and returns what to write, announce and
answer. It can be run again on a fresh snapshot, which is how a conflict with another writer is resolved.

A command whose effect is already there changes nothing, but is announced again: the announcement of the first time
may have been lost with the process that made it. Readers drop what they have seen, by `rev`. (Marks are not: who needs
them asks for them. Nor is what concerns a message that was cleared since: who missed it has missed the clearing.)
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from services.messages.batch import Batch
from services.messages.changes import delete, edit, react, unreact
from services.messages.clearing import clear
from services.messages.sending import send
from services.messages.state import Announcement, Limits, Marks, Plan, Request, Snapshot
from shared.contracts.base import View
from shared.contracts.errors import ChatError
from shared.contracts.membership import Action
from shared.contracts.messages import (
    ClearTimeline,
    DeleteMessage,
    EditMessage,
    MarkDelivered,
    MarkRead,
    MessageCommand,
    ReactToMessage,
    ReceiptsUpdated,
    SendMessage,
    UnreactToMessage,
)
from shared.contracts.timeline import ReceiptView


def plan(requests: Iterable[Request], snapshot: Snapshot, now: datetime, limits: Limits) -> Plan:
    """Decide a batch.

    Args:
        now: the time every change of this batch bears.
    """
    batch = Batch(snapshot, now, limits)
    for request in requests:
        try:
            answer = RULES[type(request.command)](batch, request, request.command)
            if answer is not None:
                batch.plan.answers[request.id] = answer
        except ChatError as error:
            batch.plan.answers[request.id] = error
        batch.plan.ends.append(len(batch.plan.writes))
    return batch.plan


def _mark_read(batch: Batch, request: Request, command: MarkRead) -> ReceiptView:
    return _mark(batch, request, command.room_id, Marks(read=command.seq, delivered=command.seq))


def _mark_delivered(batch: Batch, request: Request, command: MarkDelivered) -> ReceiptView:
    return _mark(batch, request, command.room_id, Marks(delivered=command.seq))


def _mark(batch: Batch, request: Request, room_id: str, wanted: Marks) -> ReceiptView:
    access = batch.access(room_id, request.actor, Action.MARK)
    user_id, last = request.actor.id, batch.timeline(room_id).seq
    before = batch.marks(room_id, user_id)
    after = Marks(*(max(old, min(new, last)) for old, new in zip(before, wanted, strict=True)))
    receipt = ReceiptView(user_id=user_id, read_seq=after.read, delivered_seq=after.delivered)
    if after != before:
        batch.plan.marks[room_id, user_id] = after
        batch.plan.announcements.append(
            Announcement(
                event=ReceiptsUpdated(room_id=room_id, receipts=[receipt]),
                room_id=room_id,
                tenant=access.tenant,
                id=f"{room_id}:{user_id}:{after.read}:{after.delivered}",
                traceparent=request.traceparent,
            )
        )
    return receipt


Rule = Callable[[Batch, Request, Any], View | None]
"""Answers a request, unless its announcement does."""

RULES: dict[type[MessageCommand], Rule] = {
    SendMessage: send,
    EditMessage: edit,
    DeleteMessage: delete,
    ReactToMessage: react,
    UnreactToMessage: unreact,
    ClearTimeline: clear,
    MarkRead: _mark_read,
    MarkDelivered: _mark_delivered,
}
