"""Clients talk while processes are killed: nothing acked is lost, everybody sees one order, nobody misses anything.

`make test` lets every essential fault strike once. `make faults KILLS=100` goes on until so many faults have killed.
`SEED` repeats the faults of an earlier campaign.
"""

import os
from collections.abc import Callable
from pathlib import Path
from random import Random, SystemRandom

import pytest

from tests.faults import faults, report
from tests.faults.campaign import Round
from tests.faults.site import Site

KILLS = int(os.environ.get("KILLS", "0"))
SEED = int(os.environ.get("SEED") or (SystemRandom().randrange(2**32) if KILLS else 1))
SECONDS_PER_KILL = 60


@pytest.mark.timeout(300 + SECONDS_PER_KILL * KILLS)
async def test_nothing_is_lost_doubled_swapped_or_missed(
    site: Site, faults_root: Path, tell: Callable[[str], None]
) -> None:
    """Whichever process is killed, paused or cut off, at any moment, under load."""
    random = Random(SEED)
    outcomes = []
    for number, names in enumerate(faults.long(random, KILLS) if KILLS else [faults.short(random)], start=1):
        name = f"seed-{SEED}-round-{number}"
        strikes = [(fault, faults.ALL[fault].strike) for fault in names]
        outcome = await Round(site, name, random, faults_root / "clients").run(strikes)
        outcomes.append(outcome)
        tell(report.of_round(name, outcome))
        assert not outcome.broken, f"SEED={SEED}, round {number}; logs in {faults_root}: {outcome.broken[:10]}"
    tell(report.of_campaign(SEED, outcomes))
