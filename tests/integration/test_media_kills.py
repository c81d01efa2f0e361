"""Media processes die while they work: what has been taken in becomes ready all the same, and whole."""

import asyncio
import hashlib
import signal
from collections.abc import Awaitable, Callable
from io import BytesIO

from PIL import Image

from deploy.embedded.stack import Stack
from shared.mongo import Mongo
from tests.integration.media_client import Kept, MediaProcess, Uploader, UploaderOf, until

pytest_plugins = ("tests.integration.media_fixtures",)

MediaWith = Callable[..., Awaitable[MediaProcess]]

FILES = 16
LONGEST = 60.0
"""Seconds: the rest of a lease, and the work."""


def picture(number: int) -> bytes:
    """A picture that takes a moment to work on; each is another one."""
    file = BytesIO()
    Image.effect_noise((2400, 1800), 10 + number).save(file, "JPEG")
    return file.getvalue()


async def test_a_process_that_is_killed_leaves_nothing_half_done(
    stack: Stack, media_with: MediaWith, uploader: UploaderOf, kept: Kept, tenant: str
) -> None:
    """It has just answered 201 to many, and works on some: the other process makes all of them ready."""
    pictures = [await asyncio.to_thread(picture, number) for number in range(FILES)]
    dying = await media_with(UPLOADS_AT_ONCE=FILES)
    answers = await asyncio.gather(*(dying.alice.upload(data, "?name=noise.jpg") for data in pictures))
    assert [answer.status for answer in answers] == [201] * FILES
    mongo = Mongo(stack.mongo_url, "tests")

    async def works() -> bool:
        worker = {"$regex": "^media-[0-9]{4,}"}  # not the stack's own, which is `media-0`
        return await mongo.collection("media").count_documents({"tenant": tenant, "worker": worker}) > 0

    await until(works, "it works on a file")
    await dying.process.kill(signal.SIGKILL)
    mongo.close()

    async def all_ready() -> bool:
        return all(media["state"] == "ready" for media in await kept.media(tenant))

    assert not await all_ready()
    await until(all_ready, "all are ready", LONGEST)
    for answer in answers:
        await check(uploader("alice"), answer.body["id"])

    async def no_more_than_served() -> bool:
        served = [len(media["variants"]) for media in await kept.media(tenant)]
        there = [len(set(await kept.objects(media["_id"]))) for media in await kept.media(tenant)]
        return served == there

    await until(no_more_than_served, "uploads and what the dead one had made are gone")


async def check(alice: Uploader, media_id: str) -> None:
    """All forms of a picture are there, and are what its record says."""
    for name in ("original", "small", "medium", "large"):
        answer = await alice.send("GET", f"/v1/media/{media_id}/{name}")
        assert answer.status == 200, (name, answer.body)
        assert answer.headers["Etag"].strip('"') == hashlib.sha256(answer.body).hexdigest()
        Image.open(BytesIO(answer.body)).load()
