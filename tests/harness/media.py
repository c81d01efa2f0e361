"""What tests of whole files' lives share: documents of any size, and waiting for what other processes do."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 60.0
PAUSE = 0.05


def document(size: int = 300_000) -> bytes:
    """So many bytes that pass for a PDF, no two places alike."""
    begin, end = b"%PDF-1.7\n", b"\n%%EOF\n"
    return begin + random.Random(size).randbytes(size - len(begin) - len(end)) + end


async def eventually(ask: Callable[[], Awaitable[T]], wanted: Callable[[T], object] = bool) -> T:
    """Ask until the answer is as wanted: other processes do it in their own time, and tell nobody."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while not wanted(answer := await ask()):
        assert loop.time() < deadline, f"not within {PATIENCE:g} s; the last answer: {answer}"
        await asyncio.sleep(PAUSE)
    return answer
