"""What time brings: dead gateways, grace times that are over, changes that were not announced. Decides by the rules.

Every rooms process looks; each change is made by one of them. A process that could not hear the gateways for a while
(it has just started, or a link was down) judges nobody until they have had the time to be heard.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from services.rooms import presence_rules as rules
from services.rooms.announcer import Announcer
from services.rooms.handlers import now
from services.rooms.presence import Presences
from services.rooms.presence_rules import Presence
from services.rooms.presence_store import Key, PresenceStore
from shared.contracts.errors import ChatError
from shared.logging import get_logger
from shared.mongo import PyMongoError

log = get_logger(__name__)

LONGEST_PAUSE = 1.0
SHORTEST_PAUSE = 0.1
STALLED = 2.0
"""Seconds a look may be late by; a process that stood still for longer has not heard the gateways either."""

LEFT_BEHIND = timedelta(seconds=5)
"""Age at which a change is taken for forgotten by who made it."""

PAGE = 500
MAX_PAGES = 100
"""Pages in one look; the rest is found in the next."""


class PresenceSweep:
    """Looks, again and again.

    Args:
        hears: whether reports reach this process now.
        grace: how long somebody may be without a connection unnoticed.
        lease: how long a gateway may be silent.
    """

    def __init__(
        self, store: PresenceStore, presences: Presences, announcer: Announcer, hears: Callable[[], bool],
        *, grace: timedelta, lease: timedelta,
    ) -> None:  # fmt: skip
        self._store = store
        self._presences = presences
        self._announcer = announcer
        self._hears = hears
        self._grace = grace
        self._lease = lease
        self._heard_since = self._looked_at = now()

    async def run(self) -> None:
        """Look for ever."""
        quarter = self._grace.total_seconds() / 4 or LONGEST_PAUSE
        pause = min(LONGEST_PAUSE, max(SHORTEST_PAUSE, quarter))
        while True:
            await asyncio.sleep(pause)
            try:
                await self._look(now())
            except (PyMongoError, ChatError) as error:
                log.warning("presence cannot be looked at", error=str(error)[:500])
                self._heard_since = now()

    async def _look(self, at: datetime) -> None:
        if not self._hears() or (at - self._looked_at).total_seconds() > LONGEST_PAUSE + STALLED:
            self._heard_since = at
        self._looked_at = at
        heard_for = at - self._heard_since
        if heard_for >= self._lease:
            await self._store.expire(at)
        await self._end_gateways(at)
        if heard_for >= self._grace:
            await self._each_page(lambda: self._store.due(at, PAGE), lambda one: rules.settle(one, at, self._grace))
        self._announcer.put(await self._store.untold(at - LEFT_BEHIND, PAGE))
        self._looked_at = now()

    async def _end_gateways(self, at: datetime) -> None:
        dead = await self._store.dead()

        def decide(presence: Presence) -> Presence:
            for gateway in dead.keys() & presence.seen.keys():
                presence = rules.abandon(presence, gateway, dead[gateway], now=at, grace=self._grace)
            return presence

        if dead:
            await self._each_page(lambda: self._store.seen_by(dead.keys(), PAGE), decide)

    async def _each_page(
        self, find: Callable[[], Awaitable[list[Key]]], decide: Callable[[Presence], Presence]
    ) -> None:
        """Decide on all that is found, page by page: who is decided on is not found again."""
        for _ in range(MAX_PAGES):
            page = await find()
            if page:
                await self._presences.change(page, decide)
            if len(page) < PAGE:
                return
