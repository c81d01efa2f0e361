"""Messages that show uploaded files, on the whole stack: who may, what they then say, and when a file is in use."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from deploy.embedded.stack import Stack
from services.media.records import Media
from shared.client import Event
from shared.contracts.media_terms import MediaKind, VariantName
from shared.links import Links
from tests.conftest import ClientOf
from tests.harness.person import Person
from tests.harness.rest import Answer, Api
from tests.integration.media_shelf import Shelf, eventually
from tests.integration.test_native_rooms import room_of
from tests.integration.test_purge import until_epoch_changes

pytest_plugins = ("tests.integration.media_fixtures",)


def path(link: str) -> str:
    """Where a link leads, which is signed as it is handed out."""
    parts = urlsplit(link)
    assert "signature=" in parts.query, link
    return parts.path


def by_id(media: Media) -> dict[str, Any]:
    """An attachment that means a file."""
    return {"media_id": media.id}


async def show(rest: Api, room: str, attachment: dict[str, Any], kind: str = "image", **more: Any) -> Answer:
    """Send a message that shows a file."""
    return await rest("POST", f"/v1/rooms/{room}/messages", {"type": kind, "attachment": attachment, **more})


def shows(media: Media, event: Event) -> bool:
    """Whether an event is of a message that shows a file."""
    return bool(event.data["attachment"]["media_id"] == media.id)


async def shared(shelf: Shelf, client: ClientOf, api: Callable[..., Api]) -> tuple[Person, Person, str, Media, str]:
    """Alice and Bob in a room in which Alice shows a picture; the room, the file and the message."""
    alice, bob = await client("alice"), await client("bob")
    room, media = await room_of(alice, bob), await shelf.ready("alice")
    sent = await show(api("alice"), room, by_id(media))
    assert sent.status == 201, sent.body
    await shelf.shown_in(media, room)
    return alice, bob, room, media, sent.body["message_id"]


# ── who may show what ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_message_says_of_a_file_what_it_is(shelf: Shelf, client: ClientOf, api: Callable[..., Api]) -> None:
    """Live and in history, whatever the sender says; and from then on the file is in use."""
    alice, bob = await client("alice"), await client("bob")
    room = await room_of(alice, bob)
    media = await shelf.ready("alice", others={VariantName.SMALL: b"s", VariantName.MEDIUM: b"m"})
    assert media.unused_since is not None
    wrong = {"media_id": media.id, "name": "../evil.exe", "size": 1, "mime_type": "text/html"}
    sent = await show(api("alice"), room, wrong, content="look")
    assert sent.status == 201, sent.body
    live = (await bob.expect("message.created", room_id=room)).data["attachment"]
    [page] = (await bob.call("history.get", {"room_id": room}))["messages"]
    for attachment in (live, page["attachment"]):
        assert path(attachment.pop("url")) == f"/v1/media/{media.id}/original"
        assert path(attachment.pop("thumbnail_url")) == f"/v1/media/{media.id}/medium"
        assert attachment == {
            "media_id": media.id, "name": "cat.png", "size": media.size, "mime_type": "image/png",
            "width": 640, "height": 480, "placeholder": "LEHV6nWB2yk8",
        }  # fmt: skip
    await shelf.shown_in(media, room)


async def test_a_signed_link_of_ones_own_means_the_file(
    stack: Stack, shelf: Shelf, client: ClientOf, api: Callable[..., Api]
) -> None:
    """And a retry with a newer one is the same message, however the file is meant."""
    alice = await client("alice")
    room, media = await room_of(alice), await shelf.ready("alice")
    links = Links(stack.jwt_secret, 60, "https://chat.example.com")
    sent = []
    for now in (1000.0, 5000.0):
        link = links.sign(media.id, VariantName.ORIGINAL, now).url
        sent.append(await show(api("alice"), room, {"url": link}, client_id="c"))
    sent.append(await show(api("alice"), room, by_id(media), client_id="c"))
    assert [answer.body.get("duplicate") for answer in sent] == [False, True, True], [it.body for it in sent]
    assert len({answer.body["message_id"] for answer in sent}) == 1


async def test_who_is_told_of_a_file_can_have_it_at_once(
    shelf: Shelf, client: ClientOf, api: Callable[..., Api]
) -> None:
    """By token, too: it may be asked for before the media service has heard of the message."""
    alice, bob = await client("alice"), await client("bob")
    room, asking = await room_of(alice, bob), api("bob")
    for _ in range(20):
        media = await shelf.ready("alice")
        async with asyncio.TaskGroup() as group:
            group.create_task(show(api("alice"), room, by_id(media)))
            await bob.expect("message.created", that=partial(shows, media))
            assert (await asking("GET", f"/v1/media/{media.id}/original")).status == 200


async def test_who_may_see_a_file_may_forward_it(shelf: Shelf, client: ClientOf, api: Callable[..., Api]) -> None:
    """By its id or as it was handed out; to who is in the other room it is there then, too."""
    _, bob, room, media, _ = await shared(shelf, client, api)
    carol = await client("carol")
    other = await room_of(bob, carol)
    seen = (await bob.call("history.get", {"room_id": room}))["messages"][0]["attachment"]
    assert (await show(api("carol"), other, by_id(media))).error == "not_found"
    assert (await show(api("bob"), other, seen)).status == 201
    await shelf.shown_in(media, room, other)
    assert (await show(api("carol"), other, by_id(media), "file")).status == 201


async def test_who_may_not_see_a_file_does_not_learn_of_it(
    shelf: Shelf, client: ClientOf, api: Callable[..., Api]
) -> None:
    """Strangers, admins without a room, other tenants and who has left: as if it were not there. Services may."""
    alice, bob, room, media, _ = await shared(shelf, client, api)
    mallory = await client("mallory")
    own = await room_of(mallory)
    nothing = await show(api("mallory"), own, {"media_id": "0" * 32})
    expected = nothing.body["error"]["message"].replace("0" * 32, media.id)
    stranger = await show(api("mallory"), own, by_id(media))
    assert (stranger.error, stranger.body["error"]["message"]) == ("not_found", expected)

    elsewhere = api("alice", tenant="elsewhere")
    made = await elsewhere("POST", "/v1/rooms", {"type": "group", "name": "There"})
    assert (await show(elsewhere, made.body["id"], by_id(media))).error == "not_found"

    assert (await show(api("robot", roles=("service",)), own, by_id(media))).status == 201
    bobs = await room_of(bob)
    assert (await show(api("bob"), bobs, by_id(media))).status == 201  # and has a copy in a room of his own
    await alice.call("member.remove", {"room_id": room, "user_id": "bob"})
    assert (await show(api("bob"), bobs, by_id(media))).status == 201


async def test_who_was_just_added_may_show_it(shelf: Shelf, client: ClientOf, api: Callable[..., Api]) -> None:
    """A refusal is never answered from memory; who was removed may not any more."""
    alice, _, room, media, _ = await shared(shelf, client, api)
    carol = await client("carol")
    own = await room_of(carol)
    assert (await show(api("carol"), own, by_id(media))).error == "not_found"
    await alice.call("member.add", {"room_id": room, "user_id": "carol"})
    sent = await show(api("carol"), own, by_id(media))
    assert sent.status == 201
    assert (await api("carol")("DELETE", f"/v1/messages/{sent.body['message_id']}")).status == 200
    await shelf.shown_in(media, room)
    await alice.call("member.remove", {"room_id": room, "user_id": "carol"})

    async def refused() -> bool:
        return (await show(api("carol"), own, by_id(media))).status == 404

    await eventually(refused)


async def test_what_is_not_ready_waits(shelf: Shelf, client: ClientOf, api: Callable[..., Api]) -> None:
    """A conflict while it is coming; refused files and other kinds are invalid, for good."""
    alice = await client("alice")
    room, rest = await room_of(alice), api("alice")
    for media in (await shelf.coming("alice"), await shelf.pending("alice")):
        assert (await show(rest, room, by_id(media))).error == "conflict"
    failed = await show(rest, room, by_id(await shelf.failed("alice")))
    assert (failed.error, failed.body["error"]["details"]) == ("invalid", {"reason": "damaged"})
    picture = by_id(await shelf.ready("alice"))
    paper = by_id(await shelf.ready("alice", kind=MediaKind.FILE, mime_type="application/pdf", name="a.pdf"))
    assert (await show(rest, room, picture, "video")).error == "invalid"
    assert (await show(rest, room, paper, "image")).error == "invalid"
    assert (await show(rest, room, picture, "file")).status == 201
    assert (await show(rest, room, paper, "file")).status == 201


# ── gone, repeated, no more in use ───────────────────────────────────────────────────────────────────────────────────


async def test_what_is_gone_or_about_to_be_cannot_be_shown(
    shelf: Shelf, client: ClientOf, api: Callable[..., Api]
) -> None:
    """A retry of what was sent before is answered as before, in whatever batch it comes."""
    alice = await client("alice")
    room, rest = await room_of(alice), api("alice")
    media = await shelf.ready("alice")
    sent = await show(rest, room, by_id(media), client_id="c")
    await shelf.shown_in(media, room)
    await shelf.forgotten(media)
    assert (await show(rest, room, by_id(media))).error == "not_found"
    again = await show(rest, room, by_id(media), client_id="c")
    assert again.body == {**sent.body, "duplicate": True}

    old = await shelf.ready("alice")
    ago = datetime.now(UTC) - timedelta(hours=23, minutes=55)
    await shelf.media.update_one({"_id": old.id}, {"$set": {"unused_since": ago}})
    assert (await show(rest, room, by_id(old))).error == "not_found"


async def test_other_messages_go_on_beside_refused_ones(
    shelf: Shelf, client: ClientOf, api: Callable[..., Api]
) -> None:
    """And links to elsewhere are as they were."""
    alice, bob = await client("alice"), await client("bob")
    room = await room_of(alice, bob)
    elsewhere = {"url": "https://example.org/a.png", "name": "a.png"}
    assert (await show(api("alice"), room, {"media_id": "0" * 32})).error == "not_found"
    assert (await show(api("alice"), room, elsewhere)).status == 201
    await alice.send(room, "plain")
    assert (await bob.expect("message.created", room_id=room)).data["attachment"] == elsewhere
    assert (await bob.said(room, "plain")).seq == 2


async def test_a_deleted_message_shows_nothing(shelf: Shelf, client: ClientOf, api: Callable[..., Api]) -> None:
    """An edit leaves it; who could see it by that message no more can, its owner can."""
    _, bob, room, media, message = await shared(shelf, client, api)
    edited = await api("alice")("PATCH", f"/v1/messages/{message}", {"content": "my cat"})
    assert edited.status == 200
    [page] = (await bob.call("history.get", {"room_id": room}))["messages"]
    assert (page["content"], page["attachment"]["media_id"]) == ("my cat", media.id)
    assert (await api("alice")("DELETE", f"/v1/messages/{message}")).status == 200
    await shelf.shown_in(media)
    assert (await show(api("bob"), room, by_id(media))).error == "not_found"
    assert (await show(api("alice"), room, by_id(media))).status == 201
    await shelf.shown_in(media, room)


async def test_a_cleared_room_shows_nothing(shelf: Shelf, client: ClientOf, api: Callable[..., Api]) -> None:
    """What is sent afterwards does."""
    alice, _, room, media, _ = await shared(shelf, client, api)
    later = await shelf.ready("alice")
    await alice.call("timeline.clear", {"room_id": room})
    await shelf.shown_in(media)
    assert (await show(api("alice"), room, by_id(later))).status == 201
    await shelf.shown_in(later, room)


async def test_a_deleted_room_shows_nothing(shelf: Shelf, client: ClientOf, api: Callable[..., Api]) -> None:
    """One with the same id that is made again begins anew."""
    alice = await client("alice")
    room = (await alice.create_room(type="direct", members=["bob"])).id
    media, root = await shelf.ready("alice"), api("root", roles=("admin",))
    for _ in range(2):
        assert (await alice.create_room(type="direct", members=["bob"])).id == room
        assert (await show(api("alice"), room, by_id(media), client_id="same")).status == 201
        await shelf.shown_in(media, room)
        epoch = (await alice.request("sync", {"cursors": {room: None}}))["rooms"][room]["epoch"]
        assert (await root("DELETE", f"/v1/rooms/{room}")).status == 200
        await shelf.shown_in(media)
        await alice.create_room(type="direct", members=["bob"])
        await until_epoch_changes(alice, room, epoch)
