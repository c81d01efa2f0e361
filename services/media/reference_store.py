"""Which messages show which files: the collections `media_refs` and `media_rooms`, and `unused_since` of the files.

What is told may come twice and late: a reference changes with a higher `rev` only, so those that are gone are
remembered for a while, and so is how far a room was cleared, and when it was deleted. A deletion makes void what was
told of the room before: its id, and then the `seq` and `rev` of its messages, may be used again.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from services.media.attaching import Cleared, Fact, Gone, Shown, Unshown
from shared.mongo import ASCENDING, BulkWriteError, Document, IndexModel, Mongo, UpdateOne, is_duplicate

REMEMBERED = 30 * 24 * 3600
"""Seconds for which what is gone is remembered: what is told of it later than that is taken for new."""

AT_ONCE = 1000
"""References, or files, that are changed at once."""

MAX_SHOWN = 10_000
"""Rooms in which files are looked for at most: who can read none of them cannot see a file that is in more."""


class _Room(NamedTuple):
    """What is remembered of a room."""

    cleared: int = 0
    deleted_at: datetime | None = None

    def voids(self, fact: Fact) -> bool:
        """Whether something is told of what the room has lost since."""
        if self.deleted_at is not None and fact.at <= self.deleted_at:
            return not isinstance(fact, Gone) or fact.at < self.deleted_at
        return isinstance(fact, Shown) and fact.seq <= self.cleared


class ReferenceStore:
    """Reads and writes of one process."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._refs = mongo.collection("media_refs")
        self._rooms = mongo.collection("media_rooms")
        self._media = mongo.collection("media")
        self._writers: dict[type[Fact], Callable[[Any, datetime], Awaitable[set[str]]]] = {
            Shown: self._show, Unshown: self._unshow, Cleared: self._clear, Gone: self._void,
        }  # fmt: skip
        """Each writes down what is told and returns the files whose use that may change, where it is left to do."""

    async def prepare(self) -> None:
        """Create the indexes that are missing."""
        await self._mongo.ensure_indexes(
            "media_refs",
            [
                IndexModel([("media_id", ASCENDING), ("gone_at", ASCENDING), ("room_id", ASCENDING)]),
                IndexModel([("room_id", ASCENDING), ("gone_at", ASCENDING), ("seq", ASCENDING)]),
                IndexModel([("gone_at", ASCENDING)], expireAfterSeconds=REMEMBERED),
            ],
        )
        await self._mongo.ensure_indexes(
            "media_rooms", [IndexModel([("changed_at", ASCENDING)], expireAfterSeconds=REMEMBERED)]
        )

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def rooms_of(self, media_ids: Collection[str]) -> dict[str, set[str]]:
        """The rooms in which messages show each of the files; absent where none does."""
        found = self._refs.aggregate(
            [
                {"$match": {"media_id": {"$in": list(media_ids)}, "gone_at": None}},
                {"$group": {"_id": {"media_id": "$media_id", "room_id": "$room_id"}}},
                {"$limit": MAX_SHOWN},
            ]
        )
        rooms: dict[str, set[str]] = {}
        async for item in found:
            rooms.setdefault(item["_id"]["media_id"], set()).add(item["_id"]["room_id"])
        return rooms

    # ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────

    async def take_in(self, facts: Iterable[Fact], now: datetime) -> None:
        """Write down what is told, in this order; done twice it is done once."""
        for kind, run in groupby(facts, type):
            some = list(run)
            rooms = await self._known_rooms({fact.room_id for fact in some})
            valid = [fact for fact in some if not rooms.get(fact.room_id, _Room()).voids(fact)]
            await self._reconsider(await self._writers[kind](valid, now), now)

    async def _show(self, facts: Sequence[Shown], _now: datetime) -> set[str]:
        await self._upsert(facts, lambda fact: {"media_id": fact.media_id, "gone_at": None})
        return {fact.media_id for fact in facts}

    async def _unshow(self, facts: Sequence[Unshown], now: datetime) -> set[str]:
        await self._upsert(facts, lambda _fact: {"gone_at": now})
        ids = [fact.message_id for fact in facts]
        return set(await self._refs.distinct("media_id", {"_id": {"$in": ids}, "media_id": {"$exists": True}}))

    async def _clear(self, facts: Sequence[Cleared], now: datetime) -> set[str]:
        for fact in facts:
            change = {"$max": {"cleared": fact.seq}, "$set": {"changed_at": now}}
            await self._rooms.update_one({"_id": fact.room_id}, change, upsert=True)
            covered = {"room_id": fact.room_id, "seq": {"$lte": fact.seq}, **_NOT_DONE}
            while ids := await self._end(covered, now):
                await self._refs.update_many({"_id": {"$in": ids}}, {"$unset": {"ending": True}})
        return set()

    async def _void(self, facts: Sequence[Gone], now: datetime) -> set[str]:
        for fact in facts:
            change = {"$max": {"deleted_at": fact.at}, "$set": {"cleared": 0, "changed_at": now}}
            await self._rooms.update_one({"_id": fact.room_id}, change, upsert=True)
            while ids := await self._end({"room_id": fact.room_id, "at": {"$lte": fact.at}}, now):
                await self._refs.delete_many({"_id": {"$in": ids}})
        return set()

    async def _end(self, where: Document, now: datetime) -> list[str]:
        """Let some references be gone, and their files follow; which they were.

        Should this process die in between, those that are `ending` are found again when it is told again.
        """
        some = await self._refs.find(where).limit(AT_ONCE).to_list(None)
        ids = [ref["_id"] for ref in some]
        await self._refs.update_many({"_id": {"$in": ids}}, {"$set": {"gone_at": now, "ending": True}})
        await self._reconsider({ref["media_id"] for ref in some if "media_id" in ref}, now)
        return ids

    async def _known_rooms(self, room_ids: Collection[str]) -> dict[str, _Room]:
        found = self._rooms.find({"_id": {"$in": list(room_ids)}})
        return {item["_id"]: _Room(item.get("cleared", 0), item.get("deleted_at")) async for item in found}

    async def _upsert(self, facts: Sequence[Shown | Unshown], particulars: Any) -> None:
        """Let references be as they are told, but where a later change of theirs is known."""
        writes = [
            UpdateOne(
                {"_id": fact.message_id, "rev": {"$lt": fact.rev}},
                {
                    "$set": {
                        "room_id": fact.room_id,
                        "seq": fact.seq,
                        "rev": fact.rev,
                        "at": fact.at,
                        **particulars(fact),
                    }
                },
                upsert=True,
            )
            for fact in facts
        ]
        if not writes:
            return
        try:
            await self._refs.bulk_write(writes, ordered=False)
        except BulkWriteError as error:
            if not is_duplicate(error, only=True):  # else these are known, or later ones
                raise

    async def _reconsider(self, media_ids: Collection[str], now: datetime) -> None:
        """Let `unused_since` of files follow from their references."""
        ids = sorted(media_ids)
        for start in range(0, len(ids), AT_ONCE):
            await self._reconsider_some(ids[start : start + AT_ONCE], now)

    async def _reconsider_some(self, media_ids: list[str], now: datetime) -> None:
        used = await self._used(media_ids)
        idle = [media_id for media_id in media_ids if media_id not in used]
        if idle:
            unused = {"_id": {"$in": idle}, "state": "ready", "unused_since": None}
            await self._media.update_many(unused, {"$set": {"unused_since": now}})
            # For a moment two processes may read the queue: what the other has written meanwhile must not be missed.
            used |= await self._used(idle)
        if used:
            where = {"_id": {"$in": list(used)}, "unused_since": {"$ne": None}}
            await self._media.update_many(where, {"$set": {"unused_since": None}})

    async def _used(self, media_ids: list[str]) -> set[str]:
        return set(await self._refs.distinct("media_id", {"media_id": {"$in": media_ids}, "gone_at": None}))


_NOT_DONE: Document = {"$or": [{"gone_at": None}, {"ending": True}]}
