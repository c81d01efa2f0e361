"""The messages service's collections but for `revisions`: `messages`, `room_state`, `receipts`. Decides nothing.

`messages` is the truth. `room_state` and the senders' own read marks follow behind and can always be rebuilt from the
messages whose `rev` is greater than what `room_state` has seen. How far a room was cleared is one more document in
`messages`, without a `seq`: so its `rev` is fenced as theirs are. Whoever looks for messages asks for a `seq`.
"""

import asyncio
from collections.abc import Collection as Some
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Any

from services.messages.documents import (
    clearing_document,
    clearing_id,
    clearing_of,
    message_document,
    message_of,
    quote_of,
    view_of,
)
from services.messages.state import Clearing, Marks, Message, Timeline, Write
from shared.contracts.content import QUOTE_LENGTH, MessageView, QuoteView
from shared.mongo import (
    ASCENDING,
    DESCENDING,
    BulkWriteError,
    Document,
    IndexModel,
    InsertOne,
    Mongo,
    ReplaceOne,
    UpdateOne,
    is_duplicate,
    readable,
)


class Fenced(Exception):  # noqa: N818 - names what happened to the writer
    """Some of this exists already, or somebody else has written meanwhile: reload and decide again.

    `stored` of the writes were made, counted from the first.
    """

    def __init__(self, reason: str, stored: int = 0) -> None:
        super().__init__(reason)
        self.stored = stored


@dataclass(slots=True)
class Head:
    """Where a room stands, with what its summary in the database has not caught up with yet."""

    timeline: Timeline = field(default_factory=Timeline)
    last: Message | None = None
    own: dict[str, int] = field(default_factory=dict)
    """Per sender, the last of their messages that may not be in `receipts` yet."""
    mentioned: int = 0
    """No message after this `seq` mentions anybody."""


class Repository:
    """Reads and writes of one process."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._messages = mongo.collection("messages")
        self._room_state = mongo.collection("room_state")
        self._receipts = mongo.collection("receipts")

    async def prepare(self) -> None:
        """Create the indexes. The two unique ones fence a second writer of a room.

        A `seq` stays with its message, but a `rev` is left behind with the next change: without the index on all that
        a message has had, a writer that was replaced meanwhile could take it again, and who is past it would never
        be told.
        """
        await self._mongo.ensure_indexes(
            "messages",
            [
                IndexModel([("room_id", ASCENDING), ("seq", ASCENDING)], unique=True),
                IndexModel([("room_id", ASCENDING), ("revs", ASCENDING)], unique=True),
                IndexModel([("room_id", ASCENDING), ("rev", ASCENDING)]),
                IndexModel(
                    [("room_id", ASCENDING), ("mentions", ASCENDING), ("seq", ASCENDING)],
                    partialFilterExpression={"mentions": {"$exists": True}},
                ),
            ],
        )
        await self._mongo.ensure_indexes("receipts", [IndexModel([("room_id", ASCENDING)])])

    # ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def messages(self, ids: Some[str]) -> dict[str, Message]:
        """Those of the given messages that exist, by id."""
        if not ids:
            return {}
        found = await self._messages.find({"_id": {"$in": list(ids)}}).to_list(None)
        return {document["_id"]: message_of(document) for document in found}

    async def write(self, writes: Iterable[Write]) -> None:
        """Store new states in order, so that a reader who sees a `rev` can see all before it.

        Raises:
            Fenced: where an id exists already, another writer has taken a `seq` or `rev` or has changed a message
                meanwhile, which end the whole there; or where a message to be changed has been purged.
        """
        operations: list[InsertOne[Document] | ReplaceOne[Document]] = []
        for state, previous in writes:
            document = message_document(state) if isinstance(state, Message) else clearing_document(state)
            if previous is None:
                operations.append(InsertOne(document))
            else:
                # With `upsert` a message in another state is a duplicate key, which ends the whole: otherwise what
                # follows would be built on a change that was not made.
                operations.append(ReplaceOne({"_id": document["_id"], "rev": previous}, document, upsert=True))
        if not operations:
            return
        try:
            result = await self._messages.bulk_write(operations, ordered=True)
        except BulkWriteError as error:
            if not is_duplicate(error):
                raise
            refused = error.details["writeErrors"][0]
            raise Fenced(refused["errmsg"], refused["index"]) from error
        if risen := list((result.upserted_ids or {}).values()):
            await self._messages.delete_many({"_id": {"$in": risen}})
            raise Fenced("a message was purged while it was changed")

    async def page(
        self, room_id: str, bounds: Mapping[str, int], *, cleared: int, newest: bool, limit: int
    ) -> list[MessageView]:
        """Messages by `seq` within `bounds` ({"$lt": 5}, …), the newest or oldest `limit`, ascending.

        Args:
            cleared: up to here there are none.
        """
        query: Document = {
            "room_id": room_id,
            "seq": {**bounds, "$gt": max(cleared, bounds.get("$gt", 0))},
        }
        order = DESCENDING if newest else ASCENDING
        found = await self._messages.find(query).sort("seq", order).limit(limit).to_list(None)
        views = [view_of(document) for document in found]
        return views[::-1] if newest else views

    async def written_at(self, room_id: str, seq: int) -> datetime | None:
        """When the message at `seq` was written; None where there is none."""
        found = await self._messages.find_one({"room_id": room_id, "seq": seq}, {"created_at": True})
        return None if found is None else found["created_at"]

    async def first_since(self, room_id: str, moment: datetime, after: int, last: int) -> int:
        """The first `seq` after `after` that was written at `moment` or later; `last` + 1 where none was.

        Times grow with `seq`, as far as the clocks of the room's writers agree. So looking at a few messages is enough,
        and it needs no index of its own.
        """
        low, high = after + 1, last + 1
        while low < high:
            middle = (low + high) // 2
            written = await self.written_at(room_id, middle)
            if written is None or written < moment:  # what is not there was purged: the oldest are
                low = middle + 1
            else:
                high = middle
        return low

    async def changed(self, room_id: str, rev: int, *, cleared: int, limit: int) -> list[MessageView]:
        """The first `limit` messages whose latest change is after `rev`, ascending by `rev`."""
        query = {"room_id": room_id, "rev": {"$gt": rev}, "seq": {"$gt": cleared}}
        found = await self._messages.find(query).sort("rev", ASCENDING).limit(limit).to_list(None)
        return [view_of(document) for document in found]

    async def quotes(self, ids: Some[str], cleared: Mapping[str, int]) -> dict[str, QuoteView]:
        """What replies to the given messages repeat of them, by id.

        Args:
            cleared: up to which `seq` each of their rooms was cleared.
        """
        if not ids:
            return {}
        fields = {
            **dict.fromkeys(("room_id", "seq", "type", "sender", "deleted_at"), True),
            "content": {"$substrCP": ["$content", 0, QUOTE_LENGTH]},
        }
        found = await self._messages.find({"_id": {"$in": list(ids)}}, fields).to_list(None)
        quoted = readable(found, lambda item: quote_of(item, cleared=item["seq"] <= cleared.get(item["room_id"], 0)))
        return {quote.message_id: quote for quote in quoted}

    async def clearings(self, room_ids: Some[str]) -> dict[str, Clearing]:
        """How far each of the rooms was cleared that ever was, by room."""
        if not room_ids:
            return {}
        ids = [clearing_id(room_id) for room_id in room_ids]
        found = await self._messages.find({"_id": {"$in": ids}}).to_list(None)
        return {document["room_id"]: clearing_of(document) for document in found}

    # ── where rooms stand ────────────────────────────────────────────────────────────────────────────────────────

    async def heads(self, room_ids: Some[str]) -> dict[str, Head]:
        """Where each room stands now: its summary, and on top the messages the summary has not seen."""
        heads = {room_id: Head() for room_id in room_ids}
        if not heads:
            return heads
        async for state in self._room_state.find({"_id": {"$in": list(heads)}}):
            last = state.get("last")
            heads[state["_id"]] = Head(
                Timeline(state["epoch"], state["seq"], state["rev"], state.get("cleared", 0)),
                None if last is None else next(readable([last], message_of), None),
                mentioned=state.get("mentioned", state["seq"]),
            )
        newer = [{"room_id": room_id, "rev": {"$gt": head.timeline.rev}} for room_id, head in heads.items()]
        written: dict[str, list[Document]] = {}
        for document in await self._messages.find({"$or": newer}).to_list(None):
            _move(heads[document["room_id"]], document)
            if "seq" in document:  # else it is the clearing
                written.setdefault(document["room_id"], []).append(document)
        for room_id, documents in written.items():  # read from the last one on, and no more than that
            documents.sort(key=_SEQ, reverse=True)
            last, head = next(readable(documents, message_of), None), heads[room_id]
            if last is not None and (head.last is None or last.view.seq >= head.last.view.seq):
                head.last = last
        for head in heads.values():
            if head.last is not None and head.last.view.seq <= head.timeline.cleared:
                head.last = None
        return heads

    async def summarise(self, heads: Mapping[str, Head]) -> None:
        """Let `receipts` and then `room_state` catch up; in this order, so that a crash between loses nothing."""
        marks = {
            (room_id, user_id): Marks(read=seq, delivered=seq)
            for room_id, head in heads.items()
            for user_id, seq in head.own.items()
        }
        await self.mark(marks)
        states: list[UpdateOne] = []
        for room_id, head in heads.items():
            timeline = head.timeline
            change: Document = {"epoch": timeline.epoch, "seq": timeline.seq, "rev": timeline.rev}
            if timeline.cleared:
                change |= {"cleared": timeline.cleared, "last": None}
            if head.last is not None:
                change["last"] = message_document(head.last)
            elif timeline.cleared < timeline.seq:
                change.pop("last", None)
            older = {"_id": room_id, "epoch": timeline.epoch, "rev": {"$lt": timeline.rev}}
            how = "$max" if head.mentioned else "$setOnInsert"
            states.append(UpdateOne(older, {"$set": change, how: {"mentioned": head.mentioned}}, upsert=True))
        # What is not older is newer, or of another epoch: a summary that comes late (from a writer that was replaced)
        # must not turn back either. Then the upsert is the second with its id, and refused; but so is one that has
        # merely met another room's first summary, hence twice.
        for _ in range(2):
            try:
                await self._room_state.bulk_write(states, ordered=False)
            except BulkWriteError as error:
                if not is_duplicate(error, only=True):
                    raise
                states = [states[refused["index"]] for refused in error.details["writeErrors"]]
            else:
                return

    # ── receipts ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def marks(self, keys: Some[tuple[str, str]]) -> dict[tuple[str, str], Marks]:
        """The marks of (room, user) pairs; absent where there are none yet."""
        if not keys:
            return {}
        found = self._receipts.find({"_id": {"$in": [_receipt_id(*key) for key in keys]}})
        return {(item["room_id"], item["user_id"]): _marks(item) async for item in found}

    async def room_marks(self, room_id: str) -> dict[str, Marks]:
        """All members' marks in a room."""
        found = self._receipts.find({"room_id": room_id}).sort("_id", ASCENDING)
        return {item["user_id"]: _marks(item) async for item in found}

    async def mark(self, marks: Mapping[tuple[str, str], Marks], pointed: Some[tuple[str, str]] = ()) -> None:
        """Move marks forward; they never go back. Of those `pointed` at, from where on they are unread is set, too."""
        operations: list[UpdateOne] = []
        for key, mark in marks.items():
            change: Document = {
                "$max": {"read": mark.read, "delivered": mark.delivered},
                "$setOnInsert": {"room_id": key[0], "user_id": key[1]},
            }
            if key in pointed:
                change["$unset" if mark.unread_from is None else "$set"] = {"unread_from": mark.unread_from}
            operations.append(UpdateOne({"_id": _receipt_id(*key)}, change, upsert=True))
        if operations:
            await self._receipts.bulk_write(operations, ordered=False)

    async def mentions(self, user_id: str, spans: Mapping[str, tuple[int, int]]) -> dict[str, int]:
        """How many messages mention a user and are not deleted, by room; absent where none does.

        Args:
            spans: by room, the `seq` to begin after, and the last to look at.
        """
        if not spans:
            return {}
        unread = [
            {"room_id": room_id, "mentions": user_id, "seq": {"$gt": after, "$lte": last}, "deleted_at": None}
            for room_id, (after, last) in spans.items()
        ]
        found = self._messages.aggregate(
            [{"$match": {"$or": unread}}, {"$group": {"_id": "$room_id", "count": {"$sum": 1}}}]
        )
        return {item["_id"]: item["count"] async for item in found}

    async def purge(self, room_id: str, until: datetime, epoch: str) -> int:
        """Remove what was written in a room up to `until` and begin a new `epoch`; how many messages that removed.

        What was written since keeps its place: before it there is nothing, as where a room was cleared.
        """
        since = {"room_id": room_id, "seq": {"$exists": True}, "created_at": {"$gt": until}}
        first = await self._messages.find_one(since, {"seq": True}, sort=[("seq", ASCENDING)])
        gone = 0 if first is None else first["seq"] - 1
        await self._room_state.replace_one(
            {"_id": room_id}, {"epoch": epoch, "seq": gone, "rev": 0, "mentioned": 0, "cleared": gone}, upsert=True
        )
        await self._receipts.delete_many({"room_id": room_id})
        return (await self._messages.delete_many({"room_id": room_id, "created_at": {"$lte": until}})).deleted_count


_SEQ = itemgetter("seq")


def _move(head: Head, document: Document) -> None:
    """Let a head catch up with a stored message or clearing; all but `last`."""
    timeline, seq = head.timeline, document.get("seq", 0)
    cleared = max(timeline.cleared, document.get("cleared", 0))
    head.timeline = Timeline(
        timeline.epoch, max(timeline.seq, seq, cleared), max(timeline.rev, document["rev"]), cleared
    )
    if seq and document.get("mentions"):
        head.mentioned = max(head.mentioned, seq)
    if seq and isinstance(sender := document.get("sender"), dict) and isinstance(user_id := sender.get("id"), str):
        head.own[user_id] = max(seq, head.own.get(user_id, 0))


async def together(*reads: Any) -> list[Any]:
    """Await independent reads at once."""
    return list(await asyncio.gather(*reads))


def _receipt_id(room_id: str, user_id: str) -> str:
    return f"{room_id}:{user_id}"


def _marks(document: Document) -> Marks:
    return Marks(document["read"], document["delivered"], document.get("unread_from"))
