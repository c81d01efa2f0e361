"""What the rooms service says of who may enter where, remembered until it says otherwise.

Room events drop what is remembered; a refusal is never answered from memory (who is about to refuse looks up again
first), so a member who was just added is let in at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from shared import metrics
from shared.contracts.errors import ChatError
from shared.contracts.membership import RoomAccess
from shared.logging import get_logger

log = get_logger(__name__)

MAX_ROOMS = 20_000
PATIENCE = 2.0
PAUSE = 0.5
"""Seconds without asking after the rooms service did not answer, so that known rooms are not held up."""

Ask = Callable[[list[str]], Awaitable[list[RoomAccess]]]

_lookups = metrics.counter("access_lookups", "Rooms looked up at the rooms service")


class AccessCache:
    """Access of rooms by id, bounded, oldest first out."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: dict[str, RoomAccess] = {}
        self._watching: dict[int, set[str]] = {}
        self._generation = 0
        self._away_until = 0.0

    def invalidate(self, room_id: str) -> None:
        """Forget a room: something about it has changed."""
        self._known.pop(room_id, None)
        for changed in self._watching.values():
            changed.add(room_id)

    def clear(self) -> None:
        """Forget everything: events may have been missed."""
        self._known.clear()
        self._generation += 1

    def known(self, room_ids: Iterable[str]) -> set[str]:
        """Which of the rooms would be answered from memory."""
        return {room_id for room_id in room_ids if room_id in self._known}

    async def get(self, room_ids: set[str], *, fresh: bool = False) -> dict[str, RoomAccess | None]:
        """Access by room; None where there is no such room, absent where the rooms service did not answer.

        Args:
            fresh: ask even for what is remembered.
        """
        found: dict[str, RoomAccess | None] = {}
        missing = room_ids
        if not fresh:
            found = {room_id: self._known[room_id] for room_id in room_ids if room_id in self._known}
            missing = room_ids - found.keys()
        if missing:
            found.update(await self._look_up(missing))
        return found

    async def _look_up(self, missing: set[str]) -> dict[str, RoomAccess | None]:
        loop = asyncio.get_running_loop()
        if loop.time() < self._away_until:
            return {}
        generation = self._generation
        changed: set[str] = set()
        self._watching[id(changed)] = changed
        try:
            async with asyncio.timeout(PATIENCE):
                rooms = await self._ask(sorted(missing))
        except (TimeoutError, ChatError) as error:
            log.warning("rooms service did not answer", rooms=len(missing), error=str(error))
            self._away_until = loop.time() + PAUSE
            return {}
        finally:
            del self._watching[id(changed)]
        _lookups.inc(len(missing))
        for access in rooms:
            # What changed while the answer was under way may be older than the change: use it once, keep it not.
            if generation == self._generation and access.room_id not in changed:
                self._remember(access)
        return {**dict.fromkeys(missing), **{access.room_id: access for access in rooms}}

    def _remember(self, access: RoomAccess) -> None:
        self._known.pop(access.room_id, None)
        if len(self._known) >= MAX_ROOMS:
            del self._known[next(iter(self._known))]
        self._known[access.room_id] = access
