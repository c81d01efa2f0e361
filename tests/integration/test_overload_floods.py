"""Whoever asks for too much is told so, at once and with when to come back; those beside them hardly notice."""

import asyncio
import statistics
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import ClientSession, WSServerHandshakeError

from deploy.embedded.config import REPOSITORY
from deploy.embedded.stack import Stack
from shared.auth import issue_token
from tests.harness.gateway import Gateway
from tests.harness.rawsocket import RawSocket
from tests.harness.rest import Api

JSON = dict[str, Any]
GatewayWith = Callable[..., Awaitable[Gateway]]
SocketOf = Callable[..., Awaitable[RawSocket]]


async def own_room(socket: RawSocket) -> str:
    """Greet, and make a room; its id."""
    await socket.ready()
    return str((await socket.ask("room.create", {}))["data"]["room"]["id"])


async def flood(socket: RawSocket, type: str, bodies: list[JSON]) -> Counter[str]:
    """Send all at once and count the answers by error code; fails where one is missing, or says not when to retry."""
    numbers = {await socket.send(type, body) for body in bodies}
    codes: Counter[str] = Counter()
    while numbers:
        frame = await socket.receive()
        if frame["type"] not in {"ack", "error"}:
            continue
        numbers.remove(frame["id"])
        if frame["type"] == "error":
            assert frame["error"]["retryable"], frame
            assert frame["error"]["retry_after"] > 0, frame
        codes[frame["error"]["code"] if frame["type"] == "error" else "ok"] += 1
    return codes


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_messages_beyond_the_limit_are_rate_limited(
    gateway_with: GatewayWith, socket: SocketOf, http: ClientSession, token: Callable[..., str]
) -> None:
    """So many a minute per user, however they are sent and from however many connections; nobody else pays."""
    gateway = await gateway_with(MESSAGES_PER_MINUTE=10)
    alice, again, bob = [await socket(sub, url=gateway.url) for sub in ("alice", "alice", "bob")]
    room_id, other_room = await own_room(alice), await own_room(bob)
    await again.ready()
    bodies = [{"room_id": room_id, "content": str(number)} for number in range(30)]
    assert await flood(alice, "message.send", bodies) == {"ok": 10, "rate_limited": 20}
    assert await flood(again, "message.send", bodies[:5]) == {"rate_limited": 5}
    answer = await Api(http, gateway.url, token("alice"))("POST", f"/v1/rooms/{room_id}/messages", {"content": "x"})
    assert (answer.status, answer.error) == (429, "rate_limited")
    assert int(answer.headers["Retry-After"]) >= 1
    assert (await alice.ask("history.get", {"room_id": room_id}))["type"] == "ack"
    bodies = [{"room_id": other_room, "content": str(number)} for number in range(10)]
    assert await flood(bob, "message.send", bodies) == {"ok": 10}


async def test_requests_beyond_those_unanswered_are_overloaded(stack: Stack, socket: SocketOf) -> None:
    """A connection has 64 requests under way at most; every further one is answered at once, none is lost."""
    alice = await socket("alice")
    room_id = await own_room(alice)
    for name, body in (("message.send", {"room_id": room_id, "content": "x" * 5000}), ("rooms.list", {})):
        codes = await flood(alice, name, [body] * 400)
        assert codes.total() == 400
        assert codes["overloaded"] > 0
        assert codes["ok"] >= 64
        assert codes.keys() == {"ok", "overloaded"}
    assert stack.pids.keys() >= {"gateway-0"}


LATENCIES = 120
FACTOR = 8
"""How much slower a neighbour may become beside a flood. Both share two cores here with all other processes."""


async def test_a_neighbour_of_a_flood_keeps_its_latency(
    stack: Stack, socket: SocketOf, token: Callable[..., str]
) -> None:
    """One connection sends without pause, and is refused by the thousand; another's acks stay near their usual time."""
    bob = await socket("bob")
    room_id = await own_room(bob)

    async def measure() -> list[float]:
        loop, times = asyncio.get_running_loop(), []
        for _ in range(LATENCIES):
            began = loop.time()
            assert (await bob.ask("message.send", {"room_id": room_id, "content": "hi"}))["type"] == "ack"
            times.append(loop.time() - began)
        return times

    await measure()
    idle = await measure()
    async with flooding(stack.gateway_urls[0], token("mallory")) as answered:
        beside = await measure()
    afterwards = await measure()  # the machine may have become slower meanwhile, for others' reasons
    assert answered["overloaded"] > LATENCIES, answered
    assert answered["ok"] > 0
    assert statistics.median(beside) < FACTOR * max(map(statistics.median, (idle, afterwards)))
    assert p99(beside) < FACTOR * max(map(p99, (idle, afterwards)))


@asynccontextmanager
async def flooding(url: str, token: str) -> AsyncIterator[Counter[str]]:
    """Somebody floods a gateway meanwhile; how they were answered, afterwards."""
    answered: Counter[str] = Counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.security_flooder", url, token,
        cwd=REPOSITORY, stdin=PIPE, stdout=PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"ready\n"
        yield answered
    finally:
        report, _ = await process.communicate(b"")
    answered.update(orjson.loads(report))


def p99(times: list[float]) -> float:
    """The slowest but for one in a hundred."""
    return sorted(times)[-1 - len(times) // 100]


# ── connections ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_connections_from_one_address_are_limited(
    gateway_with: GatewayWith, stack: Stack, http: ClientSession
) -> None:
    """Of a thousand connects in a row so many are let in; the others get 429 and when to retry, before the upgrade."""
    gateway = await gateway_with(CONNECTIONS_PER_MINUTE_PER_IP=50)
    token = issue_token(stack.jwt_secret, sub="alice")
    gate = asyncio.Semaphore(40)
    opened, refused = [], []

    async def connect() -> None:
        async with gate:
            try:
                opened.append(await http.ws_connect(f"{gateway.url}/ws?token={token}"))
            except WSServerHandshakeError as error:
                refused.append((error.status, int(dict(error.headers or {})["Retry-After"]) >= 1))

    await asyncio.gather(*(connect() for _ in range(1000)))
    assert 50 <= len(opened) <= 55  # the bucket fills again meanwhile
    assert set(refused) == {(429, True)}
    for socket in opened:
        assert (await RawSocket(socket).ready())["user"]["id"] == "alice"
        await socket.close()
    async with http.get(f"{gateway.url}/readyz") as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("limit", "subs", "code"),
    [("CONNECTIONS_PER_USER", ["alice"] * 4, "rate_limited"), ("MAX_CONNECTIONS", ["a", "b", "c", "d"], "overloaded")],
)
async def test_too_many_connections_are_closed_with_4429(
    gateway_with: GatewayWith, socket: SocketOf, limit: str, subs: list[str], code: str
) -> None:
    """Per user and in all: the fourth of three is told why; when one has gone, there is room again."""
    gateway = await gateway_with(**{limit: 3})
    *kept, last = subs
    sockets = [await socket(sub, url=gateway.url) for sub in kept]
    for kept_socket in sockets:
        await kept_socket.ready()
    refused = await socket(last, url=gateway.url)
    error = (await refused.receive())["error"]
    assert (error["code"], error["retryable"]) == (code, True)
    assert error["retry_after"] > 0
    assert await refused.closed() == 4429
    await sockets[0].socket.close()
    assert (await (await socket(last, url=gateway.url)).ready())["user"]["id"] == last
    assert (await sockets[1].ask("ping"))["type"] == "ack"


async def test_who_subscribes_and_hangs_up_leaves_nothing_behind(
    gateway_with: GatewayWith, socket: SocketOf, http: ClientSession
) -> None:
    """The state of a room is asked for while its connection goes: no subscription may outlive it."""
    gateway = await gateway_with()
    owner = await socket("owner")
    room_id = await own_room(owner)

    async def come_and_go() -> None:
        guest = await socket("owner", url=gateway.url, params={"subscribe": "none"})
        await guest.ready()
        await guest.send("room.subscribe", {"room_id": room_id})
        guest.socket._response.connection.transport.abort()  # type: ignore[union-attr]

    for _ in range(8):
        await asyncio.gather(*(come_and_go() for _ in range(10)))
    assert await settles(http, gateway, "parley_feeds", 0)
    assert await settles(http, gateway, "parley_connections", 0)


async def settles(http: ClientSession, gateway: Gateway, metric: str, value: float) -> bool:
    """Whether a gauge of the gateway comes to a value, and stays there for a moment."""
    seen = 0
    async with asyncio.timeout(15):
        while seen < 5:
            async with http.get(f"{gateway.url}/metrics", headers={"Accept": "text/plain"}) as response:
                line = next(line for line in (await response.text()).splitlines() if line.startswith(f"{metric} "))
            seen = seen + 1 if float(line.split()[1]) == value else 0
            await asyncio.sleep(0.05)
    return True
