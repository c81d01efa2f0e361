"""From outcomes to medians, ratios, a Markdown page, a JSON file and a plot. Runs nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import orjson

from benchmarks.floors import FloorFigures
from benchmarks.sample import Outcome

RESULTS: Final = Path(__file__).parent / "results"
SUBJECT: Final = "parley"
PEER: Final = "peer"
BEFORE: Final = "before"
SOCKETIO: Final = "socketio"
UPLOADING: Final = "uploading"

CPU: Final = "CPU s/1000 messages"
COLUMNS: Final = {
    "small": ("messages/s", "ack p50 ms", "ack p99 ms", "deliveries/s", CPU),
    "big": ("deliveries/s", "messages/s", "latency p50 ms", "latency p99 ms", CPU),
    "paced": ("messages/s", "latency p50 ms", "latency p99 ms", "ack p50 ms", "ack p99 ms", CPU),
    "idle": ("connections", "connects/s", "RSS KiB/connection"),
    "storm": ("clients", "all back s", "back p50 ms", "back p99 ms", "connects tried again"),
    "files": ("upload MB/s", "download MB/s", "gateway RSS growth MiB", "media RSS growth MiB", "50 uploads s"),
}
"""The figures shown per scenario; the JSON file has all of them."""

OWN: Final = ("generator CPU %", "generator µs/frame", "generator ceiling, deliveries/s")


@dataclass(frozen=True)
class Results:
    """Everything one invocation found out."""

    about: Mapping[str, str]
    settings: Mapping[str, Any]
    floors: FloorFigures
    outcomes: Sequence[Outcome]

    def cases(self) -> list[str]:
        """The cases that were run, in order."""
        return list(dict.fromkeys(outcome.case for outcome in self.outcomes))

    def targets(self, case: str) -> list[str]:
        """The targets of a case, in order."""
        return list(dict.fromkeys(outcome.target for outcome in self.outcomes if outcome.case == case))

    def of(self, case: str, target: str) -> list[Outcome]:
        """All runs of a case on a target, in order."""
        return [outcome for outcome in self.outcomes if (outcome.case, outcome.target) == (case, target)]


def median_of(runs: Iterable[Outcome], figure: str) -> float:
    """The median of a figure over the runs that have it; NaN where none has."""
    values = [run.figures[figure] for run in runs if figure in run.figures]
    return median(values) if values else math.nan


def ratio(results: Results, case: str, figure: str, rival: str = PEER) -> float:
    """Subject by rival: the median of the ratios of runs made one right after the other; NaN without pairs."""
    pairs = zip(results.of(case, SUBJECT), results.of(case, rival), strict=False)
    ratios = [
        ours.figures[figure] / theirs.figures[figure]
        for ours, theirs in pairs
        if ours.figures.get(figure) is not None and theirs.figures.get(figure)
    ]
    return median(ratios) if ratios else math.nan


def number(value: float) -> str:
    """A figure for people: three significant digits, thousands separated."""
    if math.isnan(value):
        return "-"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' + '---:|' * (len(head) - 1)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def _verdict(runs: Sequence[Outcome]) -> str:
    """What went wrong over all runs, in words."""
    counts: dict[str, int] = {}
    for run in runs:
        for name, count in run.faults.items():
            counts[name] = counts.get(name, 0) + count
        for name, count in run.errors.items():
            counts[f"refused: {name}"] = counts.get(f"refused: {name}", 0) + count
        if run.failure:
            counts[f"FAILED: {run.failure}"] = counts.get(f"FAILED: {run.failure}", 0) + 1
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"


def _case_section(results: Results, case: str) -> list[str]:
    columns = COLUMNS[case.partition(",")[0]]
    rows = []
    for target in results.targets(case):
        runs = results.of(case, target)
        figures = [number(median_of(runs, column)) for column in columns]
        rows.append([target, *figures, *(number(median_of(runs, name)) for name in OWN), _verdict(runs)])
    for rival in (BEFORE, SOCKETIO, UPLOADING, PEER):
        if rival in results.targets(case):
            ratios = [number(ratio(results, case, column, rival)) for column in columns]
            rows.append([f"{SUBJECT} / {rival}", *ratios, *("" for _ in OWN), ""])
    return [f"## {case}", "", *_table(["target", *columns, *OWN, "broken promises"], rows)]


def _cpu_section(results: Results) -> list[str]:
    rows = []
    for case in results.cases():
        for target in results.targets(case):
            runs = [run for run in results.of(case, target) if run.cpu]
            groups = list(dict.fromkeys(name for run in runs for name in run.cpu))
            shares = (f"{name} {number(median(r.cpu.get(name, 0.0) for r in runs))}" for name in groups)
            if runs:
                rows.append([case, target, number(median_of(runs, CPU)), ", ".join(shares)])
    if not rows:
        return []
    return ["## CPU seconds per 1,000 messages", "", *_table(["case", "target", "all", "by process"], rows)]


def markdown(results: Results) -> str:
    """The results as a page."""
    lines = ["# Benchmark results", ""]
    lines += [f"- {name}: {value}" for name, value in results.about.items()]
    lines += [f"- {name}: {value}" for name, value in results.settings.items()]
    lines += ["", "How to read this: docs/benchmarks.md. Medians over the runs; ratios are medians over pairs.", ""]
    for case in results.cases():
        lines += _case_section(results, case)
    lines += _cpu_section(results)
    if results.floors:
        lines += ["## Floors", ""]
        rows = [[name, ", ".join(f"{k} {number(v)}" for k, v in f.items())] for name, f in results.floors.items()]
        lines += _table(["floor", "figures"], rows)
    return "\n".join(lines)


def as_json(results: Results) -> bytes:
    """Everything, run by run."""
    document = {
        "about": dict(results.about),
        "settings": dict(results.settings),
        "floors": results.floors,
        "runs": [asdict(outcome) for outcome in results.outcomes],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def write(results: Results, directory: Path = RESULTS) -> Path:
    """Write latest.md, latest.json and latest.png; returns the page's path."""
    from benchmarks.plot import draw

    directory.mkdir(parents=True, exist_ok=True)
    page = directory / "latest.md"
    page.write_text(markdown(results))
    (directory / "latest.json").write_bytes(as_json(results))
    draw(results, directory / "latest.png")
    return page
