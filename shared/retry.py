"""Waiting out a server that is away. Knows no driver: the caller says which errors pass by themselves."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.logging import get_logger

log = get_logger(__name__)

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0

Transient = Callable[[Exception], bool]
"""Whether the same work may succeed later."""

T = TypeVar("T")


async def until_done(work: Callable[[], Awaitable[T]], transient: Transient, what: str) -> T:
    """Do `work` until it succeeds, with growing pauses; its result.

    Raises:
        Exception: whatever `work` raises that is not transient.
    """
    pause = FIRST_PAUSE
    while True:
        try:
            return await work()
        except Exception as error:
            if not transient(error):
                raise
            log.warning("will be tried again", what=what, error=f"{type(error).__name__}: {error}"[:500])
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
        pause = min(pause * 2, LONGEST_PAUSE)
