"""Presence as gateways report it, with two rooms processes at work: each change made and announced once."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from deploy.embedded.stack import Stack
from shared.contracts.envelope import Actor
from shared.contracts.membership import RoomType
from shared.contracts.presence import GetPresence, PresenceStatus, ReportPresence, SetPresence, Sighting
from shared.contracts.rooms import AddMember, CreateRoom, DeleteRoom
from shared.mongo import Mongo
from tests.integration.rooms_client import EVENT_TIMEOUT, Caller, RoomsProcess

pytest_plugins = ("tests.integration.rooms_fixtures",)

GATEWAY = Actor(id="gateway", roles=("service",))
TIMES = {"PRESENCE_GRACE": "0.5", "PRESENCE_LEASE": "2"}

Json = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
async def two(rooms_servers: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[None]:
    """Two processes of the service."""
    log = tmp_path_factory.mktemp("presence") / "rooms.log"
    urls = (rooms_servers.amqp_url, rooms_servers.mongo_url)
    async with RoomsProcess(*urls, log, name="rooms-a", **TIMES), RoomsProcess(*urls, log, name="rooms-b", **TIMES):
        yield


class Reporter:
    """A gateway, as far as the service sees one."""

    def __init__(self, caller: Caller) -> None:
        self.name = f"gateway.{uuid4().hex[:12]}"
        self._caller = caller
        self._numbers = count(1)

    def report(self, *users: str, here: bool = True, number: int | None = None, **more: Any) -> ReportPresence:
        """A report on users of the default tenant."""
        at = next(self._numbers) if number is None else number
        sightings = [Sighting(tenant="default", user_id=user, here=here, number=at) for user in users]
        return ReportPresence(**{"gateway": self.name, "lease": 60, "beginning": True, "sightings": sightings, **more})

    async def tell(self, *users: str, **more: Any) -> bool:
        """Send it; whether it was taken in."""
        return bool((await self._caller.ask(GATEWAY, self.report(*users, **more)))["alive"])


@pytest.fixture
def gateway(caller: Caller) -> Reporter:
    """One of them."""
    return Reporter(caller)


def somebody() -> str:
    """A user nobody has heard of."""
    return f"u-{uuid4().hex[:10]}"


def statuses(events: list[Json]) -> list[str]:
    """What they tell."""
    return [event["data"]["status"] for event in events]


def numbers_of(events: list[Json]) -> list[int]:
    """The numbers of the changes they tell."""
    return [event["data"]["number"] for event in events]


async def settled(caller: Caller, user: str) -> int:
    """The number of a user's latest change, as soon as they are shown as offline."""
    async with asyncio.timeout(EVENT_TIMEOUT):
        while True:
            [view] = (await caller.ask("anybody", GetPresence(user_ids=[user])))["users"]
            if view["status"] == "offline":
                return int(view["number"])


async def status_of(caller: Caller, user: str) -> str:
    """How somebody is shown."""
    return str((await caller.ask("anybody", GetPresence(user_ids=[user])))["users"][0]["status"])


async def test_many_changes_at_once_are_announced_once_at_most(caller: Caller) -> None:
    """Three gateways tell of the same users at the same time, in any order, twice; all are gone in the end.

    Announcements may overtake each other, and the latest may stand for those before it: the number tells.
    """
    users = [somebody() for _ in range(60)]
    gateways = [Reporter(caller) for _ in range(3)]
    reports = [
        gateway.report(*random.sample(users, 40), here=bool(random.getrandbits(1)))
        for _ in range(8)
        for gateway in gateways
    ]
    reports += reports[:6]
    random.shuffle(reports)
    await asyncio.gather(*(caller.ask(GATEWAY, report) for report in reports))
    online = [gateway.report(*users, number=100) for gateway in gateways]
    await asyncio.gather(*(caller.ask(GATEWAY, report) for report in online))
    gone = [gateway.report(*users, here=False, number=101) for gateway in gateways]
    await asyncio.gather(*(caller.ask(GATEWAY, report) for report in gone))
    for user in users:
        last = await settled(caller, user)
        events = await caller.events_of(user, lambda events, last=last: last in numbers_of(events))  # type: ignore[misc]
        numbers = numbers_of(events)
        assert len(set(numbers)) == len(numbers)
        assert max(numbers) == last
        assert statuses(events) == [("offline", "online")[number % 2] for number in numbers]


async def test_a_dead_name_is_refused(caller: Caller, gateway: Reporter) -> None:
    """After a farewell nothing is taken in; nor from a gateway that nobody remembers in the middle of its life."""
    user = somebody()
    assert await gateway.tell(user)
    await caller.events_of(user, lambda events: statuses(events) == ["online"])
    assert not await gateway.tell(leaving=True)
    events = await caller.events_of(user, lambda events: len(events) == 2)
    assert statuses(events) == ["online", "offline"]
    assert not await gateway.tell(user)
    assert not await Reporter(caller).tell(user, beginning=False)
    assert await status_of(caller, user) == "offline"
    assert await caller.refusal("anybody", gateway.report(user)) == "forbidden"


async def test_a_silent_gateway_dies_with_its_lease(caller: Caller, gateway: Reporter) -> None:
    """Whom another one sees stays."""
    left, stays = somebody(), somebody()
    await gateway.tell(left, stays, lease=0.3)
    await Reporter(caller).tell(stays)
    events = await caller.events_of(left, lambda events: len(events) == 2)
    assert statuses(events) == ["online", "offline"]
    assert not await gateway.tell(beginning=False)
    assert await status_of(caller, stays) == "online"


async def test_a_change_that_nobody_announced_is_found(
    caller: Caller, gateway: Reporter, rooms_database: Mongo
) -> None:
    """Its process died between the database and the broker."""
    user = somebody()
    await gateway.tell(user)
    [event] = await caller.events_of(user, lambda events: len(events) == 1)
    collection = rooms_database.collection("presence")
    await collection.update_one(
        {"_id": f"default {user}"}, {"$set": {"untold_since": datetime.now(UTC) - timedelta(minutes=1)}}
    )
    again = (await caller.events_of(user, lambda events: len(events) >= 2))[1]
    assert (again["data"], again["id"]) == (event["data"], event["id"])


async def test_an_unreadable_presence_begins_anew(caller: Caller, gateway: Reporter, rooms_database: Mongo) -> None:
    """And keeps nobody else's from being told."""
    user, other = somebody(), somebody()
    await gateway.tell(user)
    await caller.events_of(user, lambda events: len(events) == 1)
    await rooms_database.collection("presence").update_one({"_id": f"default {user}"}, {"$set": {"seen": 7}})
    assert await gateway.tell(user, other)
    assert [await status_of(caller, name) for name in (user, other)] == ["online", "online"]


async def test_a_change_names_the_open_rooms_that_are_not_too_large(
    caller: Caller, gateway: Reporter, rooms_database: Mongo
) -> None:
    """Neither those one has no part in, nor deleted, closed or crowded ones."""
    user, tenant = somebody(), "default"
    owner = Actor(id=somebody(), tenant=tenant)
    crowd = [somebody() for _ in range(200)]
    group = (await caller.ask(owner, CreateRoom(members=[user])))["room"]["id"]
    direct = (await caller.ask(owner, CreateRoom(type=RoomType.DIRECT, members=[user])))["room"]["id"]
    crowded = (await caller.ask(owner, CreateRoom(members=[user, *crowd])))["room"]["id"]
    deleted = (await caller.ask(owner, CreateRoom(members=[user])))["room"]["id"]
    await caller.ask(owner, DeleteRoom(room_id=deleted))
    closed = (await caller.ask(owner, CreateRoom(members=[user])))["room"]["id"]
    await rooms_database.collection("rooms").update_one({"_id": closed}, {"$set": {"closed": True}})
    others = (await caller.ask(owner, CreateRoom()))["room"]["id"]
    await gateway.tell(user)
    [event] = await caller.events_of(user, lambda events: len(events) == 1)
    assert event["tenant"] == tenant
    assert set(event["data"]["rooms"]) == {group, direct}
    assert not {crowded, closed, deleted} & set(event["data"]["rooms"])
    await caller.ask(owner, AddMember(room_id=others, user_id=user))
    await caller.ask(Actor(id=user), SetPresence(status=PresenceStatus.AWAY))
    events = await caller.events_of(user, lambda events: len(events) == 2)
    assert set(events[1]["data"]["rooms"]) == {group, direct, others}


async def test_a_killed_process_leaves_nothing_undone_or_untold(
    rooms_servers: Stack, caller: Caller, tmp_path: Path
) -> None:
    """Whatever it was doing: what it was told goes to the others, what it has changed is announced by them."""
    gateway, users = Reporter(caller), [somebody() for _ in range(400)]
    third = RoomsProcess(
        rooms_servers.amqp_url, rooms_servers.mongo_url, tmp_path / "rooms.log", name="rooms-c", **TIMES
    )
    async with third:
        reports = [
            gateway.report(*users[start : start + 20], here=here)
            for here in (True, False, True)
            for start in range(0, len(users), 20)
        ]
        handled = asyncio.Event()

        async def tell(report: ReportPresence) -> None:
            await caller.ask(GATEWAY, report)
            handled.set()

        async with asyncio.TaskGroup() as group:
            for report in reports:
                group.create_task(tell(report))
            await handled.wait()
            await third.end(signal.SIGKILL)
    assert await gateway.tell(*users, here=False)
    for user in users:
        last = await settled(caller, user)
        await caller.events_of(user, lambda events, last=last: last in numbers_of(events))  # type: ignore[misc]
