"""Tells changes of presence to the gateways: which user, and in which rooms. Decides nothing.

A change that is not announced stays marked as such in the database until it is, so what a crash or a broker that is
away leaves behind is found again. What is announced twice has the same number, and gateways pass it on once.
"""

import asyncio
from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from services.rooms.presence_rules import Presence, view_of
from services.rooms.presence_store import Key, PresenceStore, key_of
from services.rooms.records import SOURCE
from shared.bus.codec import encode_event, to_json
from shared.bus.publisher import Publisher
from shared.bus.topology import EVENTS
from shared.contracts.errors import ChatError
from shared.contracts.presence import PresenceChanged
from shared.logging import get_logger
from shared.mongo import PyMongoError

log = get_logger(__name__)

MAX_WAITING = 20_000
"""Changes that may wait; those beyond are found in the database later."""

PAGE = 50
"""Changes announced at once: with a thousand rooms each, still a message of some megabytes."""


class Announcer:
    """The announcements of one process."""

    def __init__(self, store: PresenceStore, publisher: Publisher) -> None:
        self._store = store
        self._publisher = publisher
        self._waiting: dict[Key, Presence] = {}
        self._signal = asyncio.Event()

    def put(self, presences: Iterable[Presence]) -> None:
        """Announce how these are shown now, soon. Of several changes of one user the latest is enough."""
        for presence in presences:
            key = key_of(presence)
            known = self._waiting.get(key)
            if known is None and len(self._waiting) >= MAX_WAITING:
                continue
            if known is None or known.number < presence.number:
                self._waiting[key] = presence
                self._signal.set()

    async def run(self) -> None:
        """Announce what waits. Ends only by cancellation."""
        while True:
            await self._signal.wait()
            self._signal.clear()
            while self._waiting:
                page = [self._waiting.pop(key) for key in list(self._waiting)[:PAGE]]
                try:
                    await self._announce(page)
                except (ChatError, PyMongoError) as error:
                    log.warning("changes of presence are left for later", users=len(page), error=str(error)[:500])

    async def _announce(self, page: Collection[Presence]) -> None:
        tenants: dict[str, list[Presence]] = {}
        for presence in page:
            tenants.setdefault(presence.tenant, []).append(presence)
        events: list[tuple[str, bytes]] = []
        for tenant, presences in tenants.items():
            rooms = await self._store.rooms_of(tenant, [presence.user_id for presence in presences])
            events += [
                (PresenceChanged.TOPIC, _event(presence, rooms.get(presence.user_id, []))) for presence in presences
            ]
        await self._publisher.publish(EVENTS, events)
        await self._store.told(page)


def _event(presence: Presence, rooms: list[str]) -> bytes:
    event = PresenceChanged(**view_of(presence).model_dump(), rooms=rooms)
    return encode_event(
        id=f"{presence.tenant}/{presence.user_id}:{presence.number}",
        source=SOURCE,
        type=event.TYPE,
        subject=presence.user_id,
        tenant=presence.tenant,
        time=datetime.now(UTC),
        data=to_json(event),
    )
