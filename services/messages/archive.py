"""What messages have said: the collection `revisions`, and the sweep that takes away what was cleared.

A revision is written before the edit that replaces what it holds. So where a process dies in between there is one of
what the message still says; readers leave that out, for only what is older than the message's content is past.
"""

import asyncio
from collections.abc import Collection as Some
from contextlib import suppress
from datetime import datetime

from services.messages.documents import LOST, clearing_id, clearing_of, revision_document, revision_view
from services.messages.state import Clearing, Message, Revision
from shared.contracts.content import RevisionView
from shared.contracts.messages import MAX_REVISIONS
from shared.logging import get_logger
from shared.mongo import ASCENDING, DESCENDING, Document, IndexModel, Mongo, PyMongoError, ReplaceOne, readable

log = get_logger(__name__)

SWEEP = 30.0
"""Seconds until a worker looks for clearings that another one has not swept, having died."""

SWEPT_AT_ONCE = 1000
MAX_CLEARINGS = 1000
"""Messages in one write, and rooms in one round; what is left is the next one's."""


class Archive:
    """Reads and writes of one process."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._messages = mongo.collection("messages")
        self._revisions = mongo.collection("revisions")
        self._cleared = asyncio.Event()

    async def prepare(self) -> None:
        """Create the indexes."""
        await self._mongo.ensure_indexes(
            "revisions",
            [
                IndexModel([("message_id", ASCENDING), ("rev", ASCENDING)]),
                IndexModel([("room_id", ASCENDING), ("seq", ASCENDING)]),
            ],
        )
        await self._mongo.ensure_indexes("messages", [IndexModel([("unswept", ASCENDING)], sparse=True)])

    # ── revisions ────────────────────────────────────────────────────────────────────────────────────────────────

    async def keep(self, revisions: Some[Revision]) -> None:
        """Write revisions; those that are there stay as they are."""
        operations: list[ReplaceOne[Document]] = []
        for revision in revisions:
            document = revision_document(revision)
            operations.append(ReplaceOne({"_id": document["_id"]}, document, upsert=True))
        if operations:
            await self._revisions.bulk_write(operations, ordered=False)

    async def forget(self, message_ids: Some[str]) -> None:
        """Remove all revisions of messages."""
        if message_ids:
            await self._revisions.delete_many({"message_id": {"$in": list(message_ids)}})

    async def revisions(self, message: Message) -> list[RevisionView]:
        """What a message said before each of its last `MAX_REVISIONS` edits, the oldest first."""
        if message.view.deleted_at is not None:
            return []
        query = {"message_id": message.view.id, "rev": {"$lt": message.said}}
        found = await self._revisions.find(query).sort("rev", DESCENDING).limit(MAX_REVISIONS).to_list(None)
        return [revision_view(document) for document in reversed(found)]

    async def purge(self, room_id: str, until: datetime) -> None:
        """Remove the revisions of what was written in a room up to `until`."""
        await self._revisions.delete_many({"room_id": room_id, "created_at": {"$lte": until}})

    # ── what was cleared ─────────────────────────────────────────────────────────────────────────────────────────

    def sweep_soon(self) -> None:
        """A room was cleared."""
        self._cleared.set()

    async def run(self) -> None:
        """Sweep what was cleared, by whomever. Ends only by cancellation."""
        while True:
            try:
                await self.sweep()
            except PyMongoError as error:
                log.warning("cleared rooms not swept yet", error=str(error)[:200])
            with suppress(TimeoutError):
                async with asyncio.timeout(SWEEP):
                    await self._cleared.wait()
            self._cleared.clear()

    async def sweep(self) -> None:
        """Make bare tombstones of all messages that were cleared: what is left keeps their order and their ids.

        Nobody sees them any more, and no rule changes them: so it matters not who does this, nor how often.
        """
        found = await self._messages.find({"unswept": True}).to_list(MAX_CLEARINGS)
        for clearing in readable(found, clearing_of):
            await self._sweep(clearing)

    async def _sweep(self, clearing: Clearing) -> None:
        room_id, marker = clearing.room_id, {"_id": clearing_id(clearing.room_id)}
        bare: Document = {
            "$set": {"content": "", "deleted_at": clearing.at},
            "$unset": dict.fromkeys(LOST, ""),
        }
        for start in range(clearing.swept, clearing.seq, SWEPT_AT_ONCE):
            reached = min(start + SWEPT_AT_ONCE, clearing.seq)
            some = {"room_id": room_id, "seq": {"$gt": start, "$lte": reached}}
            await self._messages.update_many(some, bare)
            await self._revisions.delete_many(some)
            await self._messages.update_one(marker, {"$max": {"swept": reached}})
        # Where the room was cleared further meanwhile, there is more to sweep.
        await self._messages.update_one({**marker, "cleared": clearing.seq}, {"$unset": {"unswept": ""}})
        log.info("swept a cleared room", room_id=room_id, messages=clearing.seq - clearing.swept)
