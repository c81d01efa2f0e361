"""The results as one picture: a panel per question, a bar per target, the peer beside Parley."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

from benchmarks.report import CPU, Results, median_of, number

SMALL: Final = ("small, 1 outstanding", "small, 4 outstanding", "small, 16 outstanding")
PANELS: Final[Sequence[tuple[str, str, Sequence[str]]]] = (
    ("Small rooms: messages/s", "messages/s", SMALL),
    ("Small rooms: ack p99, ms", "ack p99 ms", SMALL),
    ("One room of 500: deliveries/s", "deliveries/s", ("big",)),
    ("100 messages/s: send to receive p99, ms", "latency p99 ms", ("paced",)),
    ("CPU seconds per 1,000 messages", CPU, (*SMALL, "paced")),
    ("Memory per idle connection, KiB", "RSS KiB/connection", ("idle",)),
)
LOGARITHMIC: Final = 20
"""Bars that differ more than so many times are drawn on a logarithmic scale."""

COLOURS: Final = {"parley": "#2b6cb0", "peer": "#dd6b20", "peer-2proc": "#f6ad55", "bare": "#a0aec0"}


def draw(results: Results, path: Path) -> None:
    """Draw all panels that there are figures for."""
    figure, axes = plt.subplots(2, 3, figsize=(15, 8), layout="constrained")
    for panel, (title, name, cases) in zip(axes.flat, PANELS, strict=True):
        present = [case for case in cases if case in results.cases()]
        panel.set_title(title, fontsize=11)
        if present:
            _bars(panel, results, name, present)
        else:
            panel.set_axis_off()
    machine = results.about.get("machine", "")
    figure.suptitle(f"{machine} · {results.about.get('date', '')}", fontsize=10)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _bars(panel: Any, results: Results, name: str, cases: Sequence[str]) -> None:
    targets = list(dict.fromkeys(target for case in cases for target in results.targets(case)))
    width = 0.8 / len(targets)
    drawn: list[float] = []
    for index, target in enumerate(targets):
        values = [median_of(results.of(case, target), name) for case in cases]
        places = [place + (index - (len(targets) - 1) / 2) * width for place in range(len(cases))]
        bars = panel.bar(places, values, width, label=target, color=COLOURS.get(target))
        panel.bar_label(bars, ["" if math.isnan(v) else number(v) for v in values], fontsize=7)
        drawn += [value for value in values if value > 0]
    panel.set_xticks(range(len(cases)), [case.replace("small, ", "") for case in cases], fontsize=8)
    if drawn and max(drawn) > LOGARITHMIC * min(drawn):
        panel.set_yscale("log")
    panel.margins(y=0.12)
    panel.legend(fontsize=8)
