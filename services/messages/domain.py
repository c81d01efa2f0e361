"""What a command does to a room's timeline. Pure: no I/O, no clock, no randomness.

`plan` takes a batch of requests and a snapshot of everything they touch, and returns what to write, announce and
answer. It can be run again on a fresh snapshot, which is how a conflict with another writer is resolved.

A command whose effect is already there changes nothing, but is announced again: the announcement of the first time
may have been lost with the process that made it. Readers drop what they have seen, by `rev`. (Marks are not announced
here at all, but by services.messages.receipts. Nor is what concerns a message that was cleared since: who missed it
has missed the clearing.)
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from services.messages.batch import Batch
from services.messages.changes import delete, edit, react, unreact
from services.messages.clearing import clear
from services.messages.marks import MARK_RULES
from services.messages.sending import send
from services.messages.state import Limits, Plan, Request, Snapshot
from shared.contracts.base import View
from shared.contracts.errors import ChatError
from shared.contracts.messages import (
    ClearTimeline,
    DeleteMessage,
    EditMessage,
    MessageCommand,
    ReactToMessage,
    SendMessage,
    UnreactToMessage,
)


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


Rule = Callable[[Batch, Request, Any], View | None]
"""Answers a request, unless its announcement does."""

RULES: dict[type[MessageCommand], Rule] = {
    SendMessage: send,
    EditMessage: edit,
    DeleteMessage: delete,
    ReactToMessage: react,
    UnreactToMessage: unreact,
    ClearTimeline: clear,
    **MARK_RULES,
}
