"""The generated Markdown pages: settings, protocol, errors."""

from collections.abc import Iterable, Sequence
from typing import Any

from services.gateway import native
from services.gateway.rows import Emit
from services.gateway.schemas.components import JSON, Components, summary_of
from services.gateway.schemas.errors import close_table, error_table
from services.gateway.schemas.markdown import fields, kind, page, table
from shared.contracts.errors import ErrorView
from shared.contracts.messages import TimelineEvent
from shared.settings import Settings

# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────


def settings_page() -> str:
    """Every environment variable of the services."""
    rows = [
        (f"`{name.upper()}`", _default(part["default"]), _allowed(part), part["description"])
        for name, part in Settings.model_json_schema()["properties"].items()
    ]
    intro = (
        "The services are configured by their environment alone. For limits, 0 means unlimited. A value that is not "
        "usable ends the start with a message that names the variable.\n"
    )
    return page("Settings", intro, table(("variable", "default", "allowed", "what it is"), rows))


def _default(value: Any) -> str:
    if value == "":
        return ""
    return (
        f"`{int(value)}`" if isinstance(value, bool) else f"`{value:g}`" if isinstance(value, float) else f"`{value}`"
    )


def _allowed(part: JSON) -> str:
    bounds = [f"{sign} {part[word]:g}" for word, sign in _SIGNS.items() if word in part]
    words = [f"`{word}`" for word in part.get("pattern", "").strip("^$()").split("|") if word]
    return ", ".join(bounds + words)


_SIGNS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤"}


# ── protocol ─────────────────────────────────────────────────────────────────────────────────────────────────────


def protocol_page() -> str:
    """Every frame of the native protocol, and the shapes in them."""
    components = Components()
    rule = (
        "Each is answered by `ack` with the result, or by `error`, under the same `id`. "
        "A `?` marks a field that may be left out.\n"
    )
    sections = [
        "## From the client\n",
        rule,
        table(("frame", "fields of `data`", "result", "what it does"), _client_rows(components)),
        "## From the server\n\n`room_id`, `seq` and `rev` stand beside `data`.\n",
        table(("frame", "beside `data`", "`data`", "when it comes"), _server_rows(components)),
        "## Shapes\n",
        table(("name", "fields"), _shape_rows(components)),
    ]
    return page("Native WebSocket protocol: frames", *sections)


def _client_rows(components: Components) -> Iterable[Sequence[str]]:
    for row in native.ON.values():
        counted = " Counts as a message sent." if row.counted else ""
        data = components.inline(row.contract)
        yield f"`{row.name}`", fields(data), _name(components, row.contract.RESULT), summary_of(row.contract) + counted
    for local in native.LOCAL.values():
        data = components.inline(local.wire)
        yield f"`{local.name}`", fields(data), _name(components, local.result), local.summary


def _server_rows(components: Components) -> Iterable[Sequence[str]]:
    yield "`ack`", "`id`", "the result", "A frame of the client succeeded."
    yield "`error`", "`id`, `error`: " + _name(components, ErrorView), "", "A frame of the client failed."
    for tell in native.TELL.values():
        beside = "`room_id`" if tell.in_room else ""
        yield f"`{tell.name}`", beside, _name(components, tell.view), tell.summary
    for emit in native.EMIT.values():
        in_room = "`room_id`, `seq`, `rev`" if issubclass(emit.event, TimelineEvent) else "`room_id`"
        beside = in_room if emit.in_room else ""
        yield f"`{emit.name}`", beside, _emitted(emit, components), summary_of(emit.event)


def _emitted(row: Emit, components: Components) -> str:
    if row.view is not None:
        return _name(components, row.view)
    schema = components.inline(row.event)
    if issubclass(row.event, TimelineEvent):
        return kind(schema["properties"]["message"])
    return fields(schema)


def _name(components: Components, model: type) -> str:
    components.ref(model)
    return model.__name__


def _shape_rows(components: Components) -> Iterable[Sequence[str]]:
    for name, schema in components.sorted().items():
        yield name, kind(schema) if "enum" in schema else fields(schema)


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────────


def errors_page() -> str:
    """Every error and every close code."""
    errors = [
        (f"`{row['code']}`", row["status"], row["close"], "yes" if row["retryable"] else "no", row["meaning"])
        for row in error_table()
    ]
    closes = [(row["close"], ", ".join(f"`{code}`" for code in row["codes"]), row["meaning"]) for row in close_table()]
    return page(
        "Errors",
        'On REST an error is the body `{"error": …}` with its status; on the socket a frame '
        '`{"type": "error", "id": …, "error": …}`, and where it ends the connection, its close code.\n',
        table(("code", "HTTP status", "close code", "retry helps", "meaning"), errors),
        "## Close codes\n",
        table(("close code", "errors", "meaning"), closes),
    )
