"""The messages as MongoDB has them, read directly. Imports no service: the names of the fields are written out here."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from shared.mongo import Mongo
from tests.faults.record import Stored


async def read(mongo: Mongo, room_ids: Collection[str]) -> list[Stored]:
    """All messages of the rooms, by room and `seq`."""
    found = mongo.collection("messages").find({"room_id": {"$in": list(room_ids)}}).sort([("room_id", 1), ("seq", 1)])
    return [_stored(document) async for document in found]


async def revs(mongo: Mongo, room_ids: Collection[str]) -> dict[str, int]:
    """The latest `rev` of each room; 0 where there is no message."""
    latest = mongo.collection("messages").aggregate(
        [
            {"$match": {"room_id": {"$in": list(room_ids)}}},
            {"$group": {"_id": "$room_id", "rev": {"$max": "$rev"}}},
        ]
    )
    return dict.fromkeys(room_ids, 0) | {item["_id"]: item["rev"] async for item in latest}


def _stored(document: dict[str, Any]) -> Stored:
    created: datetime = document["created_at"]
    return Stored(
        id=document["_id"],
        room_id=document["room_id"],
        seq=document["seq"],
        rev=document["rev"],
        born=document["born"],
        sender=document["sender"]["id"],
        client_id=document["client_id"],
        content=document["content"],
        created_at=created.isoformat(),
        deleted="deleted_at" in document,
        users={item["emoji"]: tuple(item["users"]) for item in document.get("reactions", ())},
    )
