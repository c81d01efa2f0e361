"""Every scenario, small, against the bare server: the generator, the fleet and the audit as they really run."""

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from benchmarks.child import Child, free_port
from benchmarks.procstat import CpuClock, descendants, resident
from benchmarks.runner import run_case
from benchmarks.scenarios import CASES, Plan
from benchmarks.targets import Bare

PLAN = Plan(seconds=0.3, warmup=0.1, idle=100, storm=50)


@pytest.fixture
async def bare(tmp_path: Path) -> AsyncIterator[Bare]:
    target = Bare(tmp_path, "s" * 32)
    await target.start()
    yield target
    await target.stop()


@pytest.mark.parametrize(
    ("case", "figure"),
    [
        ("small, 4 outstanding", "messages/s"),
        ("big", "deliveries/s"),
        ("paced", "latency p99 ms"),
        ("idle", "RSS KiB/connection"),
        ("storm", "all back s"),
    ],
)
async def test_a_scenario_measures_and_adds_up(bare: Bare, case: str, figure: str) -> None:
    outcome = await run_case(case, CASES[case.partition(",")[0]][case], bare, PLAN)
    assert outcome.failure is None
    assert outcome.faults == {}
    assert outcome.figures[figure] > 0
    assert outcome.totals is not None
    assert outcome.totals.delivered == outcome.totals.expected


async def test_a_server_that_dies_is_a_failure_and_not_a_crash(bare: Bare) -> None:
    await bare.stop()
    outcome = await run_case("big", CASES["big"]["big"], bare, PLAN)
    assert outcome.failure is not None
    assert "Connect" in outcome.failure


async def test_a_child_that_ends_at_once_names_its_log(tmp_path: Path) -> None:
    child = Child(("false",), tmp_path / "false.log")
    with pytest.raises(RuntimeError, match=r"ended with status 1 while starting: see .*false\.log"):
        await child.start(ready_port=free_port())


def test_processes_are_read_from_proc() -> None:
    me = os.getpid()
    assert descendants(os.getppid()).count(me) == 1
    assert resident(me) > 1_000_000
    clock = CpuClock({"me": [me]})
    clock.restart()
    assert clock.read()["me"] >= 0


def test_a_process_that_ended_voids_the_measurement() -> None:
    clock = CpuClock({"gone": [2**22 + 1]})
    with pytest.raises(ProcessLookupError, match="of gone ended"):
        clock.restart()


def test_a_helper_that_ended_voids_nothing_and_is_counted() -> None:
    helper = subprocess.Popen(
        ("sh", "-c", "read go; while [ $((n += 1)) -lt 200000 ]; do :; done"), stdin=subprocess.PIPE
    )
    clock = CpuClock({"me": [os.getpid()]})
    clock.restart()
    before = os.times()
    helper.communicate(b"go\n")
    assert helper.returncode == 0
    used = os.times().children_user - before.children_user
    assert used > 0
    assert clock.read()["me"] >= used - 0.02  # two ticks of rounding
