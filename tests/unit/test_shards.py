"""Shards among workers: evenly, the same everywhere, moving little; and one worker's keeping to its part."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.messages import shards as module
from services.messages.shards import SILENCE, Shards, assignment
from shared.service import Tasks

name = st.text("abcdefgh-0123456789", min_size=1, max_size=12)


class TestAssignment:
    @settings(max_examples=50)
    @given(st.sets(name, min_size=1, max_size=12), st.integers(1, 64))
    def test_every_shard_has_one_worker_and_loads_differ_by_one_at_most(self, workers: set[str], shards: int) -> None:
        """No worker is idle while another has two shards to give."""
        owners = assignment(workers, shards)
        assert sorted(owners) == list(range(shards))
        loads = Counter(dict.fromkeys(workers, 0)) + Counter(owners.values())
        counts = [loads[worker] for worker in workers]
        assert max(counts) - min(counts) <= 1

    @settings(max_examples=50)
    @given(st.lists(name, min_size=1, max_size=12, unique=True), st.integers(1, 64))
    def test_all_workers_compute_the_same(self, workers: list[str], shards: int) -> None:
        """The order in which a worker has heard of the others does not matter."""
        assert assignment(workers, shards) == assignment(sorted(workers), shards)

    def test_nobody_there(self) -> None:
        """Without workers nothing is assigned, and nothing fails."""
        assert assignment([], 4) == {}

    @pytest.mark.parametrize(("workers", "shards", "tolerated"), [(2, 4, 1.0), (3, 8, 1.3), (4, 16, 1.5), (8, 64, 1.8)])
    def test_a_departure_moves_little_beyond_what_it_must(self, workers: int, shards: int, tolerated: float) -> None:
        """On average `tolerated` times the shards that the departed worker had; modulo would move nearly all."""
        ratios = []
        for trial in range(20):
            everybody = [f"messages-{trial}-{number}" for number in range(workers)]
            before = assignment(everybody, shards)
            for gone in everybody:
                after = assignment([worker for worker in everybody if worker != gone], shards)
                moved = sum(before[shard] != after[shard] for shard in range(shards))
                ratios.append(moved / sum(owner == gone for owner in before.values()))
        assert mean(ratios) <= tolerated


class Broker:
    """Records what one worker asks of the broker."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.consumed: set[int] = set()
        self.beats: list[bool] = []
        self.changed = asyncio.Event()

    async def acquire(self, shard: int) -> None:
        """Begin to consume."""
        self.calls.append(("acquire", shard))
        self.consumed.add(shard)
        self.changed.set()

    async def release(self, shard: int) -> None:
        """End it."""
        self.calls.append(("release", shard))
        self.consumed.discard(shard)
        self.changed.set()

    async def until(self, condition: Callable[[set[int]], bool]) -> None:
        """Return once the shards consumed are as wanted."""
        async with asyncio.timeout(2):
            while not condition(self.consumed):
                self.changed.clear()
                await self.changed.wait()

    async def beat(self, *, alive: bool) -> None:
        """Say that the worker is alive, or leaving."""
        self.beats.append(alive)


def shards_of(workers: Collection[str], worker: str, shards: int) -> set[int]:
    """A worker's part."""
    return {shard for shard, owner in assignment(workers, shards).items() if owner == worker}


class TestShards:
    @pytest.fixture(autouse=True)
    def _quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "BEAT", 0.001)

    @pytest.fixture
    def broker(self) -> Broker:
        return Broker()

    @pytest.fixture
    def shards(self, broker: Broker) -> Shards:
        return Shards("a", 4, broker.acquire, broker.release, broker.beat)

    @pytest.fixture
    async def tasks(self) -> AsyncIterator[Tasks]:
        owner = Tasks()
        yield owner
        await owner.close()

    async def test_alone_it_takes_everything_and_tells_the_others(
        self, broker: Broker, shards: Shards, tasks: Tasks
    ) -> None:
        """The first worker of a deployment need not wait for anybody."""
        tasks.spawn(shards.run(), "shards")
        await broker.until(lambda consumed: consumed == {0, 1, 2, 3})
        assert shards.mine == {0, 1, 2, 3}
        assert broker.beats[0] is True

    async def test_it_hands_over_first_and_takes_then(self, broker: Broker, shards: Shards, tasks: Tasks) -> None:
        """Another worker's arrival takes shards away, its departure brings them back."""
        tasks.spawn(shards.run(), "shards")
        await broker.until(lambda consumed: len(consumed) == 4)
        shards.heard("b", alive=True)
        await broker.until(lambda consumed: consumed == shards_of({"a", "b"}, "a", 4))
        assert len(broker.consumed) == 2
        shards.heard("b", alive=False)
        await broker.until(lambda consumed: len(consumed) == 4)

    async def test_silence_counts_as_death(
        self, broker: Broker, shards: Shards, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A worker that has stopped beating loses its shards without a word."""
        monkeypatch.setattr(module, "SILENCE", 0.05)
        assert SILENCE < 5, "shards are to be spread again within 5 s of a death"
        shards.heard("b", alive=True)
        tasks.spawn(shards.run(), "shards")
        await broker.until(lambda consumed: len(consumed) == 2)
        await broker.until(lambda consumed: len(consumed) == 4)

    async def test_leaving_releases_all_and_takes_nothing_again(
        self, broker: Broker, shards: Shards, tasks: Tasks
    ) -> None:
        """A draining worker says so before it lets go, so that the others come for the shards."""
        task = tasks.spawn(shards.run(), "shards")
        await broker.until(lambda consumed: len(consumed) == 4)
        await shards.leave()
        await asyncio.wait_for(task, 1)
        assert broker.consumed == set()
        assert broker.beats[-1] is False
        assert shards.mine == frozenset()
