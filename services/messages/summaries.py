"""`room_state` and the senders' own marks, brought up to date behind the message path.

Nobody waits for this: what it writes can be rebuilt from the messages. One write is under way at a time and what
happens meanwhile is merged, so a busy room costs one update per round, however many messages it gets.
"""

import asyncio
from contextlib import suppress

from services.messages.repository import Repository, Summary
from services.messages.state import Message, Plan, Timeline
from shared.logging import get_logger
from shared.mongo import PyMongoError

log = get_logger(__name__)

ROUND = 1.0
MAX_MERGED = 5000
"""Seconds and messages between writes: enough to merge much, few enough that a restart has little to rebuild."""

MAX_ROOMS = 1000
MAX_WAITING = 50_000


class Summaries:
    """What the summaries of rooms are to catch up with."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._waiting: dict[str, Summary] = {}
        self._signal = asyncio.Event()
        self._full = asyncio.Event()
        self._merged = 0

    def note(self, plan: Plan) -> None:
        """Merge what a stored batch has changed."""
        for message, previous in plan.writes:
            self._merge(message, plan.timelines[message.view.room_id], own=previous is None)
        self._merged += len(plan.writes)
        if self._waiting:
            self._signal.set()
        if self._merged >= MAX_MERGED:
            self._full.set()

    def _merge(self, message: Message, timeline: Timeline, *, own: bool) -> None:
        view = message.view
        summary = self._waiting.get(view.room_id)
        if summary is None:
            if len(self._waiting) >= MAX_WAITING:
                return  # rebuilt from the messages when somebody asks
            summary = self._waiting[view.room_id] = Summary(timeline, None, {})
        summary.timeline = timeline
        if view.seq == timeline.seq:
            summary.last = message
        if own:
            summary.own[view.sender.id] = view.seq

    async def run(self) -> None:
        """Write what has gathered, round by round. Ends only by cancellation."""
        while True:
            await self._signal.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(ROUND):
                    await self._full.wait()
            await self.flush()

    async def flush(self) -> None:
        """Write everything that waits now."""
        while self._waiting:
            taken = {room_id: self._waiting.pop(room_id) for room_id in list(self._waiting)[:MAX_ROOMS]}
            try:
                await self._repository.summarise(taken)
            except PyMongoError as error:
                # Not lost: the messages say the same, and the next change of the room writes its summary again.
                log.warning("summaries not written", rooms=len(taken), error=str(error)[:200])
            self._merged = 0
            self._full.clear()
            self._signal.clear()
