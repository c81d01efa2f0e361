"""The collections of presence: `presence`, a document per user, and `gateways`, their leases. Decides nothing.

A presence is written only where it is still at the version that was decided on, so of two writers one has to decide
again: each change of what is shown is made, and so announced, by one of them.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

from services.rooms.presence_rules import OFFLINE, Presence, due_at
from shared.contracts.presence import PresenceStatus
from shared.logging import get_logger
from shared.mongo import (
    ASCENDING,
    BulkWriteError,
    Document,
    DuplicateKeyError,
    IndexModel,
    InsertOne,
    Mongo,
    ReplaceOne,
    is_duplicate,
    readable,
)

log = get_logger(__name__)

REMEMBERED = 3600
"""Seconds for which a dead gateway is known as dead."""

MAX_ROOMS = 1000
"""Rooms in which a change of somebody's presence is told."""

MAX_TOLD = 200
"""Members of a room up to which their comings and goings are told there; in larger ones they can be asked for."""


class Key(NamedTuple):
    """Who a presence is of."""

    tenant: str
    user_id: str


class PresenceStore:
    """Reads and writes of one process.

    Args:
        grace: how long somebody may be without a connection unnoticed.
    """

    def __init__(self, mongo: Mongo, grace: timedelta) -> None:
        self._mongo = mongo
        self._grace = grace
        self._presence = mongo.collection("presence")
        self._gateways = mongo.collection("gateways")
        self._memberships = mongo.collection("memberships")
        self._rooms = mongo.collection("rooms")

    async def prepare(self) -> None:
        """Create the indexes."""
        wanted = ("seen.gateway", "due", "untold_since")
        await self._mongo.ensure_indexes("presence", [IndexModel([(name, ASCENDING)], sparse=True) for name in wanted])
        forgotten = IndexModel([("until", ASCENDING)], expireAfterSeconds=REMEMBERED)
        await self._mongo.ensure_indexes("gateways", [forgotten])

    # ── presences ────────────────────────────────────────────────────────────────────────────────────────────────

    async def find(self, keys: Iterable[Key]) -> dict[Key, Presence]:
        """The presences of those ever heard of."""
        return _by_key(await self._presence.find({"_id": {"$in": [_id(key) for key in keys]}}).to_list(None))

    async def present(self, keys: Iterable[Key]) -> list[Presence]:
        """Those of the given users who do not appear offline."""
        wanted = {"_id": {"$in": [_id(key) for key in keys]}, "status": {"$ne": OFFLINE.value}}
        return list(_by_key(await self._presence.find(wanted).to_list(None)).values())

    async def absent(self, tenant: str, user_ids: Collection[str]) -> set[str]:
        """Those of a tenant's users whom no gateway sees."""
        connected = {"_id": {"$in": [_id(Key(tenant, user_id)) for user_id in user_ids]}, "seen.0": {"$exists": True}}
        seen = {document["user_id"] async for document in self._presence.find(connected, {"user_id": 1})}
        return set(user_ids) - seen

    async def save(self, presences: Collection[Presence]) -> list[Presence]:
        """Write those that no other writer has changed since the version before theirs; which these were."""
        if not presences:
            return []
        mark = uuid4().hex
        writes = [self._write(presence, mark) for presence in presences]
        try:
            result = await self._presence.bulk_write(writes, ordered=False)
            if result.inserted_count + result.matched_count == len(writes):
                return list(presences)
        except BulkWriteError as error:
            if not is_duplicate(error, only=True):
                raise
        mine = {"_id": {"$in": [_id(key_of(presence)) for presence in presences]}, "mark": mark}
        written = {document["_id"] async for document in self._presence.find(mine, {"_id": 1})}
        return [presence for presence in presences if _id(key_of(presence)) in written]

    def _write(self, presence: Presence, mark: str) -> InsertOne[Document] | ReplaceOne[Document]:
        document = {**_document(presence, self._grace), "mark": mark}
        if presence.version == 1:
            return InsertOne(document)
        return ReplaceOne({"_id": document["_id"], "version": presence.version - 1}, document)

    async def due(self, now: datetime, limit: int) -> list[Key]:
        """Some of those whom time changes by now."""
        found = self._presence.find({"due": {"$lte": now}}, {"tenant": 1, "user_id": 1})
        return [_key(document) for document in await found.to_list(limit)]

    async def seen_by(self, gateways: Collection[str], limit: int) -> list[Key]:
        """Some of those whom one of the gateways sees."""
        found = self._presence.find({"seen.gateway": {"$in": list(gateways)}}, {"tenant": 1, "user_id": 1})
        return [_key(document) for document in await found.to_list(limit)]

    async def untold(self, until: datetime, limit: int) -> list[Presence]:
        """Some of those whose change was not announced though it was made before `until`."""
        found = await self._presence.find({"untold_since": {"$lte": until}}).to_list(limit)
        return list(_by_key(found).values())

    async def told(self, presences: Iterable[Presence]) -> None:
        """Their changes are announced; a later one is not."""
        for_all = [{"_id": _id(key_of(presence)), "number": presence.number} for presence in presences]
        if for_all:
            await self._presence.update_many({"$or": for_all}, {"$unset": {"untold_since": ""}, "$inc": {"version": 1}})

    async def members_of(self, room_id: str) -> list[str]:
        """The ids of a room's members."""
        return [item["user_id"] async for item in self._memberships.find({"room_id": room_id}, {"user_id": 1})]

    async def rooms_of(self, tenant: str, user_ids: Collection[str]) -> dict[str, list[str]]:
        """The open rooms in which a change of each user's presence is told."""
        pipeline: list[Document] = [
            {"$match": {"tenant": tenant, "user_id": {"$in": list(user_ids)}}},
            {"$group": {"_id": "$user_id", "rooms": {"$firstN": {"n": MAX_ROOMS, "input": "$room_id"}}}},
        ]
        member_of = {item["_id"]: item["rooms"] async for item in self._memberships.aggregate(pipeline)}
        wanted = {
            "_id": {"$in": list({room_id for rooms in member_of.values() for room_id in rooms})},
            "tenant": tenant,
            "deleted_at": None,
            "closed": {"$ne": True},
            "member_count": {"$lte": MAX_TOLD},
        }
        told = {room["_id"] async for room in self._rooms.find(wanted, {"_id": 1})}
        return {user_id: [room_id for room_id in rooms if room_id in told] for user_id, rooms in member_of.items()}

    # ── gateways ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def renew(self, gateway: str, lease: timedelta, now: datetime, *, beginning: bool) -> bool:
        """Let a gateway live for another lease, a new one where it is `beginning`; whether it is alive."""
        change = {"$set": {"until": now + lease, "heard_at": now}}
        try:
            result = await self._gateways.update_one({"_id": gateway, "dead": False}, change, upsert=beginning)
        except DuplicateKeyError:  # it is there, and dead
            return False
        return bool(result.matched_count or result.upserted_id is not None)

    async def retire(self, gateway: str, now: datetime) -> None:
        """A gateway has ended. Known as dead, it can come back under another name only."""
        change = {"$set": {"until": now, "heard_at": now, "dead": True}}
        await self._gateways.update_one({"_id": gateway}, change, upsert=True)

    async def expire(self, now: datetime) -> None:
        """Declare those dead whose lease is over."""
        await self._gateways.update_many({"until": {"$lte": now}, "dead": False}, {"$set": {"dead": True}})

    async def dead(self) -> dict[str, datetime]:
        """Gateways that have died in the last hour, and when each was last heard of."""
        found = self._gateways.find({"dead": True}, {"heard_at": 1})
        return {document["_id"]: document["heard_at"] async for document in found}


def key_of(presence: Presence) -> Key:
    """Who a presence is of."""
    return Key(presence.tenant, presence.user_id)


def _id(key: Key) -> str:
    # Ids hold no space, so no two pairs share one.
    return f"{key.tenant} {key.user_id}"


def _key(document: Mapping[str, Any]) -> Key:
    return Key(document["tenant"], document["user_id"])


def _by_key(documents: Iterable[Document]) -> dict[Key, Presence]:
    return {key_of(presence): presence for presence in readable(documents, _readable_presence)}


def _readable_presence(document: Document) -> Presence:
    """A presence; one that cannot be read begins anew, as gateways will tell what they see."""
    try:
        return _presence(document)
    except (ValueError, KeyError, TypeError, AttributeError):
        log.error("unreadable presence", document=str(document.get("_id")))
        return Presence(tenant=document["tenant"], user_id=document["user_id"], version=document["version"])


def _presence(document: Mapping[str, Any]) -> Presence:
    chosen = document.get("chosen")
    return Presence(
        tenant=document["tenant"],
        user_id=document["user_id"],
        seen=_words(document["seen"]),
        unseen=_words(document["unseen"]),
        chosen=None if chosen is None else PresenceStatus(chosen),
        ended_at=document.get("ended_at"),
        status=PresenceStatus(document["status"]),
        last_seen=document.get("last_seen"),
        number=document["number"],
        untold_since=document.get("untold_since"),
        version=document["version"],
    )


def _words(items: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    return {item["gateway"]: item["number"] for item in items}


def _document(presence: Presence, grace: timedelta) -> Document:
    values: Document = {
        "_id": _id(key_of(presence)),
        "tenant": presence.tenant,
        "user_id": presence.user_id,
        "seen": [{"gateway": gateway, "number": number} for gateway, number in presence.seen.items()],
        "unseen": [{"gateway": gateway, "number": number} for gateway, number in presence.unseen.items()],
        "chosen": None if presence.chosen is None else presence.chosen.value,
        "ended_at": presence.ended_at,
        "status": presence.status.value,
        "last_seen": presence.last_seen,
        "number": presence.number,
        "untold_since": presence.untold_since,
        "due": due_at(presence, grace),
        "version": presence.version,
    }
    # What is absent is in no index: the sweeps look only at those few who wait for them.
    return {name: value for name, value in values.items() if value is not None}
