"""The media service is killed while files come in and while they are worked on.

Nothing half done is ever seen, a retry completes, and in the end the store holds what its collection knows, no more.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from aiohttp import ClientError, ClientSession

from deploy.embedded import ports
from deploy.embedded.stack import Stack
from shared.auth import issue_token
from shared.mongo import Mongo
from shared.service import Tasks
from tests.harness import files
from tests.harness.gateway import LIMITS
from tests.harness.media import document, eventually
from tests.harness.own_task import in_own_task
from tests.harness.rest import Api

MEDIA = "media-0"
CHUNK = 64 * 1024


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack of this module's own, whose media service works on one file at a time."""
    root = tmp_path_factory.mktemp("media-kills") / "stack"
    async with in_own_task(Stack(root, port=ports.find_free(), env={**LIMITS, "MEDIA_PROCESSES": "1"})) as running:
        yield running


@pytest.fixture
async def mongo(site: Stack) -> AsyncIterator[Mongo]:
    database = Mongo(site.mongo_url, "tests")
    yield database
    database.close()


@pytest.fixture
async def alice(site: Stack) -> AsyncIterator[Api]:
    async with ClientSession() as http:
        yield Api(http, site.gateway_urls[0], issue_token(site.jwt_secret, sub="alice"))


async def store_is_as_known(mongo: Mongo) -> bool:
    """Whether every chunk and file of the store belongs to a file of the collection, and to a piece of it."""
    known = {
        key
        async for media in mongo.collection("media").find({})
        for pieces in (media["pieces"], *(variant["pieces"] for variant in media["variants"].values()))
        for key, _ in pieces
    }
    there = set(await mongo.collection("media.files").distinct("_id"))
    chunks = set(await mongo.collection("media.chunks").distinct("files_id"))
    return there == known and chunks == known


async def test_killed_while_a_file_comes(site: Stack, alice: Api, mongo: Mongo, tasks: Tasks) -> None:
    """Whoever uploads is told, in no time; what has come is seen by nobody, and goes."""
    data, half = document(4_000_000), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        for start in range(0, len(data) // 2, CHUNK):
            yield data[start : start + CHUNK]
        half.set()
        await asyncio.Event().wait()

    uploading = tasks.spawn(alice("POST", "/v1/media", raw=slowly(), Content_Type="application/pdf"), "upload")  # type: ignore[arg-type]
    await half.wait()
    media = mongo.collection("media")
    await eventually(lambda: mongo.collection("media.chunks").find_one({}))
    begun = await media.find_one({"state": "uploading"})
    assert begun is not None
    await site.kill(MEDIA)
    with suppress(ClientError):  # its connection may be ended while it sends: that cannot be taken for success either
        assert (await uploading).status == 503
    await site.wait_ready(MEDIA)
    assert (await alice("GET", f"/v1/media/{begun['_id']}/original")).status in (404, 503)
    again = await alice("POST", "/v1/media", raw=data, Content_Type="application/pdf", Prefer="wait=30")
    assert (again.status, again.body["state"]) == (201, "ready")
    assert (await alice("GET", f"/v1/media/{again.body['id']}/original")).body == data
    # A minute later:
    await media.update_one({"_id": begun["_id"]}, {"$set": {"alive_until": datetime.now(UTC) - timedelta(minutes=1)}})
    await eventually(lambda: store_is_as_known(mongo))
    assert await media.find_one({"_id": begun["_id"]}) is None


async def test_killed_while_files_are_worked_on(site: Stack, alice: Api, mongo: Mongo) -> None:
    """All of them are ready in the end, each once, and seen by nobody before."""
    media = mongo.collection("media")
    ids = []
    for _ in range(3):
        answer = await alice("POST", "/v1/media", raw=files.jpeg(3000, 2000), Content_Type="image/jpeg")
        assert answer.status == 201, answer
        ids.append(answer.body["id"])
    for _ in range(2):
        await eventually(lambda: media.find_one({"_id": {"$in": ids}, "state": "pending", "worker": {"$ne": None}}))
        await site.kill(MEDIA)
        for media_id in ids:
            if (await media.find_one({"_id": media_id}) or {}).get("state") == "pending":
                assert not (await media.find_one({"_id": media_id}) or {})["variants"]
        await site.wait_ready(MEDIA)
        # Whoever was killed has had its time:
        await media.update_many({"state": "pending"}, {"$set": {"worker_until": datetime.now(UTC)}})
    for media_id in ids:
        seen = await eventually(
            partial(alice, "GET", f"/v1/media/{media_id}"), lambda answer: answer.body.get("state") == "ready"
        )
        names = {variant["name"] for variant in seen.body["variants"]}
        assert names == {"original", "small", "medium", "large"}
        for name in names:
            assert (await alice("GET", f"/v1/media/{media_id}/{name}")).status == 200
    await eventually(lambda: store_is_as_known(mongo))
