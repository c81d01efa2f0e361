"""What a command does to a room's timeline. Pure: no I/O, no clock, no randomness.

`plan` takes a batch of requests and a snapshot of everything they touch, and returns what to write, announce and
answer. It can be run again on a fresh snapshot, which is how a conflict with another writer is resolved.

A command whose effect is already there changes nothing, but is announced again: the announcement of the first time
may have been lost with the process that made it. Readers drop what they have seen, by `rev`. (Marks are not announced
here at all, but by services.messages.receipts: who needs them asks for them.)
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from services.messages.marks import MARK_RULES
from services.messages.state import (
    MAX_APPLIED,
    MAX_REVS,
    Announcement,
    Marks,
    Message,
    Plan,
    Request,
    Snapshot,
    Timeline,
    Write,
)
from shared.contracts.base import View
from shared.contracts.content import MessageType, MessageView, ReactionView, SenderView
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.membership import Action, RoomAccess
from shared.contracts.messages import (
    MAX_REACTION_KINDS,
    DeleteMessage,
    EditMessage,
    MessageCommand,
    MessageCreated,
    MessageDeleted,
    MessageReacted,
    MessageUpdated,
    ReactToMessage,
    SendMessage,
    TimelineEvent,
    UnreactToMessage,
)
from shared.contracts.timeline import ChangedView, SentView
from shared.ids import change_key, fingerprint
from shared.permissions import allowed


def plan(
    requests: Iterable[Request],
    snapshot: Snapshot,
    now: datetime,
    max_length: float,
    receipts_max_members: int = 0,
) -> Plan:
    """Decide a batch.

    Args:
        now: the time every change of this batch bears.
        max_length: characters a message may have.
        receipts_max_members: members a room may have for what gateways report as delivered to be recorded.
    """
    batch = _Batch(snapshot, now, max_length, receipts_max_members)
    for request in requests:
        try:
            answer = RULES[type(request.command)](batch, request, request.command)
            if answer is not None:
                batch.plan.answers[request.id] = answer
        except ChatError as error:
            batch.plan.answers[request.id] = error
        batch.plan.ends.append(len(batch.plan.writes))
    return batch.plan


class _Batch:
    """A snapshot overlaid by what the batch has done so far."""

    def __init__(self, snapshot: Snapshot, now: datetime, max_length: float, receipts_max_members: int) -> None:
        self.plan = Plan()
        self.now = now
        self.max_length = max_length
        self.receipts_max_members = receipts_max_members
        self._snapshot = snapshot
        self._messages: dict[str, Message] = {}
        self._senders: dict[tuple[str | None, ...], SenderView] = {}

    def access(self, room_id: str, actor: Actor, action: Action) -> RoomAccess:
        """The room, if the actor may do `action` there; raises ChatError."""
        if room_id not in self._snapshot.access:
            raise ChatError(
                ErrorCode.UNAVAILABLE, "The room's members cannot be looked up; try again.", retry_after=1.0
            )
        access = self._snapshot.access[room_id]
        if access is None or access.tenant != actor.tenant:
            self.plan.refused_by_access.add(room_id)
            raise ChatError(ErrorCode.NOT_FOUND, f"There is no room '{room_id}'.")
        if not allowed(action, access.type, access.members.get(actor.id), actor.roles):
            self.plan.refused_by_access.add(room_id)
            raise ChatError(ErrorCode.FORBIDDEN, f"You may not {action.value.replace('_', ' ')} in this room.")
        return access

    def timeline(self, room_id: str) -> Timeline:
        return self.plan.timelines.get(room_id) or self._snapshot.timelines[room_id]

    def message(self, message_id: str) -> Message | None:
        return self._messages.get(message_id) or self._snapshot.messages.get(message_id)

    def existing(self, message_id: str) -> Message:
        """A message somebody wants to change; raises ChatError."""
        message = self.message(message_id)
        if message is None:
            raise ChatError(ErrorCode.NOT_FOUND, f"There is no message '{message_id}'.")
        return message

    def marks(self, room_id: str, user_id: str) -> Marks:
        key = (room_id, user_id)
        return self.plan.marks.get(key) or self._snapshot.marks.get(key) or Marks()

    def sender(self, actor: Actor) -> SenderView:
        """How readers see the actor; made once, as a batch holds many messages of few people."""
        key = (actor.id, actor.name, actor.first_name, actor.last_name, actor.avatar)
        sender = self._senders.get(key)
        if sender is None:
            fields = dict(zip(("id", "name", "first_name", "last_name", "avatar"), key, strict=True))
            sender = self._senders[key] = SenderView.model_validate(fields)
        return sender

    def put(self, message: Message, previous: int | None) -> None:
        """Record a new state, at the room's next `rev` or the one it had."""
        view = message.view
        epoch, seq, rev = self.timeline(view.room_id)
        self.plan.timelines[view.room_id] = Timeline(epoch, max(seq, view.seq), max(rev, view.rev))
        self._messages[view.id] = message
        self.plan.writes.append(Write(message, previous))

    def check_length(self, content: str) -> None:
        if len(content) > self.max_length:
            raise ChatError(
                ErrorCode.TOO_LARGE, f"The content has {len(content)} characters; {self.max_length:g} are allowed."
            )

    def announce(self, event: type[TimelineEvent], message: Message, request: Request, *, new: bool = False) -> None:
        """Tell a change, or tell it again unless it is `new`."""
        view = message.view
        self.plan.announcements.append(
            Announcement(
                event=event(message=view),
                room_id=view.room_id,
                tenant=message.tenant,
                id=f"{view.id}:{view.rev}",
                traceparent=request.traceparent,
                seq=view.seq,
                rev=view.rev,
                cause=request.id if new and request.echo else None,
            )
        )


def _send(batch: _Batch, request: Request, command: SendMessage) -> SentView | None:
    actor = request.actor
    system = command.type is MessageType.SYSTEM
    access = batch.access(command.room_id, actor, Action.SEND_SYSTEM if system else Action.SEND)
    batch.check_length(command.content)
    identifier = request.target or ""
    body = fingerprint(command.type, command.content, command.metadata)
    message = batch.message(identifier)
    if message is not None:
        if message.fingerprint != body:
            key = command.client_id or request.id
            raise ChatError(ErrorCode.CONFLICT, f"client_id '{key}' was used for a message with another body.")
        batch.announce(MessageCreated, message, request)
        return _sent(message, duplicate=True)
    timeline = batch.timeline(command.room_id)
    message = Message(
        view=MessageView(
            id=identifier,
            room_id=command.room_id,
            seq=timeline.seq + 1,
            rev=timeline.rev + 1,
            type=command.type,
            content=command.content,
            sender=batch.sender(actor),
            client_id=command.client_id,
            metadata=command.metadata,
            created_at=batch.now,
        ),
        tenant=access.tenant,
        fingerprint=body,
        born=timeline.rev + 1,
        revs=(timeline.rev + 1,),
    )
    batch.put(message, None)
    batch.announce(MessageCreated, message, request, new=True)
    return None if request.echo else _sent(message, duplicate=False)


def _sent(message: Message, *, duplicate: bool) -> SentView:
    view = message.view
    return SentView(message_id=view.id, seq=view.seq, rev=message.born, created_at=view.created_at, duplicate=duplicate)


def _edit(batch: _Batch, request: Request, command: EditMessage) -> ChangedView | None:
    message = batch.existing(command.message_id)
    _may_change(batch, request.actor, message, Action.EDIT_OWN, Action.EDIT_ANY)
    if _repeated(message, request):
        return _unchanged(batch, request, message, MessageUpdated)
    _alive(message)
    batch.check_length(command.content)
    metadata = message.view.metadata if command.metadata is None else command.metadata
    if (command.content, metadata) == (message.view.content, message.view.metadata):
        return _unchanged(batch, request, message, MessageUpdated)
    change = {"content": command.content, "metadata": metadata, "edited_at": batch.now}
    return _changed(batch, request, message, MessageUpdated, change)


def _delete(batch: _Batch, request: Request, command: DeleteMessage) -> ChangedView | None:
    message = batch.existing(command.message_id)
    _may_change(batch, request.actor, message, Action.DELETE_OWN, Action.DELETE_ANY)
    if message.view.deleted_at is not None:
        return _unchanged(batch, request, message, MessageDeleted)
    change: dict[str, Any] = {"content": "", "metadata": None, "reactions": (), "deleted_at": batch.now}
    return _changed(batch, request, message, MessageDeleted, change)


def _react(batch: _Batch, request: Request, command: ReactToMessage) -> ChangedView | None:
    message = batch.existing(command.message_id)
    _may_change(batch, request.actor, message, Action.REACT, Action.REACT)
    if _repeated(message, request):
        return _unchanged(batch, request, message, MessageReacted)
    _alive(message)
    chosen = _reactions(message)
    users = chosen.setdefault(command.emoji, [])
    if request.actor.id in users:
        return _unchanged(batch, request, message, MessageReacted)
    if len(chosen) > MAX_REACTION_KINDS:
        raise ChatError(ErrorCode.CONFLICT, f"A message takes {MAX_REACTION_KINDS} different reactions at most.")
    users.append(request.actor.id)
    return _changed(batch, request, message, MessageReacted, {"reactions": _reaction_views(chosen)})


def _unreact(batch: _Batch, request: Request, command: UnreactToMessage) -> ChangedView | None:
    message = batch.existing(command.message_id)
    _may_change(batch, request.actor, message, Action.REACT, Action.REACT)
    chosen = _reactions(message)
    users = chosen.get(command.emoji, [])
    if request.actor.id not in users or _repeated(message, request):
        return _unchanged(batch, request, message, MessageReacted)
    users.remove(request.actor.id)
    return _changed(batch, request, message, MessageReacted, {"reactions": _reaction_views(chosen)})


def _may_change(batch: _Batch, actor: Actor, message: Message, own: Action, any_: Action) -> None:
    try:
        batch.access(message.view.room_id, actor, own if message.view.sender.id == actor.id else any_)
    except ChatError as error:
        if error.code is ErrorCode.NOT_FOUND:
            # A foreign tenant learns nothing of the room the message is in.
            raise ChatError(ErrorCode.NOT_FOUND, f"There is no message '{message.view.id}'.") from error
        raise


def _key(request: Request) -> str:
    return change_key(request.actor.id, request.command.client_id or request.id)


def _applied(message: Message, request: Request) -> tuple[str, ...]:
    return (*message.applied, _key(request))[-MAX_APPLIED:]


def _repeated(message: Message, request: Request) -> bool:
    """Whether this is a copy of a change that was made. A later one may have followed, which must not be undone."""
    return _key(request) in message.applied


def _alive(message: Message) -> None:
    if message.view.deleted_at is not None:
        raise ChatError(ErrorCode.CONFLICT, f"Message '{message.view.id}' was deleted.")


def _changed(
    batch: _Batch, request: Request, message: Message, event: type[TimelineEvent], change: dict[str, Any]
) -> ChangedView | None:
    rev = batch.timeline(message.view.room_id).rev + 1
    after = Message(
        view=message.view.model_copy(update={**change, "rev": rev}),
        tenant=message.tenant,
        fingerprint=message.fingerprint,
        born=message.born,
        revs=(*message.revs, rev)[-MAX_REVS:],
        applied=_applied(message, request),
    )
    batch.put(after, message.view.rev)
    batch.announce(event, after, request, new=True)
    return None if request.echo else ChangedView(message_id=after.view.id, rev=rev, changed=True)


def _unchanged(batch: _Batch, request: Request, message: Message, event: type[TimelineEvent]) -> ChangedView:
    if not _repeated(message, request):
        # Remembered all the same: should it come again, it must not undo what has followed it.
        message = replace(message, applied=_applied(message, request))
        batch.put(message, message.view.rev)
    batch.announce(MessageDeleted if message.view.deleted_at is not None else event, message, request)
    return ChangedView(message_id=message.view.id, rev=message.view.rev, changed=False)


def _reactions(message: Message) -> dict[str, list[str]]:
    return {reaction.emoji: list(reaction.users) for reaction in message.view.reactions}


def _reaction_views(chosen: Mapping[str, list[str]]) -> tuple[ReactionView, ...]:
    return tuple(ReactionView(emoji=emoji, users=tuple(users)) for emoji, users in chosen.items() if users)


Rule = Callable[[_Batch, Request, Any], View | None]
"""Answers a request, unless its announcement does."""

RULES: dict[type[MessageCommand], Rule] = {
    SendMessage: _send,
    EditMessage: _edit,
    DeleteMessage: _delete,
    ReactToMessage: _react,
    UnreactToMessage: _unreact,
    **MARK_RULES,
}
