"""Questions about files, and their removal, as clients ask them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from shared.contracts.errors import ErrorCode
from tests.conftest import ClientOf
from tests.harness.person import Person
from tests.harness.rest import Api
from tests.integration.media_shelf import Shelf
from tests.integration.test_native_rooms import refusal, room_of

pytest_plugins = ("tests.integration.media_fixtures",)


async def found(person: Person, *media_ids: str) -> list[str]:
    """Which of these files somebody sees, in the order of the answer."""
    answer = await person.call("media.find", {"media_ids": list(media_ids)})
    return [media["id"] for media in answer["media"]]


async def test_owners_and_readers_see_a_file_and_nobody_else(
    shelf: Shelf, client: ClientOf, api: Callable[..., Api]
) -> None:
    """One by one, and those of many that are there for who asks, in the order in which they were asked for."""
    alice, bob = await client("alice"), await client("bob")
    room = await room_of(alice, bob)
    shown, own, coming = await shelf.ready("alice"), await shelf.ready("alice"), await shelf.coming("alice")
    sent = {"type": "image", "attachment": {"media_id": shown.id}}
    assert (await api("alice")("POST", f"/v1/rooms/{room}/messages", sent)).status == 201
    await shelf.shown_in(shown, room)
    nothing = "0" * 32
    assert await found(alice, coming.id, nothing, own.id, shown.id, own.id) == [coming.id, own.id, shown.id]
    assert await found(bob, coming.id, own.id, shown.id) == [shown.id]
    for person, media in ((bob, shown), (alice, coming)):
        answer = await person.call("media.get", {"media_id": media.id})
        assert (answer["id"], answer["owner_id"], answer["state"]) == (media.id, "alice", media.state)
    for media_id in (own.id, coming.id, nothing):
        assert await refusal(bob, "media.get", media_id=media_id) is ErrorCode.NOT_FOUND
    robot = await client("robot", roles=("service",))
    assert await found(robot, own.id, shown.id) == [own.id, shown.id]


async def test_what_is_about_to_be_collected_is_not_found(shelf: Shelf, client: ClientOf) -> None:
    """What it is can still be asked; a message would come too late."""
    alice, media = await client("alice"), await shelf.ready("alice")
    almost = datetime.now(UTC) - timedelta(hours=23, minutes=55)
    await shelf.media.update_one({"_id": media.id}, {"$set": {"unused_since": almost}})
    assert await found(alice, media.id) == []
    assert (await alice.call("media.get", {"media_id": media.id}))["id"] == media.id


async def test_its_owner_removes_a_file_that_no_message_shows(
    shelf: Shelf, client: ClientOf, api: Callable[..., Api]
) -> None:
    """Others cannot; what is shown is deleted there first. Then nothing is left of it."""
    alice, bob = await client("alice"), await client("bob")
    room, media = await room_of(alice, bob), await shelf.ready("alice")
    assert await refusal(bob, "media.remove", media_id=media.id) is ErrorCode.NOT_FOUND
    shown = {"type": "image", "attachment": {"media_id": media.id}}
    sent = await api("alice")("POST", f"/v1/rooms/{room}/messages", shown)
    await shelf.shown_in(media, room)
    assert await refusal(bob, "media.remove", media_id=media.id) is ErrorCode.FORBIDDEN
    assert await refusal(alice, "media.remove", media_id=media.id) is ErrorCode.CONFLICT
    assert (await api("alice")("DELETE", f"/v1/messages/{sent.body['message_id']}")).status == 200
    await shelf.shown_in(media)
    before = await shelf.repository.used(media.tenant)
    assert await alice.call("media.remove", {"media_id": media.id}) == {"media_id": media.id}
    after = await shelf.repository.used(media.tenant)
    assert (before.files - after.files, before.bytes - after.bytes) == (1, media.size)
    assert media.id not in [kept async for kept in shelf.store.kept()]
    assert await shelf.repository.known([media.id]) == set()
    assert await refusal(alice, "media.remove", media_id=media.id) is ErrorCode.NOT_FOUND


@pytest.mark.parametrize("state", ["pending", "failed", "coming"])
async def test_what_is_not_ready_can_be_removed_too(shelf: Shelf, client: ClientOf, state: str) -> None:
    """Whatever becomes of it."""
    alice, media = await client("alice"), await getattr(shelf, state)("alice")
    assert await alice.call("media.remove", {"media_id": media.id}) == {"media_id": media.id}
    assert await shelf.repository.known([media.id]) == set()
