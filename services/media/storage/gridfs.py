"""Files in MongoDB, in GridFS' layout (GridFS specification, "Definitions"): `media.files` and `media.chunks`.

Chunks are written and read by hand: the driver's bucket holds up to 16 MB of chunks for every reader, and has one id
for an object and its chunks, so that two writers of one object would mix theirs. Here each write has an id of its own
below the object's key, `{media id}/{name}/{random}`, and an object is the last of its writes that was completed.

No chunk waits for the journal, which messages wait for, too: the file's document does, which is written after them, and
by what is lasting then all chunks are counted.
"""

import secrets
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime

from services.media.storage.store import NoObject, answering, checked_id, even, parts_of, to_the_end
from shared.contracts.errors import ChatError
from shared.mongo import ASCENDING, DESCENDING, Collection, Document, IndexModel, Mongo, PyMongoError

CHUNK_SIZE = 255 * 1024
"""Of GridFS: with its fields, such a chunk fits 256 KiB."""

AT_ONCE = 2
"""Chunks that are fetched from the server at once."""

_PAST_SLASH = "0"
"""The character after `/`: ids below `a/` are those from `a/` up to `a0`."""


class GridFSStore:
    """Keeps objects in the services' database; what has been written is journaled by a majority."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._files: Collection = mongo.collection("media.files")
        self._chunks: Collection = mongo.collection("media.chunks")
        self._new_chunks: Collection = mongo.collection("media.chunks", journaled=False)

    async def prepare(self) -> None:
        """Create the indexes that the specification asks for."""
        with answering(PyMongoError):
            await self._mongo.ensure_indexes(
                "media.files", [IndexModel([("filename", ASCENDING), ("uploadDate", ASCENDING)])]
            )
            await self._mongo.ensure_indexes(
                "media.chunks", [IndexModel([("files_id", ASCENDING), ("n", ASCENDING)], unique=True)]
            )

    async def check(self) -> None:
        """The database answers."""
        await self._mongo.check()

    async def write(self, key: str, chunks: AsyncIterable[bytes]) -> int:
        """See Store.write."""
        parts_of(key)
        write = f"{key}/{secrets.token_hex(8)}"
        try:
            return await self._write(key, write, chunks)
        except BaseException:
            with suppress(ChatError), answering(PyMongoError):
                await self._drop({"$in": [write]})
            raise

    async def _write(self, key: str, write: str, chunks: AsyncIterable[bytes]) -> int:
        with answering(PyMongoError):
            before = await self._last(key)
        turn = 0 if before is None else before["metadata"]["turn"] + 1
        size = count = 0
        async for data in even(chunks, CHUNK_SIZE):
            document: Document = {"files_id": write, "n": count, "data": data}
            with answering(PyMongoError):
                await to_the_end(self._new_chunks.insert_one(document))
            size += len(data)
            count += 1
        file: Document = {
            "_id": write,
            "filename": key,
            "length": size,
            "chunkSize": CHUNK_SIZE,
            "uploadDate": datetime.now(UTC),
            # Clocks differ: a write that begins after another has ended comes after it by this.
            "metadata": {"turn": turn},
        }
        with answering(PyMongoError):
            await to_the_end(self._files.insert_one(file))
        await self._count(write, count)
        with answering(PyMongoError):
            if turn:
                await self._drop({"$in": await self._ids_before(key, turn)})
        return size

    async def read(self, key: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """See Store.read."""
        parts_of(key)
        with answering(PyMongoError):
            file = await self._last(key)
        if file is None:
            raise NoObject(key)
        size, each = file["length"], file["chunkSize"]
        end = size if length is None else min(size, start + length)
        if start >= end:
            return
        first, last = start // each, (end - 1) // each
        wanted = {"files_id": file["_id"], "n": {"$gte": first, "$lte": last}}
        cursor = self._chunks.find(wanted, sort=[("n", ASCENDING)], batch_size=AT_ONCE)
        at = first
        try:
            while at <= last:
                with answering(PyMongoError, _Torn):
                    chunk = await anext(cursor, None)
                    if chunk is None or chunk["n"] != at or len(chunk["data"]) != min(each, size - at * each):
                        raise _Torn(f"chunk {at} of {file['_id']} is missing: it was removed, or replaced")
                yield chunk["data"][max(start - at * each, 0) : end - at * each]
                at += 1
        finally:
            await cursor.close()

    async def remove(self, media_id: str) -> None:
        """See Store.remove."""
        checked_id(media_id)
        with answering(PyMongoError):
            await self._drop(_below(media_id))

    async def remove_object(self, key: str) -> None:
        """See Store.remove_object."""
        parts_of(key)
        with answering(PyMongoError):
            await self._drop(_below(key))

    async def kept(self) -> AsyncIterator[str]:
        """See Store.kept."""
        for collection, field in ((self._files, "_id"), (self._chunks, "files_id")):
            after = ""
            while True:
                with answering(PyMongoError):  # from one file to the next by the index, however many chunks one has
                    found = await collection.find_one(
                        {field: {"$gte": after}}, {field: True}, sort=[(field, ASCENDING)]
                    )
                if found is None:
                    break
                media_id = found[field].partition("/")[0]
                yield media_id
                after = media_id + _PAST_SLASH

    async def close(self) -> None:
        """The connection is not the store's."""

    async def _last(self, key: str) -> Document | None:
        """The last completed write of an object."""
        return await self._files.find_one(
            {"_id": _below(key), "filename": key}, sort=[("metadata.turn", DESCENDING), ("_id", DESCENDING)]
        )

    async def _count(self, write: str, count: int) -> None:
        """Raises ChatError where not all chunks of a write are there."""
        with answering(PyMongoError, _Torn):
            there = await self._chunks.count_documents({"files_id": write})
            if there != count:
                raise _Torn(f"{there} of the {count} chunks of {write} are there: the database has lost some")

    async def _ids_before(self, key: str, turn: int) -> list[str]:
        """The completed writes of an object that another one has taken the place of."""
        earlier = {"_id": _below(key), "filename": key, "metadata.turn": {"$lt": turn}}
        return [file["_id"] async for file in self._files.find(earlier, {"_id": True})]

    async def _drop(self, ids: Document) -> None:
        """Remove writes: first what makes them readable, so that nobody begins to read what is going."""
        await to_the_end(self._files.delete_many({"_id": ids}))
        await to_the_end(self._chunks.delete_many({"files_id": ids}))


class _Torn(Exception):  # noqa: N818 - a state of an object
    """What an object consists of is not there as a whole."""


def _below(path: str) -> Document:
    """The ids of all writes below a media id or a key."""
    return {"$gte": f"{path}/", "$lt": f"{path}{_PAST_SLASH}"}
