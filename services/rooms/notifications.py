"""Follows what is noted, read and removed; asks for notifications of those who are not connected, or withdraws them.

Its queue has one reader at a time, so what is read after it was written is never seen before.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import datetime
from functools import partial

from services.rooms.handlers import now
from services.rooms.notification_rules import Ended, Notification, Tidings, tidings
from services.rooms.notification_store import MAX_WITHDRAWN, NotificationStore
from services.rooms.outbox import Outbox
from services.rooms.records import Record, record_of
from services.rooms.repository import Conflict, Repository
from shared.bus.codec import readable_events
from shared.bus.consumer import Consumer
from shared.bus.topology import event_key
from shared.contracts.notifications import NotificationEvent, NotificationRequested, NotificationRetracted
from shared.logging import get_logger
from shared.mongo import Session, is_duplicate, is_transient
from shared.retry import until_done

log = get_logger(__name__)

MAX_TAKEN = 64
"""AMQP messages handled as one batch."""

Absent = Callable[[str, Collection[str]], Awaitable[set[str]]]
"""Those of a tenant's users who are not connected."""


class Notifications:
    """Reads the queue of one process.

    Args:
        absent: says who is not connected.
    """

    def __init__(
        self, consumer: Consumer, repository: Repository, store: NotificationStore, outbox: Outbox, absent: Absent,
        shards: int,
    ) -> None:  # fmt: skip
        self._consumer = consumer
        self._repository = repository
        self._store = store
        self._outbox = outbox
        self._absent = absent
        self._shards = shards

    async def run(self) -> None:
        """Take in what comes, ack what has been stored. Ends only by cancellation."""
        while True:
            deliveries = await self._consumer.take(MAX_TAKEN)
            found = tidings(envelope for delivery in deliveries for envelope in readable_events(delivery.body))
            for reason in found.malformed:
                log.error("malformed event dropped", reason=reason)
            await until_done(partial(self._take_in, found), _again, "notifying")
            await self._consumer.settle(deliveries)

    async def _take_in(self, found: Tidings) -> None:
        """Store what a batch of events comes to; done twice it is done once."""
        await self._store.audit(found.acts)
        wanted = await self._of_the_absent(found.wanted.values())
        more = bool(found.ended or wanted)
        while more:
            records, more = await self._repository.transaction(partial(self._change, wanted, found.ended, now()))
            self._outbox.publish(records)

    async def _of_the_absent(self, wanted: Iterable[Notification]) -> list[Notification]:
        by_tenant: dict[str, list[Notification]] = {}
        for notification in wanted:
            by_tenant.setdefault(notification.tenant, []).append(notification)
        asked_for: list[Notification] = []
        for tenant, some in by_tenant.items():
            absent = await self._absent(tenant, {item.request.user_id for item in some})
            asked_for += (item for item in some if item.request.user_id in absent)
        return asked_for

    async def _change(
        self, wanted: Collection[Notification], ended: Collection[Ended], at: datetime, session: Session
    ) -> tuple[list[Record], bool]:
        """As part of a transaction. First what has ended: what is wanted was written after it, or is not covered."""
        over = await self._store.covered(ended, session)
        await self._store.withdraw([item.id for item in over], session)
        known = await self._store.known([item.id for item in wanted], session)
        new = [item for item in wanted if item.id not in known]
        await self._store.add(new, at, session)
        records = [self._record(item, NotificationRetracted, at) for item in over]
        records += (self._record(item, NotificationRequested, at) for item in new)
        await self._store.announce(records, at, session)
        return records, len(over) == MAX_WITHDRAWN

    def _record(self, item: Notification, kind: type[NotificationEvent], at: datetime) -> Record:
        request = item.request
        event = kind.model_validate({name: getattr(request, name) for name in kind.model_fields})
        return record_of(
            event,
            id=f"{item.id}:{event.TYPE}",
            event_id=item.id,
            key=event_key(event.TOPIC, request.room_id, self._shards),
            subject=request.user_id,
            tenant=item.tenant,
            at=at,
        )


def _again(error: Exception) -> bool:
    return is_transient(error) or is_duplicate(error) or isinstance(error, Conflict)
