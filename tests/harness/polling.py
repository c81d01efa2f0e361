"""A Socket.IO client that does by hand what libraries do by themselves: every request and packet when the test says so.

Packets are texts as Engine.IO protocol 4 has them, such as `42/chat,["send_message",{…}]`.
"""

import asyncio
from typing import Any, Self

import orjson
from aiohttp import ClientSession, ClientWebSocketResponse

END = "\x1e"
PATIENCE = 15.0


class Polling:
    """A client that polls, and upgrades when it is told to.

    `heard` has the packets in the order of arrival, without those that are Engine.IO's own.
    """

    def __init__(self, http: ClientSession, url: str) -> None:
        self.heard: list[str] = []
        self.socket: ClientWebSocketResponse | None = None
        self._http = http
        self._url = f"{url}/socket.io/?EIO=4"
        self.sid = ""

    async def open(self) -> Self:
        """Begin a session."""
        alone = {"Connection": "close"}  # no later request comes by this one's connection
        async with self._http.get(f"{self._url}&transport=polling", headers=alone) as response:
            self.sid = orjson.loads((await response.text())[1:])["sid"]
        return self

    async def connect(self, namespace: str, token: str, **auth: Any) -> None:
        """Connect to a namespace, by polling, and wait until one is greeted there."""
        await self.post(f"40{namespace},{orjson.dumps({'token': token, **auth}).decode()}")
        await self.until(f'42{namespace},["connected"')

    async def post(self, *packets: str) -> None:
        """Send packets by a request."""
        data = END.join(packets).encode()
        async with self._http.post(f"{self._url}&transport=polling&sid={self.sid}", data=data) as response:
            assert (response.status, await response.text()) == (200, "OK")

    async def poll(self) -> list[str]:
        """Packets that have come by one request; all of them, Engine.IO's own too."""
        async with self._http.get(f"{self._url}&transport=polling&sid={self.sid}") as response:
            text = await response.text()
            assert response.status == 200, text
        packets = text.split(END)
        self._take(packets)
        return packets

    async def until(self, start: str, times: int = 1) -> None:
        """Take in what comes, until so many packets have begun so."""
        async with asyncio.timeout(PATIENCE):
            while sum(packet.startswith(start) for packet in self.heard) < times:
                if self.socket is None:
                    await self.poll()
                else:
                    self._take([await self.socket.receive_str()])

    async def probe(self) -> ClientWebSocketResponse:
        """Open the WebSocket and try it."""
        opened = await self._http.ws_connect(f"{self._url}&transport=websocket&sid={self.sid}")
        await opened.send_str("2probe")
        assert await opened.receive_str() == "3probe"
        return opened

    async def upgrade(self, opened: ClientWebSocketResponse) -> None:
        """Use the WebSocket from now on; what is on the way to the last request is taken in before."""
        await self.poll()
        await opened.send_str("5")
        self.socket = opened

    async def send(self, packet: str) -> None:
        """Send a packet by WebSocket."""
        assert self.socket is not None
        await self.socket.send_str(packet)

    def told(self, name: str, namespace: str = "/chat") -> list[Any]:
        """The payloads of all events of a name, until now."""
        start = f'42{namespace},["{name}",'
        return [orjson.loads(packet[len(start) : -1]) for packet in self.heard if packet.startswith(start)]

    def _take(self, packets: list[str]) -> None:
        self.heard += [packet for packet in packets if packet[:1] == "4"]
