"""Events from outside while processes of the rooms service die, and several are at it: the rooms end up right."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aio_pika
import orjson
import pytest

from deploy.embedded.stack import Stack
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError
from shared.contracts.integration import ApplyExternal
from shared.contracts.rooms import DeleteRoom, GetRoom, ListMembers
from shared.mongo import Mongo
from tests.integration.integration_client import EXCHANGE, Outside
from tests.integration.rooms_client import Caller, RoomsProcess

pytest_plugins = ("tests.integration.rooms_fixtures",)

JSON = dict[str, Any]
Start = Callable[..., RoomsProcess]

BACKEND = Actor(id="backend", roles=("service",))
PATIENCE = 60.0
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def process(rooms_servers: Stack, rooms_log: Path) -> AsyncIterator[Start]:
    """Makes a process of the service, for the test to start and end; what it leaves running is killed."""
    made: list[RoomsProcess] = []

    def make(name: str = "rooms-0") -> RoomsProcess:
        made.append(RoomsProcess(rooms_servers.amqp_url, rooms_servers.mongo_url, rooms_log, name=name))
        return made[-1]

    yield make
    for service in made:
        await service.end(signal.SIGKILL)


@asynccontextmanager
async def telling(amqp_url: str) -> AsyncIterator[Callable[[JSON], Any]]:
    """Tells events by the broker, which confirms that it has them."""
    async with await aio_pika.connect(amqp_url) as connection, connection.channel() as channel:
        exchange = await channel.get_exchange(EXCHANGE, ensure=False)

        async def tell(event: JSON) -> None:
            body = aio_pika.Message(orjson.dumps(event), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await exchange.publish(body, event["type"])

        yield tell


def history(outside: Outside, number: str) -> list[JSON]:
    """What befalls one event."""
    about: JSON = {"event_id": number}
    return [
        outside.event("event.created", **about, title="A", creator_id="ann", participants=["bob", "carl"]),
        outside.event("event.participant_added", **about, user_id="dora"),
        outside.event("event.participant_removed", **about, user_id="bob"),
        outside.event("event.updated", **about, title="B", participants=["carl", "emil"]),
        outside.event("event.participant_added", **about, user_id="fay"),
        outside.event("event.cancelled", **about),
    ]


def outing(outside: Outside, number: str) -> list[JSON]:
    """What befalls one outing."""
    about: JSON = {"sortie_id": number}
    wishes: list[JSON] = [
        {**about, "participation_id": f"{number}-{user}", "user_id": user} for user in ("bob", "carl")
    ]
    return [
        outside.event("sortie.created", **about, titre="A", createur_id="ann"),
        *(outside.event("participation.requested", **wish) for wish in wishes),
        *(outside.event("participation.status_changed", **wish, status="ACCEPTEE") for wish in wishes),
        outside.event("sortie.updated", **about, titre="B"),
        outside.event("participation.status_changed", **wishes[1], status="ANNULEE"),
    ]


OUTING_ENDS = ("B", False, {"ann": "owner", "bob": "member"})
ENDS = ("B", True, {"ann": "owner", "carl": "member", "emil": "member", "fay": "member"})


async def state(caller: Caller, room_id: str) -> object:
    """A room's name, whether it is closed, and its members; the error's code where there is none."""
    try:
        room = await caller.ask(BACKEND, GetRoom(room_id=room_id))
        members = (await caller.ask(BACKEND, ListMembers(room_id=room_id)))["members"]
    except ChatError as error:
        return error.code
    return room.get("name"), room["closed"], {member["user_id"]: member["role"] for member in members}


async def converge(caller: Caller, rooms: Mapping[str, object]) -> None:
    """Return when all rooms are as they should be."""
    found: dict[str, object] = {}
    try:
        async with asyncio.timeout(PATIENCE):
            while found != rooms:
                await asyncio.sleep(0.1)  # another process's state
                left = [room_id for room_id, wanted in rooms.items() if found.get(room_id) != wanted]
                states = await asyncio.gather(*(state(caller, room_id) for room_id in left))
                found |= dict(zip(left, states, strict=True))
    except TimeoutError:
        wrong = {room_id: found[room_id] for room_id, wanted in rooms.items() if found.get(room_id) != wanted}
        raise AssertionError(f"{len(wrong)} rooms are not as they should be: {wrong}") from None


@pytest.mark.parametrize("seed", range(2))
async def test_kills_in_the_middle_of_a_stream(
    rooms_servers: Stack, process: Start, caller: Caller, rooms_database: Mongo, seed: int
) -> None:
    """Whatever a process was doing when it died is done by the next, from the facts."""
    outside, chance = Outside("default"), random.Random(seed)
    numbers = [f"kills-{seed}-{number}" for number in range(40)]
    stream = [event for number in numbers for told in (history, outing) for event in told(outside, number)]
    stream += chance.sample(stream, 60)
    chance.shuffle(stream)
    facts = rooms_database.collection("facts")

    async def applied() -> int:
        """Grows with every change of the facts."""
        return sum([item["version"] async for item in facts.find({"id": {"$in": numbers}}, {"version": 1})])

    async with telling(rooms_servers.amqp_url) as tell:
        for start in range(0, len(stream), 60):
            current = process()
            await current.start()
            await current.ready()
            known = await applied()
            for event in stream[start : start + 60]:
                await tell(event)
            async with asyncio.timeout(PATIENCE):
                while await applied() == known:  # noqa: ASYNC110 - another process's state
                    await asyncio.sleep(0.005)
            await current.end(signal.SIGKILL)
    await process().start()
    ends: dict[str, object] = {outside.room("event", number): ENDS for number in numbers}
    await converge(caller, ends | {outside.room("sortie", number): OUTING_ENDS for number in numbers})
    participations = rooms_database.collection("participations")
    found = {item["participation"]: item["status"] async for item in participations.find({"of": {"$in": numbers}})}
    assert found == {
        f"{number}-{user}": status for number in numbers for user, status in (("bob", "ACCEPTEE"), ("carl", "ANNULEE"))
    }


async def test_two_processes_at_one_object(process: Start, caller: Caller) -> None:
    """Told by requests to both at once, in any order: nothing that was said is lost, and the last word holds."""
    outside, chance = Outside("default"), random.Random(7)
    numbers = [f"rivals-{number}" for number in range(4)]
    async with process("rooms-0"), process("rooms-1"):
        stream = [event for number in numbers for event in history(outside, number)] * 3
        added = [
            outside.event("event.participant_added", event_id=number, user_id=f"guest-{guest}")
            for number in numbers
            for guest in range(15)
        ]
        stream += added
        chance.shuffle(stream)
        answers = await asyncio.gather(*(caller.ask(BACKEND, ApplyExternal(events=[event])) for event in stream))
        assert all(answer["results"][0]["applied"] for answer in answers)
        name, closed, members = ENDS
        assert isinstance(members, dict)
        ends = (name, closed, members | {f"guest-{guest}": "member" for guest in range(15)})
        await converge(caller, {outside.room("event", number): ends for number in numbers})


async def test_what_was_left_behind_is_taken_up(process: Start, caller: Caller, rooms_database: Mongo) -> None:
    """Facts whose process died before it came to the room, or in the midst of it: another does it."""
    outside = Outside("default")
    numbers = ["left-1", "left-2"]
    rooms = {outside.room("event", number): ENDS for number in numbers}
    async with process():
        events = [event for number in numbers for event in history(outside, number)]
        await caller.ask(BACKEND, ApplyExternal(events=events))
        await converge(caller, rooms)
        for room_id in rooms:
            await caller.ask(BACKEND, DeleteRoom(room_id=room_id))
    facts = rooms_database.collection("facts")
    await facts.update_many({"id": {"$in": numbers}}, {"$set": {"due": LONG_AGO}, "$unset": {"settled": ""}})
    await facts.update_one({"id": numbers[1]}, {"$set": {"claimant": "gone", "claimed_until": LONG_AGO}})
    async with process():
        await converge(caller, rooms)
