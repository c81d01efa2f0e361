"""`media usage|collect|check`: the files, and what they take; a thin shell over the media service's own modules.

Uses the store that the settings name, as the services do: run it with their environment.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import timedelta
from typing import NamedTuple

from deploy.operator.arguments import Areas, at_least_one
from deploy.operator.output import FAILED, OperatorError, plain, print_json, say
from deploy.operator.places import broker, database
from services.media.checking import Check, Compared
from services.media.collecting import UNUSED, Collector
from services.media.references import QUEUE, CaughtUp
from services.media.repository import Repository
from services.media.storage.choosing import store_of
from services.media.times import now
from shared.bus.link import Link
from shared.contracts.errors import ChatError
from shared.logging import configure_logging
from shared.mongo import Mongo, PyMongoError
from shared.service import Tasks
from shared.settings import Settings, SettingsError, load_settings

MOST = 10_000
"""Findings at once; what lies behind them is found when they are settled."""

WRONG_PLACE = (
    "not one of {} {} {}: are MONGO_URL and the settings of the store those of the services? Nothing is removed"
)

NOT_CAUGHT_UP = (
    f"files that no message seems to show were kept: not all of the queue '{QUEUE}' is taken in, which may say that "
    "some are shown; does the media service run, with this broker and database?"
)

CONNECT = 5.0
"""Seconds to reach the broker."""

TAKEN_IN = 2.0
"""Seconds in which what a media process has taken from its queue is written down."""


class Files(NamedTuple):
    """The files of a deployment."""

    repository: Repository
    collector: Collector
    check: Check


def add_commands(areas: Areas) -> None:
    """Add what can be asked for here to the command line."""
    media = areas.add_parser("media", help="uploaded files")
    commands = media.add_subparsers(dest="command", required=True)
    for name, what in {
        "usage": "what the files of each tenant take, as it is counted",
        "collect": "remove now what nobody needs: uploads given up, files that no message shows, refused ones",
        "check": "compare the store with the records; changes nothing unless told to",
    }.items():
        command = commands.add_parser(name, help=what, description=what)
        command.add_argument("--json", action="store_true", help="a JSON object per finding and line")
        if name == "collect":
            help_ = "seconds that no message has shown a file (MEDIA_KEEP_UNUSED); one may be about to be sent"
            command.add_argument("--unused", type=at_least_one, metavar="SECONDS", help=help_)
        if name == "check":
            command.add_argument("--remove-bytes", action="store_true", help="remove bytes that have no record")
            command.add_argument(
                "--remove-records", action="store_true", help="remove files whose original is not there; links break"
            )


async def run(asked: argparse.Namespace, env: Mapping[str, str]) -> int:
    """Do what is asked for; the exit code.

    Raises:
        OperatorError: it cannot be done.
    """
    try:
        settings = load_settings().model_copy(update={"mongo_url": database(env)})
        configure_logging("error", "operator", settings.name)
        async with AsyncExitStack() as held:
            caught_up = None
            if asked.command == "collect":
                caught_up = await held.enter_async_context(_caught_up(broker(env)))
            unused = timedelta(seconds=getattr(asked, "unused", None) or settings.media_keep_unused)
            files = await held.enter_async_context(_opened(settings, unused, caught_up))
            return await _COMMANDS[asked.command](files, asked)
    except (SettingsError, ChatError) as error:
        raise OperatorError(str(error)) from error
    except PyMongoError as error:
        raise OperatorError(f"the database is away: {str(error)[:200]}") from error


@asynccontextmanager
async def _caught_up(url: str) -> AsyncIterator[CaughtUp]:
    """Knows, at the next look, whether all that was told about files is taken in."""
    link, tasks = Link(url, "operator", []), Tasks()
    tasks.spawn(link.run(), "link")
    try:
        try:
            async with asyncio.timeout(CONNECT):
                await link.wait_up()
        except TimeoutError as error:
            raise OperatorError("the broker is away, or lets nobody in (AMQP_URL)") from error
        caught_up = CaughtUp(link.waiting)
        await caught_up()
        await asyncio.sleep(TAKEN_IN)  # nobody tells
        yield caught_up
    finally:
        await tasks.close()


@asynccontextmanager
async def _opened(settings: Settings, unused: timedelta, caught_up: CaughtUp | None) -> AsyncIterator[Files]:
    mongo = Mongo(settings.mongo_url, "parley-operator")
    store = store_of(settings, mongo)
    repository = Repository(mongo)
    collector = Collector(repository, store, unused, caught_up)
    try:
        await mongo.check()
        await store.prepare()
        yield Files(repository, collector, Check(repository, store, collector))
    finally:
        await store.close()
        mongo.close()


async def _usage(files: Files, asked: argparse.Namespace) -> int:
    usages = await files.repository.usages()
    for tenant, usage in sorted(usages.items()):
        if asked.json:
            print_json({"tenant": tenant, **usage._asdict()})
        else:
            say(f"{usage.files:>9}  {usage.bytes:>15}  {plain(tenant)}")
    if not asked.json:
        every = usages.values()
        say(f"{sum(each.files for each in every)} files, {sum(each.bytes for each in every)} bytes")
    return 0


async def _collect(files: Files, asked: argparse.Namespace) -> int:
    collected = await files.collector.collect(now())
    for why, what in collected.items():
        if asked.json:
            print_json({"why": why, **what._asdict()})
        else:
            say(f"{why:<12}  {what.files:>9} files  {what.bytes:>15} bytes")
    if UNUSED not in collected:
        raise OperatorError(NOT_CAUGHT_UP)
    return 0


async def _check(files: Files, asked: argparse.Namespace) -> int:
    unknown = await _unknown(files.check, strict=asked.remove_bytes)
    broken = await _broken(files.check, strict=asked.remove_records)
    left = 0
    for media_id in unknown:
        gone = asked.remove_bytes and await files.check.remove_bytes(media_id)
        left += not gone
        _tell(asked, media_id, "bytes without a record", removed=gone)
    for found in broken:
        gone = asked.remove_records and found.lost and await files.check.remove_record(found.media_id)
        left += not gone
        what = f"{'the original is' if found.lost else 'some forms are'} not there: {', '.join(found.missing)}"
        _tell(asked, found.media_id, what, removed=gone)
    if not asked.json:
        total = len(unknown) + len(broken)
        say(f"{total} findings, {total - left} removed")
    return FAILED if left else 0


async def _unknown(check: Check, *, strict: bool) -> list[str]:
    """The ids whose bytes have no record. `strict`: there must be others, or this is not the place."""
    found: set[str] = set()
    known = False
    async with aclosing(check.kept()) as kept:
        async for media_id, has_record in kept:
            known |= has_record
            if not has_record and len(found) < MOST:
                found.add(media_id)
    if strict and len(found) > 1 and not known:
        raise OperatorError(WRONG_PLACE.format(len(found), "files in the store", "is known"))
    return sorted(found)


async def _broken(check: Check, *, strict: bool) -> list[Compared]:
    """The files that are not whole. `strict`: others must be, or this is not the place."""
    found: list[Compared] = []
    whole = False
    async with aclosing(check.recorded()) as recorded:
        async for each in recorded:
            whole |= not each.missing
            if each.missing and len(found) < MOST:
                found.append(each)
    if strict and len(found) > 1 and not whole:
        raise OperatorError(WRONG_PLACE.format(len(found), "recorded files", "is in the store"))
    return found


def _tell(asked: argparse.Namespace, media_id: str, what: str, *, removed: bool) -> None:
    if asked.json:
        print_json({"media_id": media_id, "what": what, "removed": removed})
    else:
        say(f"{media_id}  {what}{'  removed' * removed}")


_COMMANDS = {"usage": _usage, "collect": _collect, "check": _check}
