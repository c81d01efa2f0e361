"""What events tell about files in messages, as facts to be written down. Pure."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from shared.contracts.envelope import EventEnvelope
from shared.contracts.media import MediaAttached, MediaCleared, MediaDetached
from shared.contracts.rooms import RoomDeleted


class Shown(NamedTuple):
    """A message shows a file."""

    message_id: str
    media_id: str
    room_id: str
    seq: int
    rev: int
    at: datetime


class Unshown(NamedTuple):
    """A message shows nothing any more."""

    message_id: str
    room_id: str
    seq: int
    rev: int
    at: datetime


class Cleared(NamedTuple):
    """No message of a room up to `seq` shows anything any more."""

    room_id: str
    seq: int
    at: datetime


class Gone(NamedTuple):
    """A room was deleted: what was told of it before is void. Another one of that id may have been made since."""

    room_id: str
    at: datetime


Fact = Shown | Unshown | Cleared | Gone


def fact_in(item: Any) -> Fact | None:
    """What an event tells; None where that is nothing about files.

    Raises:
        ValueError: where it cannot be read (pydantic's ValidationError is one).
    """
    if not isinstance(item, dict) or not isinstance(item.get("type"), str):
        raise ValueError("it is no event")  # noqa: TRY004 - what is wrong is a value somebody sent
    return _fact(item) if item["type"] in _READERS else None


def _fact(item: dict[str, Any]) -> Fact:
    envelope = EventEnvelope.model_validate(item)
    if envelope.time is None or envelope.time.tzinfo is None:
        raise ValueError("'time' is missing, or without a zone")
    return _READERS[envelope.type](envelope, envelope.time)


def _attached(envelope: EventEnvelope, at: datetime) -> Shown:
    event = MediaAttached.model_validate(envelope.data)
    return Shown(event.message_id, event.media_id, event.room_id, event.seq, event.rev, at)


def _detached(envelope: EventEnvelope, at: datetime) -> Unshown:
    event = MediaDetached.model_validate(envelope.data)
    return Unshown(event.message_id, event.room_id, event.seq, event.rev, at)


def _cleared(envelope: EventEnvelope, at: datetime) -> Cleared:
    event = MediaCleared.model_validate(envelope.data)
    return Cleared(event.room_id, event.seq, at)


def _gone(envelope: EventEnvelope, at: datetime) -> Gone:
    if not envelope.subject:
        raise ValueError("'subject' names no room")
    return Gone(envelope.subject, at)


_READERS: dict[str, Callable[[EventEnvelope, datetime], Fact]] = {
    MediaAttached.TYPE: _attached,
    MediaDetached.TYPE: _detached,
    MediaCleared.TYPE: _cleared,
    RoomDeleted.TYPE: _gone,
}
