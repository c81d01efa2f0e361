"""How the gateway ends Socket.IO connections that go on by polling, and those that never begin."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import ClientSession

from deploy.embedded.stack import Stack
from shared.auth import issue_token
from tests.conftest import ClientOf, TokenOf
from tests.harness.engine import engine
from tests.harness.gateway import Gateway
from tests.harness.sio import SioPerson
from tests.integration.test_sio_limits import GROWTH, MEBI, closed_for_slowness
from tests.integration.test_sio_polling import Poller

GatewayWith = Callable[..., Awaitable[Gateway]]


async def ended(poller: Poller) -> None:
    """Return when the server knows the session no more."""
    async with asyncio.timeout(15):
        while await poller.post('42/chat,["nothing"]') == 200:
            pass


async def test_a_token_that_expires_ends_polling(stack: Stack, tenant: str, http: ClientSession) -> None:
    """By Socket.IO's goodbye, which the next request brings; nothing is taken or told after it."""
    short = issue_token(stack.jwt_secret, sub="bob", tenant=tenant, ttl=-3)  # within the leeway, for two seconds
    poller = Poller(http, stack.gateway_urls[0])
    await poller.connect(short)
    assert await poller.until("41/chat,") == "41/chat,"
    await ended(poller)
    async with http.get(poller.address) as response:
        assert response.status == 400


async def test_a_library_is_told_that_its_token_has_expired(stack: Stack, tenant: str) -> None:
    """By either transport."""
    short = issue_token(stack.jwt_secret, sub="bob", tenant=tenant, ttl=-2)
    people = [
        SioPerson(stack.gateway_urls[0], auth={"token": short}, transports=[way]) for way in ("websocket", "polling")
    ]
    left: list[asyncio.Event] = [asyncio.Event() for _ in people]
    for person, event in zip(people, left, strict=True):
        person.client.on("disconnect", lambda *_, event=event: event.set(), namespace="/chat")
        await person.__aenter__()
    async with asyncio.timeout(15):
        for event in left:
            await event.wait()
    for person in people:
        await person.__aexit__()


async def test_who_polls_no_more_is_closed(
    gateway_with: GatewayWith, http: ClientSession, token: TokenOf, client: ClientOf
) -> None:
    """What waits for its next request is bounded; a neighbour talks on."""
    gateway = await gateway_with(WRITE_BUFFER_LIMIT=MEBI // 4)
    owner = await client("bob", url=gateway.url)
    room = await owner.create_room(members=["alice"])
    deaf = Poller(http, gateway.url)
    await deaf.connect(token("alice"))
    assert await deaf.post(f'42/chat,1["join_room",{{"roomId":"{room.id}"}}]') == 200
    await deaf.until("43/chat,1")
    before = gateway.resident_bytes()
    async with asyncio.timeout(60):
        while await closed_for_slowness(http, gateway) == 0:
            await asyncio.gather(*(owner.send(room.id, "€" * 5_000) for _ in range(20)))
    for _ in range(100):
        await owner.send(room.id, "€" * 5_000)
    assert gateway.resident_bytes() - before < GROWTH
    await ended(deaf)


@pytest.mark.parametrize("way", ["websocket", "polling"])
async def test_who_connects_to_no_namespace_is_cut(gateway_with: GatewayWith, http: ClientSession, way: str) -> None:
    """In the time there is for that, however much else it says meanwhile."""
    gateway = await gateway_with(NAMESPACE_TIMEOUT=2)
    began = time.monotonic()
    if way == "websocket":
        bare = await engine(http, gateway.url)
        await bare.send_text('42/chat,["nothing"]')
        assert await bare.ended() is not None
    else:
        poller = Poller(http, gateway.url)
        await poller.open()
        async with asyncio.timeout(15):
            while (await poller.poll())[-1:] != ["1"]:
                pass
        await ended(poller)
    assert 1.5 < time.monotonic() - began < 15


async def test_who_leaves_its_namespace_has_the_same_time_again(
    gateway_with: GatewayWith, http: ClientSession, token: TokenOf
) -> None:
    """Who is connected stays for as long as they like."""
    gateway = await gateway_with(NAMESPACE_TIMEOUT=2, HEARTBEAT=1)
    bare = await engine(http, gateway.url)
    await bare.connect("/chat", {"token": token("alice"), "dialect": "booking"})
    for _ in range(4):  # pings, a second apart
        await bare.starting_with("2")
    began = time.monotonic()
    await bare.send_text("41/chat,")
    assert await bare.ended() is not None
    assert 1.5 < time.monotonic() - began < 15
