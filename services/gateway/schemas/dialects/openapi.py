"""OpenAPI 3.1 of a dialect's endpoints, from its rows."""

import re

from services.gateway.dialects.rows import Dialect, Route, Upload, asks_of
from services.gateway.schemas.components import JSON, summary_of, without
from services.gateway.schemas.dialects.models import DialectComponents, spellings
from services.gateway.schemas.dialects.rehearsal import PARAMETER, Rehearsal, shown
from services.gateway.schemas.dialects.words import does
from services.gateway.schemas.openapi import (
    BODILESS,
    SCHEMES,
    SECURITY,
    TENANT_TAG,
    VERSION,
    all_statuses,
    names_something,
    refusal,
    response_name,
)
from shared.contracts.base import Command
from shared.contracts.errors import ERRORS, ErrorCode

FORM: JSON = {
    "type": "object",
    "properties": {"file": {"type": "string", "format": "binary", "description": "The bytes."}},
    "required": ["file"],
}


def openapi(dialect: Dialect) -> JSON:
    """The document of one dialect."""
    components = DialectComponents()
    rehearsal = Rehearsal(dialect)
    problem = components.ref(dialect.problem)
    paths: dict[str, JSON] = {}
    example_path = next((route.path for route in dialect.routes if "{" not in route.path), "/")
    for route in dialect.routes:
        operation = _Operation(route, components, rehearsal)
        paths.setdefault(PARAMETER.sub(r"{\1}", route.path), {})[route.method.lower()] = operation.document()
    for upload in dialect.uploads:
        paths.setdefault(upload.path, {})[upload.method.lower()] = _upload(upload, components, rehearsal)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Parley: {dialect.name}",
            "version": VERSION,
            "summary": f"The REST endpoints of the dialect '{dialect.name}'.",
            "description": "Made from the dialect's rows. Fields that the schemas do not name are passed over; "
            "fields of a body may be given in the query string, too. Ids are opaque.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": SECURITY,
        "tags": [{"name": dialect.name, "description": f"What clients of '{dialect.name}' may ask."}],
        "paths": paths,
        "components": {
            "schemas": components.sorted(),
            "parameters": {"TenantTag": TENANT_TAG},
            "responses": {
                response_name(status): refusal(status, problem, lambda code: rehearsal.refuses(code, example_path))
                for status in all_statuses()
            },
            "securitySchemes": SCHEMES,
        },
    }


class _Operation:
    """One row, as an operation."""

    def __init__(self, route: Route, components: DialectComponents, rehearsal: Rehearsal) -> None:
        self._route = route
        self._components = components
        self._rehearsal = rehearsal
        self._schema = components.inline(route.wire)
        self._sent = rehearsal.sent(route.wire, route.path)
        template = PARAMETER.findall(route.path)
        self._in_path = {
            names[0]: next(name for name in template if name in names)
            for names in spellings(route.wire).values()
            if set(names) & set(template)
        }
        """The documented names of the fields in the path, each with its name there."""

    def document(self) -> JSON:
        route = self._route
        operation: JSON = {
            "operationId": _name_of(route),
            "tags": [self._rehearsal.dialect.name],
            "summary": route.summary,
            "description": does(route.steps),
            "parameters": self._parameters(),
            "responses": self._responses(),
        }
        if (body := self._body()) is not None:
            operation["requestBody"] = body
        if route.public:
            operation["security"] = []
        return operation

    def _parameters(self) -> list[JSON]:
        parameters = [self._parameter(name, "path", there) for name, there in self._in_path.items()]
        if self._route.method in BODILESS:
            rest = [name for name in self._schema.get("properties", ()) if name not in self._in_path]
            parameters += [self._parameter(name, "query", name) for name in rest]
        if not self._route.public:
            parameters.append({"$ref": "#/components/parameters/TenantTag"})
        return parameters

    def _parameter(self, name: str, where: str, there: str) -> JSON:
        part = {key: value for key, value in self._schema["properties"][name].items() if key != "description"}
        choices = [choice for choice in part.get("anyOf", ()) if choice.get("type") != "null"]
        parameter: JSON = {
            "name": there,
            "in": where,
            "required": where == "path" or name in self._schema.get("required", ()),
            "schema": choices[0] if len(choices) == 1 else part,
        }
        if where != "path" and "description" in self._schema["properties"][name]:
            parameter["description"] = self._schema["properties"][name]["description"]
        if name in self._sent:
            parameter["example"] = self._sent[name]
        return parameter

    def _body(self) -> JSON | None:
        left = without(self._schema, {*self._in_path}) if "properties" in self._schema else self._schema
        if self._route.method in BODILESS or not left.get("properties"):
            return None
        schema = self._components.ref(self._route.wire)
        if self._in_path:
            title = f"{self._route.wire.__name__}Body"
            schema = self._components.put(title, {**left, "title": title})
        sent = {name: value for name, value in self._sent.items() if name not in self._in_path}
        return {
            "required": bool(left.get("required")),
            "content": {"application/json": {"schema": schema, "example": sent}},
        }

    def _responses(self) -> JSON:
        route = self._route
        shape = self._components.ref(route.shape)
        schema: JSON = {"type": "array", "items": shape} if route.many else shape
        good: JSON = {"schema": schema, **shown(lambda: self._rehearsal.answers(route))}
        responses: JSON = {
            str(route.status): {"description": summary_of(route.shape), "content": {"application/json": good}}
        }
        if route.existed:
            responses["200"] = {"description": "It existed already.", "content": {"application/json": good}}
        for status in sorted({ERRORS[code].status for code in _codes(route)}):
            responses[str(status)] = {"$ref": f"#/components/responses/{response_name(status)}"}
        return responses


def _upload(upload: Upload, components: DialectComponents, rehearsal: Rehearsal) -> JSON:
    """A row that takes a file, as an operation."""
    good: JSON = {"schema": components.ref(upload.shape), **shown(lambda: rehearsal.takes(upload))}
    statuses = sorted({ERRORS[code].status for code in ErrorCode if code is not ErrorCode.NOT_FOUND})
    refused = {str(status): {"$ref": f"#/components/responses/{response_name(status)}"} for status in statuses}
    return {
        "operationId": _name_of(upload),
        "tags": [rehearsal.dialect.name],
        "summary": upload.summary,
        "description": "The file is the part `file`, or the first part that has a file name. What it is, it tells by "
        "itself; the answer comes when it can be shown.",
        "parameters": [{"$ref": "#/components/parameters/TenantTag"}],
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": FORM}}},
        "responses": {
            str(upload.status): {"description": summary_of(upload.shape), "content": {"application/json": good}},
            **refused,
        },
    }


def _name_of(route: Route | Upload) -> str:
    path = PARAMETER.sub(r"by_\1", route.path)
    return re.sub(r"\W+", "_", f"{route.method.lower()}{path}").rstrip("_")


def _codes(route: Route) -> list[ErrorCode]:
    """The errors that a request can be refused with."""
    asked = list(asks_of(route.steps))
    never: set[ErrorCode] = set()
    if not route.counted:
        never.add(ErrorCode.RATE_LIMITED)
    if not any(names_something(ask.fields) for ask in asked):
        never.add(ErrorCode.NOT_FOUND)
    if not any(issubclass(ask.contract, Command) for ask in asked):
        never.add(ErrorCode.CONFLICT)
    if route.method in BODILESS:
        never.add(ErrorCode.TOO_LARGE)
    if route.public:
        never |= {ErrorCode.UNAUTHENTICATED, ErrorCode.FORBIDDEN}
        never |= set() if route.wire.model_fields else {ErrorCode.INVALID}
    if route.public or not asked:
        never |= {ErrorCode.OVERLOADED, ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT}
    return [code for code in ERRORS if code not in never]
