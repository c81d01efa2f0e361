"""Signed links wherever messages and files are told, and what their owners hear of files; on the whole stack."""

from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import ClientSession

from deploy.embedded.stack import Stack
from services.media.records import Media, view_of
from shared.bus.codec import to_json
from shared.contracts.media_terms import VariantName
from tests.conftest import ClientOf, SocketOf, TokenOf
from tests.harness.rest import Api
from tests.harness.sio import SioPerson
from tests.harness.wire import Wire
from tests.integration.media_shelf import PICTURE, Shelf
from tests.integration.test_native_rooms import room_of

pytest_plugins = ("tests.integration.media_fixtures",)

ApiOf = Callable[..., Api]
JSON = dict[str, Any]


async def tell(bus: Wire, tenant: str, kind: str, data: JSON) -> None:
    """Tell of a file as the media service does."""
    event = {
        "specversion": "1.0", "id": "1", "source": "/media", "type": kind, "subject": "f",
        "time": "2026-01-01T00:00:00Z", "tenant": tenant, "data": data,
    }  # fmt: skip
    await bus.publish_batch("chat.events", "media", event)


async def test_links_are_signed_wherever_a_message_is_told(
    stack: Stack, shelf: Shelf, client: ClientOf, api: ApiOf, token: TokenOf, http: ClientSession, socket: SocketOf
) -> None:
    """To sockets of all kinds as it happens, in every answer that has messages, and at the start of a connection."""
    alice, bob = await client("alice"), await client("bob")
    room = await room_of(alice, bob)
    media = await shelf.ready("alice", others={VariantName.MEDIUM: b"small and many"})
    rest = api("bob")
    async with SioPerson(stack.gateway_urls[1], auth={"token": token("bob")}) as dialect:
        await dialect.call("join_chat", {"chatId": room})
        sent = await alice.call(
            "message.send", {"room_id": room, "type": "image", "attachment": {"media_id": media.id}, "client_id": "c"}
        )
        told = await dialect.expect("message_created")
    message_id = sent["message_id"]
    history = await bob.call("history.get", {"room_id": room})
    sync = await bob.call("sync", {"cursors": {room: None}})
    states = await bob.call("rooms.states", {"room_ids": [room]})
    ready = await (await socket("bob")).ready()
    page = (await rest("GET", f"/v1/rooms/{room}/messages")).body
    shown: list[JSON] = [
        (await bob.expect("message.created", room_id=room)).data,
        history["messages"][-1],
        sync["rooms"][room]["messages"][-1],
        states["states"][0]["last_message"],
        next(each for each in ready["rooms"] if each["id"] == room)["last_message"],
        await bob.call("message.get", {"message_id": message_id}),
        page["messages"][-1],
        (await rest("GET", f"/v1/messages/{message_id}")).body,
    ]
    links = {(message["attachment"]["url"], message["attachment"]["thumbnail_url"]) for message in shown}
    links.add((told["mediaUrl"], told["thumbnailUrl"]))
    [(original, thumbnail)] = links
    assert original.startswith(f"{stack.gateway_urls[0]}/v1/media/{media.id}/original?expires=")
    for link, content in ((original, PICTURE), (thumbnail, b"small and many")):
        async with http.get(link) as response:
            assert (response.status, await response.read()) == (200, content)
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "sandbox" in response.headers["Content-Security-Policy"]
        async with http.get(link[:-1] + ("0" if link[-1] != "0" else "1")) as response:
            assert response.status == 403


async def test_who_may_see_a_file_gets_its_links(
    shelf: Shelf, client: ClientOf, api: ApiOf, http: ClientSession
) -> None:
    """By socket and REST, with the time at which they end; its bytes by token, too, and by nobody else's."""
    alice, mallory = await client("alice"), await client("mallory")
    media = await shelf.ready("alice", others={VariantName.SMALL: b"s"})
    file = await alice.request("media.get", {"media_id": media.id})
    assert {variant["name"] for variant in file["variants"]} == {"original", "small"}
    assert file["links_expire_at"].endswith("Z")
    for variant in file["variants"]:
        async with http.get(variant["url"]) as response:
            assert (response.status, len(await response.read())) == (200, variant["size"])
    assert (await api("alice")("GET", f"/v1/media/{media.id}")).body == file
    found = await alice.request("media.find", {"media_ids": [media.id, "0" * 32]})
    assert found["media"] == [file]
    path = f"/v1/media/{media.id}/original"
    assert (await api("alice")("GET", path)).body == PICTURE
    part = await api("alice")("GET", path, Range="bytes=1-3")
    assert (part.status, part.body, part.headers["Content-Range"]) == (206, b"PNG", f"bytes 1-3/{len(PICTURE)}")
    beyond = await api("alice")("GET", path, Range=f"bytes={len(PICTURE)}-")
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{len(PICTURE)}")
    head = await api("alice")("HEAD", path)
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(PICTURE)))
    assert (await api("alice")("GET", path, If_None_Match=head.headers["Etag"])).status == 304
    assert (await api("mallory")("GET", path)).status in (403, 404)
    assert (await mallory.request("media.find", {"media_ids": [media.id]}))["media"] == []


async def test_the_owner_is_told_on_all_devices(
    shelf: Shelf, bus: Wire, tenant: str, client: ClientOf, stack: Stack, http: ClientSession
) -> None:
    """Of progress and of the end, with links that work; others hear nothing of it."""
    phone, laptop, bob = await client("alice"), await client("alice", url=stack.gateway_urls[1]), await client("bob")
    media: Media = await shelf.ready("alice")
    view = orjson.loads(to_json(view_of(media)))
    failed = {**view, "state": "failed", "variants": [], "refusal": {"reason": "damaged", "message": "It ends."}}
    await tell(bus, tenant, "media.progress", {"user_id": "alice", "media_id": media.id, "received": 5, "total": 9})
    await tell(bus, tenant, "media.ready", {"user_id": "alice", "media": view})
    await tell(bus, tenant, "media.failed", {"user_id": "alice", "media": failed})
    for device in (phone, laptop):
        progress = (await device.expect("media.progress")).data
        assert progress == {"media_id": media.id, "received": 5, "total": 9}
        ready = (await device.expect("media.ready")).data["media"]
        async with http.get(ready["variants"][0]["url"]) as response:
            assert await response.read() == PICTURE
        assert (await device.expect("media.failed")).data == {"media": failed}
    await bob.request("ping", {})
    assert not [event for event in bob.log if event.type.startswith("media.")]


async def test_an_unused_file_is_removed(shelf: Shelf, client: ClientOf, api: ApiOf) -> None:
    """By its owner, on the socket or over REST."""
    alice = await client("alice")
    first, second = await shelf.ready("alice"), await shelf.ready("alice")
    assert await alice.request("media.remove", {"media_id": first.id}) == {"media_id": first.id}
    removed = await api("alice")("DELETE", f"/v1/media/{second.id}")
    assert (removed.status, removed.body) == (200, {"media_id": second.id})
    for media in (first, second):
        assert (await api("alice")("GET", f"/v1/media/{media.id}/original")).status == 404
