"""A gateway's delivering parts with clients that read, for tests that drive them step by step. No link, no socket."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from typing_extensions import override

from services.gateway.connection import Connection
from services.gateway.delivered import Delivered
from services.gateway.fanout import Fanout
from services.gateway.feeds import Feed
from services.gateway.hub import Hub
from services.gateway.linking import Linking
from services.gateway.naming import Naming
from services.gateway.native import NATIVE
from services.gateway.watching import Watching
from shared.auth import Identity
from shared.bus.consumer import Consumer
from shared.bus.link import Link
from shared.bus.publisher import Publisher
from shared.bus.requests import Requests
from shared.contracts.envelope import Actor
from shared.contracts.timeline import RoomSyncView
from shared.links import Links
from shared.service import Tasks

ROOM = "room"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PAGE = 3
MOST_PAGES = 3


class Wire(asyncio.Transport):
    """A transport that takes everything."""

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Nothing is read from here: frames are looked at before they are flushed."""

    @override
    def is_closing(self) -> bool:
        return False

    @override
    def get_write_buffer_size(self) -> int:
        return 0


def connection(number: int) -> Connection:
    """A client's connection that keeps its frames in `out`."""
    identity = Identity(Actor(id=f"user-{number}"), expires=1e12, tenant_claimed=False)
    return Connection(f"c{number}", identity, Wire(), voice=NATIVE, limit=2**20, now=0.0)


def payload(frame: bytes) -> Any:
    """The JSON of a text frame."""
    return orjson.loads(frame[{126: 4, 127: 10}.get(frame[1], 2) :])


async def gateway() -> tuple[Hub, Fanout]:
    """The parts of a gateway that deliver, without a link."""
    link = Link("amqp://nowhere/", "simulation", [])
    consumer = Consumer(link, 1)
    tasks = Tasks()
    publisher = Publisher(link, tasks, 1.0)
    requests = Requests(consumer, publisher, name="simulation", shards=1, timeout=1.0, max_pending=1)
    hub = Hub(per_user=1e9, in_total=1e9, heartbeat=25.0)
    delivered, naming = Delivered(hub, requests, max_members=100), Naming(hub, requests, tasks)
    linking = Linking(Links("s" * 32, 3600), lambda: 0.0)
    return hub, Fanout(hub, consumer, requests, Watching(hub, requests), delivered, naming, linking)


@dataclass(eq=False, repr=False)
class Client:
    """What a client knows: the state it was told, and what came since."""

    connection: Connection
    feed: Feed
    told: tuple[int, int] | None = None
    created: list[int] = field(default_factory=list)
    latest: dict[int, int] = field(default_factory=dict)
    cursor: int = 0
    known: int = 0
    cleared: int = 0

    def tell(self, seq: int, rev: int, cleared: int) -> None:
        """The client is told where the room stands, and has all of that."""
        self.told, self.cursor, self.cleared = (seq, rev), rev, cleared
        self.created, self.latest = [], {}

    def read(self, seq: int, rev: int, cleared: int) -> None:
        """Take in what is in the buffer; where that is a reset, the room as it is now, at `seq` and `rev`."""
        if self.told is None:
            return
        for frame in self.connection.out:
            told = payload(frame)
            if told["type"] == "room.reset":
                self.tell(seq, rev, cleared)
                self.known = rev
            elif told["type"] == "timeline.cleared":
                self.cleared = max(self.cleared, told["data"]["seq"])
                self.cursor = max(self.cursor, told["rev"])
            elif told["type"] != "missed" and told["data"]["rev"] > self.known:
                self.take(told)
        self.connection.out.clear()

    def take(self, told: Any) -> None:
        """Take in one change."""
        seq, rev = told["data"]["seq"], told["data"]["rev"]
        assert seq > self.cleared, f"message {seq} came after it was cleared"
        assert self.told is not None
        assert rev > max(self.told[1], self.latest.get(seq, 0)), f"change {rev} of message {seq} came again"
        if told["type"] == "message.created" and seq > self.told[0]:
            self.created.append(seq)
        self.latest[seq] = rev
        self.cursor = max(self.cursor, told["rev"])


@dataclass(eq=False, repr=False)
class Asked:
    """A question on its way to the messages service, for a joining client or a healing feed."""

    feed: Feed
    client: Client | None = None
    state: tuple[int, int, int] | None = None
    pages: list[RoomSyncView] = field(default_factory=list)

    @property
    def answered(self) -> bool:
        """Whether all that was asked for is known; or for a healing, that it is too much."""
        read = bool(self.pages) and not (self.pages[-1].has_more and len(self.pages) < MOST_PAGES)
        return self.state is not None or read
