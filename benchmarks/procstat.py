"""CPU time and memory of processes, read from /proc (proc(5)). Linux only; knows nothing of what they do."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
TICKS: Final = os.sysconf("SC_CLK_TCK")
PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat after the command's name, which may hold spaces: state, ppid and so on."""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _parents() -> Iterator[tuple[int, int]]:
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                yield int(entry.name), int(_stat(int(entry.name))[1])
            except (FileNotFoundError, ProcessLookupError):
                continue


def descendants(pid: int) -> list[int]:
    """This process and all that it started, directly or not: a broker's pid may be its shell's."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found = [pid]
    for known in found:
        found.extend(children.get(known, ()))
    return found


class CpuClock:
    """CPU seconds used by groups of processes since `restart`.

    Args:
        groups: name of each group -> pids; their descendants count as well.
    """

    def __init__(self, groups: Mapping[str, list[int]]) -> None:
        self._roots = groups
        self._pids = {name: [p for pid in pids for p in descendants(pid)] for name, pids in groups.items()}
        self._start: dict[str, float] = {}

    def restart(self) -> None:
        """Count from here on."""
        self._start = {name: self._seconds(name) for name in self._pids}

    def read(self) -> dict[str, float]:
        """CPU seconds per group.

        Raises:
            ProcessLookupError: if a process of `groups` has ended meanwhile: the measurement is void. What one of them
                has started may end, as a broker's helpers do; what it has used is counted with who awaited it.
        """
        return {name: self._seconds(name) - start for name, start in self._start.items()}

    def _seconds(self, name: str) -> float:
        ticks = 0
        for pid in self._pids[name]:
            try:
                fields = _stat(pid)
            except (FileNotFoundError, ProcessLookupError) as error:
                if pid not in self._roots[name]:
                    continue
                raise ProcessLookupError(f"process {pid} of {name} ended during the measurement") from error
            ticks += sum(map(int, fields[11:15]))  # utime, stime, and both of children that have ended
        return ticks / TICKS


def resident(pid: int) -> int:
    """Resident set size of one process, in bytes."""
    return int((PROC / str(pid) / "statm").read_text().split()[1]) * PAGE
