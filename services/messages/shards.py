"""Which worker consumes which shard: even, deterministic, settled by heartbeats alone.

RabbitMQ's single active consumer is what makes a shard's writer single; this module only sees to it that the work is
spread. Two workers that disagree for a moment both consume; the broker activates one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from hashlib import blake2b
from typing import Protocol

from shared.logging import get_logger

log = get_logger(__name__)

BEAT = 0.5
SILENCE = 2.0
"""Seconds without a heartbeat after which a worker counts as dead."""


def assignment(workers: Collection[str], shards: int) -> dict[int, str]:
    """Shard -> worker by rendezvous hashing, none taking more than one shard beyond another.

    Every worker computes the same from the same list. A worker that comes or goes moves few shards but its own.
    """
    result: dict[int, str] = {}
    if not workers:
        return result
    share, more = divmod(shards, len(workers))  # `more` workers take one beyond the share
    load = dict.fromkeys(workers, 0)
    for shard in range(shards):
        free = [worker for worker in load if load[worker] < share + (more > 0)]
        chosen = max(free, key=lambda worker: (_weight(worker, shard), worker))
        load[chosen] += 1
        more -= load[chosen] > share
        result[shard] = chosen
    return result


def _weight(worker: str, shard: int) -> bytes:
    return blake2b(f"{shard}:{worker}".encode(), digest_size=8).digest()


class Beat(Protocol):
    """Publishes a heartbeat."""

    async def __call__(self, *, alive: bool) -> None:
        """Say that this worker is alive, or leaving."""


class Shards:
    """This worker's part of the shards, kept in step with who is alive.

    Args:
        acquire: begins to consume a shard.
        release: ends it, once nothing of it is in flight.
        beat: tells the others that this worker is alive, or leaving.
    """

    def __init__(
        self,
        worker: str,
        shards: int,
        acquire: Callable[[int], Awaitable[None]],
        release: Callable[[int], Awaitable[None]],
        beat: Beat,
    ) -> None:
        self._worker = worker
        self._shards = shards
        self._acquire = acquire
        self._release = release
        self._beat = beat
        self._seen: dict[str, float] = {}
        self._mine: set[int] = set()
        self._lock = asyncio.Lock()
        self._leaving = False

    @property
    def mine(self) -> frozenset[int]:
        """The shards consumed here."""
        return frozenset(self._mine)

    def heard(self, worker: str, *, alive: bool) -> None:
        """A heartbeat has arrived."""
        if alive:
            self._seen[worker] = asyncio.get_running_loop().time()
        else:
            self._seen.pop(worker, None)

    async def run(self) -> None:
        """Beat, and keep to the assignment. Ends only by cancellation."""
        while not self._leaving:
            await self._beat(alive=True)
            await self._settle()
            await asyncio.sleep(BEAT)

    async def leave(self) -> None:
        """Hand everything over: tell the others, and release each shard when nothing of it is in flight."""
        self._leaving = True
        await self._beat(alive=False)
        async with self._lock:
            for shard in sorted(self._mine):
                await self._release(shard)
            self._mine.clear()

    async def _settle(self) -> None:
        now = asyncio.get_running_loop().time()
        self._seen = {worker: at for worker, at in self._seen.items() if now - at < SILENCE}
        owners = assignment({*self._seen, self._worker}, self._shards)
        wanted = {shard for shard, worker in owners.items() if worker == self._worker}
        async with self._lock:
            if self._leaving or wanted == self._mine:
                return
            log.info("shards change", had=sorted(self._mine), takes=sorted(wanted), workers=len(self._seen))
            for shard in sorted(self._mine - wanted):
                await self._release(shard)
            for shard in sorted(wanted - self._mine):
                await self._acquire(shard)
            self._mine = wanted
