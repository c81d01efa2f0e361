"""The collection `favorites`, and who is in which room with whom. Stores and finds; decides nothing."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from services.rooms.favorites import Favorite, Favorites
from services.rooms.records import Record
from services.rooms.repository import Conflict, Page, membership_id
from shared.contracts.membership import Role, RoomType
from shared.contracts.people import FavoriteKind
from shared.mongo import ASCENDING, Document, Mongo, Session
from shared.permissions import POLICIES, Key

PAIRS = [kind.value for kind, policy in POLICIES.items() if policy.key is Key.PAIR]
"""The types of rooms of two."""


class Acquaintance(NamedTuple):
    """Somebody one has a room of two with."""

    user_id: str
    room_id: str


class Sight(NamedTuple):
    """A room, and what somebody is in it."""

    type: RoomType
    name: str | None
    role: Role | None


class PeopleStore:
    """Reads and writes of one process."""

    def __init__(self, mongo: Mongo) -> None:
        self._favorites = mongo.collection("favorites")
        self._memberships = mongo.collection("memberships")
        self._rooms = mongo.collection("rooms")
        self._outbox = mongo.collection("outbox")

    async def acquaintances(self, tenant: str, user_id: str, after: str | None, limit: int) -> Page[Acquaintance]:
        """A page of those whom a user has a room of two with, by room id."""
        mine: Document = {"tenant": tenant, "user_id": user_id}
        if after is not None:
            mine["room_id"] = {"$gt": after}
        pipeline: list[Document] = [
            {"$match": mine},
            {"$sort": {"room_id": ASCENDING}},
            {"$lookup": {"from": "rooms", "localField": "room_id", "foreignField": "_id", "as": "room"}},
            {"$match": {"room.type": {"$in": PAIRS}, "room.deleted_at": None}},
            {"$limit": limit + 1},
            {"$project": {"room_id": 1}},
        ]
        room_ids = [item["room_id"] async for item in self._memberships.aggregate(pipeline)]
        page = room_ids[:limit]
        others = {"room_id": {"$in": page}, "user_id": {"$ne": user_id}}
        found = self._memberships.find(others, {"room_id": 1, "user_id": 1}).sort("room_id", ASCENDING)
        people = [Acquaintance(item["user_id"], item["room_id"]) async for item in found]
        return Page(people, page[-1] if len(room_ids) > limit else None)

    async def favorites(self, tenant: str, user_id: str, session: Session | None = None) -> Favorites:
        """What a user has marked."""
        document = await self._favorites.find_one({"_id": f"{tenant} {user_id}"}, session=session)
        return Favorites(tenant=tenant, user_id=user_id) if document is None else _favorites(document)

    async def save(self, favorites: Favorites, record: Record, now: datetime, session: Session) -> None:
        """Write favorites with the event that tells them, as part of a transaction.

        Raises:
            Conflict: where they are not at the version that was decided on.
        """
        document = _document(favorites)
        before = {"_id": document["_id"], "version": favorites.version - 1}
        first = favorites.version == 1
        result = await self._favorites.replace_one(before, document, upsert=first, session=session)
        if not result.matched_count and not first:
            raise Conflict("other favorites were written meanwhile")
        await self._outbox.insert_one(record.since(now), session=session)

    async def remember(self, favorites: Favorites, session: Session) -> None:
        """Write down which commands are known, and nothing else, as part of a transaction. Raises as `save`."""
        document = _document(favorites)
        known = {"_id": document.pop("_id"), "version": document.pop("version")}
        first = favorites.version == 0
        change = {"$set": {"applied": document.pop("applied")}, "$setOnInsert": document}
        result = await self._favorites.update_one(known, change, upsert=first, session=session)
        if not result.matched_count and not first:
            raise Conflict("other favorites were written meanwhile")

    async def sights(self, tenant: str, user_id: str, room_ids: Collection[str]) -> dict[str, Sight]:
        """Those of the rooms that exist in the tenant, and what the user is in each, by id."""
        wanted = {"_id": {"$in": list(room_ids)}, "tenant": tenant, "deleted_at": None}
        rooms = await self._rooms.find(wanted, {"type": 1, "name": 1}).to_list(None)
        keys = [membership_id(room["_id"], user_id) for room in rooms]
        members = self._memberships.find({"_id": {"$in": keys}}, {"room_id": 1, "role": 1})
        roles = {item["room_id"]: Role(item["role"]) async for item in members}
        return {room["_id"]: Sight(RoomType(room["type"]), room.get("name"), roles.get(room["_id"])) for room in rooms}


def _favorites(document: Mapping[str, Any]) -> Favorites:
    items: Iterable[Mapping[str, Any]] = document["items"]
    return Favorites(
        tenant=document["tenant"],
        user_id=document["user_id"],
        items=tuple(Favorite(FavoriteKind(item["kind"]), item["id"]) for item in items),
        version=document["version"],
        applied=tuple((item["key"], item["asked"]) for item in document["applied"]),
    )


def _document(favorites: Favorites) -> Document:
    return {
        "_id": f"{favorites.tenant} {favorites.user_id}",
        "tenant": favorites.tenant,
        "user_id": favorites.user_id,
        "items": [{"kind": item.kind.value, "id": item.id} for item in favorites.items],
        "version": favorites.version,
        "applied": [{"key": key, "asked": what} for key, what in favorites.applied],
    }
