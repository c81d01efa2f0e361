"""A server process that the benchmark starts and stops itself: spawned, awaited until ready, ended by its pid."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import aiohttp

START_TIMEOUT: Final = 60.0
STOP_TIMEOUT: Final = 20.0
POLL: Final = 0.05


def free_port() -> int:
    """A TCP port on loopback that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Child:
    """One process; its output goes to `log`.

    Raises:
        RuntimeError: from `start`, if it ends or does not answer in time; names the log.
    """

    def __init__(
        self, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        self._command = command
        self._log = log
        self._env = {**os.environ, **(env or {})}
        self._cwd = cwd
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The pid of the running process."""
        if self._process is None:
            raise RuntimeError(f"{self._command[0]} is not running")
        return self._process.pid

    async def start(self, *, ready_url: str | None = None, ready_port: int | None = None) -> None:
        """Spawn it and wait until this URL answers 200, or this port of loopback takes connections, if one is given."""
        with self._log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdout=output, stderr=output, env=self._env, cwd=self._cwd
            )
        if ready_url is None and ready_port is None:
            return
        try:
            async with asyncio.timeout(START_TIMEOUT):
                # Another process's start can only be polled for.
                while not await (_answers(ready_url) if ready_url else _listens(ready_port)):
                    if self._process.returncode is not None:
                        raise RuntimeError(
                            f"{' '.join(self._command)} ended with status {self._process.returncode} "
                            f"while starting: see {self._log}"
                        )
                    await asyncio.sleep(POLL)
        except TimeoutError:
            await self.stop()
            raise RuntimeError(
                f"{' '.join(self._command)} was not ready within {START_TIMEOUT:.0f} s: see {self._log}"
            ) from None

    async def stop(self) -> None:
        """End it: politely, then not."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT)
            return
        process.kill()
        await process.wait()


async def _answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as http, http.get(url) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def _listens(port: int | None) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
