"""The rules of what happens to a message after it was written. Pure.

A copy of a change that was made changes nothing: `applied` knows it. So does one of a change that found nothing to do,
for what has followed it must not be undone.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from services.messages.batch import Batch, no_message
from services.messages.content import mentioned
from services.messages.notes import note_act, note_mentions, unnote, unnote_file
from services.messages.state import MAX_APPLIED, MAX_REVS, Message, Request, Revision
from shared.contracts.content import ReactionView
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.membership import Action, RoomAccess
from shared.contracts.messages import (
    MAX_REACTION_KINDS,
    MAX_REACTIONS,
    DeleteMessage,
    EditMessage,
    MessageDeleted,
    MessageReacted,
    MessageUpdated,
    ReactToMessage,
    TimelineEvent,
    UnreactToMessage,
)
from shared.contracts.timeline import ChangedView
from shared.ids import change_key

_EMPTY: dict[str, Any] = {
    "content": "",
    "attachment": None,
    "location": None,
    "metadata": None,
    "reactions": (),
    "mentions": (),
    "reply_to": None,
}
"""What is left of a deleted message, beside its place."""


def edit(batch: Batch, request: Request, command: EditMessage) -> ChangedView | None:
    """Replace the content, and keep what it was."""
    message, access = _target(batch, request, command.message_id, Action.EDIT_OWN, Action.EDIT_ANY)
    view = message.view
    if repeated(message.applied, request):
        note_act(batch, request, access, message)
        return _unchanged(batch, request, message, MessageUpdated)
    _alive(message)
    batch.check_length(command.content)
    metadata = view.metadata if command.metadata is None else command.metadata
    if (command.content, metadata) == (view.content, view.metadata):
        return _unchanged(batch, request, message, MessageUpdated)
    batch.plan.revisions.append(_revision(message))
    change = {
        "content": command.content,
        "metadata": metadata,
        "mentions": mentioned(command.content, (), access.members, view.sender.id),
        "edited_at": batch.now,
    }
    answer = _changed(batch, request, message, MessageUpdated, change, edited=True)
    note_mentions(batch, request, batch.existing(view.id), view.mentions)
    note_act(batch, request, access, message)
    return answer


def delete(batch: Batch, request: Request, command: DeleteMessage) -> ChangedView | None:
    """Take everything away but the place."""
    message, access = _target(batch, request, command.message_id, Action.DELETE_OWN, Action.DELETE_ANY)
    batch.plan.forgotten.add(message.view.id)
    unnote(batch, request, message)
    if message.view.deleted_at is None or repeated(message.applied, request):
        note_act(batch, request, access, message)
    if message.view.deleted_at is not None:
        answer: ChangedView | None = _unchanged(batch, request, message, MessageDeleted)
    else:
        answer = _changed(batch, request, message, MessageDeleted, {**_EMPTY, "deleted_at": batch.now})
    unnote_file(batch, request, batch.existing(message.view.id), message.view)
    return answer


def react(batch: Batch, request: Request, command: ReactToMessage) -> ChangedView | None:
    """Add somebody's emoji."""
    message, _ = _target(batch, request, command.message_id, Action.REACT, Action.REACT)
    if repeated(message.applied, request):
        return _unchanged(batch, request, message, MessageReacted)
    _alive(message)
    chosen = _reactions(message)
    users = chosen.setdefault(command.emoji, [])
    if request.actor.id in users:
        return _unchanged(batch, request, message, MessageReacted)
    if len(chosen) > MAX_REACTION_KINDS:
        raise ChatError(ErrorCode.CONFLICT, f"A message takes {MAX_REACTION_KINDS} different reactions at most.")
    if sum(map(len, chosen.values())) >= MAX_REACTIONS:
        raise ChatError(ErrorCode.CONFLICT, f"A message takes {MAX_REACTIONS} reactions at most.")
    users.append(request.actor.id)
    return _changed(batch, request, message, MessageReacted, {"reactions": _reaction_views(chosen)})


def unreact(batch: Batch, request: Request, command: UnreactToMessage) -> ChangedView | None:
    """Take somebody's emoji back."""
    message, _ = _target(batch, request, command.message_id, Action.REACT, Action.REACT)
    chosen = _reactions(message)
    users = chosen.get(command.emoji, [])
    if request.actor.id not in users or repeated(message.applied, request):
        return _unchanged(batch, request, message, MessageReacted)
    users.remove(request.actor.id)
    return _changed(batch, request, message, MessageReacted, {"reactions": _reaction_views(chosen)})


# ── what they share ──────────────────────────────────────────────────────────────────────────────────────────────────


def repeated(applied: tuple[str, ...], request: Request) -> bool:
    """Whether this is a copy of a change that was made. A later one may have followed, which must not be undone."""
    return _key(request) in applied


def remembered(applied: tuple[str, ...], request: Request) -> tuple[str, ...]:
    """The changes that were made, with this one."""
    return (*applied, _key(request))[-MAX_APPLIED:]


def _key(request: Request) -> str:
    return change_key(request.actor.id, request.command.client_id or request.id)


def _target(batch: Batch, request: Request, message_id: str, own: Action, any_: Action) -> tuple[Message, RoomAccess]:
    """The message, if the actor may change it; one that was cleared only for the copy of a change. Raises ChatError."""
    message = batch.existing(message_id)
    access = batch.access_to(message, request.actor, own, any_)
    if batch.is_cleared(message) and not repeated(message.applied, request):
        raise no_message(message_id)
    return message, access


def _alive(message: Message) -> None:
    if message.view.deleted_at is not None:
        raise ChatError(ErrorCode.CONFLICT, f"Message '{message.view.id}' was deleted.")


def _changed(
    batch: Batch,
    request: Request,
    message: Message,
    event: type[TimelineEvent],
    change: dict[str, Any],
    *,
    edited: bool = False,
) -> ChangedView | None:
    rev = batch.timeline(message.view.room_id).rev + 1
    after = Message(
        view=message.view.model_copy(update={**change, "rev": rev}),
        tenant=message.tenant,
        fingerprint=message.fingerprint,
        born=message.born,
        revs=(*message.revs, rev)[-MAX_REVS:],
        applied=remembered(message.applied, request),
        edited=rev if edited else message.edited,
    )
    batch.put(after, message.view.rev)
    batch.announce(event, after, request, new=True)
    return None if request.echo else ChangedView(message_id=after.view.id, rev=rev, changed=True)


def _unchanged(batch: Batch, request: Request, message: Message, event: type[TimelineEvent]) -> ChangedView:
    if not repeated(message.applied, request):
        # Remembered all the same: should it come again, it must not undo what has followed it.
        message = replace(message, applied=remembered(message.applied, request))
        batch.put(message, message.view.rev)
    if not batch.is_cleared(message):
        batch.announce(MessageDeleted if message.view.deleted_at is not None else event, message, request)
    return ChangedView(message_id=message.view.id, rev=message.view.rev, changed=False)


def _revision(message: Message) -> Revision:
    view = message.view
    return Revision(
        message_id=view.id,
        room_id=view.room_id,
        seq=view.seq,
        rev=message.said,
        content=view.content,
        metadata=view.metadata,
        since=view.edited_at or view.created_at,
        created_at=view.created_at,
    )


def _reactions(message: Message) -> dict[str, list[str]]:
    return {reaction.emoji: list(reaction.users) for reaction in message.view.reactions}


def _reaction_views(chosen: Mapping[str, list[str]]) -> tuple[ReactionView, ...]:
    return tuple(ReactionView(emoji=emoji, users=tuple(users)) for emoji, users in chosen.items() if users)
