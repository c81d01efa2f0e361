"""The kinds of faults: what each does to a site. One row per kind; who is hit and for how long is drawn by lot."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from random import Random
from typing import NamedTuple

from tests.faults.site import Site

Strike = Callable[[Site, Random], Awaitable[str]]
"""Does harm; returns once it is done, with what exactly it was."""


def _kill(*groups: Callable[[Site], Sequence[str]]) -> Strike:
    async def strike(site: Site, random: Random) -> str:
        victims = [random.choice(group(site)) for group in groups]
        await site.kill(*victims)
        return "SIGKILL " + " and ".join(victims)

    return strike


def _restart(group: Callable[[Site], Sequence[str]]) -> Strike:
    async def strike(site: Site, random: Random) -> str:
        victim = random.choice(group(site))
        await site.send_signal(victim, signal.SIGTERM)
        return f"SIGTERM {victim}"

    return strike


def _pause(group: Callable[[Site], Sequence[str]], shortest: float, longest: float) -> Strike:
    async def strike(site: Site, random: Random) -> str:
        victim, seconds = random.choice(group(site)), random.uniform(shortest, longest)
        await site.send_signal(victim, signal.SIGSTOP)
        await asyncio.sleep(seconds)
        await site.send_signal(victim, signal.SIGCONT)
        return f"SIGSTOP {victim} for {seconds:.1f} s"

    return strike


def _cut(group: Callable[[Site], Sequence[str]]) -> Strike:
    async def strike(site: Site, random: Random) -> str:
        victim = random.choice(group(site))
        site.proxy.cut(victim)
        return f"broker link of {victim} cut"

    return strike


def _deaf(group: Callable[[Site], Sequence[str]]) -> Strike:
    """What the broker says is lost: it has taken what it was sent, and the process does not learn of it."""

    async def strike(site: Site, random: Random) -> str:
        victim, seconds = random.choice(group(site)), random.uniform(0.1, 1.0)
        with site.proxy.deaf(victim):
            await asyncio.sleep(seconds)
            site.proxy.cut(victim)
        return f"{victim} heard nothing of the broker for {seconds:.1f} s, then its link was cut"

    return strike


def _mute(group: Callable[[Site], Sequence[str]], *, kill: bool) -> Strike:
    """What the process says is lost: for a worker, what it has written to the database and not announced yet."""

    async def strike(site: Site, random: Random) -> str:
        victim, seconds = random.choice(group(site)), random.uniform(0.1, 1.0)
        with site.proxy.mute(victim):
            await asyncio.sleep(seconds)
            if kill:
                await site.kill(victim)
            site.proxy.cut(victim)
        end = "it was killed" if kill else "its link was cut"
        return f"nothing of what {victim} said reached the broker for {seconds:.1f} s, then {end}"

    return strike


def _close(group: Callable[[Site], Sequence[str]]) -> Strike:
    async def strike(site: Site, random: Random) -> str:
        victim = random.choice(group(site))
        await site.close_connections(victim)
        return f"connection of {victim} closed by the broker"

    return strike


async def _zombie(site: Site, random: Random) -> str:
    """A writer that sleeps while another one takes its shards, and wakes up in the middle of a batch."""
    victim, seconds = random.choice(site.workers), random.uniform(0.5, 3.0)
    await site.send_signal(victim, signal.SIGSTOP)
    await site.close_connections(victim)
    await asyncio.sleep(seconds)
    await site.send_signal(victim, signal.SIGCONT)
    return f"SIGSTOP {victim}, its shards given away, awake after {seconds:.1f} s"


async def _orphan(site: Site, random: Random) -> str:
    """The same, but it is not even told: it wakes up with a socket full of commands that another one carries out."""
    victim, asleep, orphan = random.choice(site.workers), random.uniform(0.2, 1.0), random.uniform(2.0, 4.0)
    await site.send_signal(victim, signal.SIGSTOP)
    await asyncio.sleep(asleep)
    with site.proxy.orphaned(victim):
        await asyncio.sleep(orphan)
        await site.send_signal(victim, signal.SIGCONT)
        await asyncio.sleep(asleep)
    return (
        f"SIGSTOP {victim}, its shards given away, awake after {asleep + orphan:.1f} s and not told for {asleep:.1f} s"
    )


async def _power_cut(site: Site, _random: Random) -> str:
    await site.kill_everything()
    return "SIGKILL everything at once"


def _workers(site: Site) -> list[str]:
    return site.workers


def _gateways(site: Site) -> list[str]:
    return site.gateways


def _rooms(_site: Site) -> list[str]:
    return ["rooms-0"]


def _rabbitmq(_site: Site) -> list[str]:
    return ["rabbitmq"]


def _mongod(_site: Site) -> list[str]:
    return ["mongod"]


class Fault(NamedTuple):
    """A kind of fault. `kills`: whether it ends a process with SIGKILL."""

    strike: Strike
    kills: bool = False


ESSENTIAL: dict[str, Fault] = {
    "worker killed": Fault(_kill(_workers), kills=True),
    "gateway killed": Fault(_kill(_gateways), kills=True),
    "rooms killed": Fault(_kill(_rooms), kills=True),
    "broker killed": Fault(_kill(_rabbitmq), kills=True),
    "database killed": Fault(_kill(_mongod), kills=True),
    "worker paused": Fault(_pause(_workers, 1.0, 4.0)),
    "worker replaced while paused": Fault(_orphan),
    "gateway's link cut": Fault(_cut(_gateways)),
    "worker's link cut": Fault(_cut(_workers)),
}
"""What a short campaign has once each."""

FURTHER: dict[str, Fault] = {
    "gateway deaf": Fault(_deaf(_gateways)),
    "worker deaf": Fault(_deaf(_workers)),
    "rooms deaf": Fault(_deaf(_rooms)),
    "gateway mute": Fault(_mute(_gateways, kill=False)),
    "worker mute": Fault(_mute(_workers, kill=False)),
    "worker mute, then killed": Fault(_mute(_workers, kill=True), kills=True),
    "gateway's connection closed": Fault(_close(_gateways)),
    "worker's connection closed": Fault(_close(_workers)),
    "worker closed while paused": Fault(_zombie),
    "rooms' connection closed": Fault(_close(_rooms)),
    "worker restarted": Fault(_restart(_workers)),
    "gateway restarted": Fault(_restart(_gateways)),
    "database restarted": Fault(_restart(_mongod)),
    "gateway paused": Fault(_pause(_gateways, 1.0, 3.0)),
    "database paused": Fault(_pause(_mongod, 1.0, 3.0)),
    "worker and gateway killed": Fault(_kill(_workers, _gateways), kills=True),
    "worker and database killed": Fault(_kill(_workers, _mongod), kills=True),
    "broker and rooms killed": Fault(_kill(_rabbitmq, _rooms), kills=True),
    "power cut": Fault(_power_cut, kills=True),
}
"""What a long campaign has besides: gentler, meaner and combined ones."""

ALL = ESSENTIAL | FURTHER


def short(random: Random) -> list[str]:
    """Each essential fault once."""
    return random.sample(list(ESSENTIAL), len(ESSENTIAL))


def long(random: Random, kills: int) -> Iterator[list[str]]:
    """Rounds of faults, until `kills` of them have killed: in each all essential ones and half of the further ones."""
    while kills > 0:
        names = [*ESSENTIAL, *random.sample(list(FURTHER), len(FURTHER) // 2)]
        random.shuffle(names)
        for place, name in enumerate(names, start=1):
            kills -= ALL[name].kills
            if not kills:
                names = names[:place]
                break
        yield names
