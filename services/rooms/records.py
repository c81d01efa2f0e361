"""What waits in the outbox: events, and commands to other services, encoded. Stores nothing itself."""

from datetime import datetime
from typing import NamedTuple, Self

import orjson

from shared.bus.codec import encode_event, to_json
from shared.bus.topology import COMMANDS, EVENTS
from shared.contracts.base import Event
from shared.mongo import Document

SOURCE = "/rooms"

TARGETS = (EVENTS, COMMANDS)
"""The exchanges that records go to."""


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
        """What `since` made a document of. Raises ValueError where it is none that could be published."""
        # Once there were only events, and the exchange went without saying.
        name, exchange = document["_id"], document.get("exchange", EVENTS)
        key, body = document.get("key"), document.get("body")
        if not (isinstance(name, str) and isinstance(key, str) and isinstance(body, bytes) and exchange in TARGETS):
            raise ValueError(f"'_id' and 'key' are strings, 'body' is binary, 'exchange' is one of {TARGETS}")
        if type(orjson.loads(body)) is not dict:  # it would spoil the batch that it leaves with
            raise ValueError("'body' is no envelope")
        return cls(name, exchange, key, body)


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
