"""What only GridFS can do to an object: lose some of its chunks before it is whole."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from deploy.embedded.stack import Stack
from services.media.storage.gridfs import CHUNK_SIZE, GridFSStore
from services.media.storage.store import NoObject
from shared.contracts.errors import ChatError, ErrorCode
from shared.mongo import Mongo


@pytest.fixture
async def mongo(stack: Stack) -> AsyncIterator[Mongo]:
    """A database of its own."""
    mongo = Mongo(stack.mongo_url.replace("/parley?", f"/gridfs-{uuid4().hex[:8]}?"), "tests")
    yield mongo
    mongo.close()


async def test_a_write_of_which_the_database_has_lost_a_part_is_none(mongo: Mongo) -> None:
    """As a server does that dies within the tenth of a second in which its journal is not written."""
    store, key = GridFSStore(mongo), f"{uuid4().hex}/original"
    await store.prepare()
    chunks = mongo.collection("media.chunks")

    async def chunk_by_chunk() -> AsyncIterator[bytes]:
        for n in range(4):
            yield bytes([n]) * CHUNK_SIZE
        assert (await chunks.delete_one({"n": 1})).deleted_count == 1

    with pytest.raises(ChatError) as caught:
        await store.write(key, chunk_by_chunk())
    assert caught.value.code is ErrorCode.UNAVAILABLE
    with pytest.raises(NoObject):
        await anext(store.read(key))
    assert await chunks.count_documents({}) == 0
