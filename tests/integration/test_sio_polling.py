"""Engine.IO by polling, where a client is requests of which each may be anything."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest
from aiohttp import ClientSession, WSServerHandshakeError

from tests.conftest import ClientOf, TokenOf
from tests.harness.gateway import Gateway

GatewayWith = Callable[..., Awaitable[Gateway]]
END = "\x1e"


class Poller:
    """A client that polls."""

    def __init__(self, session: ClientSession, url: str) -> None:
        self._session = session
        self.address = f"{url}/socket.io/?EIO=4&transport=polling"
        self.sid = ""

    async def open(self) -> None:
        """Shake hands."""
        async with self._session.get(self.address) as response:
            text = await response.text()
        self.sid = orjson.loads(text[1:])["sid"]
        self.address += f"&sid={self.sid}"

    async def post(self, body: str | bytes) -> int:
        """Send packets; the status."""
        data = body.encode() if isinstance(body, str) else body
        async with self._session.post(self.address, data=data) as response:
            await response.read()
            return response.status

    async def poll(self) -> list[str]:
        """What has been told."""
        async with self._session.get(self.address) as response:
            return (await response.text()).split(END)

    async def until(self, start: str) -> str:
        """The next packet that begins so."""
        async with asyncio.timeout(15):
            while True:
                for packet in await self.poll():
                    if packet.startswith(start):
                        return packet
                    if packet == "2":
                        await self.post("3")

    async def connect(self, token: str) -> None:
        """Connect to `/chat`, and be greeted."""
        await self.open()
        assert await self.post(f'40/chat,{{"token":"{token}","dialect":"booking"}}') == 200
        await self.until('42/chat,["connected"')


@pytest.fixture
async def poller(gateway_with: GatewayWith, http: ClientSession, token: TokenOf) -> Poller:
    gateway = await gateway_with()
    one = Poller(http, gateway.url)
    await one.connect(token("alice"))
    return one


def surprises(root: Path) -> list[str]:
    """Lines of the gateway's log that it should not have."""
    [log] = root.glob("gateway-*/log/gateway.log")
    return [line for line in log.read_text().splitlines() if "Traceback" in line or "unexpected error" in line]


BODIES: list[str | bytes] = [
    "x", "9", "2", "b", "b!", "d=4", "d", b"\xff\xfe", "4", "3\x1e", "\x1e\x1e", "40/chat,{", "43[]", "45-", "bAAAA",
    "x" * 65_000, "4" + "[" * 60_000, END.join(["3"] * 2000), "6", b"\x00", "4\x00", "1x", "5",
]  # fmt: skip


async def test_bodies_that_make_no_sense(poller: Poller, http: ClientSession, token: TokenOf, tmp_path: Path) -> None:
    """Are refused, or passed over: never a failure of the server's, nor one of somebody else's."""
    for body in BODIES:
        mallory = Poller(http, poller.address.partition("/socket.io")[0])
        await mallory.connect(token("mallory"))
        assert await mallory.post(body) in {200, 400}, body
        status = await mallory.post("1")
        assert status in {200, 400}, (body, status)
    assert await poller.post("x" * 70_000) == 413
    assert await poller.post('42/chat,5["nothing"]') == 200
    assert "There is no event" in await poller.until("43/chat,5")
    assert not surprises(tmp_path)


async def test_requests_that_make_no_sense(poller: Poller, http: ClientSession, tmp_path: Path) -> None:
    """Unknown sessions, transports, versions, methods, and handshakes that are none."""
    base = poller.address.partition("?")[0]
    wrong = [
        "", "?EIO=3&transport=polling", "?EIO=4&transport=smoke", "?EIO=4&transport=websocket", "?EIO=4&sid=nobody",
        "?EIO=4&transport=polling&sid=%00", "?EIO=4&j=x&transport=polling",
    ]  # fmt: skip
    for query in wrong:
        for method in ("GET", "POST"):
            async with http.request(method, base + query) as response:
                assert response.status == 400, (method, query)
    async with http.delete(base + "?EIO=4&transport=polling") as response:
        assert response.status == 405
    async with http.get(poller.address, headers={"Upgrade": "websocket", "Connection": "Upgrade"}) as response:
        assert response.status == 400
    assert await poller.post('42/chat,5["nothing"]') == 200
    assert not surprises(tmp_path)


async def test_a_long_batch_is_taken_whole(poller: Poller) -> None:
    """Clients send in one request what has gathered while they connected: all of it is answered."""
    packets = [f'42/chat,{number}["nothing"]' for number in range(40)]
    assert await poller.post(END.join(packets)) == 200
    await poller.until("43/chat,39")


async def test_a_body_may_come_in_pieces(poller: Poller, client: ClientOf) -> None:
    """As networks cut it: it is read to its end."""
    owner = await client("alice")
    room = await owner.create_room()
    parts = urlsplit(poller.address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    body = f'42/chat,7["send_message",{{"chat_room_id":"{room.id}","content":"{"x" * 2000}"}}]'.encode()
    head = f"POST {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body[:100])
    await writer.drain()
    polling = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.2, polling.set_result, None)
    await polling
    writer.write(body[100:])
    assert b"200" in await reader.readline()
    writer.close()
    assert '"id"' in await poller.until("43/chat,7")


async def test_an_upgrade_that_fails_leaves_the_client_polling(poller: Poller, http: ClientSession) -> None:
    """A proxy may cut what it does not know: the session goes on as it was."""
    address = poller.address.replace("transport=polling", "transport=websocket")
    for probe in ("2probe", "nonsense", None):
        async with http.ws_connect(address) as socket:
            if probe is not None:
                await socket.send_str(probe)
    async with asyncio.timeout(15):
        while await poller.post('42/chat,5["nothing"]') != 200 or await poller.poll() == ["6"]:
            pass
    assert await poller.post('42/chat,6["nothing"]') == 200
    assert "There is no event" in await poller.until("43/chat,6")


async def test_only_one_upgrade_at_a_time(poller: Poller, http: ClientSession) -> None:
    """A second WebSocket for the same session is refused while the first one is on its way."""
    address = poller.address.replace("transport=polling", "transport=websocket")
    async with http.ws_connect(address) as socket:
        await socket.send_str("2probe")
        assert await socket.receive_str() == "3probe"
        with pytest.raises(WSServerHandshakeError):
            await http.ws_connect(address)
        await socket.send_str("5")
        await socket.send_str('42/chat,5["nothing"]')
        async with asyncio.timeout(15):
            while not (await socket.receive_str()).startswith("43/chat,5"):
                pass
        assert await poller.post('42/chat,6["nothing"]') == 400
