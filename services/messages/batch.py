"""A batch while it is being decided: a snapshot, overlaid by what has been done so far. Pure.

Holds what all rules share, and no rule.
"""

from datetime import datetime

from services.messages import content
from services.messages.rights import denials, may, refusal
from services.messages.state import (
    Announcement,
    Clearing,
    FileKey,
    Limits,
    Marks,
    Message,
    Plan,
    Request,
    Snapshot,
    Timeline,
    Write,
)
from shared.contracts.content import MessageView, SenderView
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.media import MediaView
from shared.contracts.membership import Action, RoomAccess
from shared.contracts.messages import TimelineEvent
from shared.permissions import NO_DENIALS, allowed


class Batch:
    """What the rules read, and the plan they write."""

    def __init__(self, snapshot: Snapshot, now: datetime, limits: Limits) -> None:
        self.plan = Plan()
        self.now = now
        self.limits = limits
        self._snapshot = snapshot
        self._messages: dict[str, Message] = {}
        self._clearings: dict[str, Clearing] = {}
        self._senders: dict[tuple[str | None, ...], SenderView] = {}

    # ── what there is ────────────────────────────────────────────────────────────────────────────────────────────

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
        denied = denials(access, actor.id) if access.closed or access.muted else NO_DENIALS
        if not allowed(action, access.type, access.members.get(actor.id), actor.roles, denied):
            self.plan.refused_by_access.add(room_id)
            raise ChatError(ErrorCode.FORBIDDEN, refusal(action, access, actor))
        return access

    def access_to(self, message: Message, actor: Actor, own: Action, any_: Action) -> RoomAccess:
        """The message's room, if the actor may do `own` to a message of theirs, or `any_` to whosever it is."""
        room_id, mine = message.view.room_id, message.view.sender.id == actor.id
        access = self._snapshot.access.get(room_id)
        moderates = mine and access is not None and access.tenant == actor.tenant and may(any_, access, actor)
        try:
            return self.access(room_id, actor, own if mine and not moderates else any_)
        except ChatError as error:
            if error.code is ErrorCode.NOT_FOUND:
                # A foreign tenant learns nothing of the room the message is in.
                raise no_message(message.view.id) from error
            raise

    def file(self, actor: Actor, media_id: str) -> MediaView:
        """A file that the actor may see; raises ChatError."""
        key = FileKey.of(actor, media_id)
        if key not in self._snapshot.files:
            raise ChatError(
                ErrorCode.UNAVAILABLE, f"File '{media_id}' cannot be looked up; try again.", retry_after=5.0
            )
        media = self._snapshot.files[key]
        if media is None:
            raise ChatError(ErrorCode.NOT_FOUND, f"There is no file '{media_id}', or not for you.")
        return media

    def timeline(self, room_id: str) -> Timeline:
        """Where a room stands."""
        return self.plan.timelines.get(room_id) or self._snapshot.timelines[room_id]

    def message(self, message_id: str) -> Message | None:
        """A message, cleared ones included."""
        return self._messages.get(message_id) or self._snapshot.messages.get(message_id)

    def existing(self, message_id: str) -> Message:
        """A message somebody wants to change; raises ChatError."""
        message = self.message(message_id)
        if message is None:
            raise no_message(message_id)
        return message

    def is_cleared(self, message: Message) -> bool:
        """Whether a message is not there any more, although it is remembered."""
        return message.view.seq <= self.timeline(message.view.room_id).cleared

    def clearing(self, room_id: str) -> Clearing | None:
        """How far a room was cleared, and by whom."""
        return self._clearings.get(room_id) or self._snapshot.clearings.get(room_id)

    def marks(self, room_id: str, user_id: str) -> Marks:
        """A member's marks."""
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

    def check_length(self, text: str) -> None:
        """Raise ChatError `too_large` where a message's content is."""
        if len(text) > self.limits.length:
            raise ChatError(
                ErrorCode.TOO_LARGE, f"The content has {len(text)} characters; {self.limits.length:g} are allowed."
            )

    # ── what is done ─────────────────────────────────────────────────────────────────────────────────────────────

    def add(self, message: Message, timeline: Timeline) -> None:
        """Record a new message, the next of a room that has stood at `timeline`."""
        view = message.view
        self.plan.timelines[view.room_id] = Timeline(timeline.epoch, view.seq, view.rev, timeline.cleared)
        self._messages[view.id] = message
        self.plan.writes.append(Write(message, None))

    def put(self, message: Message, previous: int) -> None:
        """Record a message's new state, at the room's next `rev` or the one it had."""
        view = message.view
        epoch, seq, rev, cleared = self.timeline(view.room_id)
        self.plan.timelines[view.room_id] = Timeline(epoch, seq, max(rev, view.rev), cleared)
        self._messages[view.id] = message
        self.plan.writes.append(Write(message, previous))

    def put_clearing(self, clearing: Clearing, previous: int | None) -> None:
        """Record how far a room is cleared, likewise."""
        epoch, seq, rev, _ = self.timeline(clearing.room_id)
        self.plan.timelines[clearing.room_id] = Timeline(epoch, seq, max(rev, clearing.rev), clearing.seq)
        self._clearings[clearing.room_id] = clearing
        self.plan.writes.append(Write(clearing, previous))

    def announce(self, event: type[TimelineEvent], message: Message, request: Request, *, new: bool = False) -> None:
        """Tell a change, or tell it again unless it is `new`."""
        view = message.view
        if view.reply_to is not None:
            view = self._with_quote(view)
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

    def _with_quote(self, view: MessageView) -> MessageView:
        target = self.message(view.reply_to or "")
        if target is None:
            return view
        quote = content.quote(target.view, cleared=self.is_cleared(target))
        return view.model_copy(update={"quote": quote})


def no_message(message_id: str) -> ChatError:
    """The error for a message that is not there, or not for the caller to know of."""
    return ChatError(ErrorCode.NOT_FOUND, f"There is no message '{message_id}'.")
