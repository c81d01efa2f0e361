"""The machine and the versions a result belongs to."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.targets import ROOT

PACKAGES = ("aiohttp", "picows", "uvloop", "orjson", "motor", "aio-pika")


def _first_line(*command: str, cwd: Path = ROOT) -> str:
    """The first line a command prints, or an empty string where it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20, cwd=cwd)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.partition("\n")[0].strip()


def _field(path: str, name: str) -> str:
    """The value of the first `name : value` line of a /proc file."""
    for line in Path(path).read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return "unknown"


def _revision(checkout: Path) -> str:
    return _first_line("git", "describe", "--always", "--dirty", cwd=checkout)


def _origin() -> str:
    """Where the interpreter is from: distributions compile theirs with profiles, many others are without and slower."""
    return "the system's" if sys.base_prefix == "/usr" else "not the system's"


def describe(*, peer: bool, against: Path | None = None) -> dict[str, str]:
    """What a reader must know to compare these figures with others; ask before anything is started."""
    memory = int(_field("/proc/meminfo", "MemTotal").split()[0]) / 1024**2
    about = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} x {_field('/proc/cpuinfo', 'model name')}, {memory:.0f} GiB, "
        f"Linux {platform.release()}; the load generator runs on it too",
        "load before": f"{os.getloadavg()[0]:.2f} (average over a minute; well above 0, others were at work here)",
        "revision": _revision(ROOT),
        "python": f"{platform.python_version()} ({_origin()}), "
        + ", ".join(f"{name} {version(name)}" for name in PACKAGES),
    }
    if against:
        about["before"] = f"revision {_revision(against)}, with the same interpreter and packages"
    if peer:
        about["peer"] = f"Node {_first_line('node', '--version')}, {_first_line('redis-server', '--version')}"
    return about
