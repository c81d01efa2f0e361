"""The scenario of files: how fast a large one goes in and out, and that no process holds it in memory meanwhile."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import aiohttp

from benchmarks import procstat
from shared.service import Tasks

if TYPE_CHECKING:
    from benchmarks.fleet import Fleet
    from benchmarks.sample import Outcome
    from benchmarks.scenarios import Plan

CHUNK: Final = 256 * 1024
MANY: Final = 50
SMALL: Final = 1_000_000
LOOK_EVERY: Final = 0.02
MIB: Final = 1024 * 1024
BEGIN: Final = b"%PDF-1.7\n"
END: Final = b"\n%%EOF\n"
WATCHED: Final = ("gateway", "media")


class Growth:
    """How much more memory some processes have, at most, than when it began. Samples: the kernel tells nobody."""

    def __init__(self, groups: dict[str, list[int]]) -> None:
        self._pids = {name: groups[name] for name in WATCHED if name in groups}
        self._before: dict[str, int] = {}
        self._most: dict[str, int] = {}
        self._tasks = Tasks()

    async def __aenter__(self) -> Self:
        self._before = self._resident()
        self._most = dict(self._before)
        self._tasks.spawn(self._look(), "look at memory")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.close()

    @property
    def figures(self) -> dict[str, float]:
        """In MiB, by kind of process."""
        return {f"{name} RSS growth MiB": (most - self._before[name]) / MIB for name, most in self._most.items()}

    async def _look(self) -> None:
        while True:
            for name, resident in self._resident().items():
                self._most[name] = max(self._most[name], resident)
            await asyncio.sleep(LOOK_EVERY)

    def _resident(self) -> dict[str, int]:
        return {name: sum(map(procstat.resident, pids)) for name, pids in self._pids.items()}


async def files(fleet: Fleet, plan: Plan, outcome: Outcome) -> None:
    """One large file up, down again and compared; then fifty small ones at once."""
    user = fleet.target.user("files")
    headers = {"Authorization": f"Bearer {user.jwt}"}
    base, timeout = fleet.target.base_url(0), aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(base, headers=headers, timeout=timeout) as http:
        await _upload(http, SMALL)  # what a process loads once is not the file's cost
        async with Growth(fleet.target.groups()) as growth:
            media_id, sent, taken = await _upload(http, plan.file)
            outcome.figures["upload MB/s"] = plan.file / 1e6 / taken
            await _until_ready(http, media_id)
            began = perf_counter()
            received = await _download(http, media_id)
            outcome.figures["download MB/s"] = plan.file / 1e6 / (perf_counter() - began)
        outcome.figures |= growth.figures
        if received != sent:
            outcome.faults["a file came back otherwise"] = 1
        began = perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(MANY):
                tasks.create_task(_upload(http, SMALL))
        outcome.figures["50 uploads s"] = perf_counter() - began


async def _upload(http: aiohttp.ClientSession, size: int) -> tuple[str, str, float]:
    """Upload so many bytes that pass for a PDF: the file's id, the checksum of what was sent, the seconds it took."""
    digest = hashlib.sha256()

    async def chunks() -> AsyncIterator[bytes]:
        block, left = random.randbytes(CHUNK), size - len(BEGIN) - len(END)
        parts = [block] * (left // CHUNK) + [block[: left % CHUNK]]
        for part in (BEGIN, *parts, END):
            digest.update(part)
            yield part

    began = perf_counter()
    async with http.post("/v1/media", data=chunks(), headers={"Content-Type": "application/pdf"}) as answer:
        if answer.status != 201:
            raise RuntimeError(f"POST /v1/media answered {answer.status}: {await answer.text()}")
        return (await answer.json())["id"], digest.hexdigest(), perf_counter() - began


async def _until_ready(http: aiohttp.ClientSession, media_id: str) -> None:
    """Wait until a file is ready; asked for again and again, as its event would take a socket of its own."""
    while True:
        async with http.get(f"/v1/media/{media_id}") as answer:
            state = (await answer.json()).get("state")
        if state == "ready":
            return
        if state != "pending":
            raise RuntimeError(f"the file is {state}")
        await asyncio.sleep(0.1)


async def _download(http: aiohttp.ClientSession, media_id: str) -> str:
    """Download a file: its checksum."""
    digest = hashlib.sha256()
    async with http.get(f"/v1/media/{media_id}/original") as answer:
        if answer.status != 200:
            raise RuntimeError(f"the file's download answered {answer.status}: {await answer.text()}")
        async for chunk in answer.content.iter_chunked(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
