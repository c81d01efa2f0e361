"""What the commands have in common on the command line."""

import argparse
from typing import TypeAlias

Areas: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - it has no other name


def at_least_one(text: str) -> int:
    """A number of things. Raises ArgumentTypeError where it is none."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
