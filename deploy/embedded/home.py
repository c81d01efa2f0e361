"""The directory a stack lives in: `run/` (pid files), `log/`, `data/`, and the lock that keeps its supervisor alone.

Starts and supervises nothing; what it ends are processes that a killed supervisor left behind, told apart from
strangers with a reused pid by the environment they were started with.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from deploy.embedded.errors import AlreadyRunning

ROTATE_BYTES = 20 * 1024 * 1024
TAIL_BYTES = 16 * 1024
# Every process of a stack carries this variable, naming the stack's directory.
OWNER_VARIABLE = "PARLEY_STACK"
SUPERVISOR = "supervisor"


class Home:
    """Files of one stack under `root`.

    Args:
        root: created when the lock is taken.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.run = self.root / "run"
        self.log = self.root / "log"
        self.data = self.root / "data"
        self._lock: IO[bytes] | None = None

    def acquire(self) -> None:
        """Become the supervisor of this directory.

        Raises:
            AlreadyRunning: if another living process is.
        """
        for directory in (self.run, self.log, self.data):
            directory.mkdir(parents=True, exist_ok=True)
        lock = self._lock_path.open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise AlreadyRunning(self.root, self.read_pid(SUPERVISOR)) from None
        self._lock = lock
        self.write_pid(SUPERVISOR, os.getpid())

    def release(self) -> None:
        """Give the directory up; harmless when not held."""
        if self._lock is not None:
            self.forget_pid(SUPERVISOR)
            self._lock.close()
            self._lock = None

    @property
    def held(self) -> bool:
        """Whether this object holds the directory."""
        return self._lock is not None

    def supervisor(self) -> int | None:
        """Pid of the living supervisor, `None` if the directory is free.

        Raises:
            AlreadyRunning: in the instant in which a supervisor has the lock and has not written its pid yet.
        """
        if not self._lock_path.exists():
            return None
        with self._lock_path.open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                if (pid := self.read_pid(SUPERVISOR)) is None:
                    raise AlreadyRunning(self.root, None) from None
                return pid
        return None

    def wait_released(self) -> None:
        """Block until no supervisor holds the directory."""
        with self._lock_path.open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)

    def write_pid(self, name: str, pid: int) -> None:
        """Write `run/<name>.pid`; a reader sees the old or the new pid, never half of one."""
        fresh = self.run / f".{name}.pid"
        fresh.write_text(f"{pid}\n")
        fresh.replace(self.run / f"{name}.pid")

    def forget_pid(self, name: str) -> None:
        """Remove `run/<name>.pid`."""
        (self.run / f"{name}.pid").unlink(missing_ok=True)

    def read_pid(self, name: str) -> int | None:
        """The pid in `run/<name>.pid`, `None` without one."""
        try:
            return int((self.run / f"{name}.pid").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def describe(self, description: Mapping[str, Any]) -> None:
        """Keep what a reader of this directory needs to find the running processes (`run/stack.json`)."""
        (self.run / "stack.json").write_text(json.dumps(description))

    def description(self) -> dict[str, Any]:
        """What the living supervisor kept with `describe`."""
        description: dict[str, Any] = json.loads((self.run / "stack.json").read_text())
        return description

    def log_path(self, name: str) -> Path:
        """Where process `name` logs."""
        return self.log / f"{name}.log"

    def open_log(self, name: str) -> IO[bytes]:
        """The log of `name`, for appending; one that has grown past 20 MB is first moved to `<name>.log.1`."""
        path = self.log_path(name)
        if path.exists() and path.stat().st_size > ROTATE_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path.open("ab")

    def tail(self, name: str, lines: int = 15, start: int = 0) -> str:
        """The last lines of the log of `name`, indented; nothing from before byte `start`."""
        try:
            with self.log_path(name).open("rb") as log:
                log.seek(max(start, log.seek(0, os.SEEK_END) - TAIL_BYTES))
                text = log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])

    def leftovers(self) -> list[int]:
        """Pids of the living processes that were started for this directory, by whichever supervisor."""
        mark = f"{OWNER_VARIABLE}={self.root}".encode()
        return [int(process.name) for process in Path("/proc").glob("[0-9]*") if mark in _environment(process)]

    async def clear_leftovers(self, grace: float) -> int:
        """End leftovers (SIGTERM, after `grace` seconds SIGKILL) and drop stale pid files; how many were ended."""
        ended = left = self.leftovers()
        _signal(left, signal.SIGTERM)
        deadline = time.monotonic() + grace
        while left:
            # They are not our children: there is nothing to wait for but their disappearance.
            await asyncio.sleep(0.1)
            left = self.leftovers()
            if time.monotonic() > deadline:
                _signal(left, signal.SIGKILL)
        for path in self.run.glob("[!.]*.pid"):
            if path.stem != SUPERVISOR:
                path.unlink()
        return len(ended)

    @property
    def _lock_path(self) -> Path:
        return self.run / "lock"


def _environment(process: Path) -> list[bytes]:
    """What a process was started with; nothing if it is gone, a zombie, or somebody else's."""
    try:
        return (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _signal(processes: list[int], number: signal.Signals) -> None:
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
