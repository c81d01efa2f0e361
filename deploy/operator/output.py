"""What an operator is shown: lines for people, JSON for programs, and nothing that a terminal would obey."""

from collections.abc import Mapping

import orjson

FAILED = 1
"""The exit code where something could not be done."""


class NobodyReads(Exception):  # noqa: N818 - a state of standard output, not to be taken for a server's
    """Whoever read our output has gone."""


class OperatorError(Exception):
    """Something the operator can act upon, in one line."""


def print_json(fields: Mapping[str, object]) -> None:
    """One JSON object on a line of its own."""
    say(orjson.dumps(fields).decode())


def say(line: str) -> None:
    """One line. Raises NobodyReads."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        raise NobodyReads from None


def plain(text: str) -> str:
    """Text of strangers on one line, without what a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)
