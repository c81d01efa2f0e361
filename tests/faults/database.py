"""The messages as MongoDB has them, read directly. Imports no service: the names of the fields are written out here."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import uuid4

from shared.mongo import Mongo
from tests.faults.record import Stored, Written

PATIENCE = 15.0


async def read(mongo: Mongo, room_ids: Collection[str]) -> list[Stored]:
    """All messages of the rooms, by room and `seq`."""
    found = mongo.collection("messages").find({"room_id": {"$in": list(room_ids)}, "seq": {"$gt": 0}})
    found = found.sort([("room_id", 1), ("seq", 1)])
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


async def now(mongo: Mongo) -> Any:
    """This moment in the database's journal, for `written`."""
    return (await mongo.database.command("ping"))["operationTime"]


@asynccontextmanager
async def changes(mongo: Mongo, room_id: str) -> AsyncIterator[Callable[[], Awaitable[Stored]]]:
    """Waits for the next change of a room's messages that is stored from now on, each time it is called."""
    pipeline = [{"$match": {"fullDocument.room_id": room_id}}]
    async with mongo.collection("messages").watch(pipeline) as stream:
        await stream.try_next()  # the stream begins with the first look

        async def following() -> Stored:
            async with asyncio.timeout(PATIENCE):
                return _stored((await stream.next())["fullDocument"])

        yield following


async def written(mongo: Mongo, since: Any, room_ids: Collection[str]) -> list[Written]:
    """Every change of the rooms' messages since a moment, in the order in which the database made them."""
    end = uuid4().hex
    wanted = [{"fullDocument.room_id": {"$in": list(room_ids)}, "ns.coll": "messages"}, {"documentKey._id": end}]
    changes = []
    async with mongo.database.watch([{"$match": {"$or": wanted}}], start_at_operation_time=since) as stream:
        await mongo.collection("marks").insert_one({"_id": end})
        async for change in stream:
            document = change["fullDocument"]
            if document["_id"] == end:
                break
            message = _stored(document)
            state = repr((message.content, message.deleted, message.users))
            changes.append(Written(message.room_id, message.rev, message.id, state))
    return changes


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
