"""The rooms service's collections: `rooms`, `memberships`, `audit`, `outbox` and what is set aside of it.

Stores and finds; decides nothing. Every read but `access` names a tenant, or a room that was found in one.
"""

from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from typing import Any, Generic, NamedTuple, TypeVar

from services.rooms.directory import Directory
from services.rooms.domain import Applied, Change, Member, Room
from services.rooms.records import Record
from shared.contracts.membership import AuditEntry, External, Role, RoomAccess, RoomType
from shared.contracts.people import UserView
from shared.gathering import Gathered
from shared.logging import get_logger
from shared.mongo import (
    ASCENDING,
    DESCENDING,
    Document,
    IndexModel,
    Mongo,
    PyMongoError,
    ReplaceOne,
    Session,
    is_conflict,
    readable,
)
from shared.permissions import RANK

log = get_logger(__name__)

T = TypeVar("T")

_NOTED = ("room_id", "actor_id", "act", "target_id", "details", "at")


BY_STANDING = [("rank", DESCENDING), ("joined_at", ASCENDING), ("user_id", ASCENDING)]
"""The highest member first, the longest-standing among equals."""


class Conflict(Exception):  # noqa: N818 - names what happened to the writer
    """Another writer has changed the room, or is about to: load and decide again."""


class Page(NamedTuple, Generic[T]):
    """A part of a list, and where the next begins."""

    items: list[T]
    next: str | None


class Repository:
    """Reads and writes of one process.

    Args:
        audit_retention: how long the audit is kept; zero: for ever.
    """

    def __init__(self, mongo: Mongo, audit_retention: timedelta = timedelta()) -> None:
        self._mongo = mongo
        self._audit_retention = audit_retention
        self._rooms = mongo.collection("rooms")
        self._memberships = mongo.collection("memberships")
        self._directory = Directory(mongo)
        self._audit = mongo.collection("audit")
        self._outbox = mongo.collection("outbox")
        self._outbox_aside = mongo.collection("outbox_aside")
        self._gathered = Gathered(self._rooms_by_id)

    async def prepare(self) -> None:
        """Create the indexes."""
        by_user = [("tenant", ASCENDING), ("user_id", ASCENDING), ("room_id", ASCENDING)]
        by_room = [("room_id", ASCENDING), ("user_id", ASCENDING)]
        by_standing = [("room_id", ASCENDING), *BY_STANDING]
        indexes = [IndexModel(by_user), IndexModel(by_room), IndexModel(by_standing)]
        await self._mongo.ensure_indexes("memberships", indexes)
        by_time = [("tenant", ASCENDING), ("at", DESCENDING), ("_id", DESCENDING)]
        of_room = [("room_id", ASCENDING), ("at", DESCENDING), ("_id", DESCENDING)]
        await self._mongo.ensure_indexes("audit", [IndexModel(by_time), IndexModel(of_room)])
        await self._mongo.keep_for("audit", "at", int(self._audit_retention.total_seconds()))
        await self._mongo.ensure_indexes("outbox", [IndexModel([("created_at", ASCENDING), ("_id", ASCENDING)])])

    async def transaction(self, work: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
        """All of `work(session)` or nothing.

        Raises:
            Conflict: where another writer was faster.
        """
        try:
            return await self._mongo.transaction(work)
        except PyMongoError as error:
            if is_conflict(error):
                raise Conflict("the room is being changed by another writer") from error
            raise

    # ── a room and its members ───────────────────────────────────────────────────────────────────────────────────

    async def room(self, tenant: str, room_id: str, session: Session | None = None) -> Room | None:
        """A room or its tombstone."""
        document = await self._rooms.find_one({"_id": room_id, "tenant": tenant}, session=session)
        return None if document is None else _room(document)

    async def members(self, room_id: str, user_ids: Iterable[str], session: Session | None = None) -> dict[str, Member]:
        """Those of the given users that are members, by id."""
        keys = [membership_id(room_id, user_id) for user_id in user_ids]
        documents = await self._memberships.find({"_id": {"$in": keys}}, session=session).to_list(None)
        return {document["user_id"]: _member(document) for document in documents}

    async def seniors(self, room_id: str, session: Session) -> tuple[Member, ...]:
        """The two highest members, the longest-standing first among equals."""
        documents = await self._memberships.find({"room_id": room_id}, session=session).sort(BY_STANDING).to_list(2)
        return tuple(_member(document) for document in documents)

    async def everyone(self, room_id: str, session: Session) -> tuple[Member, ...]:
        """All members."""
        return tuple([_member(item) async for item in self._memberships.find({"room_id": room_id}, session=session)])

    async def save(self, change: Change, entry: AuditEntry, records: Collection[Record], session: Session) -> None:
        """Write what was decided, with its events and who did it, as part of a transaction.

        Raises:
            Conflict: where the room is not at the version that the decision was made for.
        """
        room = change.room
        if room is None:
            return
        document = _room_document(room)
        if room.version == 1:
            await self._rooms.insert_one(document, session=session)
        else:
            before = {"_id": room.id, "version": room.version - 1}
            result = await self._rooms.replace_one(before, document, session=session)
            if not result.matched_count:
                raise Conflict(f"room {room.id} is not at version {room.version - 1} any more")
        if change.left:
            keys = [membership_id(room.id, user_id) for user_id in change.left]
            await self._memberships.delete_many({"_id": {"$in": keys}}, session=session)
        if change.changed:
            replacements = [_membership(room, member) for member in change.changed]
            replacing = [ReplaceOne({"_id": replacement["_id"]}, replacement) for replacement in replacements]
            await self._memberships.bulk_write(replacing, session=session)
        if change.joined:
            joined = [_membership(room, member) for member in change.joined]
            await self._memberships.insert_many(joined, session=session)
        await self._audit.insert_one(entry_document(room.tenant, entry), session=session)
        await self._outbox.insert_many([record.since(room.updated_at) for record in records], session=session)

    async def remember(self, room: Room, applied: Iterable[Applied], session: Session) -> None:
        """Write down what a room remembers, and nothing else, as part of a transaction.

        Raises:
            Conflict: where the room is not at the version that the decision was made for.
        """
        change = {"$set": {"applied": [item._asdict() for item in applied]}}
        result = await self._rooms.update_one({"_id": room.id, "version": room.version}, change, session=session)
        if not result.matched_count:
            raise Conflict(f"room {room.id} is not at version {room.version} any more")

    async def _rooms_by_id(self, room_ids: Collection[str]) -> dict[str, Room]:
        documents = await self._rooms.find({"_id": {"$in": list(room_ids)}}).to_list(None)
        return {room.id: room for room in readable(documents, _room)}

    # ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def rooms_of(self, tenant: str, user_id: str, after: str | None, limit: int) -> Page[tuple[Room, Member]]:
        """A page of (room, the user as its member) pairs, by room id."""
        wanted: Document = {"tenant": tenant, "user_id": user_id}
        if after is not None:
            wanted["room_id"] = {"$gt": after}
        page = await self._page(wanted, "room_id", limit)
        found = await self._gathered.get([item["room_id"] for item in page.items])
        pairs = [(found[item["room_id"]], _member(item)) for item in page.items if item["room_id"] in found]
        return Page([(room, member) for room, member in pairs if room.deleted_at is None], page.next)

    async def members_of(self, room_id: str, after: str | None, limit: int) -> Page[Member]:
        """A page of a room's members, by user id."""
        wanted: Document = {"room_id": room_id}
        if after is not None:
            wanted["user_id"] = {"$gt": after}
        page = await self._page(wanted, "user_id", limit)
        return Page([_member(document) for document in page.items], page.next)

    async def first_members(self, room_ids: Collection[str], number: int) -> dict[str, list[Member]]:
        """The first so many members of each room, the highest and longest-standing first."""
        found = self._rooms.aggregate(
            [
                {"$match": {"_id": {"$in": list(room_ids)}}},
                {
                    "$lookup": {
                        "from": self._memberships.name,
                        "localField": "_id",
                        "foreignField": "room_id",
                        "pipeline": [{"$sort": dict(BY_STANDING)}, {"$limit": number}],
                        "as": "members",
                    }
                },
                {"$project": {"members": 1}},
            ]
        )
        return {room["_id"]: [_member(item) for item in room["members"]] async for room in found}

    async def access(self, room_ids: Collection[str]) -> list[RoomAccess]:
        """Who may enter the given rooms, of whatever tenant.

        Members are read after the version, so they are never older than it says: a reader that applies all events
        after `version` ends up right, applying some of them twice.
        """
        fields = {"tenant": 1, "type": 1, "version": 1, "closed": 1}
        living = {"_id": {"$in": list(room_ids)}, "deleted_at": None}
        rooms = await self._rooms.find(living, fields).to_list(None)
        members: dict[str, dict[str, Role]] = {room["_id"]: {} for room in rooms}
        muted: dict[str, set[str]] = {room["_id"]: set() for room in rooms}
        standing = {"room_id": 1, "user_id": 1, "role": 1, "muted": 1}
        async for item in self._memberships.find({"room_id": {"$in": list(members)}}, standing):
            members[item["room_id"]][item["user_id"]] = Role(item["role"])
            if item.get("muted"):
                muted[item["room_id"]].add(item["user_id"])
        return list(readable(rooms, lambda room: _access(room, members[room["_id"]], muted[room["_id"]])))

    async def audit(self, tenant: str, room_id: str | None, after: str | None, limit: int) -> Page[AuditEntry]:
        """A page of what was done in a tenant, or in one of its rooms, the latest first."""
        wanted: Document = {"tenant": tenant} if room_id is None else {"tenant": tenant, "room_id": room_id}
        start = None if after is None else await self._audit.find_one({"_id": after, "tenant": tenant})
        if start is not None:
            wanted["$or"] = [{"at": {"$lt": start["at"]}}, {"at": start["at"], "_id": {"$lt": after}}]
        order = [("at", DESCENDING), ("_id", DESCENDING)]
        found = await self._audit.find(wanted).sort(order).to_list(limit + 1)
        entries = list(readable(found[:limit], _entry))
        return Page(entries, found[limit - 1]["_id"] if len(found) > limit else None)

    async def _page(self, wanted: Document, order: str, limit: int) -> Page[Document]:
        found = await self._memberships.find(wanted).sort(order, ASCENDING).to_list(limit + 1)
        page = found[:limit]
        return Page(page, page[-1][order] if len(found) > limit else None)

    # ── people ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def people(self, tenant: str, user_ids: Iterable[str], session: Session | None = None) -> dict[str, UserView]:
        """The directory's entries of those it knows, by id."""
        return await self._directory.people(tenant, user_ids, session)

    # ── outbox ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def waiting(self, until: datetime, limit: int) -> list[Document]:
        """The oldest records that have waited since `until` or longer, as they are kept."""
        order = [("created_at", ASCENDING), ("_id", ASCENDING)]
        return await self._outbox.find({"created_at": {"$lte": until}}).sort(order).to_list(limit)

    async def set_aside(self, unreadable: Sequence[tuple[Document, str]]) -> None:
        """Keep what can never be published where it is in nobody's way, each with the reason.

        Copied first: should the process die between, it is set aside again.
        """
        aside = [{**document, "reason": reason} for document, reason in unreadable]
        copies = [ReplaceOne({"_id": document["_id"]}, document, upsert=True) for document in aside]
        await self._outbox_aside.bulk_write(copies, ordered=False)
        await self._outbox.delete_many({"_id": {"$in": [document["_id"] for document in aside]}})

    async def forget(self, record_ids: Collection[str]) -> None:
        """Remove records that the broker has."""
        await self._outbox.delete_many({"_id": {"$in": list(record_ids)}})


def membership_id(room_id: str, user_id: str) -> str:
    """The key of a membership."""
    return f"{room_id}:{user_id}"


def _room(document: Mapping[str, Any]) -> Room:
    values = dict(document)
    values["id"] = values["_id"]
    values["type"] = RoomType(values["type"])
    values["applied"] = tuple(Applied(**item) for item in values["applied"])
    if values.get("external") is not None:
        values["external"] = External(**values["external"])
    return Room(**{field.name: values[field.name] for field in fields(Room) if field.name in values})


def _access(room: Document, members: dict[str, Role], muted: set[str]) -> RoomAccess:
    return RoomAccess(
        room_id=room["_id"],
        tenant=room["tenant"],
        type=RoomType(room["type"]),
        version=room["version"],
        members=members,
        muted=frozenset(muted),
        closed=room.get("closed", False),
    )


def _room_document(room: Room) -> Document:
    values = asdict(room)
    values["_id"] = values.pop("id")
    values["type"] = room.type.value
    values["external"] = None if room.external is None else room.external.model_dump()
    values["applied"] = [item._asdict() for item in room.applied]
    return values


def _member(document: Mapping[str, Any]) -> Member:
    return Member(
        user_id=document["user_id"],
        role=Role(document["role"]),
        joined_at=document["joined_at"],
        muted=document.get("muted", False),
    )


def _membership(room: Room, member: Member) -> Document:
    return {
        "_id": membership_id(room.id, member.user_id),
        "room_id": room.id,
        "user_id": member.user_id,
        "tenant": room.tenant,
        "role": member.role.value,
        "rank": RANK[member.role],
        "joined_at": member.joined_at,
        "muted": member.muted,
    }


def entry_document(tenant: str, entry: AuditEntry) -> Document:
    """An entry of a tenant's audit as it is stored."""
    noted = entry.model_dump(mode="python", exclude_none=True)
    return {"_id": noted.pop("id"), "tenant": tenant, **noted}


def _entry(document: Mapping[str, Any]) -> AuditEntry:
    return AuditEntry(id=document["_id"], **{name: document[name] for name in _NOTED if name in document})
