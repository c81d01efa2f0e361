"""`room_state` and the senders' own marks, brought up to date behind the message path.

Nobody waits for this: what it writes can be rebuilt from the messages. One write is under way at a time and what
happens meanwhile is merged, so a busy room costs one update per round, however many messages it gets.
"""

import asyncio

from services.messages.domain import Message, Plan, Timeline
from services.messages.repository import Repository, Summary
from shared.logging import get_logger
from shared.mongo import PyMongoError

log = get_logger(__name__)

ROUND = 0.1
"""Seconds between writes: long enough to merge much, short enough that a restart has little to rebuild."""

MAX_ROOMS = 1000
MAX_WAITING = 50_000


class Summaries:
    """What the summaries of rooms are to catch up with."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._waiting: dict[str, Summary] = {}
        self._signal = asyncio.Event()

    def note(self, plan: Plan) -> None:
        """Merge what a stored batch has changed."""
        for message, previous in plan.writes:
            self._merge(message, plan.timelines[message.view.room_id], own=previous is None)
        if self._waiting:
            self._signal.set()

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
            await self.flush()
            await asyncio.sleep(ROUND)

    async def flush(self) -> None:
        """Write everything that waits now."""
        while self._waiting:
            taken = {room_id: self._waiting.pop(room_id) for room_id in list(self._waiting)[:MAX_ROOMS]}
            try:
                await self._repository.summarise(taken)
            except PyMongoError as error:
                # Not lost: the messages say the same, and the next change of the room writes its summary again.
                log.warning("summaries not written", rooms=len(taken), error=str(error)[:200])
        self._signal.clear()
