"""The clients and rooms of one run: created, connected, brought to rest and audited. Measures nothing itself."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp

from benchmarks.client import Client, Meter
from benchmarks.ledger import Room
from benchmarks.targets import Target

CREATE_AT_ONCE: Final = 8
CONNECT_AT_ONCE: Final = 64
SETTLE_TIMEOUT: Final = 60.0
POLL: Final = 0.02


@dataclass(frozen=True)
class Totals:
    """What a whole run came to, warm-up included; `delivered` must be `expected`."""

    sent: int
    acked: int
    delivered: int
    expected: int


class Fleet:
    """Rooms and their members on one target; every client is in one room.

    Args:
        target: the server to talk to; it must be running.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.meter = Meter()
        self.rooms: list[Room] = []
        self.clients: list[Client] = []
        self._tag = secrets.token_hex(4)

    async def create_rooms(self, count: int, members: int) -> None:
        """Create rooms of so many new users each.

        Raises:
            RuntimeError: if the server refuses; carries its answer.
        """
        gate = asyncio.Semaphore(CREATE_AT_ONCE)
        async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as tasks:
            for number in range(count):
                tasks.create_task(self._create(http, gate, number, members))

    async def _create(self, http: aiohttp.ClientSession, gate: asyncio.Semaphore, number: int, members: int) -> None:
        users = [self.target.user(f"{self._tag}-{number}-{member}") for member in range(members)]
        path, body = self.target.codec.room_request(f"{self._tag}-{number}", [user.id for user in users])
        headers = {"Authorization": f"Bearer {users[0].jwt}"}
        async with gate, http.post(self.target.base_url(0) + path, json=body, headers=headers) as response:
            if response.status != 201:
                raise RuntimeError(f"POST {path} answered {response.status}: {await response.text()}")
            room = Room((await response.json())["id"], self.meter.faults)
        self.rooms.append(room)
        for user in users:
            self.clients.append(Client(len(self.clients), user, self.target.codec, room, self.meter))

    async def join(self, clients: Sequence[Client]) -> None:
        """Connect these clients, several at once."""
        gate = asyncio.Semaphore(CONNECT_AT_ONCE)

        async def join(client: Client) -> None:
            async with gate:
                await client.join(self.target.base_url(client.index))

        async with asyncio.TaskGroup() as tasks:
            for client in clients:
                tasks.create_task(join(client))

    async def settle(self) -> None:
        """Wait until everything sent is acked and delivered, or nothing more can be hoped for."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SETTLE_TIMEOUT
        # Polled, because an event would have to be checked with every frame received.
        while loop.time() < deadline and not all(c.settled() for c in self.clients):  # noqa: ASYNC110
            await asyncio.sleep(POLL)

    def audit(self) -> Totals:
        """Compare what was sent, acked and delivered; the meter's `faults` say what does not add up."""
        clients = sorted(self.clients, key=lambda client: id(client.room))
        expected = 0
        for _, group in itertools.groupby(clients, key=lambda client: id(client.room)):
            members = list(group)
            members[0].room.audit(min(client.base for client in members))
            expected += sum(members[0].room.last - client.base for client in members)
        for client in self.clients:
            client.finish()
        acked = sum(len(room.acked) for room in self.rooms)
        delivered = sum(client.delivered() for client in self.clients)
        return Totals(sum(len(room.sent) for room in self.rooms), acked, delivered, expected)

    async def close(self) -> None:
        """Drop all connections."""
        for client in self.clients:
            client.drop()
        await asyncio.sleep(POLL)  # the loop closes aborted transports in its next turns
