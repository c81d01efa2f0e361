"""`deploy/embedded/venv.sh`: with which interpreter the virtual environment is made."""

import os
import subprocess
import sys
from pathlib import Path

from deploy.embedded.config import REPOSITORY


def make(venv: Path, python: Path) -> subprocess.CompletedProcess[str]:
    """Make a virtual environment with `python`, and install nothing into it."""
    empty = venv.with_suffix(".txt")
    empty.touch()
    command = [REPOSITORY / "deploy" / "embedded" / "venv.sh", venv, empty]
    return subprocess.run(
        command, env={**os.environ, "PYTHON": str(python)}, capture_output=True, text=True, check=False, timeout=120
    )


def test_python_chooses_the_interpreter(tmp_path: Path) -> None:
    """Not the first on PATH, but the one that is named."""
    chosen, used = tmp_path / "chosen", tmp_path / "used"
    chosen.write_text(f'#!/bin/sh\necho "$@" >> {used}\nexec {sys.executable} "$@"\n')
    chosen.chmod(0o755)
    done = make(tmp_path / "venv", chosen)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert f"-m venv --clear {tmp_path / 'venv'}" in used.read_text()
    assert (tmp_path / "venv" / "bin" / "pip").exists()


def test_an_interpreter_that_is_none_is_named(tmp_path: Path) -> None:
    """No other is taken in its stead, and nothing is left behind."""
    done = make(tmp_path / "venv", tmp_path / "nowhere")
    assert done.returncode != 0
    assert f"none was found as {tmp_path / 'nowhere'}" in done.stderr
    assert not (tmp_path / "venv").exists()
