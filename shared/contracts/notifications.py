"""What a push service may attach to: who should be told of a message though they are away, and when no longer.

The messages service notes what concerns somebody in particular, and what an administrator would want to know of; the
rooms service, which knows who is connected, makes notifications of the one and audit entries of the other.
"""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from shared.contracts.base import Event
from shared.contracts.content import SenderView


class Reason(StrEnum):
    """Why somebody should be told."""

    MENTION = "mention"
    DIRECT = "direct"


class Noted(Event):
    """Something that the messages service leaves to the rooms service."""

    TOPIC: ClassVar = "noted"

    room_id: str


class MessageNoted(Noted):
    """A message concerns these users in particular."""

    TYPE: ClassVar = "message.noted"

    message_id: str
    seq: int
    sender: SenderView
    preview: str
    """Its first characters."""
    reasons: dict[str, Reason]
    """By user."""


class MessageUnnoted(Noted):
    """A message concerns nobody any more, or all up to `seq` do not: they were deleted or cleared."""

    TYPE: ClassVar = "message.unnoted"

    message_id: str | None = None
    seq: int


class ActNoted(Noted):
    """Somebody has used a right over other people's messages."""

    TYPE: ClassVar = "act.noted"

    actor_id: str
    act: str
    """The command's type."""
    message_id: str | None = None
    target_id: str | None = None
    """Whose message it was."""
    at: datetime


class NotificationEvent(Event):
    """Something to tell, or not to tell any more, to a user who is not connected."""

    TOPIC: ClassVar = "notification"

    user_id: str
    room_id: str
    message_id: str
    seq: int


class NotificationRequested(NotificationEvent):
    """A user who is not connected should be told of a message. The event's id is the notification's."""

    TYPE: ClassVar = "notification.requested"

    reason: Reason
    sender: SenderView
    preview: str


class NotificationRetracted(NotificationEvent):
    """The user has read the message, or there is nothing to read any more; the id is the notification's."""

    TYPE: ClassVar = "notification.retracted"


EVENTS: dict[str, type[Event]] = {
    event.TYPE: event
    for event in (MessageNoted, MessageUnnoted, ActNoted, NotificationRequested, NotificationRetracted)
}
