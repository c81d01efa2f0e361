"""Transcripts against the dialects' tables alone, without a server.

What is sent must be read by the row's wire model, unless it is refused as invalid (as the row's steps may do, too).
What is told must have the fields of a shape that the dialect tells by that name (all of them, where the line has no
`...`), in its envelope where it has one, and where an event of the domain makes it, its values must be of the kind that
the row makes of the contract's own example. Whose values they are, in which order and to whom, only a stack can show
(`test_transcripts.py`). And every row must be in the transcript.
"""

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import ValidationError

from services.gateway.dialects.choice import ALL, choose
from services.gateway.dialects.rows import Dialect, Emit, On, Route, Say, Shape
from services.gateway.schemas.components import Components
from services.gateway.schemas.examples import MESSAGE, MOMENT, SHOWN, VALUES, Story, example
from services.gateway.sio import packets
from services.gateway.sio.voice import DialectVoice
from services.gateway.voices import About
from shared.contracts.errors import ChatError
from tests.transcripts.script import ANYTHING, REST, Line
from tests.transcripts.test_transcripts import TRANSCRIPTS, dialect_of

METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}
ELSEWHERE = ("/v1/", "/metrics")
"""Where others do what the dialect has no words for, and what is the same for all."""

ROOM = About("r-1", "group", "Weekend", {"kind": "event", "id": "e-1"})
EXTRAS = {
    "address": "5 avenue Anatole France",
    "by": "alice",
    "edited_at": MOMENT,
    "last_seen": MOMENT,
    "latitude": 48.8566,
    "longitude": 2.3522,
    "metadata": {},
    "mime_type": "image/png",
    "reply_to": MESSAGE,
    "size": 1024,
    "thumbnail_url": "https://example.com/small.png",
    "url": "https://example.com/large.png",
}
"""What an event may leave out."""

STORY = Story({**VALUES, **EXTRAS}, SHOWN | EXTRAS.keys() | {"attachment", "location"})
"""An event that leaves nothing out."""

LINES = [(name, line) for name, sections in TRANSCRIPTS.items() for section in sections for line in section.lines]


def of(*verbs: str) -> list[Any]:
    """The lines of these kinds."""
    return [
        pytest.param(ALL[dialect_of(name)], line, id=f"{name} line {line.number}")
        for name, line in LINES
        if line.verb in verbs and not line.name.startswith(ELSEWHERE)
    ]


def inside(dialect: Dialect, got: Any) -> Any:
    """A payload without the dialect's envelope, where it has one."""
    return got.get("data", ANYTHING) if dialect.envelope and isinstance(got, dict) else got


def is_told_as(dialect: Dialect, shape: type[Shape], got: Any) -> bool:
    """Whether a payload has the fields of a shape, in the envelope's where there is one."""
    return has_fields_of(dialect.envelope or shape, got) and has_fields_of(shape, inside(dialect, got))


def has_fields_of(shape: type[Shape], got: Any) -> bool:
    """Whether a payload has fields of a shape, and all of them, if there is no `...`; or is a list of such."""
    if isinstance(got, list):
        return all(has_fields_of(shape, item) for item in got)
    if not isinstance(got, dict):
        return True
    fields = {info.serialization_alias or name: info for name, info in shape.model_fields.items()}
    names = got.keys() - {REST}
    always = {name for name, info in fields.items() if info.exclude_if is None}
    return names <= fields.keys() and (REST in got or names >= always)


@pytest.mark.parametrize(("dialect", "line"), of(">"))
def test_what_is_sent_is_read(dialect: Dialect, line: Line) -> None:
    """By the dialect's row, and by no other dialect's alone; what acknowledges it has the shape of the row's answer."""
    row = dialect.on.get(line.name)
    said = inside(dialect, line.got)
    code = said.get("code", "invalid") if isinstance(said, dict) else None
    failed = bool(line.got) and is_told_as(dialect, dialect.failure.shape, line.got)
    if row is None or not _reads(row, line.sent):
        assert (failed, code) == (True, "invalid")
        return
    try:
        assert choose(line.name, line.sent) is dialect
    except ChatError as error:
        assert "does not tell" in error.message  # noqa: PT017 - several dialects have it, which is allowed
    answer = row.acknowledges
    if line.got and not failed:
        assert answer is not None
        assert is_told_as(dialect, answer.shape, line.got)


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
    found = _route(dialect, line.verb, address.path)
    if found is None:
        assert (line.status, address.path.startswith(dialect.prefix or address.path)) == (404, True)
        assert has_fields_of(dialect.problem, line.got)
        return
    route, data = found
    try:
        route.wire.read({**dict(parse_qsl(address.query)), **(line.sent or {}), **data})
    except ValidationError as error:
        unknown = all(str(one["input"]).startswith("$") for one in error.errors())  # a time that only a stack knows
        assert unknown or line.status == 400
    shape = route.shape if line.status < 400 else dialect.problem
    assert has_fields_of(shape, line.got)


def _route(dialect: Dialect, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    for route in dialect.routes:
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(route.path))
        if route.method == method and (found := re.fullmatch(pattern, path)):
            return route, found.groupdict()
    return None


@pytest.mark.parametrize(("dialect", "line"), of("<", "!<"))
def test_what_is_told_has_a_shape_of_its_name(dialect: Dialect, line: Line) -> None:
    """That of something said to one socket, or of what a row makes of an event."""
    shapes = {say.shape for say in _says(dialect) if say.name == line.name}
    rows = [row for row in _emitted(dialect) if row.name == line.name]
    shapes |= {row.shape for row in rows}
    assert shapes, f"{dialect.name} never tells {line.name}"
    assert any(is_told_as(dialect, shape, line.got) for shape in shapes)


@pytest.mark.parametrize(("dialect", "line"), of("<"))
def test_what_is_told_of_events_is_made_of_contracts(dialect: Dialect, line: Line) -> None:
    """The example of the event, in the dialect's voice, has values of the same kinds."""
    rows = [(row, _made(dialect, row)) for row in _emitted(dialect) if row.name == line.name]
    made = [payload for _, payloads in rows for payload in payloads]
    unmade = [row.shape for row, payloads in rows if not payloads]
    unmade += [say.shape for say in _says(dialect) if say.name == line.name]
    if made and not any(is_told_as(dialect, shape, line.got) for shape in unmade):
        assert any(_alike(line.got, payload) for payload in made), made


def _made(dialect: Dialect, row: Emit) -> list[Any]:
    components, kind = Components(), row.event.TYPE
    data = example(components.inline(row.event), components, story=STORY)
    voice = DialectVoice(dialect, "/chat", framed=False)
    told = voice.timeline(kind, ROOM, 1, 1, data.get("message", data)) or voice.happening(kind, ROOM, data)
    read = [packets.read(packet.decode()) for packet in told.split(packets.END) if packet]
    return [packet.arguments[0] for packet in read if packet.name == row.name]


def _alike(expected: Any, made: Any) -> bool:
    if expected in (ANYTHING, REST) or expected is None or made is None:
        return True
    if isinstance(expected, dict) and isinstance(made, dict):
        # Of an object that may hold anything the example holds nothing.
        return not made or all(it == REST or (it in made and _alike(value, made[it])) for it, value in expected.items())
    return type(expected) is type(made)


@pytest.mark.parametrize("name", sorted({*map(dialect_of, TRANSCRIPTS)}))
def test_every_row_is_in_the_transcript(name: str) -> None:
    """Every event that may be sent, every one that is told, every endpoint."""
    dialect, lines = ALL[name], [line for transcript, line in LINES if dialect_of(transcript) == name]
    assert dialect.on.keys() <= {line.name for line in lines if line.verb == ">"}
    told = {line.name for line in lines if line.verb == "<"}
    assert {say.name for say in _says(dialect) if say.name} | {row.name for row in _emitted(dialect)} <= told
    asked = {
        found[0].path + line.verb
        for line in lines
        if line.verb in METHODS and (found := _route(dialect, line.verb, urlsplit(line.name).path))
    }
    assert {route.path + route.method for route in dialect.routes} == asked


def _says(dialect: Dialect) -> list[Say]:
    return [
        dialect.failure,
        *(greet.say for greet in dialect.greet),
        *(say for row in dialect.on.values() for say in row.says),
        *(row.say for row in dialect.refresh),
    ]


def _emitted(dialect: Dialect) -> list[Emit]:
    return [row for rows in dialect.emit.values() for row in rows]
