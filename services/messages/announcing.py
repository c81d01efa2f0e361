"""Announcements as they leave: encoded, with the key by which they find their readers."""

from datetime import datetime

from services.messages.state import Announcement
from shared.bus.codec import encode_event, to_json
from shared.bus.topology import event_key

Keyed = tuple[str, bytes]
"""A routing key, and the encoded event that goes by it."""


def encoded(announcement: Announcement, now: datetime, *, source: str, shards: int) -> Keyed:
    """An announcement as an event of `source` that happened `now`."""
    event = announcement.event
    return (
        event_key(event.TOPIC, announcement.room_id, shards),
        encode_event(
            id=announcement.id,
            source=source,
            type=event.TYPE,
            subject=announcement.room_id,
            tenant=announcement.tenant,
            time=now,
            data=to_json(event),
            traceparent=announcement.traceparent,
            seq=announcement.seq,
            rev=announcement.rev,
            cause=announcement.cause,
        ),
    )
