"""Uploads through a gateway: waiting for what becomes of them, hearing of them on the way, and all of tus."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from deploy.embedded.stack import Stack
from tests.conftest import ClientOf
from tests.harness.rest import Api
from tests.integration.media_client import MediaWith, Uploader, UploaderOf, png, text

pytest_plugins = ("tests.integration.media_fixtures",)


@pytest.fixture
def alice(uploader: UploaderOf) -> Uploader:
    """Alice, by the service's own port."""
    return uploader("alice")


ApiOf = Callable[..., Api]
OCTETS = "application/octet-stream"


async def test_who_waits_is_told_that_it_is_ready(alice: Uploader, stack: Stack) -> None:
    """With links that work without a token, at the address clients know."""
    answer = await alice.upload(png(400, 300), "?name=a.png", Prefer="wait=30")
    assert (answer.status, answer.body["state"]) == (201, "ready"), answer.body
    assert answer.headers["Preference-Applied"] == "wait=30"
    links = {variant["name"]: variant["url"] for variant in answer.body["variants"]}
    assert {"original", "small"} <= links.keys()
    assert all(link.startswith(f"{stack.gateway_urls[0]}/v1/media/{answer.body['id']}/") for link in links.values())
    async with alice.http.get(links["original"].replace(stack.gateway_urls[0], stack.media_url)) as response:
        assert (response.status, response.content_type) == (200, "image/png")


async def test_who_waits_is_told_that_it_is_refused(alice: Uploader) -> None:
    """As if it had been seen at once."""
    answer = await alice.upload(png(400, 300)[:60], "?name=a.png", Prefer="wait=30")
    details = answer.body["error"]["details"]
    assert (answer.status, details["reason"]) == (400, "damaged"), answer.body


async def test_who_waits_for_no_time_is_told_how_it_stands(alice: Uploader) -> None:
    """Nobody waits longer than they like."""
    answer = await alice.upload(text(1000), Prefer="wait=0")
    assert (answer.status, answer.headers["Preference-Applied"]) == (201, "wait=0")
    assert answer.body["state"] in {"pending", "ready"}


async def test_another_process_may_have_done_the_work(media_with: MediaWith, alice: Uploader) -> None:
    """Who waits hears of it all the same: many wait at once, at two processes."""
    other = await media_with(UPLOADS_AT_ONCE=0)
    senders = [other.alice if number % 2 else alice for number in range(4)]
    sent = (sender.upload(f"{number}".encode(), Prefer="wait=30") for number, sender in enumerate(senders))
    assert [answer.body["state"] for answer in await asyncio.gather(*sent)] == ["ready"] * 4


async def test_a_gateway_passes_uploads_on(api: ApiOf) -> None:
    """In both shapes, and what is refused."""
    call = api("alice")
    answer = await call("POST", "/v1/media?name=a.png", raw=png(), Content_Type="image/png", Prefer="wait=30")
    assert (answer.status, answer.body["state"], answer.body["owner_id"]) == (201, "ready", "alice")
    answer = await call("POST", "/v1/media", raw=b"MZ" + bytes(100), Content_Type=OCTETS)
    assert (answer.status, answer.body["error"]["details"]["reason"]) == (400, "type_refused")


async def test_a_gateway_speaks_tus(api: ApiOf) -> None:
    """Methods, headers and statuses come through as they are."""
    call = api("alice")
    tus: dict[str, Any] = {"Tus_Resumable": "1.0.0"}
    made = await call("POST", "/v1/uploads", Upload_Length="10", **tus)
    assert made.status == 201, made.body
    path = made.headers["Location"]
    more = {"Content_Type": "application/offset+octet-stream", **tus}
    answer = await call("PATCH", path, raw=b"hello", Upload_Offset="0", **more)
    assert (answer.status, answer.headers["Upload-Offset"]) == (204, "5")
    assert (await call("PATCH", path, raw=b"hello", Upload_Offset="0", **more)).status == 409
    answer = await call("HEAD", path, **tus)
    assert (answer.headers["Upload-Offset"], answer.headers["Upload-Length"]) == ("5", "10")
    wrong = await call("PATCH", path, raw=b"x", Upload_Offset="5", Upload_Checksum="sha1 YQ==", **more)
    assert wrong.status == 460
    assert (await call("DELETE", path, Tus_Resumable="0.1")).status == 412
    assert (await call("OPTIONS", "/v1/uploads")).headers["Tus-Version"] == "1.0.0"
    assert (await call("DELETE", path, **tus)).status == 204


async def test_its_owner_hears_how_an_upload_goes(alice: Uploader, client: ClientOf) -> None:
    """Once it takes longer than a second, and that it is ready; nobody else does."""
    owner, other = await client("alice"), await client("bob")
    data = text(40 * 5000)

    async def a_part_every_tenth_second() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 5000):
            await asyncio.sleep(0.1)  # a slow line is what is tested
            yield data[start : start + 5000]

    answer = await alice.upload(a_part_every_tenth_second(), "?name=a.txt", Prefer="wait=30")
    assert answer.body["state"] == "ready", answer.body
    ready = await owner.expect("media.ready")
    assert ready.data["media"]["size"] == len(data)
    received = [event.data["received"] for event in owner.log if event.type == "media.progress"]
    assert received == sorted(set(received))
    assert 2 <= len(received) <= 8  # in four seconds, the first without a word, at most two a second
    assert received[0] >= 5000 * 5
    assert not [event for event in other.log if event.type.startswith("media.")]
