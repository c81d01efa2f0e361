"""Medians, ratios and the page."""

import math

from benchmarks.report import Results, markdown, median_of, number, ratio
from benchmarks.runner import broken
from benchmarks.sample import Outcome

CASE = "small, 4 outstanding"


def results(*outcomes: Outcome) -> Results:
    return Results({"date": "today", "machine": "one"}, {"runs": 3}, {"disk": {"writes/s": 12.5}}, outcomes)


def run(target: str, rate: float, **more: object) -> Outcome:
    return Outcome(CASE, target, {"messages/s": rate}, **more)  # type: ignore[arg-type]


def test_figures_are_medians_of_the_runs_that_have_them() -> None:
    runs = [run("parley", 10), run("parley", 30), Outcome(CASE, "parley", failure="broke"), run("parley", 20)]
    assert median_of(runs, "messages/s") == 20
    assert math.isnan(median_of(runs, "no such figure"))


def test_a_ratio_is_the_median_over_pairs_of_neighbours() -> None:
    pairs = ((10, 1), (40, 2), (90, 3))  # 10, 20, 30 times
    outcomes = [run(target, rate) for pair in pairs for target, rate in zip(("parley", "peer"), pair, strict=True)]
    assert ratio(results(*outcomes), CASE, "messages/s") == 20
    assert math.isnan(ratio(results(run("parley", 1)), CASE, "messages/s"))


def test_numbers_have_three_digits() -> None:
    assert [number(n) for n in (12345.6, 123.4, 12.34, 1.234, 0.01234, 0, math.nan)] == [
        "12,346",
        "123",
        "12.3",
        "1.23",
        "0.0123",
        "0",
        "-",
    ]


def test_the_page_shows_ratio_faults_and_floors() -> None:
    page = markdown(
        results(run("parley", 800), run("peer", 100, faults={"out of order": 3}), run("bare", 900, cpu={"server": 1.0}))
    )
    assert "| parley | 800 |" in page
    assert "| parley / peer | 8.00 |" in page
    assert "out of order 3" in page
    assert "| disk | writes/s 12.5 |" in page


def test_only_the_subjects_faults_count() -> None:
    assert not broken([run("parley", 1), run("peer", 1, faults={"lost": 1})], "parley")
    assert broken([run("parley", 1, faults={"lost": 1})], "parley")
    assert broken([run("parley", 1, failure="ended")], "parley")
