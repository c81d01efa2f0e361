"""python -m benchmarks: start what is to be measured, measure it, write benchmarks/results.

Exit status: 0; 1 when Parley broke a promise or a run of it failed; 2 when it could not be measured.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, NamedTuple

import uvloop

from benchmarks import about, floors, report, runner
from benchmarks.floors import FloorFigures
from benchmarks.scenarios import CASES, QUICK, Plan, Scenario, with_seconds
from benchmarks.targets import Bare, Dialect, Parley, Peer, Running, Target, Uploading
from deploy.embedded import ports
from deploy.embedded.errors import EmbeddedError
from deploy.embedded.stack import Stack
from shared.settings import DEVELOPMENT_SECRET

UNLIMITED: Final = {
    "MESSAGES_PER_MINUTE": "0",
    "CONNECTIONS_PER_USER": "0",
    "CONNECTIONS_PER_MINUTE_PER_IP": "0",
    "MAX_UPLOAD_SIZE": "0",
    "UPLOADS_AT_ONCE": "0",
    "UPLOADS_PER_DAY": "0",
    "UPLOAD_BYTES_PER_DAY": "0",
    "LOG_LEVEL": "warning",
}
"""What the load generator, one address sending without pause, must be allowed to do."""

FLOORS: Final = "floors"
FILES: Final = "files"
TALK: Final = tuple(name for name in CASES if name != FILES)
"""The scenarios of messages, which rivals have as well."""

FLOOR_SECONDS: Final = 5.0


class Entry(NamedTuple):
    """A target, how often each case is run on it, and of which scenarios."""

    target: Target
    runs: int
    scenarios: tuple[str, ...] = TALK


@dataclass
class Bench:
    """What is measured in this invocation, the subject first, and where the servers behind it are."""

    entries: list[Entry]
    mongo_url: str | None = None
    amqp_url: str | None = None

    def targets(self, case: str) -> list[tuple[Target, int]]:
        """The targets of a case and the number of runs on each."""
        return [(e.target, e.runs) for e in self.entries if case.startswith(e.scenarios)]


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--peer", action="store_true", help="measure the Node stack beside it, run by run")
    names = [*CASES, FLOORS]
    parser.add_argument("--socketio", action="store_true", help="measure the same rooms by Socket.IO, run by run")
    parser.add_argument(
        "--against", type=Path, metavar="DIR", help="measure another checkout of Parley beside this one, run by run"
    )
    parser.add_argument(
        "--uploads", type=int, metavar="N", help="measure it while N files are uploaded, too, run by run"
    )
    parser.add_argument("--scenario", action="append", choices=names, help="only this one; may be repeated")
    parser.add_argument("--runs", type=int, default=3, help="runs of each case (medians are shown)")
    parser.add_argument("--seconds", type=float, help="length of each measurement (default 10, quick: 2)")
    parser.add_argument("--quick", action="store_true", help="short and small, to see that all of it works")
    parser.add_argument("--target", metavar="URL", help="measure a Parley that runs already; JWT_SECRET signs")
    parser.add_argument("--results", type=Path, default=report.RESULTS, help="directory for the results")
    options = parser.parse_args(arguments)
    if options.target and (options.peer or options.against or options.socketio or options.uploads):
        parser.error("--peer, --against, --socketio and --uploads take a private stack: they cannot go with --target")
    if options.against and not (options.against / "services").is_dir():
        parser.error(f"--against: {options.against} is not a checkout of Parley")
    if options.runs < 1:
        parser.error("--runs: at least 1")
    return options


async def start(owner: AsyncExitStack, stack: Stack) -> Stack:
    """Start a stack; `owner` stops it."""
    await stack.start(lambda line: print(f"    {line}", file=sys.stderr))
    owner.push_async_callback(stack.stop)
    return stack


async def prepare(owner: AsyncExitStack, options: argparse.Namespace, work: Path) -> Bench:
    """Start what is to be measured; `owner` stops it."""
    if options.target:
        secret = os.environ.get("JWT_SECRET", DEVELOPMENT_SECRET)
        urls = os.environ.get("MONGO_URL"), os.environ.get("AMQP_URL")
        return Bench(
            [Entry(Running(options.target, secret), options.runs, tuple(CASES))], mongo_url=urls[0], amqp_url=urls[1]
        )
    wanted = options.scenario or [*CASES, FLOORS]
    servers_only = wanted == [FLOORS]
    stack = await start(owner, Stack(work / "stack", port=ports.find_free(), env=UNLIMITED, servers_only=servers_only))
    bench = Bench(
        [Entry(Parley(stack), options.runs, tuple(CASES))], mongo_url=stack.mongo_url, amqp_url=stack.amqp_url
    )
    if options.socketio and not servers_only:
        bench.entries.append(Entry(Dialect(stack), options.runs, ("small", "big")))
    if options.uploads and not servers_only:
        bench.entries.append(Entry(Uploading(stack, work, options.uploads), options.runs, ("small", "big", "paced")))
    if options.against and not servers_only:
        code = options.against.resolve()
        other = await start(owner, Stack(work / "against", port=ports.find_free(), env=UNLIMITED, code=code))
        bench.entries.append(Entry(Parley(other, report.BEFORE), options.runs))
    if options.peer and not servers_only:
        for processes in (1, 2):
            peer = Peer(work, stack.jwt_secret, processes, stack.mongo_url, stack.pids["mongod"])
            owner.push_async_callback(peer.stop)
            await peer.start()
            bench.entries.append(Entry(peer, options.runs, ("small",) if processes > 1 else TALK))
    bare = Bare(work, stack.jwt_secret)
    owner.push_async_callback(bare.stop)
    await bare.start()
    bench.entries.append(Entry(bare, 1))
    return bench


async def measure_floors(bench: Bench, seconds: float) -> FloorFigures:
    """The floors whose servers are known."""
    figures: FloorFigures = {}
    if bench.mongo_url:
        figures |= await floors.mongodb(bench.mongo_url, seconds)
    if bench.amqp_url:
        figures |= await floors.rabbitmq(bench.amqp_url, seconds)
    for name, floor in figures.items():
        print(f"{name}: {', '.join(f'{key} {report.number(value)}' for key, value in floor.items())}")
    return figures


async def bench(options: argparse.Namespace, work: Path) -> int:
    """All of it; returns the exit status."""
    runner.raise_file_limit()
    described = about.describe(peer=options.peer, against=options.against)
    plan = with_seconds(QUICK if options.quick else Plan(), options.seconds)
    wanted = options.scenario or [*CASES, FLOORS]
    cases: Mapping[str, Scenario] = {
        case: scenario for name in CASES if name in wanted for case, scenario in CASES[name].items()
    }
    async with AsyncExitStack() as owner:
        subject = await prepare(owner, options, work)
        measured = await measure_floors(subject, min(plan.seconds, FLOOR_SECONDS)) if FLOORS in wanted else {}
        servers = await floors.versions(subject.mongo_url, subject.amqp_url)
        targets = {case: subject.targets(case) for case in cases}
        outcomes = await runner.run_all(cases, targets, plan)
    settings = {"runs": options.runs, **asdict(plan)}
    results = report.Results({**described, "servers": servers}, settings, measured, outcomes)
    print(f"results: {report.write(results, options.results)}")
    if runner.broken(outcomes, report.SUBJECT):
        print("!!! PARLEY BROKE A PROMISE OR FAILED: see above", file=sys.stderr)
        return 1
    return 0


def main() -> int:
    """Run with the arguments of this process."""
    options = parse(sys.argv[1:])
    work = Path(tempfile.mkdtemp(prefix="parley-bench-"))
    try:
        status = uvloop.run(bench(options, work))
    except KeyboardInterrupt:
        print("benchmarks: interrupted, nothing was written", file=sys.stderr)
        return 130
    except (EmbeddedError, RuntimeError, OSError) as error:
        print(f"benchmarks: {error}\n  logs are kept in {work}", file=sys.stderr)
        return 2
    if status == 0:
        shutil.rmtree(work, ignore_errors=True)
    else:
        print(f"  logs are kept in {work}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
