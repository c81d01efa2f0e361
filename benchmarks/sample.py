"""One measurement window over a running fleet, and the figures it yields."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter, process_time

import numpy as np

from benchmarks.fleet import Fleet, Totals
from benchmarks.procstat import CpuClock


@dataclass
class Outcome:
    """What one run of one scenario on one target came to.

    `figures` are numbers by name with their unit in it; `cpu` is CPU seconds per 1,000 messages by kind of process;
    `faults` are broken promises and `errors` refused sends, both counted by name; `failure` says why there is no
    more than that.
    """

    case: str
    target: str
    figures: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    totals: Totals | None = None
    failure: str | None = None


def percentiles(name: str, nanoseconds: array[int]) -> dict[str, float]:
    """p50 and p99 in milliseconds, named `<name> p50 ms` and so on; nothing where there is no sample."""
    if not nanoseconds:
        return {}
    p50, p99 = np.percentile(np.array(nanoseconds), (50, 99)) / 1e6
    return {f"{name} p50 ms": float(p50), f"{name} p99 ms": float(p99)}


@contextmanager
def measured(fleet: Fleet, outcome: Outcome) -> Iterator[None]:
    """Add what a fleet does meanwhile to the outcome.

    To be fair to servers that answer in waves, load begins and ends within the block, and all of it is answered
    there: throughput is then the work done by the time it took, wherever the waves fall.

    Raises:
        ProcessLookupError: if a process of the target ended meanwhile.
        RuntimeError: if nothing was persisted.
    """
    meter = fleet.meter
    clock = CpuClock(fleet.target.groups())
    meter.reset()
    clock.restart()
    own, began = process_time(), perf_counter()
    yield
    elapsed, busy, cpu = perf_counter() - began, process_time() - own, clock.read()
    acks, deliveries = len(meter.acks), len(meter.latencies)
    outcome.errors.update(meter.errors)
    if not acks:
        raise RuntimeError(f"no message was persisted; refused: {outcome.errors or 'none'}")
    outcome.figures |= {
        "messages/s": acks / elapsed,
        "deliveries/s": deliveries / elapsed,
        **percentiles("ack", meter.acks),
        **percentiles("latency", meter.latencies),
        "generator CPU %": 100 * busy / elapsed,
        "generator µs/frame": 1e6 * busy / (acks + deliveries),
        "generator ceiling, deliveries/s": deliveries / busy,
    }
    if cpu:
        outcome.cpu |= {name: spent * 1000 / acks for name, spent in cpu.items()}
        outcome.figures["CPU s/1000 messages"] = sum(outcome.cpu.values())


async def conclude(fleet: Fleet, outcome: Outcome) -> None:
    """Let a fleet come to rest, audit it and note what does not add up."""
    await fleet.settle()
    outcome.totals = fleet.audit()
    outcome.faults = dict(fleet.meter.faults)
    if outcome.totals.delivered != outcome.totals.expected:
        outcome.faults["delivered != sent x members"] = abs(outcome.totals.delivered - outcome.totals.expected)
