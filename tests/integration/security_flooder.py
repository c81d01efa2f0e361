"""`python -m tests.integration.security_flooder URL TOKEN`: one connection that sends without pause, until stdin ends.

A process of its own, so that what it costs is not charged to the clocks of the test. Prints `ready` when it begins,
and at the end how it was answered, as JSON: answers by error code (`ok` for acks).
"""

import asyncio
import sys
from collections import Counter

import orjson

from tests.integration.security_stream import Stream, stream


async def main(url: str, token: str) -> None:
    """Flood, and report."""
    codes: Counter[str] = Counter()
    async with stream(url, token) as flooder:
        flooder.put(orjson.dumps({"type": "room.create", "id": 0, "data": {}}))
        room_id = (await flooder.answer())["data"]["room"]["id"]
        work = asyncio.gather(pour(flooder, room_id), count(flooder, codes))
        print("ready", flush=True)  # noqa: T201 - what the test waits for
        await asyncio.to_thread(sys.stdin.read)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    print(orjson.dumps(codes).decode())  # noqa: T201 - the report


async def pour(flooder: Stream, room_id: str) -> None:
    """Send messages as fast as the socket takes them."""
    number = 0
    while True:
        number += 1
        data = {"room_id": room_id, "content": "x" * 200}
        flooder.put(orjson.dumps({"type": "message.send", "id": number, "data": data}))
        await flooder.writer.drain()
        if number % 20 == 0:
            await asyncio.sleep(0)


async def count(flooder: Stream, codes: Counter[str]) -> None:
    """Read and count the answers."""
    while True:
        answer = await flooder.answer()
        codes[answer["error"]["code"] if answer["type"] == "error" else "ok"] += 1


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
