"""The rule of a new message. Pure."""

from typing import Any

from services.messages import content
from services.messages.attachments import filled
from services.messages.batch import Batch
from services.messages.notes import note, note_file
from services.messages.state import Message, Request
from shared.contracts.content import MessageType, MessageView
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.membership import Action, RoomAccess
from shared.contracts.messages import MessageCreated, SendMessage
from shared.contracts.timeline import SentView
from shared.ids import fingerprint
from shared.permissions import POLICIES


def send(batch: Batch, request: Request, command: SendMessage) -> SentView | None:
    """Write a message, or find that it was written."""
    actor = request.actor
    system = command.type is MessageType.SYSTEM
    access = batch.access(command.room_id, actor, Action.SEND_SYSTEM if system else Action.SEND)
    batch.check_length(command.content)
    identifier = request.target or ""
    plain = content.is_plain(command)
    body = fingerprint(command.type, command.content, command.metadata, "" if plain else content.rest_of(command))
    message = batch.message(identifier)
    if message is not None:
        return _again(batch, request, command, message, access, body)
    timeline = batch.timeline(command.room_id)
    rev = timeline.rev + 1
    if timeline.seq - timeline.cleared >= batch.limits.session and not system:  # a service may still say why
        _check_bound(batch, access)
    if command.reply_to is not None:
        _check_answered(batch, command.room_id, command.reply_to)
    view = MessageView(
        id=identifier,
        room_id=command.room_id,
        seq=timeline.seq + 1,
        rev=rev,
        type=command.type,
        content=command.content,
        sender=batch.sender(actor),
        client_id=command.client_id,
        metadata=command.metadata,
        created_at=batch.now,
    )
    if not plain or system or actor.roles or "@" in command.content:
        view = view.model_copy(update=_particulars(batch, command, actor, access))
    message = Message(view=view, tenant=access.tenant, fingerprint=body, born=rev, revs=(rev,))
    batch.add(message, timeline)
    batch.announce(MessageCreated, message, request, new=True)
    _note(batch, request, message, access)
    return None if request.echo else _sent(message, duplicate=False)


def _again(
    batch: Batch, request: Request, command: SendMessage, message: Message, access: RoomAccess, body: str
) -> SentView:
    if message.fingerprint != body:
        key = command.client_id or request.id
        raise ChatError(ErrorCode.CONFLICT, f"client_id '{key}' was used for a message with another body.")
    if not batch.is_cleared(message):  # else there is nothing to tell: who has missed it has missed the clearing, too
        batch.announce(MessageCreated, message, request)
        _note(batch, request, message, access)
    return _sent(message, duplicate=True)


def _note(batch: Batch, request: Request, message: Message, access: RoomAccess) -> None:
    note(batch, request, message, access)
    if message.view.attachment is not None:
        note_file(batch, request, message, message.view.attachment)


def _sent(message: Message, *, duplicate: bool) -> SentView:
    view = message.view
    return SentView(message_id=view.id, seq=view.seq, rev=message.born, created_at=view.created_at, duplicate=duplicate)


def _check_bound(batch: Batch, access: RoomAccess) -> None:
    if POLICIES[access.type].bounded:
        batch.plan.unsure = True
        raise ChatError(
            ErrorCode.CONFLICT,
            f"The conversation has {batch.limits.session:g} messages, which is the limit; clear it to go on.",
        )


def _particulars(batch: Batch, command: SendMessage, actor: Actor, access: RoomAccess) -> dict[str, Any]:
    """What may set a message apart from a user's plain text. Raises ChatError where it cannot have that."""
    attachment = command.attachment
    return {
        "author": content.author_of(actor, access, command.type),
        "mentions": content.mentioned(command.content, command.mentions, access.members, actor.id),
        "attachment": None if attachment is None else filled(batch, actor, attachment, command.type),
        "location": command.location,
        "reply_to": command.reply_to,
    }


def _check_answered(batch: Batch, room_id: str, message_id: str) -> None:
    target = batch.message(message_id)
    if target is None or target.view.deleted_at is not None or batch.is_cleared(target):
        batch.plan.unsure = True
    if target is None or target.view.room_id != room_id or batch.is_cleared(target):
        raise ChatError(ErrorCode.INVALID, f"There is no message '{message_id}' in this room that could be answered.")
    if target.view.deleted_at is not None:
        raise ChatError(ErrorCode.CONFLICT, f"Message '{message_id}' was deleted, so it cannot be answered.")
