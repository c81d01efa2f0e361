"""When those behind the gateway do not come along: every request is answered, memory is bounded, and it recovers.

On a stack of its own, whose processes are stopped in the middle of their work (SIGSTOP) and let go again.
"""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from aiohttp import ClientSession
from aiormq.exceptions import DeliveryError

from deploy.embedded import ports, rabbitmq
from deploy.embedded.stack import Stack
from services.gateway.feeds import MAX_HELD
from shared.auth import issue_token
from shared.contracts.content import MessageType, MessageView, SenderView
from shared.contracts.messages import MessageCreated
from tests.harness.gateway import LIMITS
from tests.harness.own_task import in_own_task
from tests.harness.rawsocket import RawSocket
from tests.harness.rest import Api
from tests.integration.security_bus import insider
from tests.integration.security_scene import room_key

JSON = dict[str, Any]
Open = Callable[..., Awaitable[RawSocket]]

MEBI = 1024 * 1024
PENDING = 150
TIMEOUT = 3.0
RETRYABLE = {"overloaded", "timeout", "unavailable"}
GROWTH = 24 * MEBI


@pytest.fixture(scope="module")
async def small(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """One of each process, with little patience."""
    env = {**LIMITS, "MAX_PENDING": str(PENDING), "COMMAND_TIMEOUT": str(TIMEOUT)}
    described = Stack(tmp_path_factory.mktemp("small"), port=ports.find_free(), env=env)
    async with in_own_task(described) as running:
        yield running


@pytest.fixture
def tenant() -> str:
    """This test's own tenant."""
    return f"t-{uuid4().hex[:12]}"


@pytest.fixture
def token(small: Stack, tenant: str) -> Callable[[str], str]:
    """Issues tokens."""
    return lambda sub: issue_token(small.jwt_secret, sub=sub, tenant=tenant)


@pytest.fixture
async def enter(small: Stack, token: Callable[[str], str], http: ClientSession, closing: AsyncExitStack) -> Open:
    """Opens sockets, once nothing is left of the test before."""
    api = Api(http, small.gateway_urls[0], token("first"))
    room = await created(api, "/v1/rooms", {})
    for _ in range(2):
        await created(api, f"/v1/rooms/{room['id']}/messages", {"content": "x"})

    async def connect(sub: str) -> RawSocket:
        opened = http.ws_connect(f"{small.gateway_urls[0]}/ws?token={token(sub)}", max_msg_size=0)
        return RawSocket(await closing.enter_async_context(opened))

    return connect


async def created(api: Api, path: str, body: JSON) -> JSON:
    """What a POST makes, repeated when the answer says while it is only a matter of time."""
    async with asyncio.timeout(30):
        while (answer := await api("POST", path, body)).status != 201:
            assert answer.error in RETRYABLE, answer
            await asyncio.sleep(answer.body["error"]["retry_after"])
    return dict(answer.body)


@asynccontextmanager
async def stopped(stack: Stack, name: str) -> AsyncIterator[None]:
    """A process stands still meanwhile."""
    await stack.kill(name, signal.SIGSTOP)
    try:
        yield
    finally:
        await stack.kill(name, signal.SIGCONT)


def resident(stack: Stack, name: str) -> int:
    """Bytes of memory a process occupies."""
    status = Path(f"/proc/{stack.pids[name]}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


async def answers(socket: RawSocket, numbers: set[str]) -> dict[str, JSON]:
    """The answers to all of these frames."""
    found: dict[str, JSON] = {}
    while numbers - found.keys():
        frame = await socket.receive()
        if frame["type"] in {"ack", "error"}:
            assert frame["id"] not in found, f"answered twice: {frame}"
            found[frame["id"]] = frame
    return found


def codes_of(found: dict[str, JSON]) -> Counter[str]:
    """How often each error code came, `ok` for acks; every error says when to come back."""
    codes: Counter[str] = Counter()
    for frame in found.values():
        if frame["type"] == "error":
            assert frame["error"]["retryable"], frame
            assert frame["error"]["retry_after"] > 0, frame
        codes[frame["error"]["code"] if frame["type"] == "error" else "ok"] += 1
    return codes


async def own_room(socket: RawSocket, *members: str) -> str:
    """Greet, make a room and follow it; its id."""
    await socket.ready()
    await socket.send("room.create", {"members": members})
    return str((await socket.event("room.subscribed"))["room_id"])


async def answered(socket: RawSocket, type: str, body: JSON) -> JSON:
    """The ack of a request that is repeated while it is only a matter of time."""
    async with asyncio.timeout(30):
        while True:
            frame = await socket.ask(type, body)
            if frame["type"] == "ack":
                return frame
            assert frame["error"]["code"] in RETRYABLE, frame
            await asyncio.sleep(frame["error"]["retry_after"])


async def test_a_worker_that_stands_still_costs_its_callers_an_error(
    small: Stack, enter: Open, http: ClientSession, token: Callable[[str], str]
) -> None:
    """Thousands of sends to a stopped worker: each `overloaded` or `timeout`; afterwards retries take effect once."""
    sockets = [await enter(f"user-{number}") for number in range(5)]
    rooms = [await own_room(socket) for socket in sockets]
    before = resident(small, "gateway-0")
    async with stopped(small, "messages-0"):
        sent = []
        for socket, room_id in zip(sockets, rooms, strict=True):
            bodies = [{"room_id": room_id, "content": "x" * 1000, "client_id": f"c{n}"} for n in range(600)]
            sent.append({await socket.send("message.send", body): body for body in bodies})
        api = Api(http, small.gateway_urls[0], token("user-0"))
        by_rest = await api("POST", f"/v1/rooms/{rooms[0]}/messages", {"content": "x"})
        found = [await answers(socket, set(numbers)) for socket, numbers in zip(sockets, sent, strict=True)]
        codes = sum((codes_of(answers) for answers in found), Counter())
        assert codes.keys() == {"overloaded", "timeout"}
        assert codes["timeout"] <= PENDING
        assert codes.total() == 3000
        assert by_rest.status in {503, 504}
        assert by_rest.body["error"]["retryable"]
        assert int(by_rest.headers["Retry-After"]) >= 1
        # What needs no worker still works, and the table of the unanswered is free again.
        assert (await sockets[0].ask("rooms.list", {}))["type"] == "ack"
        assert resident(small, "gateway-0") - before < GROWTH
    for socket, room_id, numbers, frames in zip(sockets, rooms, sent, found, strict=True):
        late = [numbers[number] for number, frame in frames.items() if frame["error"]["code"] == "timeout"]
        for body in late[:3]:
            again = await answered(socket, "message.send", body)
            once_more = await socket.ask("message.send", body)
            assert once_more["data"]["message_id"] == again["data"]["message_id"]
        history = await answered(socket, "history.get", {"room_id": room_id, "limit": 200})
        keys = [message["client_id"] for message in history["data"]["messages"]]
        assert len(keys) == len(set(keys)) <= len(late) + 1


async def test_a_rooms_service_that_stands_still_is_a_retryable_error(small: Stack, enter: Open) -> None:
    """Requests to it time out; who connects is told to come again; known rooms go on; afterwards all is as before."""
    alice = await enter("alice")
    room_id = await own_room(alice)
    await alice.ask("message.send", {"room_id": room_id, "content": "before"})
    async with stopped(small, "rooms-0"):
        assert (await alice.ask("message.send", {"room_id": room_id, "content": "meanwhile"}))["type"] == "ack"
        newcomer = await enter("newcomer")
        numbers = {
            await alice.send("room.create", {}),
            await alice.send("message.send", {"room_id": "x", "content": "x"}),
        }
        assert codes_of(await answers(alice, numbers)).keys() <= RETRYABLE
        error = (await newcomer.receive())["error"]
        assert error["code"] in RETRYABLE
        assert error["retryable"]
        assert await newcomer.closed() in {1012, 4429}
    assert (await answered(alice, "room.create", {}))["type"] == "ack"
    await (await enter("newcomer")).ready()


async def test_a_failed_subscription_leaves_the_one_that_stood(small: Stack, enter: Open) -> None:
    """Who asks again for a room they follow, and cannot be answered, follows it still."""
    alice = await enter("alice")
    room_id = await own_room(alice)
    async with stopped(small, "messages-0"):
        number = await alice.send("room.subscribe", {"room_id": room_id})
        assert codes_of(await answers(alice, {number})).keys() <= RETRYABLE
    await answered(alice, "history.get", {"room_id": room_id})
    await alice.send("message.send", {"room_id": room_id, "content": "still told"})
    assert (await alice.event("message.created"))["data"]["content"] == "still told"


async def test_who_joins_a_room_that_moves_too_fast_is_told_to_come_again(
    small: Stack, enter: Open, tenant: str
) -> None:
    """Frames are held back for a joining connection until its state is known: up to a bound, then it is closed."""
    alice = await enter("alice")
    room_id = await own_room(alice, "bob")
    async with insider(small.amqp_url) as inside, stopped(small, "messages-0"):
        bob = await enter("bob")
        rev, closed = 0, asyncio.gather(bob.closed())
        while not closed.done():  # his question where the room stands waits meanwhile
            events = [event(room_id, tenant, rev + number) for number in range(1, 501)]
            await inside.publish("chat.events", "message.0", orjson.dumps(events))
            for expected in range(rev + 1, rev + 501):
                assert (await alice.event("message.created"))["rev"] == expected
            rev += len(events)
        assert list(closed.result()) == [4408]
        assert rev > MAX_HELD
    assert (await answered(alice, "rooms.list", {}))["type"] == "ack"


def event(room_id: str, tenant: str, rev: int) -> JSON:
    """An event as the messages service announces it."""
    view = MessageView(
        id=f"{rev:024x}", room_id=room_id, seq=rev, rev=rev, type=MessageType.TEXT, content="hi",
        sender=SenderView(id="alice"), created_at="2026-01-01T00:00:00Z",
    )  # fmt: skip
    data = MessageCreated(message=view).model_dump(mode="json", exclude_none=True)
    return {
        "specversion": "1.0", "id": str(rev), "source": "/forged", "type": "message.created", "subject": room_id,
        "tenant": tenant, "roomseq": rev, "roomrev": rev, "data": data,
    }  # fmt: skip


FULL = 100_000
"""Bytes the broker keeps of a queue of commands, for one test; the topology's own bound is 256 MiB."""


@asynccontextmanager
async def small_queues(stack: Stack) -> AsyncIterator[None]:
    """A policy makes the broker's bound on command queues small meanwhile (the lower of policy and argument counts)."""
    pattern, definition = r"^commands\.messages", orjson.dumps({"max-length-bytes": FULL}).decode()
    await broker(stack, "set_policy", "small", pattern, definition, "--apply-to", "queues")
    try:
        yield
    finally:
        await broker(stack, "clear_policy", "small")


async def broker(stack: Stack, *command: str) -> None:
    """Run an operator's command on the stack's broker."""
    environment = rabbitmq._environment(stack.home.data / "rabbitmq", stack.ports)
    process = await asyncio.create_subprocess_exec(
        "/usr/lib/rabbitmq/bin/rabbitmqctl", "--quiet", "--node", environment["RABBITMQ_NODENAME"], *command,
        env=environment,
    )  # fmt: skip
    assert await process.wait() == 0


async def test_a_full_queue_of_commands_is_overloaded(small: Stack, enter: Open, tenant: str) -> None:
    """The broker refuses what the queue cannot take; the gateway says so at once, not by a timeout."""
    alice = await enter("alice")
    room_id = await own_room(alice)
    async with small_queues(small), stopped(small, "messages-0"), insider(small.amqp_url) as inside:
        who = {"id": "nobody", "tenant": tenant}
        filling = inside.envelope("message.send", {"room_id": "x", "content": "x" * 2000}, who, replyto=None)
        with suppress(DeliveryError):
            while True:  # first the stopped worker's prefetch, then the queue
                await inside.publish("chat.commands", room_key(room_id), orjson.dumps([filling]))
        body = {"room_id": room_id, "content": "x", "client_id": "once"}
        frame = await alice.ask("message.send", body)
        assert frame["error"]["code"] == "overloaded", frame
        assert frame["error"]["retry_after"] > 0
    assert (await answered(alice, "message.send", body))["data"]["seq"] == 1
