"""The read side: history, sync, states and receipts. Any worker answers; nothing here changes anything."""

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import ValidationError

from services.messages import marks as rules
from services.messages.access import AccessCache
from services.messages.repository import Head, Repository, together
from services.messages.state import Marks, Message
from shared.contracts.base import Query, View
from shared.contracts.content import MessageView
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.membership import Action, RoomAccess
from shared.contracts.messages import GetHistory, GetMessage, GetReceipts, GetRoomStates, GetStatus, Sync
from shared.contracts.timeline import (
    HistoryView,
    ReceiptsView,
    RoomStatesView,
    RoomStateView,
    RoomSyncView,
    StatusView,
    SyncView,
)
from shared.gathering import Gathered
from shared.logging import get_logger
from shared.permissions import allowed

log = get_logger(__name__)


class QueryHandler:
    """Answers message queries."""

    def __init__(self, repository: Repository, access: AccessCache) -> None:
        self._repository = repository
        self._access = access
        self._heads = Gathered(repository.heads)
        self._marks = Gathered(repository.marks)
        self._table: dict[type[Query], Callable[[Actor, Any], Awaitable[View]]] = {
            GetHistory: self._history,
            GetMessage: self._message,
            Sync: self._sync,
            GetRoomStates: self._states,
            GetReceipts: self._receipts,
            GetStatus: self._status,
        }

    async def handle(self, actor: Actor, query: Query) -> View:
        """The answer. Raises ChatError."""
        return await self._table[type(query)](actor, query)

    async def _history(self, actor: Actor, query: GetHistory) -> HistoryView:
        if sum(bound is not None for bound in (query.before, query.after, query.around)) > 1:
            raise ChatError(ErrorCode.INVALID, "history.get takes one of 'before', 'after' and 'around'.")
        await self._require(actor, query.room_id)
        last = (await self._heads.get([query.room_id]))[query.room_id].timeline.seq
        messages = await self._page(query)
        end = last + 1 if query.before is None else min(query.before, last + 1)
        first_seq = messages[0].seq if messages else end
        last_seq = messages[-1].seq if messages else max(query.after or 0, first_seq - 1)
        return HistoryView(messages=messages, has_before=first_seq > 1, has_after=last_seq < last)

    async def _page(self, query: GetHistory) -> list[MessageView]:
        page, room_id = self._repository.page, query.room_id
        if query.after is not None:
            return await page(room_id, {"$gt": query.after}, newest=False, limit=query.limit)
        if query.around is not None:
            half = query.limit // 2
            older, newer = await together(
                page(room_id, {"$lte": query.around}, newest=True, limit=query.limit - half),
                page(room_id, {"$gt": query.around}, newest=False, limit=half) if half else _nothing(),
            )
            return [*older, *newer]
        bounds = {} if query.before is None else {"$lt": query.before}
        return await page(room_id, bounds, newest=True, limit=query.limit)

    async def _message(self, actor: Actor, query: GetMessage) -> MessageView:
        return (await self._found(actor, query)).view

    async def _found(self, actor: Actor, query: GetMessage | GetStatus) -> Message:
        """A message the actor may read. Raises ChatError."""
        found = (await self._repository.messages([query.message_id])).get(query.message_id)
        missing = ChatError(ErrorCode.NOT_FOUND, f"There is no message '{query.message_id}'.")
        if found is None or found.tenant != actor.tenant:
            raise missing
        try:
            await self._require(actor, found.view.room_id)
        except ChatError as error:
            if error.code is ErrorCode.NOT_FOUND:
                raise missing from error
            raise
        return found

    async def _status(self, actor: Actor, query: GetStatus) -> StatusView:
        view = (await self._found(actor, query)).view
        marks = await self._members_marks(view.room_id)
        marks.pop(view.sender.id, None)
        return rules.status(view.id, view.seq, marks)

    async def _receipts(self, actor: Actor, query: GetReceipts) -> ReceiptsView:
        await self._require(actor, query.room_id)
        marks = await self._members_marks(query.room_id)
        return ReceiptsView(
            receipts=[
                rules.receipt(user_id, mark, own=user_id == actor.id)
                for user_id, mark in sorted(marks.items())
                if mark != Marks()
            ]
        )

    async def _members_marks(self, room_id: str) -> dict[str, Marks]:
        """How far each of a room's members has got; who has left does not count. Raises ChatError."""
        heads = await self._heads.get([room_id])  # before the marks, as these catch up first
        access, marks = await together(self._access.get({room_id}), self._repository.room_marks(room_id))
        if room_id not in access:
            raise _unavailable()
        members = access[room_id].members if access[room_id] is not None else ()
        own = heads[room_id].own
        return {user_id: marks.get(user_id, Marks()).reached(own.get(user_id, 0)) for user_id in members}

    async def _states(self, actor: Actor, query: GetRoomStates) -> RoomStatesView:
        readable, refused = await self._readable(actor, set(query.room_ids))
        if ErrorCode.UNAVAILABLE in refused.values():
            raise _unavailable()
        heads = await self._heads.get(readable)  # before the marks, as these catch up first
        marks = await self._marks.get([(room_id, actor.id) for room_id in readable])
        own = {
            room_id: marks.get((room_id, actor.id), Marks()).reached(heads[room_id].own.get(actor.id, 0))
            for room_id in readable
        }
        last = {room_id: heads[room_id].timeline.seq for room_id in readable}
        spans = {room_id: (rules.seen(mark), last[room_id]) for room_id, mark in own.items()}
        mentions = await self._repository.mentions(
            actor.id, {room_id: (seen, end) for room_id, (seen, end) in spans.items() if seen < end}
        )
        states = [
            _state(room_id, heads[room_id], own[room_id], mentions.get(room_id, 0))
            for room_id in dict.fromkeys(query.room_ids)
            if room_id in own
        ]
        return RoomStatesView(
            states=states,
            unread=sum(state.unread for state in states),
            mentions=sum(state.mentions for state in states),
        )

    async def _sync(self, actor: Actor, query: Sync) -> SyncView:
        readable, refused = await self._readable(actor, set(query.cursors))
        heads = await self._heads.get(readable)
        answers = await together(
            *(self._sync_alone(room_id, query.cursors[room_id], heads[room_id], query.limit) for room_id in readable)
        )
        rooms = {room_id: answer for room_id, answer in zip(readable, answers, strict=True) if answer is not None}
        broken = dict.fromkeys(set(readable) - rooms.keys(), ErrorCode.INTERNAL.value)
        return SyncView(rooms=rooms, errors=refused | broken)

    async def _sync_alone(self, room_id: str, cursor: str | None, head: Head, limit: int) -> RoomSyncView | None:
        try:
            return await self._sync_room(room_id, cursor, head, limit)
        except ValidationError as error:  # a stored message that cannot be read fails its room, not the others
            log.error("room cannot be synced", room_id=room_id, error=type(error).__name__)
            return None

    async def _sync_room(self, room_id: str, cursor: str | None, head: Head, limit: int) -> RoomSyncView:
        epoch, seq, rev = head.timeline
        known_epoch, known_rev = (cursor or "0:0").split(":")
        reset = cursor is None or known_epoch != epoch or int(known_rev) > rev
        if reset:
            # The head was read before the page: what happens in between lies after the cursor.
            messages = await self._repository.page(room_id, {}, newest=True, limit=limit)
            return RoomSyncView(
                epoch=epoch, seq=seq, rev=rev, cursor=f"{epoch}:{rev}", reset=True, has_more=False, messages=messages
            )
        seen = int(known_rev)
        messages = await self._repository.changed(room_id, seen, limit) if seen < rev else []
        reached = messages[-1].rev if messages else seen
        return RoomSyncView(
            epoch=epoch,
            seq=max([seq, *(message.seq for message in messages)]),
            rev=max(rev, reached),
            cursor=f"{epoch}:{reached}",
            reset=False,
            # A full page may end before a message that changed since the head was read: never silently partial.
            has_more=reached < rev or len(messages) == limit,
            messages=messages,
        )

    # ── rights ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _require(self, actor: Actor, room_id: str) -> None:
        _, refused = await self._readable(actor, {room_id})
        if room_id in refused:
            code = ErrorCode(refused[room_id])
            raise ChatError(code, _REFUSALS[code].format(room_id=room_id), retry_after=_RETRY.get(code))

    async def _readable(self, actor: Actor, room_ids: set[str]) -> tuple[list[str], dict[str, str]]:
        """The rooms the actor may read, and the error code for each of the others."""
        known = self._access.known(room_ids)
        access = await self._access.get(room_ids)
        refused = _refused(actor, room_ids, access)
        if doubtful := refused.keys() & known:
            access |= await self._access.get(set(doubtful), fresh=True)
            refused = _refused(actor, room_ids, access)
        return sorted(room_ids - refused.keys()), {room_id: str(code) for room_id, code in refused.items()}


_REFUSALS = {
    ErrorCode.NOT_FOUND: "There is no room '{room_id}'.",
    ErrorCode.FORBIDDEN: "You may not read room '{room_id}'.",
    ErrorCode.UNAVAILABLE: "The members of room '{room_id}' cannot be looked up; try again.",
}
_RETRY = {ErrorCode.UNAVAILABLE: 1.0}


def _refused(actor: Actor, room_ids: set[str], access: dict[str, RoomAccess | None]) -> dict[str, ErrorCode]:
    refused = {}
    for room_id in room_ids:
        room = access.get(room_id)
        if room_id not in access:
            refused[room_id] = ErrorCode.UNAVAILABLE
        elif room is None or room.tenant != actor.tenant:
            refused[room_id] = ErrorCode.NOT_FOUND
        elif not allowed(Action.READ, room.type, room.members.get(actor.id), actor.roles):
            refused[room_id] = ErrorCode.FORBIDDEN
    return refused


def _state(room_id: str, head: Head, mark: Marks, mentions: int) -> RoomStateView:
    epoch, seq, rev = head.timeline
    return RoomStateView(
        room_id=room_id,
        epoch=epoch,
        seq=seq,
        rev=rev,
        read_seq=mark.read,
        unread=max(0, seq - rules.seen(mark)),
        mentions=mentions,
        last_message=None if head.last is None else head.last.view,
    )


def _unavailable() -> ChatError:
    return ChatError(ErrorCode.UNAVAILABLE, "The rooms' members cannot be looked up; try again.", retry_after=1.0)


async def _nothing() -> list[MessageView]:
    return []
