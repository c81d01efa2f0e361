"""OpenAPI 3.1 of the REST API, from its rows. Pure.

What every operation shares (who asks, for which tenant, under which key, and how errors look) is said once.
"""

from collections.abc import Callable, Iterable

from services.gateway.rows import Contract, Pass, Route
from services.gateway.schemas import files
from services.gateway.schemas.components import JSON, Components, summary_of, without
from services.gateway.schemas.errors import error_table, example_error
from services.gateway.schemas.examples import example
from services.gateway.schemas.externals import external_bodies
from shared.contracts.base import Command, View
from shared.contracts.errors import ERRORS, MEANINGS, ErrorCode, ErrorView
from shared.contracts.integration import ApplyExternal

VERSION = "1.0.0"
BODILESS = frozenset({"GET", "DELETE"})
"""Methods whose fields come from the query string."""

TAGS = {
    "rooms": "Rooms, their members, the people in them.",
    "messages": "The timeline of a room: messages, reactions, receipts, what has changed.",
    "media": "Files: uploads, downloads, and what is known of them (docs/media.md).",
    "operations": "Health, metrics and these documents. No token is needed.",
}

OPERATIONS = {
    "/livez": ("The process is alive.", "application/json"),
    "/readyz": ("The process can do its work: its links were tested just now. 503 where not.", "application/json"),
    "/metrics": ("Metrics in the Prometheus text format for those who ask for it; else a few as JSON.", "text/plain"),
    "/openapi.json": ("This document.", "application/json"),
    "/asyncapi.json": ("The WebSocket protocol and the message bus, as AsyncAPI 3.0.", "application/json"),
    "/docs": ("Both documents, to be read; with `?dialect=` those of a dialect.", "text/html"),
}

SECURITY: list[JSON] = [{"bearer": []}, {"token": []}, {"cookie": []}]
SCHEMES: JSON = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "token": {"type": "apiKey", "in": "query", "name": "token"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "token"},
}
LINKED: JSON = {**SCHEMES, "link": files.LINK_SCHEME}
TENANT_TAG: JSON = {
    "name": "x-tenant-tag",
    "in": "header",
    "required": False,
    "description": "The tenant; must be the token's, else `forbidden`. It decides only where the server "
    "trusts it (TRUST_TENANT_HEADER) and the token names none.",
    "schema": {"type": "string"},
}


def openapi(routes: Iterable[Route], passes: Iterable[Pass] = ()) -> JSON:
    """The document for a table of routes, and of what is passed on."""
    components = Components()
    paths: dict[str, JSON] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, components)
    error = components.put("ErrorBody", _error_body(components))
    named = {status: response_name(status) for status in all_statuses()}
    for row in passes:
        made = files.operation(row, components, error, named, SECURITY)
        paths.setdefault(row.path, {})[row.method.lower()] = made
    for path, (summary, kind) in OPERATIONS.items():
        paths[path] = {"get": _health(path, summary, kind)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Parley",
            "version": VERSION,
            "summary": "A self-hosted, real-time chat backend.",
            "description": "Everything here can be done on the WebSocket too (see /asyncapi.json). Fields the "
            "schemas do not name are refused. Ids are opaque.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": SECURITY,
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": components.sorted(),
            "parameters": _parameters(components),
            "responses": {
                response_name(status): refusal(status, error, lambda code: {"error": example_error(code)})
                for status in all_statuses()
            },
            "securitySchemes": LINKED,
        },
        "x-errors": error_table(),
    }


def _operation(route: Route, components: Components) -> JSON:
    contract = route.contract
    is_command = issubclass(contract, Command)
    operation: JSON = {
        "operationId": contract.TYPE.replace(".", "_"),
        "tags": [str(contract.OWNER)],
        "summary": route.summary,
        "description": summary_of(contract),
        "parameters": _parameters_of(route, components),
        "responses": _responses(route, components),
    }
    if (body := _body(route, components)) is not None:
        operation["requestBody"] = body
    shared = ["TenantTag", "TraceParent", *(["IdempotencyKey"] if is_command else [])]
    operation["parameters"] += [{"$ref": f"#/components/parameters/{name}"} for name in shared]
    return operation


# ── what goes in ─────────────────────────────────────────────────────────────────────────────────────────────────


def _in_path(route: Route) -> list[str]:
    return [name for name in route.contract.model_fields if f"{{{name}}}" in route.path]


def _parameters_of(route: Route, components: Components) -> list[JSON]:
    schema = components.inline(route.contract)
    in_path = _in_path(route)
    parameters = [_parameter(route, components, name, "path", required=True) for name in in_path]
    if route.method in BODILESS:
        rest = without(schema, {*in_path, *route.fixed, "client_id"})
        required = rest.get("required", ())
        parameters += [
            _parameter(route, components, name, "query", required=name in required) for name in rest["properties"]
        ]
    return parameters


def _parameter(route: Route, components: Components, name: str, where: str, *, required: bool) -> JSON:
    schema = components.inline(route.contract)
    part = _given(schema["properties"][name])
    parameter: JSON = {"name": name, "in": where, "required": required, "schema": part}
    if required:
        parameter["example"] = example(part, components, f"{schema['title']}.{name}")
    return parameter


def _given(part: JSON) -> JSON:
    """The schema of a parameter that is given: one that is left out is null, and is not sent as such."""
    choices = [choice for choice in part.get("anyOf", ()) if choice.get("type") != "null"]
    return choices[0] if choices else part


def _body(route: Route, components: Components) -> JSON | None:
    """The JSON body: what of the contract is neither in the path nor fixed; none where only the key is left."""
    contract = route.contract
    taken = {*_in_path(route), *route.fixed}
    whole = components.inline(contract)
    left = without(whole, taken)
    if route.method in BODILESS or not left["properties"].keys() - {"client_id"}:
        return None
    if taken:
        schema = components.put(f"{contract.__name__}Body", {**left, "title": f"{contract.__name__}Body"})
    else:
        schema = components.ref(contract)
    shown = example(whole, components)
    content = {
        "application/json": {
            "schema": schema,
            "example": {name: value for name, value in shown.items() if name not in taken},
        }
    }
    if contract is ApplyExternal:  # described by the types of events, which its own contract does not know
        content |= external_bodies(components)
    return {"required": bool(left.get("required")), "content": content}


def _parameters(components: Components) -> JSON:
    return {
        "TenantTag": TENANT_TAG,
        "TraceParent": {
            "name": "traceparent",
            "in": "header",
            "required": False,
            "description": "W3C trace context, carried along with the request and all it leads to.",
            "schema": {"type": "string"},
        },
        "IdempotencyKey": {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "The `client_id`, where the body has none: sent again with the same key, the request has "
            "no further effect.",
            "schema": components.inline(Command)["properties"]["client_id"]["anyOf"][0],
            "example": "c-1",
        },
    }


# ── what comes out ───────────────────────────────────────────────────────────────────────────────────────────────


def _responses(route: Route, components: Components) -> JSON:
    result = _result(route.contract, route.unwrap)
    schema = components.ref(result)
    content = {"application/json": {"schema": schema, "example": example(schema, components)}}
    responses: JSON = {str(route.status): {"description": summary_of(result), "content": content}}
    if route.status == 201 and {"created", "duplicate"} & route.contract.RESULT.model_fields.keys():
        existing = {**content["application/json"]["example"]}
        if "duplicate" in existing:
            existing["duplicate"] = True
        responses["200"] = {
            "description": "It existed already.",
            "content": {"application/json": {"schema": schema, "example": existing}},
        }
    for status in _statuses(route):
        responses[str(status)] = {"$ref": f"#/components/responses/{response_name(status)}"}
    return responses


def _result(contract: Contract, unwrap: str | None) -> type[View]:
    if unwrap is None:
        return contract.RESULT
    field: type[View] = contract.RESULT.model_fields[unwrap].annotation  # type: ignore[assignment]
    return field


def _statuses(route: Route) -> list[int]:
    """The statuses an operation can be refused with."""
    never = set()
    if not route.counted:
        never.add(ERRORS[ErrorCode.RATE_LIMITED].status)
    if not names_something(route.contract.model_fields):
        never.add(ERRORS[ErrorCode.NOT_FOUND].status)
    if not issubclass(route.contract, Command):
        never.add(ERRORS[ErrorCode.CONFLICT].status)
    if route.method in BODILESS:
        never.add(ERRORS[ErrorCode.TOO_LARGE].status)
    return [status for status in all_statuses() if status not in never]


def names_something(fields: Iterable[str]) -> bool:
    """Whether what is asked for, by these fields, may not be there."""
    return any(name == "id" or (name.endswith("_id") and name != "client_id") for name in fields)


def all_statuses() -> list[int]:
    """Every status that an error can have."""
    return sorted({row.status for row in ERRORS.values()})


def _codes(status: int) -> list[ErrorCode]:
    return [code for code, row in ERRORS.items() if row.status == status]


def response_name(status: int) -> str:
    """What the response of a status is called among the components."""
    return "Or".join(code.title().replace("_", "") for code in _codes(status))


def _error_body(components: Components) -> JSON:
    return {
        "title": "ErrorBody",
        "description": "How every error looks.",
        "type": "object",
        "properties": {"error": components.ref(ErrorView)},
        "required": ["error"],
        "additionalProperties": False,
    }


def refusal(status: int, error: JSON, body: Callable[[ErrorCode], JSON]) -> JSON:
    """The response of a status: the schema of errors, and what `body` makes of each that has this status."""
    codes = _codes(status)
    examples = {str(code): {"value": body(code)} for code in codes}
    response: JSON = {
        "description": " ".join(f"`{code}`: {MEANINGS[code]}" for code in codes),
        "content": {"application/json": {"schema": error, "examples": examples}},
    }
    if any(ERRORS[code].retryable for code in codes):
        seconds = {"description": "Seconds after which a retry makes sense.", "schema": {"type": "integer"}}
        response["headers"] = {"Retry-After": seconds}
    if status == ERRORS[ErrorCode.UNAUTHENTICATED].status:
        response["headers"] = {"WWW-Authenticate": {"schema": {"type": "string", "const": "Bearer"}}}
    return response


def _health(path: str, summary: str, kind: str) -> JSON:
    return {
        "operationId": path.strip("/").replace(".", "_"),
        "tags": ["operations"],
        "summary": summary,
        "security": [],
        "responses": {"200": {"description": summary, "content": {kind: {}}}},
    }
