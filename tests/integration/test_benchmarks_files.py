"""The files a benchmark leaves, down to the picture that is drawn; their contents are the unit tests' business."""

from pathlib import Path

import orjson

from benchmarks.fleet import Totals
from benchmarks.report import Results, as_json, write
from benchmarks.sample import Outcome


def test_the_files_have_stable_names(tmp_path: Path) -> None:
    """A page, a picture and a document with every run."""
    totals = Totals(sent=1, acked=1, delivered=2, expected=2)
    outcome = Outcome("small, 4 outstanding", "parley", {"messages/s": 800}, totals=totals)
    results = Results({"date": "today", "machine": "one"}, {"runs": 3}, {"disk": {"writes/s": 12.5}}, (outcome,))
    page = write(results, tmp_path)
    assert page == tmp_path / "latest.md"
    assert (tmp_path / "latest.png").read_bytes().startswith(b"\x89PNG")
    document = orjson.loads((tmp_path / "latest.json").read_bytes())
    assert document["runs"][0]["figures"] == {"messages/s": 800}
    assert document["runs"][0]["totals"]["delivered"] == 2
    assert as_json(results).endswith(b"}\n")
