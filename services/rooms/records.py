"""What waits in the outbox: events, and commands to other services, encoded. Stores nothing itself."""

from datetime import datetime
from typing import NamedTuple, Self

from shared.bus.codec import encode_event, to_json
from shared.bus.topology import EVENTS
from shared.contracts.base import Event
from shared.mongo import Document

SOURCE = "/rooms"


class Record(NamedTuple):
    """An encoded event or command on its way to the broker."""

    id: str
    exchange: str
    key: str
    body: bytes

    def since(self, at: datetime) -> Document:
        """As the outbox keeps it."""
        return {"_id": self.id, "exchange": self.exchange, "key": self.key, "body": self.body, "created_at": at}

    @classmethod
    def kept(cls, document: Document) -> Self:
        """What `since` made a document of. Raises KeyError where something is missing."""
        # Once there were only events, and the exchange went without saying.
        exchange = document.get("exchange", EVENTS)
        return cls(document["_id"], exchange, document["key"], document["body"])


def record_of(
    event: Event, *, id: str, key: str, subject: str, tenant: str, at: datetime, event_id: str | None = None,
    traceparent: str | None = None,
) -> Record:  # fmt: skip
    """An event as it waits.

    Args:
        id: of the record; the event bears it too, unless it has an `event_id` that others share.
        key: the routing key on `chat.events`.
        at: when it happened.
    """
    body = encode_event(
        id=event_id or id,
        source=SOURCE,
        type=event.TYPE,
        subject=subject,
        tenant=tenant,
        time=at,
        data=to_json(event),
        traceparent=traceparent,
    )
    return Record(id, EVENTS, key, body)
