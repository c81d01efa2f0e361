"""Reads that are wanted at the same time, made as one: group commit for reads. Knows no database.

A read that is asked for while another is under way waits for the next one, which begins afterwards. So an answer is
never older than its question.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Gathered(Generic[K, V]):
    """Looks things up by key, for any number of callers at once.

    Args:
        fetch: reads many keys; those that do not exist may be absent from its answer.
    """

    def __init__(self, fetch: Callable[[Collection[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._fetch = fetch
        self._lock = asyncio.Lock()
        self._wanted: set[K] = set()
        self._answer: asyncio.Future[Mapping[K, V]] | None = None

    async def get(self, keys: Collection[K]) -> dict[K, V]:
        """The values of `keys`, read after this was called. Raises what `fetch` raises."""
        if self._answer is None:
            self._answer = asyncio.get_running_loop().create_future()
        answer = self._answer
        self._wanted.update(keys)
        async with self._lock:
            if not answer.done():
                await self._read(answer)
        found = await answer
        return {key: found[key] for key in keys if key in found}

    async def _read(self, answer: "asyncio.Future[Mapping[K, V]]") -> None:
        """Read for everybody who waits for this answer."""
        wanted, self._wanted = self._wanted, set()
        self._answer = None
        try:
            answer.set_result(await self._fetch(wanted))
        except Exception as error:  # noqa: BLE001 - it is everybody's who waits
            answer.set_exception(error)
        except asyncio.CancelledError:
            answer.cancel()
            raise
