"""Which messages a batch touches, so that all of them are read at once, and what it leaves behind of them. Pure."""

from collections.abc import Iterable, Mapping

from services.messages.state import Message, Plan, Request, Revision, Snapshot
from shared.contracts.messages import SendMessage


def ids_of(requests: Iterable[Request], *, again: bool) -> set[str]:
    """The messages that requests are about, and those that new ones quote."""
    ids: set[str] = set()
    for request in requests:
        command = request.command
        if not isinstance(command, SendMessage):
            ids.add(request.target or "")
            continue
        # What a send creates is not there the first time: looking would cost every message a round trip.
        if again:
            ids.add(request.target or "")
        if command.reply_to is not None:
            ids.add(command.reply_to)
    return ids - {""}


def quoted_in(messages: Mapping[str, Message]) -> set[str]:
    """The messages that replies among these quote."""
    return {message.view.reply_to for message in messages.values() if message.view.reply_to is not None}


def revisions_of(decided: Plan, snapshot: Snapshot, *, stored: bool) -> list[Revision]:
    """What edits of a plan replace, of what was stored before it or of what it stores itself.

    The former are written first. They hold what was written at a `rev`, which nobody can change any more: so it does no
    harm where the plan itself is refused, or where another writer has them as well.
    """
    return [it for it in decided.revisions if (it.rev <= snapshot.timelines[it.room_id].rev) is stored]
