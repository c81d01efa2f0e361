"""The scenarios: what the clients do, and what is measured while they do it."""

from __future__ import annotations

import asyncio
import itertools
import random
from array import array
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter, perf_counter_ns
from typing import Final

from picows import WSError

from benchmarks import procstat
from benchmarks.client import Client
from benchmarks.files import files
from benchmarks.fleet import Fleet
from benchmarks.sample import Outcome, conclude, measured, percentiles

SMALL_ROOMS: Final = 50
SMALL_MEMBERS: Final = 4
OUTSTANDING: Final = (1, 4, 16)
BIG_MEMBERS: Final = 500
BIG_SENDERS: Final = 5
BIG_OUTSTANDING: Final = 16
PACE: Final = 100.0
"""Messages per second, over all rooms."""

IDLE_ROOM: Final = 100
IDLE_FIRST: Final = 100
"""Connections made before memory is first read: what a server loads once is not the connections' cost."""

STORM_ROOM: Final = 200
REJOIN_PAUSE: Final = 0.2
"""A client that could not reconnect tries again within this many seconds, at random."""


@dataclass(frozen=True)
class Plan:
    """How long to measure and warm up, in seconds; how many clients the two large scenarios have; bytes of a file."""

    seconds: float = 10.0
    warmup: float = 2.0
    idle: int = 5000
    storm: int = 2000
    file: int = 200_000_000


QUICK: Final = Plan(seconds=2.0, warmup=0.5, idle=500, storm=400, file=20_000_000)

Scenario = Callable[[Fleet, Plan, Outcome], Awaitable[None]]


class ClosedLoop:
    """Clients who each keep so many messages without an ack, never more.

    Args:
        clients: who sends.
        outstanding: how many messages each.
    """

    def __init__(self, clients: Sequence[Client], outstanding: int) -> None:
        self._clients = clients
        self._outstanding = outstanding

    def start(self) -> None:
        """Send; every ack brings the next message."""
        for client in self._clients:
            client.looping = True
            for _ in range(self._outstanding):
                client.send()

    def stop(self) -> None:
        """Send no more."""
        for client in self._clients:
            client.looping = False


class Pacer:
    """Sends at a steady rate whether or not answers come, one client after the other.

    Args:
        clients: who sends.
        rate: messages per second, all together.
    """

    def __init__(self, clients: Sequence[Client], rate: float) -> None:
        self._clients = itertools.cycle(clients)
        self._interval = 1 / rate
        self._loop = asyncio.get_running_loop()
        self._due = 0.0
        self._timer: asyncio.Handle | None = None

    def start(self) -> None:
        """Send the first message now."""
        self._due = self._loop.time()
        self._tick()

    def stop(self) -> None:
        """Send no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        next(self._clients).send()
        self._due += self._interval
        self._timer = self._loop.call_at(self._due, self._tick)


async def _under_load(fleet: Fleet, load: ClosedLoop | Pacer, plan: Plan, outcome: Outcome) -> None:
    """Warm up, come to rest, then measure from the first send until all that was sent is acked and delivered."""
    load.start()
    await asyncio.sleep(plan.warmup)
    load.stop()
    await fleet.settle()
    with measured(fleet, outcome):
        load.start()
        await asyncio.sleep(plan.seconds)
        load.stop()
        await fleet.settle()
    await conclude(fleet, outcome)


async def small(fleet: Fleet, plan: Plan, outcome: Outcome, outstanding: int) -> None:
    """200 clients in 50 rooms of 4, all of them sending in a closed loop."""
    await fleet.create_rooms(SMALL_ROOMS, SMALL_MEMBERS)
    await fleet.join(fleet.clients)
    await _under_load(fleet, ClosedLoop(fleet.clients, outstanding), plan, outcome)


async def big(fleet: Fleet, plan: Plan, outcome: Outcome) -> None:
    """One room of 500, of whom 5 send in a closed loop."""
    await fleet.create_rooms(1, BIG_MEMBERS)
    await fleet.join(fleet.clients)
    await _under_load(fleet, ClosedLoop(fleet.clients[:BIG_SENDERS], BIG_OUTSTANDING), plan, outcome)


async def paced(fleet: Fleet, plan: Plan, outcome: Outcome) -> None:
    """The small rooms at 100 messages a second: how long a message takes when nobody is in a hurry."""
    await fleet.create_rooms(SMALL_ROOMS, SMALL_MEMBERS)
    await fleet.join(fleet.clients)
    await _under_load(fleet, Pacer(fleet.clients, PACE), plan, outcome)


async def idle(fleet: Fleet, plan: Plan, outcome: Outcome) -> None:
    """Thousands of connections that do nothing: how fast they come, what memory each takes, that they stay."""
    await fleet.target.renew_front()
    await fleet.create_rooms((IDLE_FIRST + plan.idle) // IDLE_ROOM, IDLE_ROOM)
    first, others = fleet.clients[:IDLE_FIRST], fleet.clients[IDLE_FIRST:]
    await fleet.join(first)
    await asyncio.sleep(plan.warmup)
    pid = fleet.target.front()
    before = procstat.resident(pid) if pid else 0
    began = perf_counter()
    await fleet.join(others)
    elapsed = perf_counter() - began
    await asyncio.sleep(plan.seconds)
    outcome.figures |= {"connections": float(len(others)), "connects/s": len(others) / elapsed}
    if pid:
        outcome.figures["RSS KiB/connection"] = (procstat.resident(pid) - before) / len(others) / 1024
    await conclude(fleet, outcome)


async def storm(fleet: Fleet, plan: Plan, outcome: Outcome) -> None:
    """Rooms of 200 and a sender each at work; all but the senders lose their connection in the same moment."""
    await fleet.create_rooms(max(1, plan.storm // STORM_ROOM), 1 + min(plan.storm, STORM_ROOM))
    await fleet.join(fleet.clients)
    senders = list({client.room.id: client for client in fleet.clients}.values())
    listeners = [client for client in fleet.clients if client not in senders]
    load = Pacer(senders, PACE)
    load.start()
    await asyncio.sleep(plan.warmup)
    times, retries = array("q"), array("q")
    with measured(fleet, outcome):
        began = perf_counter_ns()
        for client in listeners:
            client.drop()
        async with asyncio.TaskGroup() as tasks:
            for client in listeners:
                tasks.create_task(_come_back(fleet, client, began, times, retries))
        outcome.figures |= {
            "clients": float(len(listeners)),
            "all back s": (perf_counter_ns() - began) / 1e9,
            **percentiles("back", times),
            "connects tried again": float(len(retries)),
        }
    load.stop()
    await conclude(fleet, outcome)


async def _come_back(fleet: Fleet, client: Client, began: int, times: array[int], retries: array[int]) -> None:
    while True:
        try:
            await client.rejoin(fleet.target.base_url(client.index))
        except (OSError, WSError, TimeoutError):
            client.drop()
            retries.append(client.index)
            await asyncio.sleep(random.uniform(0, REJOIN_PAUSE))
        else:
            times.append(perf_counter_ns() - began)
            return


CASES: Final[dict[str, dict[str, Scenario]]] = {
    "small": {f"small, {n} outstanding": partial(small, outstanding=n) for n in OUTSTANDING},
    "big": {"big": big},
    "paced": {"paced": paced},
    "idle": {"idle": idle},
    "storm": {"storm": storm},
    "files": {"files": files},
}
"""Scenario -> the cases it consists of."""


def with_seconds(plan: Plan, seconds: float | None) -> Plan:
    """The plan with another length of the measurement, where one is given."""
    return plan if seconds is None else replace(plan, seconds=seconds)
