"""Uploads as the clients of eventchat and outing send them, and messages that show what was uploaded."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import ClientSession, FormData, web

from deploy.embedded.stack import Stack
from services.media.records import view_of
from shared.bus.codec import to_json
from shared.contracts.media_terms import VariantName
from tests.conftest import TokenOf
from tests.harness.depot import Depot, depot
from tests.harness.gateway import Gateway
from tests.harness.rest import Api
from tests.integration.integration_client import Outside
from tests.integration.media_shelf import PICTURE, Shelf

pytest_plugins = ("tests.integration.media_fixtures",)

GatewayWith = Callable[..., Awaitable[Gateway]]
ApiOf = Callable[..., Api]
UPLOADS = ["/chat/media", "/messages/upload"]


@pytest.fixture
async def media(closing: AsyncExitStack) -> Depot:
    """A server in the place of the media service, as far as uploads go."""
    return await closing.enter_async_context(depot())


@pytest.fixture
async def gateway(media: Depot, gateway_with: GatewayWith, stack: Stack) -> Gateway:
    """A gateway that uploads there; its links lead to the stack's own."""
    return await gateway_with(MEDIA_URL=media.url, PUBLIC_URL=stack.gateway_urls[0])


def form(**fields: str) -> FormData:
    """A form with a file, as a browser sends it."""
    data = FormData()
    for name, value in fields.items():
        data.add_field(name, value)
    data.add_field("file", PICTURE, filename="cat.png", content_type="image/png")
    return data


async def answered(media: Depot, shelf: Shelf) -> str:
    """Let the upload be a file that is there; its id."""
    file = await shelf.ready("alice", others={VariantName.MEDIUM: b"m"})

    async def answer(request: web.Request) -> web.StreamResponse:
        assert PICTURE in await request.read()
        return web.Response(body=to_json(view_of(file)), status=201, content_type="application/json")

    media.answer = answer
    return file.id


async def post(http: ClientSession, url: str, token: str, data: FormData) -> Any:
    """Upload a form; the answer's status and body."""
    async with http.post(url, data=data, headers={"Authorization": f"Bearer {token}"}) as response:
        return response.status, await response.json()


async def test_an_uploaded_picture_is_shown_by_a_message(
    gateway: Gateway, media: Depot, shelf: Shelf, http: ClientSession, token: TokenOf, api: ApiOf
) -> None:
    """Eventchat: its answer has what a message takes, and the message then has links that work."""
    file = await answered(media, shelf)
    status, told = await post(http, f"{gateway.url}/chat/media?token=nobody", token("alice"), form())
    assert status == 201
    assert media.last.target == "/v1/media"
    assert (media.last.headers["Prefer"], media.last.actor.id) == ("wait=30", "alice")
    assert media.last.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    assert {name: told[name] for name in ("mediaId", "type", "status", "fileName", "fileSize", "mimeType")} == {
        "mediaId": file, "type": "image", "status": "ready", "fileName": "cat.png", "fileSize": len(PICTURE),
        "mimeType": "image/png",
    }  # fmt: skip
    async with http.get(told["mediaUrl"]) as response:
        assert await response.read() == PICTURE
    async with http.get(told["thumbnailUrl"]) as response:
        assert await response.read() == b"m"
    alice = api("alice", url=gateway.url)
    chat = (await alice("POST", "/chat", {"participants": ["bob"]})).body["id"]
    sent = await alice("POST", "/chat/message", {"chatId": chat, "type": "image", "mediaUrl": told["mediaUrl"]})
    assert (sent.status, sent.body["fileName"], sent.body["fileSize"]) == (201, "cat.png", len(PICTURE)), sent.body
    [seen] = (await api("bob")("GET", f"/chat/{chat}/messages")).body["messages"]
    async with http.get(seen["mediaUrl"]) as response:
        assert await response.read() == PICTURE


async def test_an_outings_picture(
    gateway: Gateway, media: Depot, shelf: Shelf, http: ClientSession, token: TokenOf, api: ApiOf, tenant: str
) -> None:
    """Outing: the fields of its document, and what the service that it used before gave."""
    outside = Outside(tenant)
    event = outside.event("sortie.created", sortie_id="s1", titre="Plage", createur_id="alice")
    assert (await api("backend", roles=("service",))("POST", "/v1/integration/events", event)).status == 200
    file = await answered(media, shelf)
    status, told = await post(http, f"{gateway.url}/messages/upload", token("alice"), form(type="image"))
    assert (status, told["public_id"], told["secure_url"]) == (201, file, told["mediaUrl"])
    assert told["mediaDuration"] is None
    body = {"type": "image", "mediaUrl": told["mediaUrl"]}
    sent = await api("alice", url=gateway.url)("POST", "/messages/sortie/s1", body)
    assert (sent.status, sent.body["mimeType"]) == (201, "image/png"), sent.body
    async with http.get(sent.body["mediaUrl"]) as response:
        assert await response.read() == PICTURE


@pytest.mark.parametrize("path", UPLOADS)
async def test_refusals_are_in_the_dialects_words(
    gateway: Gateway, media: Depot, http: ClientSession, token: TokenOf, path: str
) -> None:
    """Those of the media service with their reasons, and those that come before it."""

    async def refuse(_request: web.Request) -> web.StreamResponse:
        error = {"code": "too_large", "message": "Too much.", "retryable": False, "details": {"reason": "too_large"}}
        return web.json_response({"error": error}, status=413)

    media.answer = refuse
    status, told = await post(http, gateway.url + path, token("alice"), form())
    assert (status, told["statusCode"], told["message"]) == (413, 413, "Too much.")
    assert told["details"] == {"reason": "too_large"}
    status, told = await post(http, gateway.url + path, "nonsense", form())
    assert (status, told["statusCode"]) == (401, 401)
    assert len(media.seen) == 1


@pytest.mark.parametrize("path", UPLOADS)
async def test_a_media_service_that_is_away(
    gateway_with: GatewayWith, http: ClientSession, token: TokenOf, path: str
) -> None:
    """Is told as such, while messages go on."""
    gateway = await gateway_with(MEDIA_URL="http://127.0.0.1:9")
    status, told = await post(http, gateway.url + path, token("alice"), form())
    assert (status, told["statusCode"], told["error"]) == (503, 503, "Service Unavailable")
