"""Files from a client's first byte to another's last, through gateways, with nothing left out."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import ClientSession, FormData

from deploy.embedded.stack import Stack
from shared.contracts.errors import ChatError
from shared.contracts.media_terms import MediaKind, MediaState, VariantName
from tests.conftest import ClientOf, TokenOf
from tests.harness.rest import Api
from tests.integration.media_client import png
from tests.integration.media_shelf import eventually
from tests.integration.test_native_rooms import room_of

ApiOf = Callable[..., Api]
TUS = "1.0.0"


async def test_a_picture_from_one_to_another(client: ClientOf, http: ClientSession, tmp_path: Path) -> None:
    """Uploaded, made ready, shown by a message, and fetched by its reader, by link and by token."""
    alice, bob = await client("alice"), await client("bob")
    room = await room_of(alice, bob)
    path = tmp_path / "cat.png"
    path.write_bytes(png(600, 400))
    file = await alice.upload(path, kind=MediaKind.IMAGE)
    assert (file.state, file.name, file.width, file.height) == (MediaState.READY, "cat.png", 600, 400)
    assert {VariantName.ORIGINAL, VariantName.SMALL} <= {variant.name for variant in file.variants}
    told = (await alice.expect("media.ready")).data["media"]
    assert [variant["size"] for variant in told["variants"]] == [variant.size for variant in file.variants]
    await alice.send(room, "", type="image", attachment={"media_id": file.id})
    shown = (await bob.expect("message.created", room_id=room)).data["attachment"]
    async with http.get(shown["url"]) as response:
        assert (response.status, response.content_type) == (200, "image/png")
        original = await response.read()
    async with http.get(shown["thumbnail_url"]) as response:
        assert (response.status, response.content_type) == (200, "image/webp")

    async def is_bobs_to_see() -> bool:
        return bool((await bob.request("media.find", {"media_ids": [file.id]}))["media"])

    await eventually(is_bobs_to_see)
    assert b"".join([chunk async for chunk in bob.download(file.id)]) == original


async def test_what_is_refused_says_why(client: ClientOf) -> None:
    """To the client that uploads."""
    alice = await client("alice")
    with pytest.raises(ChatError) as refused:
        await alice.upload(b"just words", name="cat.png")
    assert refused.value.details["reason"] in ("type_mismatch", "unknown_type")
    with pytest.raises(ChatError) as missing:
        _ = [chunk async for chunk in alice.download("0" * 32)]
    assert missing.value.code == "not_found"


async def test_an_upload_in_parts(api: ApiOf, client: ClientOf) -> None:
    """By tus: begun, gone on with where it stands, and then a file like others."""
    alice, rest, data = await client("alice"), api("alice"), png(64, 64)
    named = f"filename {base64.b64encode(b'cat.png').decode()}"
    begun = await rest("POST", "/v1/uploads", Tus_Resumable=TUS, Upload_Length=str(len(data)), Upload_Metadata=named)
    assert begun.status == 201, begun.body
    where, kind = begun.headers["Location"], "application/offset+octet-stream"
    first = await rest("PATCH", where, raw=data[:50], Tus_Resumable=TUS, Upload_Offset="0", Content_Type=kind)
    assert (first.status, first.headers["Upload-Offset"]) == (204, "50")
    stands = await rest("HEAD", where, Tus_Resumable=TUS)
    assert (stands.headers["Upload-Offset"], stands.headers["Upload-Length"]) == ("50", str(len(data)))
    wrong = await rest("PATCH", where, raw=data[40:], Tus_Resumable=TUS, Upload_Offset="40", Content_Type=kind)
    assert (wrong.status, wrong.error) == (409, "conflict")
    last = await rest("PATCH", where, raw=data[50:], Tus_Resumable=TUS, Upload_Offset="50", Content_Type=kind)
    assert (last.status, last.headers["Upload-Offset"]) == (204, str(len(data)))
    ready = (await alice.expect("media.ready")).data["media"]
    assert (where.rpartition("/")[2], ready["name"]) == (ready["id"], "cat.png")
    doomed = await rest("POST", "/v1/uploads", Tus_Resumable=TUS, Upload_Length="9")
    override = await rest("POST", doomed.headers["Location"], Tus_Resumable=TUS, X_HTTP_Method_Override="DELETE")
    assert override.status == 204
    assert (await api("mallory")("HEAD", where, Tus_Resumable=TUS)).status in (403, 404)


@pytest.mark.parametrize(("path", "field"), [("/chat/media", "file"), ("/messages/upload", "picture")])
async def test_a_dialects_upload_is_ready_when_it_is_answered(
    stack: Stack, http: ClientSession, token: TokenOf, path: str, field: str
) -> None:
    """Whatever its part is called, with fields of others before it; and no token is written down anywhere."""
    form, secret = FormData(), token("alice")
    form.add_field("type", "image")
    form.add_field(field, png(300, 200), filename="cat.png", content_type="image/png")
    async with http.post(f"{stack.gateway_urls[0]}{path}?token={secret}", data=form) as response:
        told = await response.json()
        assert (response.status, told["status"], told["type"]) == (201, "ready", "image"), told
    async with http.get(f"{told['mediaUrl']}&token={secret}") as response:
        assert response.status == 200
    for log in (stack.home.root / "log").glob("*.log"):
        assert secret not in log.read_text(errors="replace"), log
