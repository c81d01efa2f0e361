"""One child process: started, watched until ready, restarted when it dies, stopped.

Knows nothing of what the process is; its `Spec` says how to start it and how to tell that it is ready.
"""

import asyncio
import contextlib
import enum
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.errors import StartFailed
from deploy.embedded.home import OWNER_VARIABLE, Home
from deploy.embedded.probes import Probe

Progress = Callable[[str], None]

PROBE_INTERVAL = 0.1
# Seconds after which a start that takes so long is explained, again and again.
PATIENCE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """How to run one process.

    Args:
        name: names its pid file, log and status line.
        env: its whole environment.
        port: where it listens, for people.
        grace: seconds from SIGTERM until it is killed.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    port: int
    probe: Probe
    grace: float


class State(enum.Enum):
    """Where a process stands."""

    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    ENDED = "ended"


class Backoff:
    """How long to wait before the next restart: not at all, unless it keeps dying within `HEALTHY` seconds."""

    HEALTHY = 5.0
    FIRST = 0.25
    LONGEST = 5.0

    def __init__(self) -> None:
        self._pause = 0.0

    def after(self, lifetime: float) -> float:
        """Seconds to wait, given how many seconds the last life lasted."""
        if lifetime >= self.HEALTHY:
            self._pause = 0.0
            return 0.0
        pause, self._pause = self._pause, min(max(self.FIRST, self._pause * 2), self.LONGEST)
        return pause


class Process:
    """The life of one process, over its restarts.

    Args:
        restart: start it again when it dies after having been ready once.
        report: told every change, one line each.
    """

    def __init__(self, spec: Spec, home: Home, *, restart: bool, report: Progress) -> None:
        self.spec = spec
        self.state = State.STARTING
        self._home = home
        self._restart = restart
        self._report = report
        self._changed = asyncio.Condition()
        self._child: asyncio.subprocess.Process | None = None
        self._deaths = 0
        self._log_start = 0
        self._was_ready = False
        self._stopping = asyncio.Event()
        self._missing = "not started"

    @property
    def pid(self) -> int | None:
        """The living process's id."""
        return self._child.pid if self._child is not None else None

    async def supervise(self) -> None:
        """Start the process, and start it again as often as it dies, until it is stopped."""
        backoff = Backoff()
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self._live()
            if self._stopping.is_set():
                break
            if not (self._restart and self._was_ready):
                self._report(f"{self.spec.name} died ({_how(code)})")
                break
            pause = backoff.after(time.monotonic() - began)
            self._report(f"{self.spec.name} died ({_how(code)}), restarting" + (f" in {pause} s" if pause else ""))
            await self._enter(State.RESTARTING)
            await self._pause(pause)
        self._home.forget_pid(self.spec.name)
        await self._enter(State.ENDED)

    async def wait_ready(self, timeout: float) -> None:  # noqa: ASYNC109 - raises with the reason
        """Wait until the process is ready.

        Raises:
            StartFailed: if it is not within `timeout` seconds, or is dead and stays dead.
        """
        try:
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(lambda: self.state in {State.READY, State.ENDED})
        except TimeoutError:
            raise self._failure(f"is not ready after {timeout:.0f} s: {self._missing}") from None
        if self.state is State.ENDED:
            raise self._failure("died")

    async def kill(self, number: signal.Signals) -> int:
        """Send a signal; when it is one to die of, return after the process died. Returns the pid it had.

        Raises:
            StartFailed: if it is not running.
        """
        if self._child is None:
            raise self._failure("is not running")
        pid, deaths = self._child.pid, self._deaths
        with contextlib.suppress(ProcessLookupError):
            self._child.send_signal(number)
        if number in {signal.SIGKILL, signal.SIGTERM}:
            async with self._changed:
                await self._changed.wait_for(lambda: self._deaths > deaths)
        return pid

    async def stop(self) -> None:
        """End it for good: SIGTERM, and SIGKILL when it takes longer than its grace."""
        self._stopping.set()
        self._terminate()
        try:
            async with asyncio.timeout(self.spec.grace):
                await self._ended()
        except TimeoutError:
            self._report(f"{self.spec.name} did not stop within {self.spec.grace:.0f} s of SIGTERM, killed")
            self._kill_group()
            await self._ended()

    async def _live(self) -> int:
        """One life; returns the exit code (negative: the signal it died of)."""
        child = await self._spawn()
        self._child = child
        self._home.write_pid(self.spec.name, child.pid)
        await self._enter(State.STARTING)
        if self._stopping.is_set():
            self._terminate()
        try:
            async with asyncio.TaskGroup() as group:
                probing = group.create_task(self._probe_until_ready())
                code = await child.wait()
                probing.cancel()
        finally:
            # What the process had started itself must not outlive it and hold its ports.
            self._kill_group()
            self._child = None
        self._deaths += 1
        return code

    async def _spawn(self) -> asyncio.subprocess.Process:
        with self._home.open_log(self.spec.name) as log:
            self._log_start = log.tell()
            return await asyncio.create_subprocess_exec(
                *_dies_with_supervisor(),
                *self.spec.argv,
                cwd=self.spec.cwd,
                env={**self.spec.env, OWNER_VARIABLE: str(self._home.root)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C in the terminal is the supervisor's to handle: it stops everything in order.
                start_new_session=True,
            )

    async def _probe_until_ready(self) -> None:
        began = time.monotonic()
        tell = began + PATIENCE
        while (missing := await self.spec.probe()) is not None:
            self._missing = missing
            if time.monotonic() > tell:
                self._report(f"{self.spec.name:<12} not ready yet: {missing}")
                tell += PATIENCE
            await asyncio.sleep(PROBE_INTERVAL)
        again = " again" if self._was_ready else ""
        self._was_ready = True
        self._report(
            f"{self.spec.name:<12} ready{again} after {time.monotonic() - began:4.1f} s   port {self.spec.port}"
        )
        await self._enter(State.READY)

    async def _enter(self, state: State) -> None:
        async with self._changed:
            self.state = state
            self._changed.notify_all()

    async def _ended(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self.state is State.ENDED)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    def _terminate(self) -> None:
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                self._child.terminate()
                # One that was stopped (SIGSTOP) has to wake up to end.
                self._child.send_signal(signal.SIGCONT)

    def _kill_group(self) -> None:
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)

    def _failure(self, what: str) -> StartFailed:
        log = self._home.log_path(self.spec.name)
        return StartFailed(
            f"{self.spec.name} {what}\n  the end of {log}:\n{self._home.tail(self.spec.name, start=self._log_start)}"
        )


def _dies_with_supervisor() -> tuple[str, ...]:
    """A prefix that makes the kernel send SIGTERM when the supervisor is killed (Linux; elsewhere nothing)."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "TERM", "--") if setpriv else ()


def _how(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
