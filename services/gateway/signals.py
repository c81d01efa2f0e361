"""Signs of life: events that are told to a room's readers once, and kept by nobody."""

from contextlib import suppress
from datetime import UTC, datetime

from shared.bus.codec import encode_event, to_json, unique_id
from shared.bus.publisher import Publisher
from shared.bus.topology import EVENTS, event_key
from shared.contracts.errors import ChatError
from shared.contracts.presence import Looking, Typing


class Signals:
    """Publishes what members of rooms show of themselves."""

    def __init__(self, publisher: Publisher, *, source: str, shards: int) -> None:
        self._publisher = publisher
        self._source = source
        self._shards = shards

    def publish(self, event: Typing | Looking, tenant: str) -> None:
        """Tell an event. An overloaded broker may lose it."""
        body = encode_event(
            id=unique_id(),
            source=self._source,
            type=event.TYPE,
            subject=event.room_id,
            tenant=tenant,
            time=datetime.now(UTC),
            data=to_json(event),
        )
        with suppress(ChatError):
            self._publisher.submit(EVENTS, event_key(event.TOPIC, event.room_id, self._shards), body)
