"""The lists that a client shows: told again when they may have changed, and have.

A list is asked for afresh, for no single event says all that it shows. However much happens, a connection's lists are
asked for once a second at most, and those of so many connections at a time.
"""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from services.gateway.dialects.rows import Refresh, Step
from services.gateway.sio.voice import said
from shared.bus.codec import JSON
from shared.contracts.errors import ChatError
from shared.logging import get_logger

if TYPE_CHECKING:
    from services.gateway.sio.session import Serving, Session

log = get_logger(__name__)

SETTLE = 0.1
"""Seconds to wait for what else may happen along with the first change."""

PAUSE = 0.9
"""Seconds between an answer and the next question."""

MAX_AT_ONCE = 16
"""Connections of one gateway whose lists are asked for at the same time; the others wait."""


class Lists:
    """What a client was told of its lists, and which of them may have changed since."""

    def __init__(self, serving: "Serving", session: "Session") -> None:
        self._serving = serving
        self._session = session
        self._due: dict[str, Refresh] = {}
        self._told: dict[str, int] = {}
        self._busy = False

    def told(self, known: JSON) -> None:
        """A greeting has told the lists."""
        for row in self._session.voice.dialect.refresh:
            self._is_news(row, said(row.say, known))

    def stirred(self, kind: str) -> None:
        """Something has happened that a list may show."""
        for row in self._session.voice.stirs.get(kind, ()):
            self._due[row.say.name] = row
        if self._due and not self._busy:
            self._busy = True
            self._serving.tasks.spawn(self._run(), "lists")

    async def _run(self) -> None:
        try:
            await self._session.greeted.wait()
            while self._due and self._session.alive:
                await asyncio.sleep(SETTLE)
                async with self._serving.lists_gate:
                    due, self._due = self._due, {}
                    await self._refresh(due)
                await asyncio.sleep(PAUSE)
        finally:
            self._busy = False

    async def _refresh(self, due: dict[str, Refresh]) -> None:
        session = self._session
        known = session.known({})
        try:
            await self._serving.steps.carry_out(_together(due.values()), known, session)
        except ChatError as error:
            log.warning("lists cannot be told", lists=list(due), error=error.message)
            if error.row.retryable:
                self._due = due | self._due
            return
        for row in due.values():
            payload = said(row.say, known)
            if self._is_news(row, payload):
                session.post(session.voice.event(row.say.name, session.voice.payload(row.say.kind, payload)))

    def _is_news(self, row: Refresh, payload: bytes) -> bool:
        """Whether a list is another one than was told last; then it is the last one."""
        before, self._told[row.say.name] = self._told.get(row.say.name), hash(payload)
        return before != self._told[row.say.name]


def _together(rows: Iterable[Refresh]) -> list[Step]:
    """The steps of several rows, those that they share once."""
    return list({id(step): step for row in rows for step in row.steps}.values())
