"""Uploads beside everything else: `python -m benchmarks.uploads URL NUMBER BYTES_PER_SECOND` until it is ended.

So many users upload files one after the other, each at a steady rate, as people on ordinary lines do: every other one
a photograph, which is decoded and made smaller, the others documents of which nothing is made. The secret that signs
their tokens is read from JWT_SECRET.
"""

from __future__ import annotations

import asyncio
import io
import os
import random
import sys
from collections.abc import AsyncIterator
from typing import Final

import aiohttp
from PIL import Image

from benchmarks.files import BEGIN, END
from shared.auth import issue_token

CHUNK: Final = 16 * 1024
DOCUMENT: Final = 4 * 1024 * 1024
PHOTO: Final = (2000, 1500)


def document(size: int) -> bytes:
    """So many bytes that pass for a PDF and cannot be compressed."""
    return BEGIN + random.randbytes(size - len(BEGIN) - len(END)) + END


def photograph() -> bytes:
    """A JPEG of some megabytes."""
    picture = Image.frombytes("RGB", PHOTO, random.randbytes(PHOTO[0] * PHOTO[1] * 3))
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=80)
    return written.getvalue()


async def _at_rate(data: bytes, rate: float) -> AsyncIterator[bytes]:
    """The data in chunks, so many bytes a second."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for start in range(0, len(data), CHUNK):
        yield data[start : start + CHUNK]
        await asyncio.sleep(max(0.0, began + (start + CHUNK) / rate - loop.time()))


async def _upload_for_ever(
    http: aiohttp.ClientSession, url: str, name: str, kind: str, data: bytes, rate: float
) -> None:
    secret = os.environ["JWT_SECRET"]
    headers = {"Authorization": f"Bearer {issue_token(secret, sub=name, ttl=24 * 3600)}", "Content-Type": kind}
    await asyncio.sleep(random.uniform(0, len(data) / rate))  # not all of them begin and end in step
    while True:
        async with http.post(f"{url}/v1/media", data=_at_rate(data, rate), headers=headers) as answer:
            if answer.status != 201:
                print(answer.status, await answer.text(), flush=True)


async def main(url: str, number: int, rate: float) -> None:
    """Upload until cancelled."""
    files = [("image/jpeg", photograph()), ("application/pdf", document(DOCUMENT))]
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as http, asyncio.TaskGroup() as tasks:
        for index in range(number):
            kind, data = files[index % len(files)]
            tasks.create_task(_upload_for_ever(http, url, f"uploader-{index}", kind, data, rate))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
