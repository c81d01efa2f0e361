"""The media service is killed while a file comes in: nothing of it is ever seen, a retry completes, nothing stays."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import ClientError, ClientSession

from deploy.embedded import ports
from deploy.embedded.stack import Stack
from shared.auth import issue_token
from shared.mongo import Mongo
from shared.service import Tasks
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
    async with in_own_task(Stack(root, port=ports.find_free(), env=LIMITS)) as running:
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
    """Whether the store has the objects that the collection knows, and no others: whole ones and parts alike."""
    known = {
        key
        async for media in mongo.collection("media").find({})
        for pieces in (media["pieces"], *(variant["pieces"] for variant in media["variants"].values()))
        for key, _ in pieces
    }
    whole = await mongo.collection("media.files").distinct("_id")
    parts = await mongo.collection("media.chunks").distinct("files_id")
    return {key.rpartition("/")[0] for key in whole} == {key.rpartition("/")[0] for key in parts} == known


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
