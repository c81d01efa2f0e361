"""What a campaign has shown, in a table for people."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median

from tests.faults.campaign import Outcome

SHOWN = 40
"""Broken promises that are printed; the logs have all."""


def of_round(name: str, outcome: Outcome) -> str:
    """Every fault of a round, and what the clients saw."""
    lines = [f"{name}: {len(outcome.felt)} faults"]
    begin = outcome.felt[0].at
    for felt in outcome.felt:
        recovery = "never" if felt.seconds is None else f"{felt.seconds:.1f} s"
        lines.append(f"  {felt.at - begin:6.1f} s  {felt.name:<28} recovered after {recovery:>7}   {felt.detail}")
    lines.append(
        f"  {outcome.stored} messages stored; clients: {outcome.acked} requests acked, {outcome.told} changes told "
        f"({outcome.resumed} of them resumed), {outcome.reconnections} reconnections, complete {outcome.rest:.1f} s "
        f"after the last answer"
    )
    lines += [f"  {sentence}" for sentence in outcome.gave_up[:SHOWN]]
    lines += [f"  BROKEN: {sentence}" for sentence in outcome.broken[:SHOWN]]
    return "\n".join(lines)


def of_campaign(seed: int, outcomes: Sequence[Outcome]) -> str:
    """All rounds together: how long each kind of fault was felt."""
    recoveries: dict[str, list[float]] = defaultdict(list)
    for felt in (felt for outcome in outcomes for felt in outcome.felt):
        recoveries[felt.name].append(float("inf") if felt.seconds is None else felt.seconds)
    lines = [f"seed {seed}: {sum(map(len, recoveries.values()))} faults in {len(outcomes)} rounds"]
    lines.append(f"  {'':<28} times  recovery: median     longest")
    for name, seconds in sorted(recoveries.items(), key=lambda item: -median(item[1])):
        lines.append(f"  {name:<28} {len(seconds):5}  {median(seconds):14.1f} s {max(seconds):9.1f} s")
    totals = {what: sum(getattr(outcome, what) for outcome in outcomes) for what in ("stored", "acked", "told")}
    lines.append(f"  {totals['stored']} messages, {totals['acked']} requests acked, {totals['told']} changes told")
    return "\n".join(lines)
