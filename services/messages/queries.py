"""The read side: history, sync, revisions, states and receipts. Any worker answers; nothing here changes anything."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from services.messages import marks as rules
from services.messages.archive import Archive
from services.messages.batch import no_message
from services.messages.repository import Head, Repository, together
from services.messages.rights import may
from services.messages.state import Marks, Message
from shared.access import AccessCache
from shared.contracts.base import Query, View
from shared.contracts.content import MessageView
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.membership import Action, RoomAccess
from shared.contracts.messages import (
    MAX_PAGE,
    GetHistory,
    GetMessage,
    GetReceipts,
    GetRevisions,
    GetRoomStates,
    GetStatus,
    Sync,
)
from shared.contracts.timeline import (
    HistoryView,
    ReceiptsView,
    RevisionsView,
    RoomStatesView,
    RoomStateView,
    RoomSyncView,
    StatusView,
    SyncView,
)
from shared.gathering import Gathered
from shared.logging import get_logger

log = get_logger(__name__)


class _Place(NamedTuple):
    """From where on somebody wants to know what has changed: the same for all who ask so."""

    room_id: str
    cursor: str | None
    limit: int


class QueryHandler:
    """Answers message queries."""

    def __init__(self, repository: Repository, archive: Archive, access: AccessCache) -> None:
        self._repository = repository
        self._archive = archive
        self._access = access
        self._heads = Gathered(repository.heads)
        self._marks = Gathered(repository.marks)
        # Many who come back at once ask from the same place in a room: it is read once for all of them.
        self._since = Gathered(self._read_since)
        self._table: dict[type[Query], Callable[[Actor, Any], Awaitable[View]]] = {
            GetHistory: self._history,
            GetMessage: self._message,
            GetRevisions: self._revisions,
            Sync: self._sync,
            GetRoomStates: self._states,
            GetReceipts: self._receipts,
            GetStatus: self._status,
        }

    async def handle(self, actor: Actor, query: Query) -> View:
        """The answer. Raises ChatError."""
        return await self._table[type(query)](actor, query)

    async def _history(self, actor: Actor, query: GetHistory) -> HistoryView:
        if sum(getattr(query, name) is not None for name in _PLACES) > 1:
            raise ChatError(ErrorCode.INVALID, f"history.get takes one of {', '.join(_PLACES)}.")
        await self._require(actor, query.room_id)
        timeline = (await self._heads.get([query.room_id]))[query.room_id].timeline
        last, cleared = timeline.seq, timeline.cleared
        query = await self._placed(query, last, cleared)
        messages = await self._page(query, cleared)
        end = last + 1 if query.before is None else min(query.before, last + 1)
        first_seq = messages[0].seq if messages else max(end, cleared + 1)
        last_seq = messages[-1].seq if messages else max(query.after or 0, first_seq - 1)
        return HistoryView(
            messages=await self._with_quotes(messages, {query.room_id: cleared}),
            has_before=first_seq > cleared + 1,
            has_after=last_seq < last,
            total=last - cleared,
        )

    async def _placed(self, query: GetHistory, last: int, cleared: int) -> GetHistory:
        """The same question by `seq`, where it was asked by number or time."""
        if query.offset is not None:
            return query.model_copy(update={"before": max(last + 1 - query.offset, cleared + 1)})
        if query.before_time is None:
            return query
        before = await self._repository.first_since(query.room_id, query.before_time, cleared, last)
        begin = max(before - query.limit, cleared + 1)
        since = await self._repository.written_at(query.room_id, begin) if begin < before else None
        if since is not None:  # all of the instant that the page begins in
            whole = await self._repository.first_since(query.room_id, since, cleared, begin)
            begin = max(whole, begin - MAX_PAGE)
        return query.model_copy(update={"before": before, "limit": max(before - begin, 1)})

    async def _page(self, query: GetHistory, cleared: int) -> list[MessageView]:
        room_id = query.room_id

        async def page(bounds: Mapping[str, int], *, newest: bool, limit: int) -> list[MessageView]:
            return await self._repository.page(room_id, bounds, cleared=cleared, newest=newest, limit=limit)

        if query.after is not None:
            return await page({"$gt": query.after}, newest=False, limit=query.limit)
        if query.around is not None:
            half = query.limit // 2
            older, newer = await together(
                page({"$lte": query.around}, newest=True, limit=query.limit - half),
                page({"$gt": query.around}, newest=False, limit=half) if half else _nothing(),
            )
            return [*older, *newer]
        bounds = {} if query.before is None else {"$lt": query.before}
        return await page(bounds, newest=True, limit=query.limit)

    async def _message(self, actor: Actor, query: GetMessage) -> MessageView:
        message, cleared = await self._one(actor, query.message_id, Action.READ, Action.READ)
        [view] = await self._with_quotes([message.view], {message.view.room_id: cleared})
        return view

    async def _revisions(self, actor: Actor, query: GetRevisions) -> RevisionsView:
        message, _ = await self._one(actor, query.message_id, Action.READ_REVISIONS_OWN, Action.READ_REVISIONS_ANY)
        return RevisionsView(revisions=await self._archive.revisions(message))

    async def _status(self, actor: Actor, query: GetStatus) -> StatusView:
        message, _ = await self._one(actor, query.message_id, Action.READ, Action.READ)
        view = message.view
        marks = await self._members_marks(view.room_id)
        marks.pop(view.sender.id, None)
        return rules.status(view.id, view.seq, marks)

    async def _one(self, actor: Actor, message_id: str, own: Action, any_: Action) -> tuple[Message, int]:
        """A message, where the actor may do `own` with theirs or `any_` with all; how far its room was cleared."""
        found = (await self._repository.messages([message_id])).get(message_id)
        if found is None or found.tenant != actor.tenant:
            raise no_message(message_id)
        room_id, mine = found.view.room_id, found.view.sender.id == actor.id
        try:
            if not mine or any_ is own or not (await self._readable(actor, {room_id}, own))[0]:
                await self._require(actor, room_id, any_)
        except ChatError as error:
            if error.code is ErrorCode.NOT_FOUND:
                raise no_message(message_id) from error
            raise
        cleared = (await self._heads.get([room_id]))[room_id].timeline.cleared
        if found.view.seq <= cleared:
            raise no_message(message_id)
        return found, cleared

    async def _with_quotes(self, views: list[MessageView], cleared: Mapping[str, int]) -> list[MessageView]:
        """The messages, replies with what they answer as it is now: one look-up for all of them, none without any."""
        ids = {view.reply_to for view in views if view.reply_to is not None}
        if not ids:
            return views
        quotes = await self._repository.quotes(ids, cleared)
        return [
            view if view.reply_to is None else view.model_copy(update={"quote": quotes.get(view.reply_to)})
            for view in views
        ]

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
        spans = {
            room_id: (rules.seen(mark, heads[room_id].timeline.cleared), heads[room_id].timeline.seq)
            for room_id, mark in own.items()
        }
        mentions, lasts = await together(
            self._repository.mentions(
                actor.id, {room_id: span for room_id, span in spans.items() if span[0] < heads[room_id].mentioned}
            ),
            self._last_messages(heads),
        )
        states = [
            _state(room_id, heads[room_id], own[room_id], mentions.get(room_id, 0), lasts.get(room_id))
            for room_id in dict.fromkeys(query.room_ids)
            if room_id in own
        ]
        return RoomStatesView(
            states=states,
            unread=sum(state.unread for state in states),
            mentions=sum(state.mentions for state in states),
        )

    async def _last_messages(self, heads: Mapping[str, Head]) -> dict[str, MessageView]:
        views = [head.last.view for head in heads.values() if head.last is not None]
        return {view.room_id: view for view in await self._with_quotes(views, _cleared(heads))}

    async def _sync(self, actor: Actor, query: Sync) -> SyncView:
        readable, refused = await self._readable(actor, set(query.cursors))
        places = {room_id: _Place(room_id, query.cursors[room_id], query.limit) for room_id in readable}
        found = await self._since.get(places.values())
        rooms = {room_id: found[place] for room_id, place in places.items() if place in found}
        broken = dict.fromkeys(places.keys() - rooms.keys(), ErrorCode.INTERNAL.value)
        return SyncView(rooms=rooms, errors=refused | broken)

    async def _read_since(self, places: Collection[_Place]) -> dict[_Place, RoomSyncView]:
        """What has changed since each of the places; absent where a stored message cannot be read."""
        heads = await self._repository.heads({place.room_id for place in places})
        answers = await together(*(self._sync_alone(place, heads[place.room_id]) for place in places))
        rooms = {place: answer for place, answer in zip(places, answers, strict=True) if answer is not None}
        return await self._sync_with_quotes(rooms, _cleared(heads))

    async def _sync_with_quotes(
        self, rooms: dict[_Place, RoomSyncView], cleared: Mapping[str, int]
    ) -> dict[_Place, RoomSyncView]:
        views = [view for room in rooms.values() for view in room.messages]
        whole = await self._with_quotes(views, cleared)
        if whole is views:
            return rooms
        rest = iter(whole)
        return {
            place: room.model_copy(update={"messages": [next(rest) for _ in room.messages]})
            for place, room in rooms.items()
        }

    async def _sync_alone(self, place: _Place, head: Head) -> RoomSyncView | None:
        try:
            return await self._sync_room(place, head)
        except ValidationError as error:  # a stored message that cannot be read fails its room, not the others
            log.error("room cannot be synced", room_id=place.room_id, error=type(error).__name__)
            return None

    async def _sync_room(self, place: _Place, head: Head) -> RoomSyncView:
        room_id, cursor, limit = place
        epoch, seq, rev, cleared = head.timeline
        known_epoch, known_rev = (cursor or "0:0").split(":")
        reset = cursor is None or known_epoch != epoch or int(known_rev) > rev
        if reset:
            # The head was read before the page: what happens in between lies after the cursor.
            messages = await self._repository.page(room_id, {}, cleared=cleared, newest=True, limit=limit)
            return RoomSyncView(
                epoch=epoch, seq=seq, rev=rev, cleared_seq=cleared, cursor=f"{epoch}:{rev}", reset=True,
                has_more=False, messages=messages,
            )  # fmt: skip
        seen = int(known_rev)
        messages = await self._repository.changed(room_id, seen, cleared=cleared, limit=limit) if seen < rev else []
        reached = messages[-1].rev if messages else seen
        # A full page may end before a message that changed since the head was read: never silently partial.
        full = len(messages) == limit
        if not full:
            reached = max(reached, rev)  # the last changes may have been a clearing, or of messages that it took
        return RoomSyncView(
            epoch=epoch,
            seq=max([seq, *(message.seq for message in messages)]),
            rev=max(rev, reached),
            cleared_seq=cleared,
            cursor=f"{epoch}:{reached}",
            reset=False,
            has_more=full,
            messages=messages,
        )

    # ── rights ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _require(self, actor: Actor, room_id: str, action: Action = Action.READ) -> None:
        _, refused = await self._readable(actor, {room_id}, action)
        if room_id in refused:
            code = ErrorCode(refused[room_id])
            message = _REFUSALS[code].format(action=action.value.replace("_", " "), room_id=room_id)
            raise ChatError(code, message, retry_after=_RETRY.get(code))

    async def _readable(
        self, actor: Actor, room_ids: set[str], action: Action = Action.READ
    ) -> tuple[list[str], dict[str, str]]:
        """The rooms the actor may read, or do `action` in, and the error code for each of the others."""
        known = self._access.known(room_ids)
        access = await self._access.get(room_ids)
        refused = _refused(actor, room_ids, access, action)
        if doubtful := refused.keys() & known:
            access |= await self._access.get(set(doubtful), fresh=True)
            refused = _refused(actor, room_ids, access, action)
        return sorted(room_ids - refused.keys()), {room_id: str(code) for room_id, code in refused.items()}


_PLACES = ("before", "after", "around", "offset", "before_time")
"""Where in the history a page lies."""

_REFUSALS = {
    ErrorCode.NOT_FOUND: "There is no room '{room_id}'.",
    ErrorCode.FORBIDDEN: "You may not {action} in room '{room_id}'.",
    ErrorCode.UNAVAILABLE: "The members of room '{room_id}' cannot be looked up; try again.",
}
_RETRY = {ErrorCode.UNAVAILABLE: 1.0}


def _refused(
    actor: Actor, room_ids: set[str], access: dict[str, RoomAccess | None], action: Action
) -> dict[str, ErrorCode]:
    refused = {}
    for room_id in room_ids:
        room = access.get(room_id)
        if room_id not in access:
            refused[room_id] = ErrorCode.UNAVAILABLE
        elif room is None or room.tenant != actor.tenant:
            refused[room_id] = ErrorCode.NOT_FOUND
        elif not may(action, room, actor):
            refused[room_id] = ErrorCode.FORBIDDEN
    return refused


def _cleared(heads: Mapping[str, Head]) -> dict[str, int]:
    return {room_id: head.timeline.cleared for room_id, head in heads.items()}


def _state(room_id: str, head: Head, mark: Marks, mentions: int, last: MessageView | None) -> RoomStateView:
    epoch, seq, rev, cleared = head.timeline
    return RoomStateView(
        room_id=room_id,
        epoch=epoch,
        seq=seq,
        rev=rev,
        cleared_seq=cleared,
        read_seq=mark.read,
        unread=max(0, seq - rules.seen(mark, cleared)),
        mentions=mentions,
        last_message=last,
    )


def _unavailable() -> ChatError:
    return ChatError(ErrorCode.UNAVAILABLE, "The rooms' members cannot be looked up; try again.", retry_after=1.0)


async def _nothing() -> list[MessageView]:
    return []
