"""The page of a dialect: its rows as tables, and the shapes in them."""

from collections.abc import Iterable, Sequence

from services.gateway.dialects.rows import Dialect, On, Route, Say, Wire
from services.gateway.schemas.dialects.models import DialectComponents, documented
from services.gateway.schemas.dialects.words import does, may_have_changed, when
from services.gateway.schemas.markdown import fields, page, table
from services.gateway.schemas.markdown import kind as describe

NOTHING = "`{}`"
ACKNOWLEDGED = (
    "Each is acknowledged, where a callback is given: by what stands here, or by the error. "
    "A `?` marks a field that may be left out.\n"
)

Rows = Iterable[Sequence[str]]


def dialect_page(dialect: Dialect) -> str:
    """The page of one dialect."""
    shapes = _Shapes()
    tables = [
        "## What clients send\n",
        ACKNOWLEDGED,
        table(("event", "payload", "what it does", "acknowledgement", "told to the sender"), _sent(dialect, shapes)),
        "## What clients are told\n",
        table(("event", "payload", "when"), _told(dialect, shapes)),
        "## Endpoints\n",
        f"Errors have the shape {shapes.name(dialect.problem)} and the [status](../errors.md) of their code.\n",
        table(("endpoint", "fields", "what it does", "answer", "summary"), _endpoints(dialect, shapes)),
        "## Shapes\n",
    ]
    return page(
        f"The dialect `{dialect.name}`: rows",
        _head(dialect, shapes),
        *tables,
        table(("name", "fields"), shapes.rows()),
    )


def index_page(dialects: Iterable[Dialect]) -> str:
    """All dialects, with where their documents are."""
    rows = (
        (
            f"[{dialect.name}](dialects/{dialect.name}.md)",
            ", ".join(f"`{name}`" for name in dialect.namespaces),
            len(dialect.on),
            len(
                {row.name for rows in dialect.emit.values() for row in rows} | {row.say.name for row in dialect.refresh}
            ),
            len(dialect.routes) + len(dialect.uploads),
            _documents(dialect.name, "dialects/"),
        )
        for dialect in dialects
    )
    head = ("dialect", "namespaces", "events it takes", "events it tells", "endpoints", "documents")
    return page("Dialects", "What they are: [dialects.md](../dialects.md).\n", table(head, rows))


def _documents(name: str, where: str = "") -> str:
    return ", ".join(f"[{kind}]({where}{name}.{kind.lower()}.json)" for kind in ("OpenAPI", "AsyncAPI"))


def _head(dialect: Dialect, shapes: "_Shapes") -> str:
    lines = [f"- Documents: {_documents(dialect.name)}"]
    lines.append(f"- Namespaces: {', '.join(f'`{name}`' for name in dialect.namespaces)}")
    if dialect.demands:
        lines.append(f"- The `auth` of a connection must have {', '.join(f'`{name}`' for name in dialect.demands)}")
    follows = "all rooms of its user, from the start" if dialect.follows else "the rooms it has joined"
    lines.append(f"- A socket hears of {follows}")
    if dialect.envelope is not None:
        lines.append(f"- Every payload that is told stands in {shapes.name(dialect.envelope)}")
    return "".join(f"{line}\n" for line in lines)


def _sent(dialect: Dialect, shapes: "_Shapes") -> Rows:
    for row in dialect.on.values():
        counted = " Counts as a message sent." if row.counted else ""
        said = ", ".join(f"`{say.name}`: {shapes.said(say)}" for say in row.says)
        yield f"`{row.name}`", shapes.payload(row.wire), does(row.steps) + counted, _ack(row, shapes), said


def _ack(row: On, shapes: "_Shapes") -> str:
    answer = row.acknowledges
    return NOTHING if answer is None else shapes.said(answer)


def _told(dialect: Dialect, shapes: "_Shapes") -> Rows:
    for greet in dialect.greet:
        yield f"`{greet.say.name}`", shapes.said(greet.say), "The client has connected."
    for row in (row for rows in dialect.emit.values() for row in rows):
        yield f"`{row.name}`", shapes.name(row.shape), f"`{row.event.TYPE}`: {when(row)}"
    for refresh in dialect.refresh:
        yield f"`{refresh.say.name}`", shapes.said(refresh.say), may_have_changed(refresh)
    failure = dialect.failure
    yield f"`{failure.name}`", shapes.said(failure), "An event of the client failed."


def _endpoints(dialect: Dialect, shapes: "_Shapes") -> Rows:
    for route in dialect.routes:
        public = " Takes no token." if route.public else ""
        counted = " Counts as a message sent." if route.counted else ""
        does_ = does(route.steps) if route.steps else ""
        summary = f"{route.summary}{public}{counted}"
        yield f"`{route.method} {route.path}`", shapes.fields(route.wire), does_, _answer(route, shapes), summary
    for upload in dialect.uploads:
        answer = f"{upload.status}: {shapes.name(upload.shape)}"
        yield f"`{upload.method} {upload.path}`", "a form with `file`", "`POST /v1/media`", answer, upload.summary


def _answer(route: Route, shapes: "_Shapes") -> str:
    status = f"{route.status} or 200" if route.existed else f"{route.status}"
    return f"{status}: {shapes.said(Say('', route.shape, many=route.many))}"


class _Shapes:
    """The shapes that a page has named so far."""

    def __init__(self) -> None:
        self._components = DialectComponents()

    def name(self, model: type) -> str:
        """A shape's name; its fields will be told."""
        self._components.ref(model)
        return model.__name__

    def said(self, say: Say) -> str:
        """What is said, in a few words."""
        return f"[{self.name(say.shape)}]" if say.many else self.name(say.shape)

    def fields(self, wire: type[Wire]) -> str:
        """What clients send, in a few words."""
        return fields(self._components.inline(wire))

    def payload(self, wire: type[Wire]) -> str:
        """The same of an event."""
        words = self.fields(wire)
        return words if wire.BARE is None else f"{words}; or `{documented(wire)[wire.BARE]}` alone"

    def rows(self) -> Rows:
        """Every shape that was named, or is part of one."""
        for name, schema in self._components.sorted().items():
            yield name, describe(schema) if "enum" in schema else fields(schema)
