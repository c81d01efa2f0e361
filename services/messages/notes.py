"""What is noted beside a change, for other services.

For the rooms service: whom a message concerns in particular, and what moderators do. For the media service: which files
messages show.

Pure. Notes are told with the change and again with every repetition of it, under the same id; who follows them knows
what was noted before.
"""

from collections.abc import Iterable

from services.messages.batch import Batch
from services.messages.state import Announcement, Clearing, Message, Request
from shared.contracts.content import QUOTE_LENGTH, REQUIRED, Attachment, MessageType, MessageView, Part
from shared.contracts.media import Attaching, MediaAttached, MediaCleared, MediaDetached
from shared.contracts.membership import RoomAccess
from shared.contracts.notifications import ActNoted, MessageNoted, MessageUnnoted, Noted, Reason
from shared.ids import change_key
from shared.permissions import POLICIES, Key

PAIRED = frozenset(kind for kind, policy in POLICIES.items() if policy.key is Key.PAIR)
"""Types of rooms in which every message is meant for the other one."""


def note(batch: Batch, request: Request, message: Message, access: RoomAccess) -> None:
    """Whom a new message concerns: those it mentions, and the other one of a room of two."""
    view = message.view
    if not view.mentions and access.type not in PAIRED:
        return
    reasons = dict.fromkeys(view.mentions, Reason.MENTION)
    if access.type in PAIRED and view.type is not MessageType.SYSTEM:
        others = (user_id for user_id in access.members if user_id != view.sender.id)
        reasons = dict.fromkeys(others, Reason.DIRECT) | reasons
    _note(batch, request, message, reasons, f"noted:{view.id}")


def note_mentions(batch: Batch, request: Request, message: Message, before: Iterable[str]) -> None:
    """Whom an edited message mentions who were not mentioned `before`."""
    view = message.view
    new = set(view.mentions).difference(before)
    _note(batch, request, message, dict.fromkeys(sorted(new), Reason.MENTION), f"noted:{view.id}:{view.rev}")


def unnote(batch: Batch, request: Request, message: Message) -> None:
    """A message that may have concerned somebody is deleted."""
    view = message.view
    event = MessageUnnoted(room_id=view.room_id, message_id=view.id, seq=view.seq)
    _tell(batch, request, event, message.tenant, f"unnoted:{view.id}")


def unnote_all(batch: Batch, request: Request, access: RoomAccess, seq: int) -> None:
    """Everything up to `seq` is cleared."""
    event = MessageUnnoted(room_id=access.room_id, seq=seq)
    _tell(batch, request, event, access.tenant, f"unnoted:{access.room_id}:{seq}")


def note_act(batch: Batch, request: Request, access: RoomAccess, message: Message | None = None) -> None:
    """A right over other people's messages was used: over one `message`, or all of the room."""
    actor_id, command = request.actor.id, request.command
    if message is not None and message.view.sender.id == actor_id:
        return
    event = ActNoted(
        room_id=access.room_id,
        actor_id=actor_id,
        act=command.TYPE,
        message_id=None if message is None else message.view.id,
        target_id=None if message is None else message.view.sender.id,
        at=batch.now,
    )
    key = change_key(actor_id, command.client_id or request.id)
    _tell(batch, request, event, access.tenant, f"act:{access.room_id}:{key}")


def note_file(batch: Batch, request: Request, message: Message, attachment: Attachment) -> None:
    """A message shows a file of this server's."""
    view = message.view
    if attachment.media_id is None:
        return
    event = MediaAttached(
        room_id=view.room_id, rev=message.born, message_id=view.id, seq=view.seq, media_id=attachment.media_id
    )
    _tell(batch, request, event, message.tenant, f"attached:{view.id}")


def unnote_file(batch: Batch, request: Request, message: Message, before: MessageView) -> None:
    """A message is deleted that has shown a file, or may have: one that was deleted `before` does not say any more."""
    view, attachment = message.view, before.attachment
    if REQUIRED[before.type] is not Part.ATTACHMENT or (attachment is not None and attachment.media_id is None):
        return
    event = MediaDetached(room_id=view.room_id, rev=view.rev, message_id=view.id, seq=view.seq)
    _tell(batch, request, event, message.tenant, f"detached:{view.id}")


def unnote_files(batch: Batch, request: Request, clearing: Clearing) -> None:
    """Whatever was shown up to where a room is cleared is shown no more."""
    event = MediaCleared(room_id=clearing.room_id, rev=clearing.rev, seq=clearing.seq)
    _tell(batch, request, event, clearing.tenant, f"unattached:{clearing.room_id}:{clearing.rev}")


def _note(batch: Batch, request: Request, message: Message, reasons: dict[str, Reason], identifier: str) -> None:
    view = message.view
    if reasons:
        event = MessageNoted(
            room_id=view.room_id,
            message_id=view.id,
            seq=view.seq,
            sender=view.sender,
            preview=view.content[:QUOTE_LENGTH],
            reasons=reasons,
        )
        _tell(batch, request, event, message.tenant, identifier)


def _tell(batch: Batch, request: Request, event: Noted | Attaching, tenant: str, identifier: str) -> None:
    batch.plan.notes.append(Announcement(event, event.room_id, tenant, identifier, request.traceparent))
