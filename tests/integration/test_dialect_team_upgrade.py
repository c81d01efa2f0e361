"""A client of the team dialect that begins with polling, as browsers' clients do, and goes over while it is greeted."""

import asyncio

import orjson
from aiohttp import ClientSession, ClientWebSocketResponse

from deploy.embedded.stack import Stack
from tests.conftest import ClientOf, TokenOf

PATIENCE = 15.0
HEAD = "42/chat/,"


async def go_over(http: ClientSession, url: str, auth: dict[str, str]) -> ClientWebSocketResponse:
    """Open a session by polling, connect to the namespace, and upgrade at once (Engine.IO protocol 4, "Upgrade")."""
    async with http.get(f"{url}/socket.io/?EIO=4&transport=polling") as opened:
        sid = orjson.loads((await opened.text())[1:])["sid"]
    packet = f"40/chat/,{orjson.dumps(auth).decode()}"
    async with http.post(f"{url}/socket.io/?EIO=4&transport=polling&sid={sid}", data=packet) as sent:
        assert sent.status == 200
    socket = await http.ws_connect(f"{url}/socket.io/?EIO=4&transport=websocket&sid={sid}")
    await socket.send_str("2probe")
    assert await socket.receive_str() == "3probe"
    await socket.send_str("5")
    return socket


async def test_nothing_is_lost_or_repeated(stack: Stack, token: TokenOf, client: ClientOf, http: ClientSession) -> None:
    """Whatever happens meanwhile, in rooms that one was in and in new ones, comes once, whole and in order."""
    owner = await client("bob")
    room = await owner.create_room(members=["alice"])
    auth = {"token": f"Bearer {token('alice')}", "userId": "alice"}

    async def go_on() -> None:
        for number in range(100):
            await owner.send(room.id, str(number))
            await owner.create_room(members=["alice"])

    socket, _ = await asyncio.gather(go_over(http, stack.gateway_urls[0], auth), go_on())
    heard: list[tuple[str, object]] = []
    told: list[int] = []
    async with asyncio.timeout(PATIENCE), socket:
        while told[-1:] != [99]:
            text = await socket.receive_str()
            if text == "2":
                await socket.send_str("3")
            elif text.startswith(HEAD):
                name, data = orjson.loads(text[len(HEAD) :])
                heard.append((name, data))
                if name == "chat:message":
                    told.append(int(data["content"]))
            else:
                assert text == "6" or text.startswith("40/chat/,"), text
    assert [name for name, _ in heard].count("chat:init_data") == 1
    assert heard[0][0] == "chat:init_data"
    assert told == list(range(told[0], 100))
