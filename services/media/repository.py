"""The collections `media` and `media_usage`: every change of a file's state is one fenced update. Decides nothing.

A file that is being removed is not there any more for anybody but the sweep that removes it.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Coroutine, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from services.media.documents import document_of, facts_in, media_of, pieces_in, refusal_in, variants_in
from services.media.processing.product import Facts
from services.media.records import Media, Piece, Variant
from shared.contracts.media_terms import MediaState, Refusal, VariantName
from shared.mongo import ASCENDING, Document, IndexModel, Mongo, ReturnDocument, Session, is_conflict, readable

PUBLISHED = timedelta(seconds=10)
"""How long a file that has just come in is left to the command that was published for it."""

RESTING = timedelta(seconds=60)
"""After which an upload rests of which nothing has come; while bytes come that is said more often."""

KEPT_DAYS = 3
MAX_TRIES = 50

T = TypeVar("T")

_THERE: Document = {"removing": {"$exists": False}}


class OverQuota(Exception):  # noqa: N818 - a decision of the caller's limits
    """A user or a tenant would have more than they may: `daily` or, where not, the tenant's quota."""

    def __init__(self, *, daily: bool) -> None:
        super().__init__()
        self.daily = daily


class Quota(NamedTuple):
    """What may be reached at most; infinite where there is no limit."""

    files_a_day: float
    bytes_a_day: float
    tenant_bytes: float


class Usage(NamedTuple):
    """What a user has uploaded on a day, or what a tenant has: files and bytes."""

    files: int
    bytes: int


class Repository:
    """Reads and writes of one process."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._media = mongo.collection("media")
        self._usage = mongo.collection("media_usage")

    async def prepare(self) -> None:
        """Create the indexes that are missing."""
        await self._mongo.ensure_indexes(
            "media",
            [
                IndexModel([("tenant", ASCENDING), ("owner", ASCENDING), ("state", ASCENDING)]),
                _partial("alive_until", {"state": "uploading"}),
                _partial("worker_until", {"state": "pending"}),
                _partial("unused_since", {"unused_since": {"$type": "date"}}),
                _partial("announced", {"announced": False}),
                _partial("removing", {"removing": {"$exists": True}}),
                IndexModel([("state", ASCENDING), ("changed_at", ASCENDING)]),
            ],
        )
        await self._mongo.ensure_indexes("media_usage", [IndexModel([("ends", ASCENDING)], expireAfterSeconds=0)])

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def get(self, media_id: str) -> Media | None:
        """A file; None where there is none."""
        return (await self.find([media_id])).get(media_id)

    async def find(self, media_ids: Collection[str]) -> dict[str, Media]:
        """Files by id; absent where there is none."""
        found = await self._media.find({"_id": {"$in": list(media_ids)}, **_THERE}).to_list(None)
        return {media.id: media for media in readable(found, media_of)}

    async def known(self, media_ids: Collection[str]) -> set[str]:
        """Which of these there is any record of, those that are being removed included."""
        return set(await self._media.distinct("_id", {"_id": {"$in": list(media_ids)}}))

    async def page(self, after: str, limit: int) -> list[Media]:
        """Files in the order of their ids, from the one after `after` on."""
        found = (
            await self._media.find({"_id": {"$gt": after}, **_THERE}).sort("_id", ASCENDING).limit(limit).to_list(None)
        )
        return list(readable(found, media_of))

    async def under_way(self, tenant: str, owner: str, now: datetime) -> int:
        """How many uploads of a user bytes come for; one that rests is none."""
        coming = {"state": "uploading", "changed_at": {"$gt": now - RESTING}, **_THERE}
        return await self._media.count_documents({"tenant": tenant, "owner": owner, **coming})

    async def used(self, tenant: str) -> Usage:
        """What the files of a tenant come to."""
        found = await self._usage.find_one({"_id": _of_tenant(tenant)})
        return Usage(0, 0) if found is None else Usage(found["files"], found["bytes"])

    async def usages(self) -> dict[str, Usage]:
        """What the files of each tenant come to."""
        found = await self._usage.find({"tenant": {"$exists": True}}).to_list(None)
        return {item["tenant"]: Usage(item["files"], item["bytes"]) for item in found}

    # ── coming in ────────────────────────────────────────────────────────────────────────────────────────────────

    async def begin(self, media: Media, quota: Quota) -> None:
        """Write down a file before its first byte is kept. Raises OverQuota."""
        today = _of_day(media.tenant, media.owner, media.created_at)
        counted = await self._add(today, Usage(1, 0), ends=media.created_at + timedelta(days=KEPT_DAYS))
        if counted.files > quota.files_a_day or counted.bytes >= quota.bytes_a_day:
            await self._usage.update_one({"_id": today}, {"$inc": {"files": -1}})
            raise OverQuota(daily=True)
        await self._media.insert_one(document_of(media))

    async def add_piece(
        self, media_id: str, piece: Piece, at: int, now: datetime, alive_until: datetime
    ) -> Media | None:
        """Add what has come to an upload that has `at` bytes; None where it has not, or is none any more."""
        return await self._change(
            {"_id": media_id, "state": "uploading", "received": at},
            {"alive_until": alive_until, "changed_at": now},
            {"$push": {"pieces": [piece.key, piece.size]}, "$inc": {"received": piece.size}},
        )

    async def keep_alive(self, media_id: str, now: datetime, alive_until: datetime) -> bool:
        """Say that bytes still come; whether there is such an upload."""
        change = {"alive_until": alive_until, "changed_at": now}
        return await self._change({"_id": media_id, "state": "uploading"}, change) is not None

    async def complete(self, media: Media, quota: Quota, now: datetime) -> Media | None:
        """All of a file has come: it waits for its processing, and counts. None where it was no upload any more.

        Args:
            media: with its kind, type, name, checksum and pieces as they are now.

        Raises:
            OverQuota: and it is as before.
        """

        async def work(session: Session) -> Media | None:
            done = await self._change(
                {"_id": media.id, "state": "uploading"},
                {
                    "state": str(MediaState.PENDING),
                    "kind": str(media.kind),
                    "mime_type": media.mime_type,
                    "name": media.name,
                    "sha256": media.sha256,
                    "pieces": pieces_in(media.pieces),
                    "received": media.received,
                    "counted": media.received,
                    "worker_until": now + PUBLISHED,
                    "unused_since": now,
                    "changed_at": now,
                },
                session=session,
            )
            if done is None:
                return None
            today = _of_day(media.tenant, media.owner, now)
            ends = now + timedelta(days=KEPT_DAYS)
            if (await self._add(today, Usage(0, media.received), session, ends=ends)).bytes > quota.bytes_a_day:
                raise OverQuota(daily=True)
            if (await self._count(media.tenant, Usage(1, media.received), session)).bytes > quota.tenant_bytes:
                raise OverQuota(daily=False)
            return done

        return await self._in_transaction(work)

    # ── processing ───────────────────────────────────────────────────────────────────────────────────────────────

    async def begin_work(self, media_id: str, worker: str, now: datetime, until: datetime) -> Media | None:
        """Take a file to work on until then; None where somebody works on it, or nothing is to be done."""
        free = {"$or": [{"worker": None}, {"worker_until": {"$lt": now}}]}
        return await self._change(
            {"_id": media_id, "state": "pending", **free},
            {"worker": worker, "worker_until": until, "changed_at": now},
            {"$inc": {"attempts": 1}},
        )

    async def keep_working(self, media_id: str, worker: str, until: datetime) -> bool:
        """Say that one still works on a file; whether it is still one's own."""
        return await self._change(_worked_on(media_id, worker), {"worker_until": until}) is not None

    async def let_go(self, media_id: str, worker: str, until: datetime, *, counts: bool = True) -> None:
        """Leave a file for another attempt, not before then.

        Args:
            counts: this attempt is one of those that came to nothing by the file's own doing.
        """
        more: Document = {} if counts else {"$inc": {"attempts": -1}}
        await self._change(_worked_on(media_id, worker), {"worker": None, "worker_until": until}, more)

    async def finish(
        self, media_id: str, worker: str, variants: Mapping[VariantName, Variant], facts: Facts, mime_type: str,
        now: datetime,
    ) -> Media | None:  # fmt: skip
        """A file is ready, in these forms; None where it was not the worker's any more."""
        size = sum(variant.size for variant in variants.values())

        async def work(session: Session) -> Media | None:
            before = await self._media.find_one({**_worked_on(media_id, worker), **_THERE}, session=session)
            if before is None:
                return None
            await self._count(before["tenant"], Usage(0, size - before["counted"]), session)
            return await self._change(
                _worked_on(media_id, worker),
                {
                    "state": str(MediaState.READY),
                    "mime_type": mime_type,
                    "variants": variants_in(variants),
                    "facts": facts_in(facts),
                    "counted": size,
                    **_ENDED,
                    "changed_at": now,
                },
                session=session,
            )

        return await self._in_transaction(work)

    async def refuse(
        self, media_id: str, worker: str, state: MediaState, reason: Refusal, message: str, now: datetime
    ) -> Media | None:
        """A file is refused, and counts no more; None where it was not the worker's any more."""

        async def work(session: Session) -> Media | None:
            before = await self._media.find_one({**_worked_on(media_id, worker), **_THERE}, session=session)
            if before is None:
                return None
            await self._count(before["tenant"], Usage(-1, -before["counted"]), session)
            refused = {"state": str(state), "refusal": refusal_in(reason, message), "pieces": [], "counted": 0}
            change = {**refused, **_ENDED, "unused_since": None, "changed_at": now}
            return await self._change(_worked_on(media_id, worker), change, session=session)

        return await self._in_transaction(work)

    async def told(self, media_id: str) -> None:
        """Its owner was told what became of it."""
        await self._media.update_one({"_id": media_id}, {"$set": {"announced": True}})

    # ── what a sweep finds ───────────────────────────────────────────────────────────────────────────────────────

    async def waiting(self, now: datetime, limit: int) -> list[str]:
        """Files that wait for their processing, and nobody works on."""
        return await self._ids({"state": "pending", "worker_until": {"$lt": now}}, limit)

    async def asked_for(self, media_ids: Collection[str], now: datetime, until: datetime) -> None:
        """Somebody was asked to work on these, and has time until then; on some of them somebody may work already."""
        waiting = {"_id": {"$in": list(media_ids)}, "state": "pending", "worker_until": {"$lt": now}}
        await self._media.update_many(waiting, {"$set": {"worker": None, "worker_until": until}})

    async def untold(self, before: datetime, limit: int) -> list[Media]:
        """Files whose owners were not told what became of them, though that was before then."""
        where = {"announced": False, "changed_at": {"$lt": before}, **_THERE}
        found = await self._media.find(where).limit(limit).to_list(None)
        return list(readable(found, media_of))

    async def abandoned(self, now: datetime, limit: int) -> list[str]:
        """Uploads that nobody goes on with."""
        return await self._ids({"state": "uploading", "alive_until": {"$lt": now}}, limit)

    async def unused(self, before: datetime, limit: int) -> list[str]:
        """Ready files that no message has shown since before then."""
        return await self._ids({"state": "ready", "unused_since": {"$lt": before}}, limit)

    async def refused(self, before: datetime, limit: int) -> list[str]:
        """Files that were refused before then."""
        return await self._ids({"state": {"$in": ["failed", "infected"]}, "changed_at": {"$lt": before}}, limit)

    async def left(self, before: datetime, limit: int) -> list[str]:
        """Files whose removal was begun before then, and not ended."""
        found = await self._media.find({"removing": {"$lt": before}}, {"_id": 1}).limit(limit).to_list(None)
        return [item["_id"] for item in found]

    # ── going ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def begin_removal(self, media_id: str, now: datetime, **where: Any) -> bool:
        """From now on a file is not there any more, if it is as `where` says; whether it was.

        Afterwards its bytes are removed from the store, and then it is forgotten (`forget`).
        """
        changed = await self._media.update_one({"_id": media_id, **where, **_THERE}, {"$set": {"removing": now}})
        return changed.modified_count == 1

    async def forget(self, media_id: str) -> None:
        """Nothing is left of a file whose removal was begun: it counts no more."""

        async def work(session: Session) -> None:
            gone: Document | None = await self._media.find_one_and_delete(
                {"_id": media_id, "removing": {"$exists": True}}, session=session
            )
            if gone is not None and gone["counted"]:
                await self._count(gone["tenant"], Usage(-1, -gone["counted"]), session)

        await self._in_transaction(work)

    # ── what they share ──────────────────────────────────────────────────────────────────────────────────────────

    async def _change(
        self, where: Document, values: Document, more: Document | None = None, *, session: Session | None = None
    ) -> Media | None:
        """Change a file that is there and as `where` says; as it is then."""
        changed: Document | None = await self._media.find_one_and_update(
            {**where, **_THERE}, {"$set": values, **(more or {})}, return_document=ReturnDocument.AFTER, session=session
        )
        return None if changed is None else media_of(changed)

    async def _ids(self, where: Document, limit: int) -> list[str]:
        found = await self._media.find({**where, **_THERE}, {"_id": 1}).limit(limit).to_list(None)
        return [item["_id"] for item in found]

    async def _count(self, tenant: str, more: Usage, session: Session) -> Usage:
        return await self._add(_of_tenant(tenant), more, session, tenant=tenant)

    async def _add(self, key: str, more: Usage, session: Session | None = None, **beside: Any) -> Usage:
        """Count something; what it comes to then. `beside` is written down where there was nothing yet."""
        found = await self._usage.find_one_and_update(
            {"_id": key},
            {"$inc": more._asdict(), "$setOnInsert": beside},
            upsert=True,
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        return Usage(found["files"], found["bytes"])

    async def _in_transaction(self, work: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
        """Run `work`, again where another one has just counted for the same tenant."""
        for attempt in range(MAX_TRIES):
            try:
                return await self._mongo.transaction(work)
            except Exception as error:
                if not is_conflict(error) or attempt == MAX_TRIES - 1:
                    raise
            await asyncio.sleep(random.uniform(0.001, 0.02) * min(attempt + 1, 10))  # noqa: S311 - jitter, no secret
        raise AssertionError  # the loop ends by returning or raising


_ENDED: Document = {"worker": None, "worker_until": None, "announced": False}


def _partial(name: str, where: Document) -> IndexModel:
    return IndexModel([(name, ASCENDING)], partialFilterExpression=where)


def _worked_on(media_id: str, worker: str) -> Document:
    return {"_id": media_id, "state": "pending", "worker": worker}


def _of_day(tenant: str, owner: str, day: datetime) -> str:
    return f"{day:%Y-%m-%d} {tenant} {owner}"


def _of_tenant(tenant: str) -> str:
    return f"all {tenant}"
