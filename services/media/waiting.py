"""`Prefer: wait`: who waits for a file hears of it by the events all processes tell, or sees it in the database."""

import asyncio
from collections import defaultdict

from services.media.records import Media
from services.media.repository import Repository
from shared.bus.codec import JSON, readable_events
from shared.bus.consumer import Consumer
from shared.contracts.media import MediaFailed, MediaReady
from shared.contracts.media_terms import MediaState

LOOK_EVERY = 2.0
"""Seconds after which the database is asked all the same: events are lost with the link."""

_DONE = frozenset({MediaReady.TYPE, MediaFailed.TYPE})
_UNDER_WAY = frozenset({MediaState.UPLOADING, MediaState.PENDING})


class Waiting:
    """Those who wait in one process.

    Args:
        events: consumes the process's own queue of `media.#`.
    """

    def __init__(self, repository: Repository, events: Consumer) -> None:
        self._repository = repository
        self._events = events
        self._leaving = False
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    async def run(self) -> None:
        """Read events for ever."""
        while True:
            deliveries = await self._events.take(64)
            for delivery in deliveries:
                for event in readable_events(delivery.body):
                    self._heard(event)
            await self._events.settle(deliveries)

    async def until_done(self, media: Media, seconds: float) -> Media:
        """The file when it is ready or refused; as it is then, where that takes longer than `seconds`."""
        deadline = asyncio.get_running_loop().time() + seconds
        heard = asyncio.Event()
        self._waiting[media.id].add(heard)
        try:
            while True:
                # Looked at after one listens, so that nothing is missed in between.
                media = await self._repository.get(media.id) or media
                left = deadline - asyncio.get_running_loop().time()
                if media.state not in _UNDER_WAY or left <= 0 or self._leaving:
                    return media
                try:
                    async with asyncio.timeout(min(left, LOOK_EVERY)):
                        await heard.wait()
                except TimeoutError:
                    continue
                heard.clear()
        finally:
            self._waiting[media.id].discard(heard)
            if not self._waiting[media.id]:
                del self._waiting[media.id]

    def leave(self) -> None:
        """Let nobody wait any longer: this process ends."""
        self._leaving = True
        for waiting in self._waiting.values():
            for heard in waiting:
                heard.set()

    def _heard(self, event: JSON) -> None:
        if event["type"] not in _DONE:
            return
        media = event["data"].get("media")
        media_id = media.get("id") if isinstance(media, dict) else None
        if isinstance(media_id, str) and media_id in self._waiting:
            for heard in self._waiting[media_id]:
                heard.set()
