"""The notifications that were asked for; those withdrawn are remembered, not to be asked for again. Decides nothing."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from services.rooms.notification_rules import Act, Ended, Notification
from services.rooms.records import Record
from shared.contracts.notifications import NotificationRequested
from shared.mongo import ASCENDING, Document, IndexModel, Mongo, ReplaceOne, Session

FORGOTTEN = 30 * 24 * 3600
"""Seconds after which a notification is forgotten, read or not."""

MAX_WITHDRAWN = 1000
"""Notifications withdrawn at once."""


class NotificationStore:
    """Reads and writes of one process."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._notifications = mongo.collection("notifications")
        self._audit = mongo.collection("audit")
        self._outbox = mongo.collection("outbox")

    async def prepare(self) -> None:
        """Create the indexes."""
        by_reader = [("room_id", ASCENDING), ("user_id", ASCENDING), ("seq", ASCENDING)]
        old = IndexModel([("at", ASCENDING)], expireAfterSeconds=FORGOTTEN)
        await self._mongo.ensure_indexes("notifications", [IndexModel(by_reader), old])

    async def known(self, ids: Collection[str], session: Session) -> set[str]:
        """Those of the ids that have been asked for before, whether or not they stand."""
        if not ids:
            return set()
        found = self._notifications.find({"_id": {"$in": list(ids)}}, {"_id": 1}, session=session)
        return {document["_id"] async for document in found}

    async def add(self, notifications: Collection[Notification], at: datetime, session: Session) -> None:
        """Let these stand."""
        documents: list[Document] = [
            {"_id": item.id, "tenant": item.tenant, "at": at, "over": False, **item.request.model_dump(mode="json")}
            for item in notifications
        ]
        if documents:
            await self._notifications.insert_many(documents, session=session)

    async def covered(self, ended: Iterable[Ended], session: Session) -> list[Notification]:
        """Those that stand and are to be withdrawn, some at a time."""
        alternatives = [_matching(item) for item in ended]
        if not alternatives:
            return []
        found = self._notifications.find({"$or": alternatives, "over": False}, session=session)
        return [_notification(document) for document in await found.to_list(MAX_WITHDRAWN)]

    async def withdraw(self, ids: Collection[str], session: Session) -> None:
        """These stand no more."""
        if ids:
            over = {"$set": {"over": True}}
            await self._notifications.update_many({"_id": {"$in": list(ids)}}, over, session=session)

    async def announce(self, records: Collection[Record], at: datetime, session: Session) -> None:
        """Put events into the outbox."""
        if records:
            await self._outbox.insert_many([record.since(at) for record in records], session=session)

    async def audit(self, acts: Iterable[Act]) -> None:
        """Keep what was done; the same act told twice is one."""
        entries = [_entry(act) for act in acts]
        if entries:
            writes = [ReplaceOne({"_id": entry["_id"]}, entry, upsert=True) for entry in entries]
            await self._audit.bulk_write(writes, ordered=False)


def _matching(ended: Ended) -> Document:
    matching: Document = {"room_id": ended.room_id}
    if ended.user_id is not None:
        matching["user_id"] = ended.user_id
    if ended.message_id is not None:
        matching["message_id"] = ended.message_id
    if ended.seq is not None:
        matching["seq"] = {"$lte": ended.seq}
    return matching


def _notification(document: Document) -> Notification:
    fields = {name: document[name] for name in NotificationRequested.model_fields}
    return Notification(document["_id"], document["tenant"], NotificationRequested.model_validate(fields))


def _entry(act: Act) -> dict[str, Any]:
    noted = act.noted
    entry = {
        "_id": act.id,
        "tenant": act.tenant,
        "room_id": noted.room_id,
        "actor_id": noted.actor_id,
        "act": noted.act,
        "at": noted.at,
    }
    if noted.target_id is not None:
        entry["target_id"] = noted.target_id
    if noted.message_id is not None:
        entry["details"] = {"message_id": noted.message_id}
    return entry
