"""`dead list|replay|drop`: the letters that no service could handle; a thin shell over `shared.bus.dead`.

What people wrote is shown only where `--show` asks for it.
"""

import argparse
from collections.abc import Mapping
from contextlib import aclosing
from datetime import UTC

from deploy.operator.arguments import Areas, at_least_one
from deploy.operator.output import FAILED, OperatorError, plain, print_json, say
from deploy.operator.places import broker
from shared.bus.dead import MOST, DeadLetters, Letter, NotReplayed, Unreachable, dead_letters

SHOWN = 100

HEAD = f"{'id':<16}  {'key':<14}  {'died':<20}  {'bytes':>9}  {'looks':>5}  reason"


def add_commands(areas: Areas) -> None:
    """Add what can be asked for here to the command line."""
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
        command.add_argument("--limit", type=at_least_one, metavar="N", default=SHOWN if name == "list" else MOST)
        command.add_argument("--json", action="store_true", help="a JSON object per letter and line")
        if name == "list":
            command.add_argument("--show", action="store_true", help="with the bodies: they are somebody's messages")


async def run(asked: argparse.Namespace, env: Mapping[str, str]) -> int:
    """Do what is asked for; the exit code.

    Raises:
        OperatorError: it cannot be done.
    """
    try:
        return await _run(asked, broker(env))
    except Unreachable as error:
        raise OperatorError(str(error)) from error


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
        say(f"{found - failed} of {there} dead letters {_DONE[asked.command]}{f', {failed} kept' * bool(failed)}")
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
        print_json({"id": letter.id, "key": letter.key, "outcome": outcome, "why": kept})
    else:
        say(f"{letter.id}  {plain(letter.key)}  {outcome}{f': {plain(kept)}' if kept else ''}")
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
        print_json(fields | ({"body": body} if asked.show else {}))
        return
    if first:
        say(HEAD)
    died = f"{letter.died_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if letter.died_at else "-"
    size = len(letter.body)
    say(f"{letter.id}  {plain(letter.key):<14}  {died:<20}  {size:>9}  {letter.looks:>5}  {plain(letter.reason)}")
    if asked.show:
        say(f"    {plain(body)}")
