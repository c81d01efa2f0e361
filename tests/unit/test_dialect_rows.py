"""Every row of every dialect can be carried out on an example: it asks what contracts take, and shows what is there."""

import re
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import orjson
import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from services.gateway.dialects.choice import DIALECTS
from services.gateway.dialects.rows import Dialect, Emit, On, Route, Say, Wire
from services.gateway.schemas.components import JSON
from services.gateway.schemas.dialects.models import DialectComponents, spellings
from services.gateway.schemas.dialects.page import dialect_page, index_page
from services.gateway.schemas.dialects.rehearsal import Rehearsal
from shared.contracts.errors import ErrorCode

PAGE = Path(__file__).parents[2] / "docs/dialects.md"

REHEARSALS = {name: Rehearsal(dialect) for name, dialect in DIALECTS.items()}
ONS = [(name, row) for name, dialect in DIALECTS.items() for row in dialect.on.values()]
EMITS = [(name, row) for name, dialect in DIALECTS.items() for rows in dialect.emit.values() for row in rows]
ROUTES = [(name, row) for name, dialect in DIALECTS.items() for row in dialect.routes]

dialects = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))


def check(name: str, payload: Any, say: Say) -> None:
    """Fail where what is said, in the dialect's envelope, is not of the shape its documents tell."""
    envelope = DIALECTS[name].envelope
    components = DialectComponents()
    if envelope is not None:
        check_against(payload, components.inline(envelope), components)
        field = next(field for field, info in envelope.model_fields.items() if "payload" in str(info.validation_alias))
        payload = payload[field]
    check_against(payload, components.said(say), components)


def check_against(payload: Any, schema: JSON, components: DialectComponents) -> None:
    """Fail where a value does not meet a schema."""
    Draft202012Validator({**schema, "components": {"schemas": components.schemas}}).validate(payload)


@pytest.mark.parametrize(("name", "row"), ONS, ids=[f"{name} {row.name}" for name, row in ONS])
def test_what_clients_send(name: str, row: On) -> None:
    """Is taken, becomes requests that contracts accept, and is answered in the shapes that the row names."""
    known = REHEARSALS[name].heard(row)
    for say in (*row.says, *([row.ack] if row.ack is not None else [])):
        check(name, REHEARSALS[name].says(say, known), say)


WIRES: set[type[Wire]] = {row.wire for _, row in ONS} | {row.wire for _, row in ROUTES}


@pytest.mark.parametrize("wire", sorted(WIRES, key=str), ids=str)
def test_what_clients_send_is_plain_or_one_object(wire: type[Wire]) -> None:
    """No list of objects: what was sent is taken over as deep as that (`Wire.given`)."""
    for field in wire.model_fields.values():
        annotation = field.annotation
        choices = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
        assert not any(_is_object(part) for choice in choices for part in get_args(choice)), field


def test_what_was_sent_holds_objects_as_such() -> None:
    """By the names of their fields, and nothing that was left out."""

    class Place(BaseModel):
        latitude: float = Field(alias="lat")
        name: str | None = None

    class Sent(Wire):
        place: Place | None = None
        text: str | None = None
        names: list[str] = []

    sent = Sent.read({"place": {"lat": 1.5}, "names": ["a"]})
    assert sent.given() == sent.model_dump(exclude_none=True) == {"place": {"latitude": 1.5}, "names": ["a"]}


def _is_object(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


@pytest.mark.parametrize(("name", "row"), EMITS, ids=[f"{name} {row.name} {row.event.TYPE}" for name, row in EMITS])
def test_what_clients_are_told(name: str, row: Emit) -> None:
    """Of at least one example of the event, in the row's shape."""
    check(name, REHEARSALS[name].tells(row), Say(row.name, row.shape))


@pytest.mark.parametrize(("name", "row"), ROUTES, ids=[f"{name} {row.method} {row.path}" for name, row in ROUTES])
def test_endpoints(name: str, row: Route) -> None:
    """Take their example, and answer in the row's shape."""
    components = DialectComponents()
    shape = components.said(Say("", row.shape, many=row.many))
    check_against(REHEARSALS[name].answers(row), shape, components)


@pytest.mark.parametrize(("name", "row"), ROUTES, ids=[f"{name} {row.method} {row.path}" for name, row in ROUTES])
def test_a_path_names_fields(name: str, row: Route) -> None:
    """Each of its parameters is a spelling of one; else what stands there would be passed over."""
    known = {spelling for names in spellings(row.wire).values() for spelling in names}
    assert set(re.findall(r"{(\w+)", row.path)) <= known, name


@dialects
def test_greetings(dialect: Dialect) -> None:
    """Show who has connected."""
    rehearsal = REHEARSALS[dialect.name]
    for greet in dialect.greet:
        check(dialect.name, rehearsal.says(greet.say, rehearsal.greeted(greet)), greet.say)


@dialects
def test_lists(dialect: Dialect) -> None:
    """That are told again have the shape that the row names."""
    rehearsal = REHEARSALS[dialect.name]
    for row in dialect.refresh:
        check(dialect.name, rehearsal.says(row.say, rehearsal.refreshed(row)), row.say)


@dialects
@pytest.mark.parametrize("code", ErrorCode)
def test_errors(dialect: Dialect, code: ErrorCode) -> None:
    """Have the dialect's own shapes, on sockets and over REST."""
    rehearsal, components = REHEARSALS[dialect.name], DialectComponents()
    check(dialect.name, rehearsal.fails(code, "an event"), dialect.failure)
    problem = components.ref(dialect.problem)
    check_against(rehearsal.refuses(code, "/path"), problem, components)


@dialects
def test_a_spelling_means_one_field(dialect: Dialect) -> None:
    """No two fields of what clients send share a name."""
    for wire in {*(row.wire for row in dialect.on.values()), *(row.wire for row in dialect.routes)}:
        names = [name for names in spellings(wire).values() for name in names]
        assert len(set(names)) == len(names), wire.__name__


@dialects
def test_its_page_names_every_row(dialect: Dialect) -> None:
    """What is sent, told and served, and nothing that changes from one time to the next."""
    page = dialect_page(dialect)
    for name in (*dialect.on, *(row.name for rows in dialect.emit.values() for row in rows)):
        assert f"| `{name}` |" in page
    for route in dialect.routes:
        assert f"| `{route.method} {route.path}` |" in page
    assert dialect_page(dialect) == page


@dialects
def test_it_is_written_about(dialect: Dialect) -> None:
    """Under a heading of docs/dialects.md, with what its document leaves open."""
    section = re.search(rf"^## {dialect.name}$(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert section is not None
    assert re.search(r"^### What the document leaves open\n\n- ", section[1], re.MULTILINE)


def test_all_are_listed() -> None:
    """With a link to the page of each."""
    page = index_page(DIALECTS.values())
    assert all(f"[{name}](dialects/{name}.md)" in page for name in DIALECTS)


def test_examples_are_the_same_every_time() -> None:
    """No clock gets into one, not even by an envelope."""
    for name, dialect in DIALECTS.items():
        for row in dialect.on.values():
            first, again = (orjson.dumps(Rehearsal(dialect).heard(row)) for _ in range(2))
            assert first == again, (name, row.name)
