"""Brings rooms up to date over one connection: asks for what has changed, hands it over, then what came meanwhile."""

import asyncio
from collections.abc import Iterable, Mapping

from shared.client.connection import JSON, Connection
from shared.client.inbox import Inbox
from shared.client.timeline import GONE, RESET, Event, Position, Timeline
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.messages import MAX_PAGE
from shared.contracts.timeline import RoomSyncView, SyncView
from shared.retry import until_done

AT_ONCE = 100
MAX_CHANGES = 50_000
"""Changes of one room that are collected; past it the room is asked for afresh, which is answered with a reset."""


class Resumption:
    """The rooms that are behind on a connection."""

    def __init__(self, connection: Connection, timelines: dict[str, Timeline], inbox: Inbox) -> None:
        self._connection = connection
        self._timelines = timelines
        self._inbox = inbox
        self._behind: dict[str, Timeline] = {}
        self._signal = asyncio.Event()

    def add(self, timeline: Timeline) -> None:
        """A room is behind, or has held something back: its live changes wait from now on."""
        timeline.hold()
        self._behind[timeline.room_id] = timeline
        self._signal.set()

    async def run(self, followed: Iterable[str]) -> None:
        """Follow again what is followed by wish, and resume what is behind. Ends only by cancellation."""
        for room_id in followed:
            await self._follow(room_id)
        while True:
            while self._behind:
                await self._resume(dict(list(self._behind.items())[:AT_ONCE]))
            self._signal.clear()
            await self._signal.wait()

    async def _follow(self, room_id: str) -> None:
        timeline = self._timelines.setdefault(room_id, Timeline(room_id))
        timeline.hold()
        try:
            state = await self._ask("room.subscribe", {"room_id": room_id})
        except ChatError as error:
            self._gone(room_id, error.code)
            return
        if not timeline.meet(Position(state["epoch"], state["seq"], state["rev"]), state.get("cleared_seq", 0)):
            self.add(timeline)

    async def _resume(self, timelines: Mapping[str, Timeline]) -> None:
        for room_id in timelines:
            del self._behind[room_id]  # who is added again meanwhile has missed more than will be fetched now
        pages, errors = await self._fetch(timelines)
        for room_id, code in errors.items():
            self._gone(room_id, code)
        for room_id, changes in pages.items():
            await self._hand_over(timelines[room_id], changes)

    async def _hand_over(self, timeline: Timeline, changes: list[RoomSyncView]) -> None:
        for event in timeline.merge(changes):
            await self._put(timeline, event)
        timeline.resumed(changes[-1])
        while timeline.room_id not in self._behind and (held := timeline.next_held()) is not None:
            await self._put(timeline, held)
        if timeline.room_id not in self._behind and not timeline.release():
            self.add(timeline)

    async def _put(self, timeline: Timeline, event: Event) -> None:
        # First the room for it: from taking it to putting it, nothing may come in between.
        await self._inbox.wait_for_room()
        told = event if event.type == RESET else timeline.take(event)
        if told is not None:
            self._inbox.put(told)

    async def _fetch(self, timelines: Mapping[str, Timeline]) -> tuple[dict[str, list[RoomSyncView]], dict[str, str]]:
        """All pages per room, and the error code where a room may not be read."""
        pages: dict[str, list[RoomSyncView]] = {}
        errors: dict[str, str] = {}
        cursors: dict[str, str | None] = {
            room_id: timeline.position.cursor if timeline.position is not None else None
            for room_id, timeline in timelines.items()
        }
        while cursors:
            answer = await self._sync(cursors)
            errors |= answer.errors
            cursors = {}
            for room_id, page in answer.rooms.items():
                collected = pages.setdefault(room_id, [])
                collected.append(page)
                if page.has_more:
                    cursors[room_id] = page.cursor if len(collected) * MAX_PAGE < MAX_CHANGES else None
        return {room_id: changes for room_id, changes in pages.items() if room_id not in errors}, errors

    async def _sync(self, cursors: dict[str, str | None]) -> SyncView:
        async def ask() -> SyncView:
            answer = SyncView.model_validate(
                await self._connection.request("sync", {"cursors": cursors, "limit": MAX_PAGE})
            )
            if ErrorCode.UNAVAILABLE in answer.errors.values():
                raise ChatError(ErrorCode.UNAVAILABLE, "not every room can be read now")
            return answer

        return await until_done(ask, _retryable, "resuming")

    async def _ask(self, type: str, data: JSON) -> JSON:
        return await until_done(lambda: self._connection.request(type, data), _retryable, type)

    def _gone(self, room_id: str, code: str) -> None:
        self._behind.pop(room_id, None)
        self._timelines.pop(room_id, None)
        self._inbox.put(Event(GONE, {"code": code}, room_id))


def _retryable(error: Exception) -> bool:
    """Until the connection is lost, which ends the resumption."""
    return isinstance(error, ChatError) and error.row.retryable
