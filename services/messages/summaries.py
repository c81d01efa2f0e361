"""`room_state` and the senders' own marks, brought up to date behind the message path.

Nobody waits for this: what it writes can be rebuilt from the messages. One write is under way at a time and what
happens meanwhile is merged, so a busy room costs one update per round, however many messages it gets.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from services.messages.repository import Head, Repository
from services.messages.state import Message, Plan, Timeline
from shared.logging import get_logger
from shared.mongo import PyMongoError, is_transient

log = get_logger(__name__)

ROUND = 5.0
MAX_MERGED = 5000
"""Seconds and messages between writes: enough to merge much, few enough that what reads and restarts have to look
through beyond the summaries stays little."""

MAX_ROOMS = 1000
MAX_WAITING = 50_000
"""Rooms in one write, and such as may wait for it."""


class Summaries:
    """What the summaries of rooms are to catch up with."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._waiting: dict[str, Head] = {}
        self._writing: Mapping[str, Head] = {}
        self._signal = asyncio.Event()
        self._full = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._merged = 0

    def adopt(self, heads: Mapping[str, Head]) -> None:
        """Take over what a writer before this one has not summarised: the next summary would leave it behind."""
        for room_id, head in heads.items():
            if head.own or head.mentioned:
                self._waiting[room_id] = head
                self._signal.set()

    def note(self, plan: Plan) -> None:
        """Merge what a stored batch has changed."""
        for state, previous in plan.writes:
            if isinstance(state, Message):
                self._merge(state, plan.timelines[state.view.room_id], own=previous is None)
            else:
                self._merge_clearing(plan.timelines[state.room_id], state.room_id)
        self._merged += len(plan.writes)
        if self._waiting:
            self._signal.set()
        if self._merged >= MAX_MERGED:
            self._full.set()

    def own(self, room_id: str, user_id: str) -> int:
        """The `seq` of the user's last message in the room that may not be among the marks yet, else 0."""
        heads = (heads.get(room_id) for heads in (self._writing, self._waiting))
        return max((head.own.get(user_id, 0) for head in heads if head is not None), default=0)

    def _merge(self, message: Message, timeline: Timeline, *, own: bool) -> None:
        view = message.view
        head = self._head(view.room_id, timeline)
        if view.seq == timeline.seq:
            head.last = message
        if view.mentions:
            head.mentioned = max(head.mentioned, view.seq)
        if own:
            head.own[view.sender.id] = view.seq

    def _merge_clearing(self, timeline: Timeline, room_id: str) -> None:
        head = self._head(room_id, timeline)
        if head.last is not None and head.last.view.seq <= timeline.cleared:
            head.last = None

    def _head(self, room_id: str, timeline: Timeline) -> Head:
        head = self._waiting.get(room_id)
        if head is None:
            head = self._waiting[room_id] = Head()
        head.timeline = timeline
        return head

    async def run(self) -> None:
        """Write what has gathered, round by round. Ends only by cancellation."""
        while True:
            await self._signal.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(ROUND):
                    await self._full.wait()
            await self.flush()

    async def drop(self, room_id: str) -> None:
        """Forget what waits of a room that is to be purged; nothing of it is being written when this returns."""
        async with self._flushing:
            self._waiting.pop(room_id, None)

    async def relieve(self) -> None:
        """Let nothing more be noted before what waits is bounded again."""
        if len(self._waiting) >= MAX_WAITING:
            await self.flush()

    async def flush(self) -> None:
        """Write everything that waits now."""
        async with self._flushing:
            self._merged = 0
            self._full.clear()
            self._signal.clear()
            while self._waiting:
                self._writing = {room_id: self._waiting.pop(room_id) for room_id in list(self._waiting)[:MAX_ROOMS]}
                try:
                    await self._repository.summarise(self._writing)
                except PyMongoError as error:
                    log.warning("summaries not written", rooms=len(self._writing), error=str(error)[:200])
                    if is_transient(error):
                        self._put_back()
                        return
                finally:
                    self._writing = {}

    def _put_back(self) -> None:
        for room_id, head in self._writing.items():
            newer = self._waiting.setdefault(room_id, head)
            if newer is not head:
                newer.own = head.own | newer.own
                newer.mentioned = max(head.mentioned, newer.mentioned)
                if newer.last is None and head.last is not None:
                    newer.last = head.last if head.last.view.seq > newer.timeline.cleared else None
        self._signal.set()
