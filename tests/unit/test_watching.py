"""Who is told of whose presence: who is entitled to, once, the newest, and nobody else."""

from typing import Any

import pytest

from services.gateway.connection import Connection
from services.gateway.hub import Hub
from services.gateway.native import NATIVE
from services.gateway.watching import MAX_REMEMBERED, Watching
from shared.auth import Identity
from shared.bus.consumer import Consumer
from shared.bus.link import Link
from shared.bus.publisher import Publisher
from shared.bus.requests import Requests
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.service import Tasks
from tests.unit.feeds_world import Wire, payload

JSON = dict[str, Any]


class World:
    """A gateway's hub and what watches over it, without a link."""

    def __init__(self, max_pending: int = 100) -> None:
        link = Link("amqp://nowhere/", "simulation", [])
        publisher = Publisher(link, Tasks(), 1.0)
        requests = Requests(
            Consumer(link, 1), publisher, name="simulation", shards=1, timeout=1.0, max_pending=max_pending
        )  # fmt: skip
        self.hub = Hub(per_user=1e9, in_total=1e9, heartbeat=25.0)
        self.watching = Watching(self.hub, requests)

    def connect(self, user_id: str, tenant: str = "home", *rooms: str) -> Connection:
        """A connection, following some rooms."""
        number = f"c{len(self.hub.connections)}"
        identity = Identity(Actor(id=user_id, tenant=tenant), expires=1e12, tenant_claimed=True)
        connection = Connection(number, identity, Wire(), voice=NATIVE, limit=2**20, now=0.0)
        self.hub.add(connection)
        for room_id in rooms:
            feed = self.hub.join(connection, room_id)
            feed.start(connection, "0", 0, 0)
        return connection

    def watch(self, connection: Connection, *user_ids: str) -> None:
        """As `presence.watch` does before it asks: the question has nowhere to go here."""
        coroutine = self.watching.watch(connection, list(user_ids))
        coroutine.send(None)
        coroutine.close()

    def change(self, user_id: str, number: int, *rooms: str, tenant: str = "home", status: str = "online") -> None:
        """An event comes."""
        data = {"user_id": user_id, "status": status, "number": number, "rooms": list(rooms)}
        self.watching.changed({"type": "presence.changed", "subject": user_id, "tenant": tenant, "data": data})


def told(connection: Connection) -> list[JSON]:
    """The frames a connection has got."""
    return [payload(frame) for frame in connection.out]


async def test_each_is_told_once_and_only_who_is_entitled() -> None:
    """By a room, by two rooms, by watching, by all of them; not in another tenant, not by another room."""
    world = World()
    entitled = [
        world.connect("alice", "home", "r1"),
        world.connect("alice", "home", "r1", "r2"),
        world.connect("carol"),
        world.connect("dave", "home", "r2"),
    ]
    for watcher in entitled[2:]:
        world.watch(watcher, "bob")
    others = [world.connect("erin", "home", "r3"), world.connect("alice", "away"), world.connect("frank", "away", "r4")]
    world.watch(others[1], "bob")
    world.change("bob", 1, "r1", "r2", "r4", "unknown")
    for connection in entitled:
        assert told(connection) == [
            {"type": "presence.changed", "data": {"user_id": "bob", "status": "online", "number": 1}}
        ]
    assert [told(connection) for connection in others] == [[], [], []]


async def test_what_is_not_newer_is_not_told_again() -> None:
    """An announcement repeated, and one overtaken."""
    world = World()
    alice = world.connect("alice")
    world.watch(alice, "bob", "carol")
    world.change("bob", 2, status="offline")
    world.change("bob", 2, status="offline")
    world.change("bob", 1)
    world.change("carol", 1)
    world.change("bob", 3)
    assert [(frame["data"]["user_id"], frame["data"]["number"]) for frame in told(alice)] == [
        ("bob", 2), ("carol", 1), ("bob", 3),
    ]  # fmt: skip


async def test_who_watches_no_more_leaves_nothing_behind() -> None:
    """Neither by unwatching nor by going."""
    world = World()
    alice, other = world.connect("alice"), world.connect("alice")
    for connection in (alice, other):
        world.watch(connection, "bob", "carol")
    world.watching.unwatch(alice, ["bob", "nobody"])
    world.change("bob", 1)
    world.change("carol", 1)
    assert [frame["data"]["user_id"] for frame in told(alice)] == ["carol"]
    assert [frame["data"]["user_id"] for frame in told(other)] == ["bob", "carol"]
    for connection in (alice, other):
        world.watching.forget(connection)
    world.change("carol", 2)
    assert len(told(alice)) == 1
    assert not world.watching._watchers
    assert not world.watching._watched


async def test_a_failed_look_up_watches_nobody_new() -> None:
    """Who could not be told how things stand is not told of changes either; what was watched before stays."""
    world = World(max_pending=1)
    alice = world.connect("alice")
    world.watch(alice, "bob")
    with pytest.raises(ChatError) as refused:
        await world.watching.watch(alice, ["bob", "carol"])
    assert refused.value.code is ErrorCode.OVERLOADED
    world.change("bob", 1)
    world.change("carol", 1)
    assert [frame["data"]["user_id"] for frame in told(alice)] == ["bob"]


async def test_the_memory_of_changes_is_bounded() -> None:
    """The one changed longest ago is forgotten."""
    world = World()
    world.connect("alice", "home", "r1")
    world.change("stranger", 1)
    for number in range(MAX_REMEMBERED + 5):
        world.change(f"user-{number}", 1, "r1")
    assert len(world.watching._latest) == MAX_REMEMBERED
    assert ("home", "user-0") not in world.watching._latest


async def test_who_may_have_missed_something_is_told_to_ask_again() -> None:
    """Whoever is connected: presence and favorites have nothing that shows a gap."""
    world = World()
    follower, watcher, idle = world.connect("alice", "home", "r1"), world.connect("carol"), world.connect("dave")
    world.watch(watcher, "bob")
    world.change("bob", 1, "r1")
    world.watching.missed()
    for connection in (follower, watcher, idle):
        assert told(connection)[-1] == {"type": "missed", "data": {}}


async def test_what_is_personal_reaches_ones_own_devices() -> None:
    """And not a namesake's."""
    world = World()
    mine = [world.connect("alice"), world.connect("alice")]
    others = [world.connect("bob"), world.connect("alice", "away")]
    data = {"user_id": "alice", "favorites": [], "version": 3}
    world.watching.personal({"type": "favorites.updated", "subject": "alice", "tenant": "home", "data": data})
    for connection in mine:
        assert told(connection) == [{"type": "favorites.updated", "data": {"favorites": [], "version": 3}}]
    assert [told(connection) for connection in others] == [[], []]
