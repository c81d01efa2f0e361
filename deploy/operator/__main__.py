"""The command line, `python -m deploy.operator dead|media …`.

Uses the servers that AMQP_URL and MONGO_URL name; without them, those of the stack which runs in embedded mode. Exit
codes: 0 done, 1 something could not be done, 2 wrong usage.
"""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from deploy.operator import dead, media
from deploy.operator.output import FAILED, NobodyReads, OperatorError, plain

INTERRUPTED = 130

_Run = Callable[[argparse.Namespace, Mapping[str, str]], Coroutine[Any, Any, int]]

AREAS: dict[str, _Run] = {"dead": dead.run, "media": media.run}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 1 and the reason on stderr when it fails."""
    asked = _parser().parse_args(arguments)
    logging.disable()  # what the drivers tell of a lost server is said here in one line
    try:
        return asyncio.run(AREAS[asked.area](asked, os.environ))
    except NobodyReads:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except OperatorError as error:
        print(f"parley: {plain(str(error))}", file=sys.stderr, flush=True)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.operator", description=__doc__)
    areas = parser.add_subparsers(dest="area", required=True)
    for area in (dead, media):
        area.add_commands(areas)
    return parser


if __name__ == "__main__":
    sys.exit(main())
