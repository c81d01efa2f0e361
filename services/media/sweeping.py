"""What time brings: files that nobody works on, ends that nobody was told of, files that nobody needs.

Every media process looks. What two of them find is done by one, or twice without harm.
"""

import asyncio
import random
from collections.abc import Awaitable
from datetime import datetime, timedelta

from services.media.announcing import Announcer
from services.media.collecting import Collector
from services.media.ending import Ending
from services.media.repository import Repository
from services.media.times import now
from shared.contracts.errors import ChatError
from shared.logging import get_logger
from shared.mongo import PyMongoError

log = get_logger(__name__)

LOOK_EVERY = 2.0
COLLECT_EVERY = 10.0
"""Seconds between two looks at what may go."""

ASKED = timedelta(seconds=15)
"""How long a file that was asked for again is left to who was asked."""

LEFT_BEHIND = timedelta(seconds=5)
"""Age at which an end is taken for forgotten by who wrote it down."""

PAGE = 100


class Sweep:
    """The looks of one process."""

    def __init__(
        self, repository: Repository, announcer: Announcer, ending: Ending, collector: Collector, *,
        look_every: float = LOOK_EVERY, collect_every: float = COLLECT_EVERY,
    ) -> None:  # fmt: skip
        self._repository = repository
        self._announcer = announcer
        self._ending = ending
        self._collector = collector
        self._look_every = look_every
        self._collect_every = collect_every

    async def run(self) -> None:
        """Look for ever."""
        loop = asyncio.get_running_loop()
        collect_at = loop.time() + self._collect_every * random.random()  # noqa: S311 - not all processes at once
        while True:
            await asyncio.sleep(self._look_every * random.uniform(0.5, 1.5))  # noqa: S311 - as above
            await self.look(now())
            if loop.time() >= collect_at:
                await _try(self._collector.collect(now()))
                collect_at = loop.time() + self._collect_every

    async def look(self, at: datetime) -> None:
        """Look for what was forgotten, once. What is away is logged: the next look comes."""
        await _try(self._ask_again(at))
        await _try(self._settle(at))

    async def _ask_again(self, at: datetime) -> None:
        """Publish the command for what nobody works on, or nobody works on any more."""
        waiting = await self._repository.waiting(at, PAGE)
        if waiting:
            await self._announcer.process(*waiting)
            await self._repository.asked_for(waiting, at, at + ASKED)

    async def _settle(self, at: datetime) -> None:
        for media in await self._repository.untold(at - LEFT_BEHIND, PAGE):
            await self._ending.settle(media)


async def _try(work: Awaitable[object]) -> None:
    try:
        await work
    except (PyMongoError, ChatError) as error:
        log.warning("files cannot be looked after", error=str(error)[:500])
