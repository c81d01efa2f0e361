"""Removes files that nobody needs: what was given up, what no message shows, what was refused. Each in three steps.

From the first on the file is not there any more for anybody (the record says so), then its bytes go, then the record.
What a crash leaves in between is found and gone on with.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from services.media.references import CaughtUp
from services.media.repository import Repository
from services.media.storage.store import Store
from shared import metrics
from shared.contracts.media_terms import MediaState
from shared.logging import get_logger

log = get_logger(__name__)

UNUSED = "unused"
PAGE = 100
MAX_PAGES = 100
"""Pages of one kind in one look; the rest is found in the next."""

REMEMBERED = timedelta(days=1)
"""How long it is known what was wrong with a file that was refused."""

LEFT_BEHIND = timedelta(seconds=60)
"""Age at which a removal is taken for forgotten by who began it."""

_files = metrics.counter("media_collected", "Files that were removed as nobody needed them", "why")
_bytes = metrics.counter("media_collected_bytes", "Bytes of such files", "why")


class Rule(NamedTuple):
    """Files that may go, and why."""

    why: str
    find: Callable[[int], Awaitable[list[str]]]
    """Some of their ids."""
    where: dict[str, Any]
    """How such a file is still to be when it goes: somebody may just have begun to use it."""


class Collected(NamedTuple):
    """What was removed."""

    files: int = 0
    bytes: int = 0


class Collector:
    """Removes files.

    Args:
        keep: how long a file is kept that no message shows.
        caught_up: whether it is known what messages show (services.media.references.CaughtUp); none: it is.
    """

    def __init__(
        self, repository: Repository, store: Store, keep: timedelta, caught_up: CaughtUp | None = None
    ) -> None:
        self._repository = repository
        self._store = store
        self._keep = keep
        self._caught_up = caught_up

    async def collect(self, now: datetime) -> dict[str, Collected]:
        """Remove what may go; what that was, by why.

        Raises:
            ChatError, PyMongoError: something is away; what is not done yet is found the next time.
        """
        unused = self._caught_up is None or await self._caught_up()
        rules = [rule for rule in self._rules(now) if unused or rule.why != UNUSED]
        collected = {rule.why: await self._by(rule, now) for rule in rules}
        collected["left behind"] = await self._go_on(now)
        return collected

    async def remove(self, media_id: str, now: datetime, **where: Any) -> Collected | None:
        """Remove a file, if it is as `where` says (fields of its record); None where it is not, or was removed."""
        media = await self._repository.get(media_id)
        if media is None or not await self._repository.begin_removal(media_id, now, **where):
            return None
        await self._finish(media_id)
        return Collected(1, media.counted or media.received)

    def _rules(self, now: datetime) -> tuple[Rule, ...]:
        find, unused, refused = self._repository, now - self._keep, now - REMEMBERED
        return (
            Rule(
                "given up",
                lambda limit: find.abandoned(now, limit),
                {"state": str(MediaState.UPLOADING), "alive_until": {"$lt": now}},
            ),
            Rule(
                UNUSED,
                lambda limit: find.unused(unused, limit),
                {"state": str(MediaState.READY), "unused_since": {"$lt": unused}},
            ),
            Rule("refused", lambda limit: find.refused(refused, limit), {"changed_at": {"$lt": refused}}),
        )

    async def _by(self, rule: Rule, now: datetime) -> Collected:
        files = size = 0
        for _ in range(MAX_PAGES):
            found = await rule.find(PAGE)
            for media_id in found:
                removed = await self.remove(media_id, now, **rule.where)
                if removed is not None:
                    files, size = files + 1, size + removed.bytes
                    _files.labels(rule.why).inc()
                    _bytes.labels(rule.why).inc(removed.bytes)
            if len(found) < PAGE:
                break
        if files:
            log.info("files were collected", why=rule.why, files=files, bytes=size)
        return Collected(files, size)

    async def _go_on(self, now: datetime) -> Collected:
        found = await self._repository.left(now - LEFT_BEHIND, PAGE)
        for media_id in found:
            await self._finish(media_id)
            _files.labels("left behind").inc()
        return Collected(len(found))

    async def _finish(self, media_id: str) -> None:
        await self._store.remove(media_id)
        await self._repository.forget(media_id)
