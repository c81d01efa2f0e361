"""Transcripts against the dialects' tables alone, without a server.

What is sent must be read by the row's wire model, unless it is refused as invalid. What is told must have the fields of
a shape that the dialect tells by that name (all of them, where the line has no `...`), and where an event of the domain
makes it, its values must be of the kind that the row makes of the contract's own example. Whose values they are, in
which order and to whom, only a stack can show (`test_transcripts.py`). And every row must be in the transcript.
"""

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import ValidationError

from services.gateway.dialects.choice import ALL, choose
from services.gateway.dialects.rows import Dialect, Emit, On, Route, Say, Shape
from services.gateway.schemas.components import Components
from services.gateway.schemas.examples import example
from services.gateway.sio import packets
from services.gateway.sio.voice import DialectVoice
from services.gateway.voices import About
from shared.contracts.errors import ChatError
from tests.transcripts.script import ANYTHING, REST, Line
from tests.transcripts.test_transcripts import TRANSCRIPTS

METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}
CANONICAL = "/v1/"
"""Where others do what the dialect has no words for."""

ROOM = About("r-1", "group", "Weekend", {"kind": "event", "id": "e-1"})
LINES = [(ALL[name], line) for name, sections in TRANSCRIPTS.items() for section in sections for line in section.lines]


def of(*verbs: str) -> list[Any]:
    """The lines of these kinds."""
    return [
        pytest.param(dialect, line, id=f"{dialect.name} line {line.number}")
        for dialect, line in LINES
        if line.verb in verbs and not line.name.startswith(CANONICAL)
    ]


def refused(line: Line) -> bool:
    """Whether what is sent makes no sense to the dialect."""
    return line.status == 400 or (isinstance(line.got, dict) and line.got.get("code") == "invalid")


def has_fields_of(shape: type[Shape], got: Any) -> bool:
    """Whether a payload has fields of a shape, and all of them, if there is no `...`."""
    if not isinstance(got, dict):
        return True
    names = got.keys() - {REST}
    always = {name for name, info in shape.model_fields.items() if info.exclude_if is None}
    return names <= shape.model_fields.keys() and (REST in got or names >= always)


@pytest.mark.parametrize(("dialect", "line"), of(">"))
def test_what_is_sent_is_read(dialect: Dialect, line: Line) -> None:
    """By the dialect's row, and by no other dialect's alone; what acknowledges it has the shape of the row's answer."""
    row = dialect.on.get(line.name)
    if row is None or not _reads(row, line.sent):
        assert refused(line)
        return
    assert not refused(line)
    try:
        assert choose(line.name, line.sent) is dialect
    except ChatError as error:
        assert "does not tell" in error.message  # noqa: PT017 - several dialects have it, which is allowed
    failed = isinstance(line.got, dict) and "code" in line.got
    answer = dialect.failure if failed else row.acknowledges
    if line.got is not None and answer is not None:
        assert has_fields_of(_outermost(dialect, answer.shape), line.got)


def _reads(row: On, payload: Any) -> bool:
    try:
        row.wire.read(payload)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(("dialect", "line"), of(*METHODS))
def test_what_is_asked_is_read(dialect: Dialect, line: Line) -> None:
    """By the dialect's endpoint; its response has the endpoint's shape, or that of errors."""
    address = urlsplit(line.name)
    route, data = _route(dialect, line.verb, address.path)
    try:
        route.wire.read({**dict(parse_qsl(address.query)), **(line.sent or {}), **data})
    except ValidationError:
        assert line.status == 400
    shape = route.shape if line.status < 400 else dialect.problem
    assert has_fields_of(shape, line.got)


def _route(dialect: Dialect, method: str, path: str) -> tuple[Route, dict[str, str]]:
    for route in dialect.routes:
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(route.path))
        if route.method == method and (found := re.fullmatch(pattern, path)):
            return route, found.groupdict()
    raise AssertionError(f"{dialect.name} has no {method} {path}")


@pytest.mark.parametrize(("dialect", "line"), of("<", "!<"))
def test_what_is_told_has_a_shape_of_its_name(dialect: Dialect, line: Line) -> None:
    """That of something said to one socket, or of what a row makes of an event."""
    shapes = {say.shape for say in _says(dialect) if say.name == line.name}
    rows = [row for row in _emitted(dialect) if row.name == line.name]
    shapes |= {row.shape for row in rows}
    assert shapes, f"{dialect.name} never tells {line.name}"
    assert any(has_fields_of(_outermost(dialect, shape), line.got) for shape in shapes)


@pytest.mark.parametrize(("dialect", "line"), of("<"))
def test_what_is_told_of_events_is_made_of_contracts(dialect: Dialect, line: Line) -> None:
    """The example of the event, in the dialect's voice, has values of the same kinds."""
    made = [payload for row in _emitted(dialect) if row.name == line.name for payload in _made(dialect, row)]
    if made:
        assert any(_alike(line.got, payload) for payload in made), made


def _made(dialect: Dialect, row: Emit) -> list[Any]:
    components, kind = Components(), row.event.TYPE
    data = example(components.inline(row.event), components)
    voice = DialectVoice(dialect, "/chat", framed=False)
    told = voice.timeline(kind, ROOM, 1, 1, data.get("message", data)) or voice.happening(kind, ROOM, data)
    read = [packets.read(packet.decode()) for packet in told.split(packets.END) if packet]
    return [packet.arguments[0] for packet in read if packet.name == row.name]


def _alike(expected: Any, made: Any) -> bool:
    if expected in (ANYTHING, REST) or expected is None or made is None:
        return True
    if isinstance(expected, dict) and isinstance(made, dict):
        return all(name == REST or (name in made and _alike(value, made[name])) for name, value in expected.items())
    return type(expected) is type(made)


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_every_row_is_in_the_transcript(name: str) -> None:
    """Every event that may be sent, every one that is told, every endpoint."""
    dialect, lines = ALL[name], [line for section in TRANSCRIPTS[name] for line in section.lines]
    assert dialect.on.keys() <= {line.name for line in lines if line.verb == ">"}
    told = {line.name for line in lines if line.verb == "<"}
    assert {say.name for say in _says(dialect) if say.name} | {row.name for row in _emitted(dialect)} <= told
    asked = {
        _route(dialect, line.verb, urlsplit(line.name).path)[0].path + line.verb
        for line in lines
        if line.verb in METHODS and not line.name.startswith(CANONICAL)
    }
    assert {route.path + route.method for route in dialect.routes} == asked


def _says(dialect: Dialect) -> list[Say]:
    return [
        dialect.failure,
        *(greet.say for greet in dialect.greet),
        *(say for row in dialect.on.values() for say in row.says),
    ]


def _emitted(dialect: Dialect) -> list[Emit]:
    return [row for rows in dialect.emit.values() for row in rows]


def _outermost(dialect: Dialect, shape: type[Shape]) -> type[Shape]:
    return dialect.envelope or shape
