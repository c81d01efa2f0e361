"""Confines the process it is called in, before anything is loaded that looks into files. Linux and POSIX."""

import ctypes
import math
import os
import resource
import signal
import sys

from services.media.processing.product import Bounds

FILE_SIZE = 512 * 1024 * 1024
"""Bytes of a file that is made; nothing comes near it but what runs wild."""

OPEN_FILES = 64
NICE = 10
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


def confine(bounds: Bounds, parent: int) -> None:
    """Limit memory, time, files; give way to others; and die when the parent does, however it does.

    Args:
        bounds: memory and seconds hold from now on.
        parent: the pid of the process that is to be outlived by no moment.

    Raises:
        SystemExit: where the parent is no more.
    """
    cpu = math.ceil(bounds.seconds) + 1
    for limit, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),  # a core holds what was in the file
        (resource.RLIMIT_CPU, cpu, cpu + 1),
        (resource.RLIMIT_FSIZE, FILE_SIZE, FILE_SIZE),
        (resource.RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES),
        (resource.RLIMIT_AS, bounds.memory, bounds.memory),
    ):
        allowed = resource.getrlimit(limit)[1]
        if allowed != resource.RLIM_INFINITY:
            soft, hard = min(soft, allowed), min(hard, allowed)  # noqa: PLW2901 - never above what is allowed
        resource.setrlimit(limit, (soft, hard))
    os.nice(NICE)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before that took effect
            raise SystemExit(1)
