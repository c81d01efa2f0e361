"""A document that cannot be read (by a bug, by hand, by an older version) fails what is about it, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from deploy.embedded.stack import Stack
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.membership import RoomView
from shared.mongo import Mongo
from tests.harness.own_task import in_own_task
from tests.harness.person import Person
from tests.harness.wire import Wire
from tests.integration.security_bus import PATIENCE, Insider, insider
from tests.integration.security_scene import room_key

JSON = dict[str, Any]


@pytest.fixture(scope="module")
async def inside(stack: Stack) -> AsyncIterator[Insider]:
    """Somebody on the bus."""
    async with in_own_task(insider(stack.amqp_url)) as connected:
        yield connected


@pytest.fixture(scope="module")
async def mongo(stack: Stack) -> AsyncIterator[Mongo]:
    """The services' database."""
    opened = Mongo(stack.mongo_url, "tests")
    yield opened
    opened.close()


@pytest.fixture
async def alice(client: Any) -> Person:
    """Who owns all rooms here."""
    person: Person = await client("alice")
    return person


async def rooms_of_one_shard(alice: Person, count: int) -> list[RoomView]:
    """Rooms whose commands go by the same key, so that they fit one batch."""
    by_key: dict[str, list[RoomView]] = {}
    while True:
        room = await alice.create_room()
        alike = by_key.setdefault(room_key(room.id), [])
        alike.append(room)
        if len(alike) == count:
            return alike


async def summarised(mongo: Mongo, room_id: str, rev: int) -> None:
    """Return when `room_state` has caught up with a room."""
    async with asyncio.timeout(PATIENCE):
        while await mongo.collection("room_state").find_one({"_id": room_id, "rev": rev}) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def together(inside: Insider, exchange: str, key: str, envelopes: list[JSON]) -> list[JSON]:
    """The answers to one batch."""
    async with asyncio.timeout(PATIENCE):
        return [await answer for answer in await inside.send(exchange, key, *envelopes)]


async def is_buried(bus: Wire, key: str, envelope: JSON, answer: JSON) -> None:
    """A poisonous command: `internal` with an id to its sender, and a dead letter that can be replayed."""
    assert answer["error"]["code"] == "internal", answer
    assert answer["error"]["details"] == {"correlation_id": envelope["id"]}
    assert "hologram" not in answer["error"]["message"]
    letter = await bus.dead(lambda letter: letter.body == orjson.dumps([envelope]))
    assert letter.key == key
    assert letter.reason


async def test_a_command_about_an_unreadable_message_is_buried_alone(
    inside: Insider, bus: Wire, mongo: Mongo, alice: Person, tenant: str
) -> None:
    """In a batch with others of the same room and of another: they are stored, in order, it is set aside."""
    broken, healthy = await rooms_of_one_shard(alice, 2)
    poison = await alice.send(broken.id, "to be broken")
    other = await alice.send(broken.id, "whole")
    await summarised(mongo, broken.id, other.rev)
    change = {"$set": {"type": "hologram"}}
    assert (await mongo.collection("messages").update_one({"_id": poison.message_id}, change)).modified_count == 1
    who, key = {"id": "alice", "tenant": tenant}, room_key(broken.id)
    envelopes = [
        inside.envelope("message.send", {"room_id": healthy.id, "content": "first"}, who),
        inside.envelope("message.react", {"message_id": poison.message_id, "emoji": "x"}, who),
        inside.envelope("message.edit", {"message_id": other.message_id, "content": "edited"}, who),
        inside.envelope("message.delete", {"message_id": poison.message_id}, who),
        inside.envelope("message.send", {"room_id": broken.id, "content": "goes on"}, who),
        inside.envelope("message.send", {"room_id": healthy.id, "content": "second"}, who),
    ]
    answers = await together(inside, "chat.commands", key, envelopes)
    for number in (1, 3):
        await is_buried(bus, key, envelopes[number], answers[number])
    assert [answers[number]["ok"].get("seq") for number in (0, 2, 4, 5)] == [1, None, 3, 2]
    await alice.said(healthy.id, "second")
    await alice.said(broken.id, "goes on")


async def test_a_command_about_an_unreadable_room_is_buried_alone(
    inside: Insider, bus: Wire, mongo: Mongo, alice: Person, tenant: str
) -> None:
    """The same for the rooms service."""
    broken, healthy = await alice.create_room(), await alice.create_room()
    await mongo.collection("rooms").update_one({"_id": broken.id}, {"$set": {"type": "hologram"}})
    who = {"id": "alice", "tenant": tenant}
    envelopes = [
        inside.envelope("room.update", {"room_id": healthy.id, "name": "before"}, who),
        inside.envelope("room.update", {"room_id": broken.id, "name": "x"}, who),
        inside.envelope("member.add", {"room_id": healthy.id, "user_id": "bob"}, who),
    ]
    answers = await together(inside, "chat.commands", "rooms", envelopes)
    await is_buried(bus, "rooms", envelopes[1], answers[1])
    assert ["ok" in answer for answer in answers] == [True, False, True]


async def test_an_unreadable_message_costs_its_room_alone(mongo: Mongo, alice: Person, client: Any) -> None:
    """Who is in such a room connects, and reads and syncs all others; the room itself says `internal`."""
    broken, healthy = await alice.create_room(), await alice.create_room()
    poison = await alice.send(broken.id, "to be broken")
    await alice.send(healthy.id, "whole")
    await summarised(mongo, broken.id, poison.rev)
    change = {"$set": {"type": "hologram"}}
    await mongo.collection("messages").update_one({"_id": poison.message_id}, change)
    await mongo.collection("room_state").update_one({"_id": broken.id}, {"$set": {"last.type": "hologram"}})
    again: Person = await client("alice")
    assert healthy.id in {room["id"] for room in again.ready["rooms"]}
    synced = await again.sync({broken.id: "0:0", healthy.id: "0:0"})
    assert [message.content for message in synced.rooms[healthy.id].messages] == ["whole"]
    assert synced.errors == {broken.id: "internal"}
    with pytest.raises(ChatError) as caught:
        await again.history(broken.id)
    assert caught.value.code is ErrorCode.INTERNAL
    assert (await again.send(healthy.id, "goes on")).seq == 2


async def test_the_last_message_that_can_be_read_is_a_rooms_last(mongo: Mongo, alice: Person, client: Any) -> None:
    """Also before the room's summary has caught up; what cannot be read counts all the same."""
    room = await alice.create_room()
    await alice.send(room.id, "readable")
    poison = await alice.send(room.id, "to be broken")
    await mongo.collection("messages").update_one({"_id": poison.message_id}, {"$set": {"sender": "nobody"}})
    await mongo.collection("room_state").delete_one({"_id": room.id})
    again: Person = await client("alice")
    [shown] = [shown for shown in again.ready["rooms"] if shown["id"] == room.id]
    assert (shown["last_message"]["content"], shown["seq"]) == ("readable", 2)


async def test_an_unreadable_room_is_left_out_of_its_members_list(mongo: Mongo, alice: Person, client: Any) -> None:
    """Its members connect, and are in all their other rooms."""
    broken, healthy = await alice.create_room(), await alice.create_room()
    await mongo.collection("rooms").update_one({"_id": broken.id}, {"$set": {"type": "hologram"}})
    again: Person = await client("alice")
    assert [room["id"] for room in again.ready["rooms"]] == [healthy.id]
    with pytest.raises(ChatError) as caught:
        await again.request("room.get", {"room_id": broken.id})
    assert caught.value.code is ErrorCode.INTERNAL
    assert caught.value.details.keys() == {"correlation_id"}
