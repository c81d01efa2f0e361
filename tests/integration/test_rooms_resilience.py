"""What the rooms service survives: rivals, kills, and servers that come and go."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from deploy.embedded.stack import Stack
from services.rooms.outbox import PAGE
from services.rooms.records import Record
from shared.bus.codec import encode_event, join_batch
from shared.bus.topology import EVENTS
from shared.contracts.errors import ChatError
from shared.contracts.rooms import AddMember, CreateRoom, GetRoom, ListMembers, ListRooms
from shared.mongo import Mongo
from tests.integration.rooms_client import Caller, RoomsProcess, free_port, publish_raw

pytest_plugins = ("tests.integration.rooms_fixtures",)

Start = Callable[..., RoomsProcess]


@pytest.fixture
async def process(rooms_servers: Stack, rooms_log: Path) -> AsyncIterator[Start]:
    """Makes a process of the service, for the test to start and end; what it leaves running is killed."""
    made: list[RoomsProcess] = []

    def make(name: str = "rooms-0", amqp_url: str | None = None, mongo_url: str | None = None) -> RoomsProcess:
        urls = (amqp_url or rooms_servers.amqp_url, mongo_url or rooms_servers.mongo_url)
        made.append(RoomsProcess(*urls, rooms_log, name=name))
        return made[-1]

    yield make
    for service in made:
        await service.end(signal.SIGKILL)


async def make(caller: Caller, **fields: Any) -> str:
    """A room of alice's; its id."""
    room_id: str = (await caller.ask("alice", CreateRoom(**fields)))["room"]["id"]
    return room_id


# ── events left behind ───────────────────────────────────────────────────────────────────────────────────────────


def left(version: int) -> dict[str, Any]:
    """An event as the outbox keeps it."""
    event = encode_event(
        id=f"gone:{version}:0",
        source="/rooms",
        type="member.removed",
        subject="gone",
        tenant="default",
        time=datetime(2026, 1, 1, tzinfo=UTC),
        data=orjson.dumps({"room_id": "gone", "version": version, "user_id": "x"}),
    )
    record = Record(f"gone:{version}:0", EVENTS, "room.0", event)
    return record.since(datetime(2026, 1, 1, minute=version, tzinfo=UTC))


async def test_events_left_by_a_crash_are_published(process: Start, caller: Caller, rooms_database: Mongo) -> None:
    """Oldest first, by whichever process is there; then the outbox is empty."""
    outbox = rooms_database.collection("outbox")
    of_older_version = left(2)
    del of_older_version["exchange"]
    await outbox.insert_many([left(3), left(1), of_older_version])
    async with process():
        events = await caller.events_of("gone", lambda events: len(events) == 3)
        assert [event["data"]["version"] for event in events] == [1, 2, 3]
        await empty(rooms_database)


async def test_what_cannot_be_read_holds_up_nothing_behind_it(
    process: Start, caller: Caller, rooms_database: Mongo
) -> None:
    """More than a page of it: neither the events left behind after it, nor the service; it is kept, and counted."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    unreadable = [{"_id": f"unreadable:{number}", "created_at": at} for number in range(PAGE + 1)]
    await rooms_database.collection("outbox").insert_many([*unreadable, left(4)])
    async with process() as service:
        await caller.events_of("gone", lambda events: len(events) == 1)
        assert (await service.health("readyz"))[0] == 200
        await empty(rooms_database)
        assert f"parley_outbox_set_aside_total {len(unreadable)}.0" in await service.metrics()
    kept = await rooms_database.collection("outbox_aside").find().to_list(None)
    assert {item["_id"] for item in kept} == {item["_id"] for item in unreadable}
    assert all(item["reason"] and item["created_at"] == at for item in kept)
    await rooms_database.collection("outbox_aside").delete_many({})


async def empty(rooms_database: Mongo) -> None:
    """Return when the outbox is empty."""
    outbox = rooms_database.collection("outbox")
    async with asyncio.timeout(10), outbox.watch([{"$match": {"operationType": "delete"}}]) as deletions:
        await deletions.try_next()  # only now are they watched
        while await outbox.count_documents({}):
            await deletions.next()


# ── rivals and kills ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_two_processes_write_one_room(
    rooms_servers: Stack, process: Start, caller: Caller, rooms_database: Mongo
) -> None:
    """No change is lost, no version skipped, whoever gets which command."""
    async with process("rooms-0") as one, process("rooms-1") as other:
        room_id = await make(caller)
        users = [f"user-{number}" for number in range(60)]
        adding = [AddMember(room_id=room_id, user_id=user) for user in users]
        # An AMQP message each, so that both processes get some.
        envelopes = [caller.envelope("alice", command, command.user_id) for command in adding]
        await publish_raw(rooms_servers.amqp_url, *(join_batch([envelope]) for envelope in envelopes))
        await asyncio.gather(*(caller.ask("alice", command) for command in adding))
        room = await caller.ask("alice", GetRoom(room_id=room_id))
        assert (room["member_count"], room["version"]) == (61, 61)
        events = await caller.events_of(room_id, lambda events: len(events) == 61)
        assert sorted(event["data"]["version"] for event in events) == list(range(1, 62))
        for rival in (one, other):
            assert 'type="member.add"' in await rival.metrics()
    await empty(rooms_database)


@asynccontextmanager
async def load(caller: Caller, rooms: int = 200, *, told: bool = True) -> AsyncIterator[None]:
    """Make many rooms; the body runs in the midst of it. In the end each is made once, and told once or more.

    Args:
        told: false where the caller's own queue of events is lost meanwhile.
    """
    ids: set[str] = set()
    midst = asyncio.Event()

    async def one(number: int) -> None:
        command = CreateRoom(name=f"{number}", members=["bob"], client_id=f"{caller.name}-{number}")
        while True:
            try:
                ids.add((await caller.ask("loader", command))["room"]["id"])
            except ChatError as error:  # what a client does: try again, with the same client_id
                assert error.row.retryable, error.message  # noqa: PT017
                await asyncio.sleep(error.retry_after or 0.1)
            else:
                break
        if len(ids) == rooms // 5:
            midst.set()

    async with asyncio.TaskGroup() as group:
        for number in range(rooms):
            group.create_task(one(number))
        await midst.wait()
        yield
    assert len(ids) == rooms
    for room_id in ids if told else ():
        events = await caller.events_of(room_id, bool)
        assert {(event["type"], event["data"]["version"]) for event in events} == {("room.created", 1)}


async def test_killed_under_load_nothing_is_lost(process: Start, caller: Caller, rooms_database: Mongo) -> None:
    """Three times: every command takes effect once and is told, whatever the moment."""
    for _ in range(3):
        first, second = process(), process()
        async with first:
            async with load(caller):
                await first.end(signal.SIGKILL)
                await second.start()
                await second.ready()
            await empty(rooms_database)
            assert await second.end() == 0


async def test_a_stop_finishes_what_is_under_way(process: Start, caller: Caller, rooms_database: Mongo) -> None:
    """SIGTERM under load: exit 0 within the drain time, events told, the rest left to the next process."""
    first, second = process(), process()
    async with first:
        async with load(caller):
            assert await first.end() == 0
            assert await rooms_database.collection("outbox").count_documents({}) == 0
            await second.start()
            await second.ready()
        assert await second.end() == 0


# ── servers that come and go ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_database_killed_under_load(
    rooms_servers: Stack, process: Start, caller: Caller, rooms_database: Mongo
) -> None:
    """Commands wait for it and take effect once; the service is ready again by itself."""
    async with process() as service:
        async with load(caller):
            await rooms_servers.kill("mongod")
            await rooms_servers.wait_ready("mongod")
        await service.ready()
        await caller.ask("loader", ListRooms())
        await empty(rooms_database)


async def test_a_broker_killed_under_load(
    rooms_servers: Stack, process: Start, caller: Caller, rooms_database: Mongo
) -> None:
    """Commands are repeated by the caller and take effect once; the service is ready again by itself."""
    async with process() as service:
        async with load(caller, told=False):
            await rooms_servers.kill("rabbitmq")
            await rooms_servers.wait_ready("rabbitmq")
        await service.ready()
        await empty(rooms_database)


@asynccontextmanager
async def forward(port: int, target: int) -> AsyncIterator[None]:
    """Make what listens on `target` reachable on `port`."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer), return_exceptions=True)

    async with await asyncio.start_server(connected, "127.0.0.1", port):
        yield


async def alive(service: RoomsProcess) -> None:
    """Return when a process listens. It tells nobody, so that it has to be asked, as an orchestrator does."""
    async with asyncio.timeout(20):
        while (await service.health("livez"))[0] != 200:  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.05)


async def test_it_waits_for_servers_that_are_not_there_yet(
    rooms_servers: Stack, process: Start, caller: Caller
) -> None:
    """Alive and not ready, saying why; ready once both are there; stopped cleanly at any time."""
    amqp, mongod = free_port(), free_port()
    urls = (f"amqp://guest:guest@127.0.0.1:{amqp}/", f"mongodb://127.0.0.1:{mongod}/parley?replicaSet=parley")
    service = process("rooms-0", *urls)
    await service.start()
    await alive(service)
    status, body = await service.health("readyz")
    assert status == 503
    assert "ok" not in body["checks"].values()
    async with forward(amqp, rooms_servers.ports.amqp), forward(mongod, rooms_servers.ports.mongod):
        await service.ready()
        await caller.ask("alice", ListMembers(room_id=await make(caller)))
        assert await service.end() == 0

    lonely = process("rooms-0", *urls)
    await lonely.start()
    await alive(lonely)
    assert await lonely.end() == 0
