"""One measurement window over a running fleet, and the figures it yields."""

from __future__ import annotations

import asyncio
from array import array
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
    p50, p99 = np.percentile(np.frombuffer(nanoseconds, dtype=np.int64), (50, 99)) / 1e6
    return {f"{name} p50 ms": float(p50), f"{name} p99 ms": float(p99)}


async def measure(fleet: Fleet, seconds: float, outcome: Outcome) -> None:
    """Watch a fleet at work for this long, the time before not counted, and add what it did to the outcome.

    Raises:
        ProcessLookupError: if a process of the target ended meanwhile.
    """
    meter = fleet.meter
    clock = CpuClock(fleet.target.groups())
    meter.reset()
    clock.restart()
    own, began = process_time(), perf_counter()
    await asyncio.sleep(seconds)
    elapsed, busy, cpu = perf_counter() - began, process_time() - own, clock.read()
    # Copied at once: the clients go on until the run has settled.
    acks, latencies = meter.acks[:], meter.latencies[:]
    outcome.errors.update(meter.errors)
    outcome.figures |= {
        "messages/s": len(acks) / elapsed,
        "deliveries/s": len(latencies) / elapsed,
        **percentiles("ack", acks),
        **percentiles("latency", latencies),
        "generator CPU %": 100 * busy / elapsed,
        "generator µs/frame": 1e6 * busy / max(1, len(acks) + len(latencies)),
        "generator ceiling, deliveries/s": len(latencies) / busy,
    }
    if cpu and acks:
        outcome.cpu |= {name: spent * 1000 / len(acks) for name, spent in cpu.items()}
        outcome.figures["CPU s/1000 messages"] = sum(outcome.cpu.values())


async def conclude(fleet: Fleet, outcome: Outcome) -> None:
    """Let a fleet come to rest, audit it and note what does not add up."""
    await fleet.settle()
    outcome.totals = fleet.audit()
    outcome.faults = dict(fleet.meter.faults)
    if outcome.totals.delivered != outcome.totals.expected:
        outcome.faults["delivered != sent x members"] = abs(outcome.totals.delivered - outcome.totals.expected)
