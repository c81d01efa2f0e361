"""Telling whose marks have moved: not each step, but per room and second where everybody has got to by now.

Marks that members set themselves are stored with their batch (services.messages.handlers). What gateways report as
delivered is stored here, behind the messages' back: should it be lost with the process, a later report covers it.
"""

import asyncio
from collections.abc import Mapping

from services.messages import marks as rules
from services.messages.pace import Change, Key, Pace, events
from services.messages.repository import Repository
from services.messages.state import Marks, Moved, Plan
from services.messages.summaries import Summaries
from shared import metrics
from shared.access import AccessCache
from shared.bus.signals import Signals
from shared.logging import get_logger
from shared.mongo import is_duplicate, is_transient

log = get_logger(__name__)

TICK = 0.1

_dropped = metrics.counter("receipts_dropped", "Moved marks that were not told because too much waited")


class Receipts:
    """Notes moved marks, stores those that gateways report, and publishes `receipts.updated`.

    Args:
        max_members: members up to which all of a room are told of each other, and delivery is recorded.
    """

    def __init__(
        self, *, repository: Repository, access: AccessCache, summaries: Summaries, signals: Signals, max_members: int
    ) -> None:
        self.max_members = max_members
        self._repository = repository
        self._access = access
        self._summaries = summaries
        self._signals = signals
        self._pace = Pace()
        self._noted = asyncio.Event()
        self._telling = asyncio.Lock()

    def note(self, plan: Plan) -> None:
        """Take in what a stored batch has moved."""
        for key, moved in plan.moved.items():
            self._note(key, Change(moved))
        for key, seq in plan.reported.items():
            self._note(key, Change(reported=seq))

    def _note(self, key: Key, change: Change) -> None:
        if self._pace.note(key, change):
            self._noted.set()
        else:
            _dropped.inc()

    async def run(self) -> None:
        """Tell what is due, for as long as something waits. Ends only by cancellation."""
        loop = asyncio.get_running_loop()
        while True:
            await self._noted.wait()
            self._noted.clear()
            while len(self._pace):
                async with self._telling:
                    await self._tell(self._pace.due(loop.time()))
                await asyncio.sleep(TICK)

    async def flush(self) -> None:
        """Tell everything now: the rooms are handed over, or the process ends."""
        async with self._telling:
            await self._tell(self._pace.everything())

    async def drop(self, room_id: str) -> None:
        """Forget what waits of a room that is to be purged; nothing of it is being written when this returns."""
        async with self._telling:
            self._pace.drop(room_id)

    async def _tell(self, changes: dict[Key, Change]) -> None:
        if not changes:
            return
        access = await self._access.get({room_id for room_id, _ in changes})
        for key in [key for key in changes if key[0] not in access]:  # nobody says who may know: later
            self._note(key, changes.pop(key))
        rooms = {room_id: room for room_id, room in access.items() if room is not None}
        changes = {key: change for key, change in changes.items() if key[0] in rooms}  # the others are no more
        try:
            news = await self._bring_up_to_date(changes)
        except Exception as error:  # noqa: BLE001 - marks that cannot be read must not stop all others
            log.warning("marks not stored", members=len(changes), error=f"{type(error).__name__}: {error}"[:200])
            if is_transient(error) or is_duplicate(error):  # another write has made the same mark at the same time
                for key, change in changes.items():
                    self._note(key, change)
            return
        for room_id, users in news.items():
            for event in events(rooms[room_id], users, self.max_members):
                self._signals.publish(event, rooms[room_id].tenant)  # if it is lost: who needs marks asks for them

    async def _bring_up_to_date(self, changes: Mapping[Key, Change]) -> dict[str, dict[str, tuple[Marks, Moved]]]:
        """Store what was reported; by room and user, how far they have got then, and what of it is news."""
        own = {key: self._summaries.own(*key) for key in changes}  # before the marks it may not be among yet
        known = await self._repository.marks(changes.keys())
        before = {key: known.get(key, Marks()).reached(own[key]) for key in changes}
        after = {key: rules.delivered(before[key], changes[key].reported, changes[key].reported) for key in changes}
        arrived = {key: marks for key, marks in after.items() if marks != before[key]}
        await self._repository.mark(arrived)
        news: dict[str, dict[str, tuple[Marks, Moved]]] = {}
        for (room_id, user_id), change in changes.items():
            key = room_id, user_id
            moved = change.moved.also(Moved(shared=key in arrived))
            news.setdefault(room_id, {})[user_id] = after[key], moved
        return news
