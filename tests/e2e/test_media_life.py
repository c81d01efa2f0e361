"""The life of a file, over each of the three stores: uploaded, shown by a message, seen by those who may, and gone."""

import hashlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import ClientSession
from moto.server import ThreadedMotoServer
from PIL import Image

from deploy.embedded import ports
from deploy.embedded.stack import Stack
from shared.auth import issue_token
from shared.mongo import Mongo
from tests.harness import files
from tests.harness.gateway import LIMITS
from tests.harness.media import document, eventually
from tests.harness.own_task import in_own_task
from tests.harness.rest import Api

BUCKET = "parley"


@pytest.fixture(scope="module", params=["gridfs", "directory", "s3"])
async def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack that keeps files so."""
    place = tmp_path_factory.mktemp(f"media-{request.param}")
    env = {**LIMITS, "MEDIA_STORE": request.param, "MEDIA_LINK_SECONDS": "1"}
    async with AsyncExitStack() as held:
        if request.param == "s3":
            env |= await _bucket(held)
        yield await held.enter_async_context(in_own_task(Stack(place / "stack", port=ports.find_free(), env=env)))


async def _bucket(held: AsyncExitStack) -> dict[str, str]:
    """A server of the S3 protocol with a bucket; the settings that lead there."""
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    held.callback(server.stop)
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    async with ClientSession() as http, http.put(f"{address}/{BUCKET}") as made:
        assert made.status == 200
    return {"S3_BUCKET": BUCKET, "S3_ENDPOINT": address, "S3_ACCESS_KEY": "key", "S3_SECRET_KEY": "secret"}


class Company:
    """People of one tenant at a site, by REST."""

    def __init__(self, site: Stack, http: ClientSession) -> None:
        self._site = site
        self._http = http
        self._tenant = uuid4().hex[:12]

    def __call__(self, sub: str | None, *, tenant: str | None = None) -> Api:
        token = sub and issue_token(self._site.jwt_secret, sub=sub, tenant=tenant or self._tenant)
        return Api(self._http, self._site.gateway_urls[0], token)

    async def room(self, owner: str, *members: str) -> str:
        made = await self(owner)("POST", "/v1/rooms", {"type": "group", "name": "tea", "members": list(members)})
        assert made.status == 201, made
        return str(made.body["id"])


@pytest.fixture
def company(site: Stack, http: ClientSession) -> Company:
    return Company(site, http)


async def upload(api: Api, data: bytes, mime_type: str, name: str) -> dict[str, Any]:
    """Upload a file and wait until it is ready."""
    answer = await api("POST", f"/v1/media?name={name}", raw=data, Content_Type=mime_type, Prefer="wait=30")
    assert answer.status == 201, answer
    assert answer.body["state"] == "ready", answer
    return dict(answer.body)


async def show(api: Api, room: str, kind: str, media_id: str) -> dict[str, Any]:
    """Send a message that shows a file; the message as its sender reads it."""
    sent = await api("POST", f"/v1/rooms/{room}/messages", {"type": kind, "attachment": {"media_id": media_id}})
    assert sent.status == 201, sent
    return dict((await api("GET", f"/v1/messages/{sent.body['message_id']}")).body)


async def seen(ask: Callable[[], Awaitable[Any]], status: int) -> Any:
    """Ask until it is answered so: what messages show is told to who keeps the files, a moment after."""
    return await eventually(ask, lambda answer: answer.status == status)


async def test_a_photograph(company: Company) -> None:
    """The other member sees it smaller and whole, the right way up, and without what it said of its place."""
    alice, bob = company("alice"), company("bob")
    room = await company.room("alice", "bob")
    media = await upload(alice, files.jpeg(1200, 800, orientation=6), "image/jpeg", "tea.jpg")
    message = await show(alice, room, "image", media["id"])
    attachment = message["attachment"]
    assert (attachment["media_id"], attachment["mime_type"], attachment["name"]) == (
        media["id"],
        "image/jpeg",
        "tea.jpg",
    )
    assert attachment["placeholder"]
    small = await seen(lambda: bob("GET", f"/v1/media/{media['id']}/small"), 200)
    assert small.headers["Content-Type"] == "image/webp"
    assert max(Image.open(io.BytesIO(small.body)).size) <= 160
    original = await bob("GET", f"/v1/media/{media['id']}/original")
    picture = Image.open(io.BytesIO(original.body))
    assert picture.size == (attachment["width"], attachment["height"])
    assert not picture.getexif()
    assert hashlib.sha256(original.body).hexdigest() == media["sha256"]


async def test_a_document_comes_back_byte_by_byte(company: Company) -> None:
    alice, bob = company("alice"), company("bob")
    room = await company.room("alice", "bob")
    data = document()
    media = await upload(alice, data, "application/pdf", "plan.pdf")
    await show(alice, room, "file", media["id"])
    original = await seen(lambda: bob("GET", f"/v1/media/{media['id']}/original"), 200)
    assert original.body == data
    assert original.headers["Content-Disposition"].startswith("attachment")
    part = await bob("GET", f"/v1/media/{media['id']}/original", Range="bytes=5-14")
    assert (part.status, part.body) == (206, data[5:15])


async def test_who_may_not_see_it(company: Company) -> None:
    """Neither who is in no room with it, nor another tenant, nor whoever has a link that is over."""
    alice = company("alice")
    room = await company.room("alice", "bob")
    media = await upload(alice, document(), "application/pdf", "plan.pdf")
    message = await show(alice, room, "file", media["id"])
    path = f"/v1/media/{media['id']}/original"
    await seen(lambda: company("bob")("GET", path), 200)
    for stranger in (company("carol"), company("bob", tenant="other"), company("alice", tenant="other")):
        assert (await stranger("GET", path)).status in (403, 404)
        assert (await stranger("GET", f"/v1/media/{media['id']}")).status in (403, 404)
    assert (await company(None)("GET", path)).status == 401
    link = message["attachment"]["url"].partition("/v1/")
    signed = link[1] + link[2]
    assert (await company(None)("GET", signed)).status == 200
    assert (await company(None)("GET", signed.replace("original", "small"))).status in (403, 404)
    assert (await seen(lambda: company(None)("GET", signed), 403)).error == "forbidden"


async def test_a_deleted_message_takes_its_file_along(company: Company, site: Stack) -> None:
    """Nobody but its owner sees it from then on, and after a while nobody at all."""
    alice, bob = company("alice"), company("bob")
    room = await company.room("alice", "bob")
    media = await upload(alice, document(), "application/pdf", "plan.pdf")
    message = await show(alice, room, "file", media["id"])
    path = f"/v1/media/{media['id']}/original"
    await seen(lambda: bob("GET", path), 200)
    assert (await alice("DELETE", f"/v1/messages/{message['id']}")).status == 200
    await seen(lambda: bob("GET", path), 404)
    assert (await alice("GET", path)).status == 200
    mongo = Mongo(site.mongo_url, "tests")
    # A day later:
    a_day_ago = datetime.now(UTC) - timedelta(days=1, minutes=1)
    await mongo.collection("media").update_one({"_id": media["id"]}, {"$set": {"unused_since": a_day_ago}})
    await seen(lambda: alice("GET", path), 404)
    await eventually(lambda: mongo.collection("media").count_documents({"_id": media["id"]}), lambda left: left == 0)
    mongo.close()
