"""Packages of npm that tests run, installed once per machine: in a cache directory that bears the lock file's hash."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from tempfile import mkdtemp

import pytest

PACKAGES = Path(__file__).parents[1] / "e2e" / "node"
INSTALL_TIMEOUT = 100.0


def program(name: str, debian: str) -> str:
    """Where a program is. Skips the test where it is missing; in continuous integration that is a failure."""
    if (found := shutil.which(name)) is not None:
        return found
    missing = f"{name} is not on PATH (Debian, Ubuntu: sudo apt-get install {debian})"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


def installed() -> Path:
    """The `node_modules` of tests/e2e/node/package-lock.json.

    Raises:
        RuntimeError: where npm fails, with what it says.
    """
    lock = (PACKAGES / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "parley"
    home = cache / f"node-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not home.is_dir():
        npm = program("npm", "npm")
        cache.mkdir(parents=True, exist_ok=True)
        work = Path(mkdtemp(dir=cache))
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PACKAGES / name, work)
        command = [npm, "ci", "--no-fund", "--no-audit", "--ignore-scripts"]
        done = subprocess.run(command, cwd=work, capture_output=True, timeout=INSTALL_TIMEOUT, text=True, check=False)
        if done.returncode != 0:
            shutil.rmtree(work)
            raise RuntimeError(f"npm ci in {PACKAGES} failed: {done.stderr[-2000:]}")
        try:
            work.rename(home)
        except OSError:  # somebody else was faster
            shutil.rmtree(work)
    return home / "node_modules"
