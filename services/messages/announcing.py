"""Announcements as they leave: encoded, with the key by which they find their readers."""

from datetime import datetime

from services.messages.state import Announcement, Request
from shared.bus.codec import encode_event, to_json
from shared.bus.topology import event_key
from shared.contracts.messages import TimelinePurged

Keyed = tuple[str, bytes]
"""A routing key, and the encoded event that goes by it."""


def purged(room_id: str, request: Request) -> Announcement:
    """That a room's timeline was purged, as asked for."""
    return Announcement(
        event=TimelinePurged(room_id=room_id),
        room_id=room_id,
        tenant=request.actor.tenant,
        id=f"{room_id}:purged:{request.id}",
        traceparent=request.traceparent,
    )


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
