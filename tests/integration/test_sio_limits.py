"""Limits that hold on native sockets hold on Socket.IO's."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import ClientSession, WSServerHandshakeError

from deploy.embedded.stack import Stack
from shared.auth import issue_token
from tests.conftest import ClientOf, TokenOf
from tests.harness.engine import Engine, engine
from tests.harness.gateway import Gateway
from tests.harness.sio import SioPerson

GatewayWith = Callable[..., Awaitable[Gateway]]

MEBI = 1024 * 1024
GROWTH = 24 * MEBI


async def entered(session: ClientSession, url: str, token: str) -> Engine:
    """A bare client of booking, greeted."""
    bare = await engine(session, url)
    await bare.connect("/chat", {"token": token, "dialect": "booking"})
    await bare.event("connected")
    return bare


async def test_connections_from_an_address(gateway_with: GatewayWith, http: ClientSession) -> None:
    """Past the limit the handshake is refused, by polling as by WebSocket, with when to come back."""
    gateway = await gateway_with(CONNECTIONS_PER_MINUTE_PER_IP=3)
    for _ in range(3):
        await engine(http, gateway.url)
    async with http.get(f"{gateway.url}/socket.io/?EIO=4&transport=polling") as response:
        assert response.status == 429
        assert int(response.headers["Retry-After"]) >= 1
    with pytest.raises(WSServerHandshakeError) as refused:
        await engine(http, gateway.url)
    assert refused.value.status == 429


async def test_connections_of_a_user(gateway_with: GatewayWith, http: ClientSession, token: TokenOf) -> None:
    """Native sockets and Socket.IO's count together."""
    gateway = await gateway_with(CONNECTIONS_PER_USER=2)
    first = await entered(http, gateway.url, token("alice"))
    async with http.ws_connect(f"{gateway.url}/ws", headers={"Authorization": f"Bearer {token('alice')}"}) as native:
        assert (await native.receive_json())["type"] == "ready"
        third = await engine(http, gateway.url)
        await third.send_text(f'40/chat,{{"token":"{token("alice")}"}}')
        refused = await third.refused("/chat")
        assert refused["data"]["code"] == "rate_limited"
        assert refused["data"]["retry_after"] > 0
        await entered(http, gateway.url, token("bob"))
        assert not first.closed


async def test_connections_of_a_gateway(gateway_with: GatewayWith, http: ClientSession) -> None:
    """Those that have connected to no namespace yet count as well."""
    gateway = await gateway_with(MAX_CONNECTIONS=2)
    held = [await engine(http, gateway.url) for _ in range(2)]
    async with http.get(f"{gateway.url}/socket.io/?EIO=4&transport=polling") as response:
        assert response.status == 503
        assert (await response.json())["error"]["code"] == "overloaded"
    assert not any(one.closed for one in held)


async def test_messages_a_minute(
    gateway_with: GatewayWith, http: ClientSession, token: TokenOf, client: ClientOf
) -> None:
    """Past the limit each is refused in the dialect's shape, and the connection goes on."""
    gateway = await gateway_with(MESSAGES_PER_MINUTE=3)
    room = await (await client("alice")).create_room()
    bare = await entered(http, gateway.url, token("alice"))
    answers = []
    for number in range(5):
        await bare.send_text(f'42/chat,{number}["send_message",{{"chat_room_id":"{room.id}","content":"hi"}}]')
        answers.append(await bare.ack(number))
    assert [answer.get("code") for answer in answers] == [None, None, None, "rate_limited", "rate_limited"]
    await bare.send_text(f'42/chat,9["join_room",{{"roomId":"{room.id}"}}]')
    assert await bare.ack(9) == {"roomId": room.id}


async def test_a_token_that_expires_ends_the_connection(
    stack: Stack, tenant: str, http: ClientSession, token: TokenOf
) -> None:
    """By Socket.IO's goodbye, which tells clients not to come back unasked, and the close code of the native socket."""
    short = issue_token(stack.jwt_secret, sub="alice", tenant=tenant, ttl=-3)  # within the leeway, for two seconds
    bare = await entered(http, stack.gateway_urls[0], short)
    began = time.monotonic()
    await bare.starting_with("41/chat,")
    assert await bare.ended() == 4401
    assert time.monotonic() - began < 10


async def test_a_restart_asks_clients_to_come_back(
    gateway_with: GatewayWith, http: ClientSession, token: TokenOf
) -> None:
    """No goodbye of Socket.IO's, after which its clients would stay away."""
    gateway = await gateway_with()
    bare = await entered(http, gateway.url, token("alice"))
    ending = asyncio.gather(gateway.terminate(), bare.ended())
    assert (await ending)[1] == 1012
    assert not bare.dismissed


async def test_frames_too_large_end_their_own_connection(
    gateway_with: GatewayWith, http: ClientSession, token: TokenOf
) -> None:
    """And cost no memory to speak of."""
    gateway = await gateway_with()
    async with SioPerson(gateway.url, auth={"token": token("bob"), "dialect": "booking"}) as bob:
        before = gateway.resident_bytes()
        for _ in range(5):
            bare = await entered(http, gateway.url, token("alice"))
            with suppress(ConnectionError):  # it may be cut while it still sends
                await bare.send_text('42/chat,1["x","' + "x" * 4 * MEBI)
            assert await bare.ended() in {1009, None, 1006}
        assert gateway.resident_bytes() - before < GROWTH
        assert "There is no event" in (await bob.call("nothing"))["message"]


async def test_who_asks_and_never_reads_is_closed(
    gateway_with: GatewayWith, http: ClientSession, token: TokenOf, client: ClientOf
) -> None:
    """What lies unread is bounded, whoever asked for it; a neighbour talks on."""
    gateway = await gateway_with(WRITE_BUFFER_LIMIT=MEBI // 4)
    owner = await client("bob")
    room = await owner.create_room(members=["alice"])
    for _ in range(8):
        await owner.send(room.id, "€" * 10_000)
    async with SioPerson(gateway.url, auth={"token": token("bob"), "dialect": "booking"}) as bob:
        deaf = await entered(http, gateway.url, token("alice"))
        deaf.stop_reading()
        before = gateway.resident_bytes()
        async with asyncio.timeout(90):
            while await closed_for_slowness(http, gateway) == 0:
                for _ in range(200):
                    await deaf.send_text('42/chat,1["' + "x" * 300 + '"]')
                assert "There is no event" in (await bob.call("nothing"))["message"]
        assert gateway.resident_bytes() - before < GROWTH


async def closed_for_slowness(http: ClientSession, gateway: Gateway) -> int:
    """How many the gateway has closed because they did not read."""
    async with http.get(f"{gateway.url}/metrics", headers={"Accept": "text/plain"}) as response:
        lines = (await response.text()).splitlines()
    return int(float(next(line for line in lines if line.startswith("parley_slow_consumers_total")).split()[1]))


async def test_a_flood_is_answered_and_hardly_felt(
    gateway_with: GatewayWith, http: ClientSession, token: TokenOf
) -> None:
    """Thousands of events that are refused: all answered, while a neighbour is served."""
    gateway = await gateway_with()
    async with SioPerson(gateway.url, auth={"token": token("bob"), "dialect": "booking"}) as bob:
        flooder = await entered(http, gateway.url, token("alice"))

        async def flood() -> None:
            for number in range(3000):
                await flooder.send_text(f'42/chat,{number}["nothing"]')

        async def neighbour() -> list[float]:
            times = []
            for _ in range(20):
                began = time.monotonic()
                await bob.call("nothing")
                times.append(time.monotonic() - began)
            return times

        _, _, times = await asyncio.gather(flood(), flooder.ack(2999), neighbour())
        assert sorted(times)[10] < 0.5


async def test_another_namespace_is_served_like_chat(
    gateway_with: GatewayWith, token: TokenOf, client: ClientOf
) -> None:
    """`WEBSOCKET_NAMESPACE`, as the session document has it."""
    gateway = await gateway_with(WEBSOCKET_NAMESPACE="/assistant")
    room: Any = await (await client("alice")).create_room()
    for namespace in ("/assistant", "/chat"):
        credentials = {"token": token("alice"), "dialect": "booking"}
        async with SioPerson(gateway.url, namespace=namespace, auth=credentials) as person:
            assert await person.call("join_room", {"roomId": room.id}) == {"roomId": room.id}
