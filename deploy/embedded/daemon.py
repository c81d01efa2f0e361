"""Runs a function in a background process of its own session, and tells its caller when it is ready.

Must be called before the first thread or event loop exists: it forks.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

READY = b"."
NEVER_READY = 1


def in_background(log: Path, work: Callable[[Callable[[], None]], int]) -> int:
    """Run `work(ready)` in a background process.

    Until it calls `ready`, it writes to this terminal, and a signal that would end this process stops it; from then on
    it writes to `log` and is on its own.

    Returns:
        Here, 0 once `ready` was called, else the exit code of the background process, never 0. In that process, what
        `work` returns.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.setsid()
        return work(lambda: _let_go(writer, log))
    os.close(writer)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: os.kill(child, signal.SIGTERM))
    if os.read(reader, 1) == READY:
        return 0
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) or NEVER_READY


def _let_go(writer: int, log: Path) -> None:
    """Leave the terminal, then release the caller, so that a caller who reads our output sees its end."""
    sys.stdout.flush()
    sys.stderr.flush()
    null = os.open(os.devnull, os.O_RDONLY)
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(null, 0)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(null)
    os.close(target)
    os.write(writer, READY)
    os.close(writer)
