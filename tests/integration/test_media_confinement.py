"""What looks into files is confined: in time, in memory, in what it knows; and it does not outlive who started it."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from contextlib import suppress
from pathlib import Path

import pytest

from services.media.processing.parent import COMPLAINTS, Exhausted, process
from services.media.processing.product import Bounds
from shared.contracts.media_terms import MediaKind
from shared.service import Tasks
from tests.harness.badfiles import png_of
from tests.harness.files import png

PATIENCE = 30.0
BOUNDS = Bounds(memory=1 << 30, seconds=60.0, pixels=50_000_000)
PARENT = """
import asyncio, sys
from pathlib import Path
from services.media.processing.product import Bounds
from services.media.processing.parent import process
from shared.contracts.media_terms import MediaKind
source, room = map(Path, sys.argv[1:])
print("begun", flush=True)
asyncio.run(process(source, room, MediaKind.IMAGE, "image/png", Bounds(1 << 30, 60.0, 50_000_000)))
"""


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """Where a child works."""
    made = tmp_path / "room"
    made.mkdir()
    return made


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A picture that takes seconds to be written anew."""
    path = tmp_path / "upload"
    path.write_bytes(png(7000, 7000))
    return path


def child_in(room: Path) -> int | None:
    """The process that works in a room, once it does; None where there is none."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if (entry / "cwd").readlink() == room and b"services.media.processing" in (entry / "cmdline").read_bytes():
                return int(entry.name)
        except OSError:
            continue  # it has ended
    return None


async def until_confined(room: Path) -> int:
    """The pid of a child that has set its limits."""
    async with asyncio.timeout(PATIENCE):
        while True:
            pid = child_in(room)
            if pid is not None and "Max open files            64 " in limits_of(pid):
                return pid
            await asyncio.sleep(0.01)


async def until_gone(pid: int) -> None:
    """Return when a process is no more, or is only waited for."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if state_of(pid) in {"", "Z"}:
                return
            await asyncio.sleep(0.01)


def state_of(pid: int) -> str:
    """A process's state (proc(5)); empty where it is no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def limits_of(pid: int) -> str:
    """A process's limits (proc(5)); empty where it is no more."""
    try:
        return Path(f"/proc/{pid}/limits").read_text()
    except OSError:
        return ""


def environment_of(pid: int) -> bytes:
    """A process's environment."""
    return Path(f"/proc/{pid}/environ").read_bytes()


def files_of(pid: int) -> set[str]:
    """What a process has opened, but for modules that it is importing."""
    files = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            files.add(str(entry.readlink()))
    return {file for file in files if "/lib/" not in file and not file.endswith(".py")}


async def test_it_knows_no_secret_and_has_limits(slow: Path, room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the environment, no open file of its parent's; little of everything; a session of its own."""
    monkeypatch.setenv("JWT_SECRET", "what nobody may know")
    work = Tasks().spawn(process(slow, room, MediaKind.IMAGE, "image/png", BOUNDS), "work")
    pid = await until_confined(room)
    environment, files = environment_of(pid), files_of(pid)
    limits = {line[:25].strip(): line[25:].split()[0] for line in limits_of(pid).splitlines()}
    session = os.getsid(pid)
    await work
    assert b"nobody" not in environment
    assert b"SECRET" not in environment
    assert files <= {"/dev/null", str(slow), str(room / COMPLAINTS), str(room / "original.png")}
    assert limits["Max address space"] == str(BOUNDS.memory)
    assert limits["Max cpu time"] == "61"
    assert limits["Max open files"] == "64"
    assert limits["Max file size"] != "unlimited"
    assert session == pid


async def test_out_of_time_it_is_ended(slow: Path, room: Path) -> None:
    with pytest.raises(Exhausted, match=r"more than 1\.5 seconds"):
        await process(slow, room, MediaKind.IMAGE, "image/png", BOUNDS._replace(seconds=1.5))
    assert child_in(room) is None


async def test_out_of_memory_it_ends(tmp_path: Path, room: Path) -> None:
    """A picture that the limit of pixels lets by, and that of memory does not."""
    source = tmp_path / "upload"
    source.write_bytes(png_of(20_000, 20_000, depth=8))
    bounds = Bounds(memory=1 << 28, seconds=60.0, pixels=500_000_000)
    with pytest.raises(Exhausted, match="MemoryError"):
        await process(source, room, MediaKind.IMAGE, "image/png", bounds)


async def test_killed_it_may_be_tried_again(slow: Path, room: Path) -> None:
    """As where the system is short of memory."""
    work = Tasks().spawn(process(slow, room, MediaKind.IMAGE, "image/png", BOUNDS), "work")
    os.kill(await until_confined(room), signal.SIGKILL)
    with pytest.raises(Exhausted, match="SIGKILL"):
        await work


async def test_cancelled_it_is_ended(slow: Path, room: Path) -> None:
    """And waited for: nothing is left of it."""
    work = Tasks().spawn(process(slow, room, MediaKind.IMAGE, "image/png", BOUNDS), "work")
    pid = await until_confined(room)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert state_of(pid) == ""


async def test_it_dies_with_its_parent(slow: Path, room: Path) -> None:
    """Even where that is killed, and can end nothing any more."""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, str(slow), str(room), stdout=PIPE)
    pid = await until_confined(room)
    await asyncio.sleep(0)
    parent.kill()
    await parent.wait()
    await until_gone(pid)
    assert not (room / "answer.json").exists()
