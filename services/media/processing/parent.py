"""The parent's side of processing: starts a child for one file, reads its answer, ends it in time. Decodes nothing."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from contextlib import suppress
from pathlib import Path

from services.media.processing.product import ANSWER, Bounds, Job, Product, Unusable, heard
from shared.contracts.media_terms import MediaKind
from shared.logging import get_logger

log = get_logger(__name__)

ROOT = Path(__file__).parents[3]
"""Where the packages `services` and `shared` lie."""

ANSWER_LIMIT = 65_536
COMPLAINTS = "complaints.txt"
"""What a child writes to stderr, in its room."""

ENVIRONMENT = {
    "PATH": os.defpath,
    "LANG": "C.UTF-8",
    "PYTHONPATH": str(ROOT),
    "MALLOC_ARENA_MAX": "1",  # or every thread sets memory aside, which counts against the bound
    "OMP_NUM_THREADS": "1",
}
"""All that a child inherits: no secret, no address of a server."""


class Exhausted(Exception):  # noqa: N818 - how work on a file has ended, which callers expect
    """A child took more time or memory than it may, or was killed. To be tried again, some times."""


async def process(source: Path, room: Path, kind: MediaKind, mime_type: str, bounds: Bounds) -> Product:
    """Look into a file and make its variants, in a child process with limits.

    Args:
        source: the file.
        room: an empty directory for what is made; whoever gives it removes it.
        kind: what the file is to be.
        mime_type: what it was found to be (services.media.sniffing).
        bounds: what this may take.

    Raises:
        Refused: for good: `damaged`, `dimensions`, `type_mismatch`, `type_refused`.
        Exhausted: the child was killed, or has ended out of time or memory.
    """
    child = await _start(room, _job(source, room, kind, mime_type, bounds))
    try:
        async with asyncio.timeout(bounds.seconds):
            await child.wait()
    except TimeoutError:
        raise Exhausted(f"It took more than {bounds.seconds:g} seconds.") from None
    finally:
        await _end(child)
    if child.returncode != 0:
        raise Exhausted(_why(child.returncode, room))
    try:
        return heard(json.loads(_answer(room)), room)
    except (Unusable, OSError, ValueError) as error:
        log.error("unusable answer of a child", error=str(error), complaints=_complaints(room))
        raise Exhausted("It ended without a proper answer.") from error


def _job(source: Path, room: Path, kind: MediaKind, mime_type: str, bounds: Bounds) -> str:
    job: Job = {
        "source": str(source.absolute()),
        "room": str(room.absolute()),
        "kind": kind.value,
        "mime_type": mime_type,
        "memory": bounds.memory,
        "seconds": bounds.seconds,
        "pixels": bounds.pixels,
        "parent": os.getpid(),
    }
    return json.dumps(job)


async def _start(room: Path, job: str) -> Process:
    """A child in a session of its own, so that all it might start dies with it."""
    with (room / COMPLAINTS).open("wb") as complaints:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-s", "-B", "-m", "services.media.processing", job,
            stdin=DEVNULL, stdout=DEVNULL, stderr=complaints, cwd=room, env=ENVIRONMENT, start_new_session=True,
        )  # fmt: skip


async def _end(child: Process) -> None:
    """Kill what still runs, and wait for it: nobody else would."""
    if child.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        await child.wait()


def _answer(room: Path) -> bytes:
    with (room / ANSWER).open("rb") as file:
        return file.read(ANSWER_LIMIT)


def _why(status: int | None, room: Path) -> str:
    """How a child has ended that has not answered."""
    complaints = _complaints(room)
    log.warning("a child has failed", status=status, complaints=complaints)
    if status is not None and status < 0:
        with suppress(ValueError):
            return f"It was ended by {signal.Signals(-status).name}."
    return f"It ended with status {status}: {complaints.splitlines()[-1][:200] if complaints else 'without a word'}"


def _complaints(room: Path) -> str:
    """The end of what a child wrote to stderr."""
    with suppress(OSError), (room / COMPLAINTS).open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 2000))
        return file.read().decode("utf-8", "replace").strip()
    return ""
