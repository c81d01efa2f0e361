"""Reads made together."""

import asyncio
from collections.abc import Collection

import pytest

from shared.gathering import Gathered


class Source:
    """Answers when told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[set[int]] = []
        self.began = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def fetch(self, keys: Collection[int]) -> dict[int, int]:
        self.asked.append(set(keys))
        self.began.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return {key: key * 10 for key in keys if key >= 0}


async def test_alone_it_is_one_read() -> None:
    """A single caller's keys are read at once, and what does not exist is left out."""
    source = Source()
    assert await Gathered(source.fetch).get([1, 2, -1]) == {1: 10, 2: 20}
    assert source.asked == [{1, 2, -1}]


async def test_what_comes_during_a_read_is_read_together_after_it() -> None:
    """Callers who come while a read is under way share the next, and each gets their own keys only."""
    source = Source()
    gathered = Gathered(source.fetch)
    source.gate.clear()
    first = asyncio.gather(gathered.get([1]))
    await source.began.wait()
    later = asyncio.gather(gathered.get([2]), gathered.get([2, 3]), gathered.get([1]))
    await asyncio.sleep(0)
    source.gate.set()
    assert list(await first) == [{1: 10}]
    assert list(await later) == [{2: 20}, {2: 20, 3: 30}, {1: 10}]
    assert source.asked == [{1}, {1, 2, 3}]


async def test_an_error_reaches_everybody_and_ends_with_them() -> None:
    """A failed read fails all who shared it; the next caller's read is a new one."""
    source = Source()
    gathered = Gathered(source.fetch)
    source.error = ConnectionError("away")
    results = await asyncio.gather(gathered.get([1]), gathered.get([2]), return_exceptions=True)
    assert all(isinstance(result, ConnectionError) for result in results)
    source.error = None
    with pytest.raises(KeyError):
        _ = (await gathered.get([5]))[6]
    assert await gathered.get([5]) == {5: 50}
