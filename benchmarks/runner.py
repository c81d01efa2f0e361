"""Runs the cases: every target in turn, run by run, so that what disturbs the machine disturbs all alike."""

from __future__ import annotations

import gc
import resource
from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.fleet import Fleet
from benchmarks.report import CPU, number
from benchmarks.sample import Outcome
from benchmarks.scenarios import Plan, Scenario
from benchmarks.targets import Target

SHOWN: Final = (
    "messages/s",
    "deliveries/s",
    "ack p99 ms",
    "latency p99 ms",
    CPU,
    "generator CPU %",
    "connects/s",
    "RSS KiB/connection",
    "all back s",
    "upload MB/s",
    "download MB/s",
    "gateway RSS growth MiB",
    "media RSS growth MiB",
    "50 uploads s",
)
"""What the terminal shows of a run."""


def raise_file_limit() -> None:
    """Allow this process, and those it starts, as many open files as the system permits."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def run_case(case: str, scenario: Scenario, target: Target, plan: Plan) -> Outcome:
    """Run one case once on a running target; whatever goes wrong stands in the outcome."""
    outcome = Outcome(case, target.name)
    fleet = Fleet(target)
    gc.collect()
    gc.disable()  # a run's bookkeeping only grows: collecting it would show up as latency of the server
    try:
        async with target.busy():
            await scenario(fleet, plan, outcome)
    except Exception as error:  # noqa: BLE001 - one failed run must not void the others
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        outcome.failure = f"{type(error).__name__}: {error}"
        outcome.faults = dict(fleet.meter.faults)
    finally:
        gc.enable()
        await fleet.close()
    return outcome


def tell(outcome: Outcome) -> None:
    """Print what a run came to, broken promises loudly."""
    figures = ", ".join(f"{name} {number(outcome.figures[name])}" for name in SHOWN if name in outcome.figures)
    print(f"{outcome.case:24} {outcome.target:11} {figures}", flush=True)
    if outcome.errors:
        print(f"    refused: {outcome.errors}", flush=True)
    if outcome.faults or outcome.failure:
        print(f"    !!! BROKEN PROMISES: {outcome.faults} {outcome.failure or ''} {outcome.totals or ''}", flush=True)


async def run_all(
    cases: Mapping[str, Scenario], targets: Mapping[str, Sequence[tuple[Target, int]]], plan: Plan
) -> list[Outcome]:
    """Run every case on its targets in turn.

    Args:
        cases: what to run, by name.
        targets: per case the targets and how many runs of each.
        plan: how long and how large.
    """
    outcomes = []
    for case, scenario in cases.items():
        rounds = max(runs for _, runs in targets[case])
        for number_of_round in range(rounds):
            # There and back, for a machine that grows slower or faster favours who is first or last.
            for target, runs in targets[case] if number_of_round % 2 == 0 else reversed(targets[case]):
                if number_of_round < runs:
                    outcomes.append(await run_case(case, scenario, target, plan))
                    tell(outcomes[-1])
    return outcomes


def broken(outcomes: Sequence[Outcome], target: str) -> bool:
    """Whether any run on this target failed or broke a promise."""
    return any(o.faults or o.failure for o in outcomes if o.target == target)
