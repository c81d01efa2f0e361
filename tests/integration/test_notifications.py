"""What a push service hears: of messages for those who are not connected, until they are read or gone."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from deploy.embedded.stack import Stack
from tests.conftest import ClientOf
from tests.harness.overheard import Overheard, overhear
from tests.harness.own_task import in_own_task
from tests.harness.person import Person
from tests.harness.rest import Api

REQUESTED, RETRACTED = "notification.requested", "notification.retracted"


@pytest.fixture(scope="module")
async def pushes(stack: Stack) -> AsyncIterator[Overheard]:
    """A push service's ears, and those for receipts, by which a test knows what has been told."""
    async with in_own_task(overhear(stack.amqp_url, "notification.#", "receipt.#")) as heard:
        yield heard


def about(type: str, **data: Any) -> Callable[[dict[str, Any]], bool]:
    """Whether an event is of a type, with these values in its data."""
    return lambda event: event["type"] == type and data.items() <= event["data"].items()


async def fence(pushes: Overheard, speaker: Person, room_id: str, away: str) -> None:
    """Return when all that was noted of a room before is handled: its notes come one after the other.

    Args:
        away: a member who is not connected.
    """
    sent = await speaker.send(room_id, f"@{away}: fence")
    await pushes.until(about(REQUESTED, message_id=sent.message_id, user_id=away))


async def seen_online(watcher: Person, user_id: str) -> None:
    """Return when somebody's connection has been reported."""
    answer = await watcher.call("presence.watch", {"user_ids": [user_id]})
    if answer["users"][0]["status"] != "online":
        await watcher.expect("presence.changed", that=lambda event: event.data["user_id"] == user_id)


async def test_a_direct_message_for_who_is_away(pushes: Overheard, client: ClientOf, tenant: str) -> None:
    """Asked for once, with all that a push shows; withdrawn when it is read, under the same id."""
    alice = await client("alice")
    room = (await alice.create_room(type="direct", members=["bob"])).id
    sent = await alice.send(room, "are you there?", client_id="c-1")
    asked = await pushes.until(about(REQUESTED, message_id=sent.message_id))
    assert asked["tenant"] == tenant
    assert asked["subject"] == "bob"
    assert asked["data"] == {
        "user_id": "bob",
        "room_id": room,
        "message_id": sent.message_id,
        "seq": 1,
        "reason": "direct",
        "sender": {"id": "alice"},
        "preview": "are you there?",
    }
    bob = await client("bob")
    await bob.mark_read(room, 1)
    over = await pushes.until(about(RETRACTED, message_id=sent.message_id))
    assert over["id"] == asked["id"]
    assert over["data"] == {"user_id": "bob", "room_id": room, "message_id": sent.message_id, "seq": 1}
    # Sent again, it is noted again, and known.
    assert (await alice.send(room, "are you there?", client_id="c-1")).duplicate
    other = (await alice.create_room(type="direct", members=["carol"])).id
    await alice.send(other, "fence")
    await pushes.until(about(REQUESTED, room_id=other))
    assert len(pushes.all(REQUESTED, message_id=sent.message_id)) == 1
    assert len(pushes.all(RETRACTED, message_id=sent.message_id)) == 1


async def test_the_mentioned_who_are_away_and_nobody_else(pushes: Overheard, client: ClientOf) -> None:
    """Not the others of the group, not who is connected, not the sender."""
    alice, bob = await client("alice"), await client("bob")
    room = (await alice.create_room(members=["bob", "carol", "dan"])).id
    await seen_online(alice, "bob")
    sent = await alice.send(room, "@bob @carol @alice: dinner?")
    await pushes.until(about(REQUESTED, message_id=sent.message_id, user_id="carol"))
    plain = await alice.send(room, "at eight")
    await fence(pushes, alice, room, "dan")
    assert [event["data"]["user_id"] for event in pushes.all(REQUESTED, message_id=sent.message_id)] == ["carol"]
    assert pushes.all(REQUESTED, message_id=plain.message_id) == []
    await bob.said(room, "at eight")


@pytest.mark.parametrize("way", ["deleted", "cleared", "removed", "room deleted"])
async def test_there_is_nothing_to_read_any_more(pushes: Overheard, client: ClientOf, way: str) -> None:
    """Then nobody need come for it."""
    alice = await client("alice")
    room = (await alice.create_room(members=["carol"])).id
    sent = await alice.send(room, "@carol hello")
    await pushes.until(about(REQUESTED, message_id=sent.message_id))
    if way == "deleted":
        await alice.delete(sent.message_id)
    elif way == "cleared":
        await alice.clear(room)
    elif way == "removed":
        await alice.call("member.remove", {"room_id": room, "user_id": "carol"})
    else:
        await alice.call("room.delete", {"room_id": room})
    await pushes.until(about(RETRACTED, message_id=sent.message_id, user_id="carol"))


async def test_moderators_acts_are_kept(client: ClientOf, api: Callable[..., Api], pushes: Overheard) -> None:
    """Deleting another's message, clearing a conversation; not what one does to one's own."""
    alice, bob = await client("alice"), await client("bob")
    room = (await alice.create_room(members=["bob", "carol"])).id
    await bob.expect("room.subscribed", room_id=room)
    mine, others = await alice.send(room, "mine"), await bob.send(room, "spam")
    await alice.delete(mine.message_id)
    await alice.delete(others.message_id)
    await alice.clear(room)
    await fence(pushes, alice, room, "carol")
    root = api("root", roles=("admin",))
    entries = (await root("GET", f"/v1/audit?room_id={room}")).body["entries"]
    assert [(entry["act"], entry.get("target_id")) for entry in entries] == [
        ("timeline.clear", None),
        ("message.delete", "bob"),
        ("room.create", None),
    ]
    assert entries[1]["details"] == {"message_id": others.message_id}
