"""The three stores as tests of them see them: each made anew on the same place, in this process or in another one.

Run as a program, it writes an object of which the last bytes never come, and says when most of it is written:
`python -m tests.integration.media_stores '{"media_store": …}' key bytes`.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from services.media.storage.choosing import store_of
from services.media.storage.store import Store
from shared.mongo import Mongo
from shared.settings import Settings

PIECE = 64 * 1024


@asynccontextmanager
async def opened(place: dict[str, Any]) -> AsyncIterator[Store]:
    """The store that these settings choose, prepared."""
    settings = Settings(**place)
    mongo = Mongo(settings.mongo_url, "tests")
    store = store_of(settings, mongo)
    try:
        await store.prepare()
        yield store
    finally:
        await store.close()
        mongo.close()


async def pieces(data: bytes, size: int = PIECE) -> AsyncIterator[bytes]:
    """Bytes as they may come from a client."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


def body(size: int, seed: int = 0) -> bytes:
    """Bytes in which no two places are alike."""
    return b"".join((seed * 2**40 + number).to_bytes(8, "big") for number in range(-(-size // 8)))[:size]


async def _never_ending(place: dict[str, Any], key: str, size: int) -> None:
    async def source() -> AsyncIterator[bytes]:
        async for piece in pieces(body(size)):
            yield piece
        print("written", flush=True)  # noqa: T201 - to the test
        await asyncio.Event().wait()

    async with opened(place) as store:
        await store.write(key, source())


if __name__ == "__main__":
    asyncio.run(_never_ending(json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
