"""The table of docs/domain.md: what it names exists, and all that clients can say or hear stands in it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from services.gateway import native
from services.gateway.v1 import PASSES, ROUTES
from shared.contracts import integration, notifications

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/domain.md"
CODE = re.compile(r"`([^`]+)`")
ELSEWHERE = re.compile(r"spoken by the dialects")
"""What is honestly not of the domain needs no test here."""

SPOKEN = {*native.ON, *native.LOCAL, *native.EMIT, *native.TELL}
V1 = {f"{route.method} {route.path}" for route in ROUTES} | {f"{row.method} {row.path}" for row in PASSES}
OTHERS = {
    *(*integration.EXTERNALS, *notifications.EVENTS),
    *("error", "GET /ws", "GET /readyz", "GET /metrics"),
}


class Capability(NamedTuple):
    """A row of the table."""

    what: str
    asked_by: str
    spoken_as: str
    shown_by: str

    @property
    def names(self) -> list[str]:
        """Frame types and routes."""
        return CODE.findall(self.spoken_as)


def rows() -> list[Capability]:
    """All rows but headings."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert {len(row) for row in cells} == {4}
    return [Capability(*row) for row in cells[1:] if not row[0].startswith("**")]


def functions(path: Path) -> Iterator[str]:
    """The tests of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name


TESTS = {f"{path.name}::{name}" for path in (ROOT / "tests").rglob("test_*.py") for name in functions(path)}


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.what)
def test_what_a_row_names_exists(row: Capability) -> None:
    """Frame types are rows of the native protocol, routes of `/v1`, and the tests are there."""
    assert set(row.names) <= SPOKEN | V1 | OTHERS
    shown = CODE.findall(row.shown_by)
    assert set(shown) <= TESTS
    assert shown or ELSEWHERE.search(row.spoken_as)
    assert set(row.asked_by.split()) <= set("BEOST")


def test_all_that_can_be_said_or_heard_stands_in_the_table() -> None:
    """A new row of the native protocol or of `/v1` is a capability, so it has its line here."""
    named = {name for row in rows() for name in row.names}
    assert (SPOKEN | V1) - named == set()


def test_every_document_asks_for_something() -> None:
    """Each of the five has rows."""
    assert {letter for row in rows() for letter in row.asked_by.split()} == set("BEOST")
