"""The command line, `python -m deploy.operator dead list|replay|drop`: a thin shell over `shared.bus.dead`.

Uses the broker at AMQP_URL; without it, that of the stack which runs in embedded mode. What people wrote is shown only
where `--show` asks for it. Exit codes: 0 done, 1 something could not be done, 2 wrong usage.
"""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import UTC
from urllib.parse import urlsplit

import orjson

from shared.bus.dead import MOST, DeadLetters, Letter, NotReplayed, Unreachable, dead_letters

SHOWN = 100

FAILED = 1
INTERRUPTED = 130

HEAD = f"{'id':<16}  {'key':<14}  {'died':<20}  {'bytes':>9}  {'looks':>5}  reason"


class OperatorError(Exception):
    """Something the operator can act upon, in one line."""


class _NobodyReads(Exception):  # noqa: N818 - a state of standard output, not to be taken for the broker's
    """Whoever read our output has gone."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 1 and the reason on stderr when it fails."""
    asked = _parser().parse_args(arguments)
    logging.disable()  # what the driver tells of a lost broker is said here in one line
    try:
        return asyncio.run(_run(asked, broker(os.environ)))
    except _NobodyReads:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except (OperatorError, Unreachable) as error:
        print(f"parley: {_plain(str(error))}", file=sys.stderr, flush=True)
        return FAILED


def broker(env: Mapping[str, str]) -> str:
    """The URL of the broker that `env` means.

    Raises:
        OperatorError: where there is none, or its URL is no URL of a broker.
    """
    url = env.get("AMQP_URL") or _embedded(env)
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"amqp", "amqps"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise OperatorError("AMQP_URL is no URL of a broker (amqp://user:password@host:5672/)")
    return url


def _embedded(env: Mapping[str, str]) -> str:
    try:
        from deploy.embedded.config import Config
        from deploy.embedded.errors import EmbeddedError
        from deploy.embedded.home import Home
        from deploy.embedded.ports import LOOPBACK
    except ModuleNotFoundError:  # the image has no embedded mode
        raise OperatorError("which broker? set AMQP_URL") from None
    try:
        home = Home(Config.from_env(env).root)
        if home.supervisor() is None:
            raise OperatorError(f"no stack runs in {home.root}: start one (make up), or set AMQP_URL")
        port = home.description()["ports"].get("rabbitmq")
    except EmbeddedError as error:
        raise OperatorError(str(error)) from error
    if port is None:
        raise OperatorError(f"the stack in {home.root} uses a broker that it did not start: set AMQP_URL")
    return f"amqp://guest:guest@{LOOPBACK}:{port}/"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.operator", description=__doc__)
    areas = parser.add_subparsers(dest="area", required=True)
    dead = areas.add_parser("dead", help="letters that no service could handle")
    commands = dead.add_subparsers(dest="command", required=True)
    for name, what in {
        "list": "show them, oldest first; they stay",
        "replay": "publish them as they first came; what a queue has taken leaves this one",
        "drop": "remove them for good",
    }.items():
        command = commands.add_parser(name, help=what, description=what)
        chosen = command.add_mutually_exclusive_group(required=name != "list")
        chosen.add_argument("--id", help="the letters with this id (those that are alike share one)")
        chosen.add_argument("--key", help="the letters that came by this routing key")
        if name != "list":
            chosen.add_argument("--all", action="store_true", help="all letters")
        command.add_argument("--limit", type=_positive, metavar="N", default=SHOWN if name == "list" else MOST)
        command.add_argument("--json", action="store_true", help="a JSON object per letter and line")
        if name == "list":
            command.add_argument("--show", action="store_true", help="with the bodies: they are somebody's messages")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


async def _run(asked: argparse.Namespace, url: str) -> int:
    found = failed = 0
    everything = not (asked.id or asked.key)
    async with dead_letters(url) as letters:
        there = await letters.count()
        looked_at = min(there, MOST, asked.limit if everything else MOST)
        async with aclosing(letters.look(looked_at)) as look:
            async for letter in look:
                if not (everything or letter.id == asked.id or letter.key == asked.key):
                    continue
                if asked.command == "list":
                    _print_letter(letter, asked, first=not found)
                else:
                    failed += not await _settle(letters, letter, asked)
                found += 1
                if found == asked.limit:
                    break
    if not (found or everything):
        raise OperatorError(f"no letter with {'id' if asked.id else 'key'} '{asked.id or asked.key}' among {looked_at}")
    if not asked.json:
        _say(f"{found - failed} of {there} dead letters {_DONE[asked.command]}{f', {failed} kept' * bool(failed)}")
    return FAILED if failed else 0


_DONE = {"list": "listed", "replay": "replayed", "drop": "dropped"}


async def _settle(letters: DeadLetters, letter: Letter, asked: argparse.Namespace) -> bool:
    """Replay or drop one letter, and say so; whether it is gone."""
    kept = None
    try:
        if asked.command == "replay":
            await letters.replay(letter)
        else:
            await letters.drop(letter)
    except NotReplayed as error:
        kept = str(error)
    outcome = "kept" if kept else _DONE[asked.command]
    if asked.json:
        _print_json({"id": letter.id, "key": letter.key, "outcome": outcome, "why": kept})
    else:
        _say(f"{letter.id}  {_plain(letter.key)}  {outcome}{f': {_plain(kept)}' if kept else ''}")
    return kept is None


def _print_letter(letter: Letter, asked: argparse.Namespace, *, first: bool) -> None:
    body = letter.body.decode(errors="backslashreplace")
    if asked.json:
        fields = {
            "id": letter.id,
            "key": letter.key,
            "exchange": letter.exchange,
            "queue": letter.queue,
            "reason": letter.reason,
            "died_at": letter.died_at,
            "bytes": len(letter.body),
            "looks": letter.looks,
        }
        _print_json(fields | ({"body": body} if asked.show else {}))
        return
    if first:
        _say(HEAD)
    died = f"{letter.died_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if letter.died_at else "-"
    size = len(letter.body)
    _say(f"{letter.id}  {_plain(letter.key):<14}  {died:<20}  {size:>9}  {letter.looks:>5}  {_plain(letter.reason)}")
    if asked.show:
        _say(f"    {_plain(body)}")


def _print_json(fields: Mapping[str, object]) -> None:
    _say(orjson.dumps(fields).decode())


def _say(line: str) -> None:
    try:
        print(line, flush=True)
    except BrokenPipeError:
        raise _NobodyReads from None


def _plain(text: str) -> str:
    """Text of strangers on one line, without what a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)


if __name__ == "__main__":
    sys.exit(main())
