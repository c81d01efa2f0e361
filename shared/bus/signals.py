"""Signals: events about a room that nobody keeps, so that losing one does no harm."""

from contextlib import suppress
from datetime import UTC, datetime

from shared.bus.codec import encode_event, to_json, unique_id
from shared.bus.publisher import Publisher
from shared.bus.topology import EVENTS, event_key
from shared.contracts.errors import ChatError
from shared.contracts.messages import ReceiptsUpdated
from shared.contracts.presence import Looking, Typing


class Signals:
    """Publishes them.

    Args:
        source: who publishes.
    """

    def __init__(self, publisher: Publisher, *, source: str, shards: int) -> None:
        self._publisher = publisher
        self._source = source
        self._shards = shards

    def publish(self, event: Typing | Looking | ReceiptsUpdated, tenant: str) -> None:
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
