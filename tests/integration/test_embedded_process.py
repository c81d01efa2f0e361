"""One supervised process: restarts, pid file, last words, stubborn ones. Real processes, the cheapest there are."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploy.embedded.errors import StartFailed
from deploy.embedded.home import Home
from deploy.embedded.process import Process, Spec


async def at_once() -> str | None:
    """A probe that is content."""
    return None


async def never() -> str | None:
    """A probe that never is."""
    return "it never is"


def spec(
    script: str, tmp_path: Path, *, grace: float = 5, probe: Callable[[], Awaitable[str | None]] = at_once
) -> Spec:
    """A shell script as a process."""
    return Spec(
        name="child",
        argv=("sh", "-c", script),
        env={"PATH": os.environ["PATH"]},
        cwd=tmp_path,
        port=0,
        probe=probe,
        grace=grace,
    )


@asynccontextmanager
async def supervised(spec: Spec, root: Path, *, restart: bool = True) -> AsyncIterator[tuple[Process, list[str]]]:
    """The process under supervision, and the list of what was said about it."""
    home = Home(root)
    home.acquire()
    said: list[str] = []
    process = Process(spec, home, restart=restart, report=said.append)
    async with asyncio.TaskGroup() as owner:
        owner.create_task(process.supervise())
        try:
            yield process, said
        finally:
            await process.stop()
    home.release()


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


async def test_a_killed_process_is_back_under_a_new_pid(tmp_path: Path) -> None:
    """The pid file follows, and everybody is told."""
    async with supervised(spec("exec sleep 60", tmp_path), tmp_path) as (process, said):
        await process.wait_ready(5)
        before = await process.kill(signal.SIGKILL)
        await process.wait_ready(5)
        assert process.pid not in {None, before}
        assert Home(tmp_path).read_pid("child") == process.pid
        assert not alive(before)
    assert [line.split(" after")[0].strip() for line in said] == [
        "child        ready",
        "child died (killed by SIGKILL), restarting",
        "child        ready again",
    ]
    assert Home(tmp_path).read_pid("child") is None


async def test_without_restart_the_dead_stay_dead(tmp_path: Path) -> None:
    """RESTART=0: whoever waits for it or signals it hears so at once."""
    async with supervised(spec("exec sleep 60", tmp_path), tmp_path, restart=False) as (process, said):
        await process.wait_ready(5)
        await process.kill(signal.SIGKILL)
        with pytest.raises(StartFailed, match="child died"):
            await process.wait_ready(5)
        assert process.pid is None
        assert Home(tmp_path).read_pid("child") is None
        with pytest.raises(StartFailed, match="child is not running"):
            await process.kill(signal.SIGKILL)
    assert said[-1] == "child died (killed by SIGKILL)"


async def test_one_that_dies_before_it_is_ready_is_given_up(tmp_path: Path) -> None:
    """A start that fails is reported with the last words of the log, not tried over and over."""
    async with supervised(spec("echo the disk is full >&2; exit 3", tmp_path, probe=never), tmp_path) as (
        process,
        said,
    ):
        with pytest.raises(StartFailed, match="the disk is full") as failed:
            await process.wait_ready(5)
    assert str(tmp_path / "log" / "child.log") in str(failed.value)
    assert said == ["child died (exit code 3)"]


async def test_one_that_does_not_become_ready_is_named_with_what_it_lacks(tmp_path: Path) -> None:
    """The answer of its probe is part of the error."""
    async with supervised(spec("exec sleep 60", tmp_path, probe=never), tmp_path) as (process, _):
        with pytest.raises(StartFailed, match="child is not ready after 0 s: it never is"):
            await process.wait_ready(0.3)


async def test_one_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    """Stopping is bounded."""
    stubborn = "trap '' TERM; touch ready; while :; do sleep 0.1; done"

    async def trapped() -> str | None:
        return None if (tmp_path / "ready").exists() else "no trap yet"

    async with supervised(spec(stubborn, tmp_path, grace=0.5, probe=trapped), tmp_path) as (process, said):
        await process.wait_ready(5)
        pid = process.pid
    assert said[-1] == "child did not stop within 0 s of SIGTERM, killed"
    assert pid is not None
    assert not alive(pid)


async def test_what_a_process_started_does_not_outlive_it(tmp_path: Path) -> None:
    """It would hold the ports that the next life needs."""

    async def started() -> str | None:
        return None if (tmp_path / "grandchild").exists() else "no grandchild yet"

    script = "sleep 60 & echo $! > tmp; mv tmp grandchild; wait"
    async with supervised(spec(script, tmp_path, probe=started), tmp_path) as (process, _):
        await process.wait_ready(5)
        grandchild = int((tmp_path / "grandchild").read_text())
        assert alive(grandchild)
        await process.kill(signal.SIGKILL)
        async with asyncio.timeout(5):
            while alive(grandchild):  # noqa: ASYNC110 - not our child: its end can only be looked for
                await asyncio.sleep(0.01)


async def test_a_paused_process_lives_on_and_can_be_stopped(tmp_path: Path) -> None:
    """SIGSTOP: a process that hangs, rather than one that is gone; it must not hold up the end of the stack."""
    async with supervised(spec("exec sleep 60", tmp_path, grace=60), tmp_path) as (process, said):
        await process.wait_ready(5)
        pid = await process.kill(signal.SIGSTOP)
        assert process.pid == pid
    assert len(said) == 1
