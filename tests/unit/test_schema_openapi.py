"""OpenAPI: valid, complete, and true to what the handler of the rows does."""

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from services.gateway.rest import BODILESS, IDEMPOTENCY_KEY
from services.gateway.rows import Route
from services.gateway.schemas import openapi as module
from services.gateway.schemas.components import references
from services.gateway.schemas.openapi import openapi
from services.gateway.v1 import PASSES, ROUTES
from shared.contracts.base import Command
from shared.contracts.errors import ERRORS, ErrorCode, ErrorView

DOCUMENT = openapi(ROUTES, PASSES)

by_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")


def operation_of(route: Route) -> dict[str, Any]:
    """A route's operation."""
    operation: dict[str, Any] = DOCUMENT["paths"][route.path][route.method.lower()]
    return operation


def resolved(item: dict[str, Any]) -> dict[str, Any]:
    """What a reference refers to, or the thing itself."""
    if "$ref" not in item:
        return item
    found: Any = DOCUMENT
    for key in item["$ref"].removeprefix("#/").split("/"):
        found = found[key]
    assert isinstance(found, dict)
    return found


def parameters_of(route: Route, where: str) -> dict[str, dict[str, Any]]:
    """A route's parameters by name."""
    parameters = (resolved(item) for item in operation_of(route)["parameters"])
    return {item["name"]: item for item in parameters if item["in"] == where}


def check(value: Any, schema: dict[str, Any]) -> None:
    """Fail where a value does not meet a schema of the document."""
    Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(value)


def test_it_is_valid() -> None:
    """By the meta-schema of OpenAPI 3.1, and every reference leads somewhere."""
    validate(DOCUMENT, cls=OpenAPIV31SpecValidator)
    for reference in references(DOCUMENT):
        assert resolved({"$ref": reference})


def test_every_route_is_there_and_nothing_else() -> None:
    """Under an operation id of its own."""
    documented = {(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item}
    wanted = {(row.method, row.path) for row in ROUTES} | {(row.method, row.path) for row in PASSES}
    wanted |= {("GET", path) for path in module.OPERATIONS}
    assert documented == wanted
    ids = [operation["operationId"] for item in DOCUMENT["paths"].values() for operation in item.values()]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"\w+", name) for name in ids)


def test_it_knows_the_same_bodiless_methods_as_the_handler() -> None:
    """Fields come from the query string in both."""
    assert module.BODILESS == BODILESS


@by_route
def test_every_field_of_the_contract_can_be_given(route: Route) -> None:
    """In the path, the query string or the body; `client_id` by its header at least."""
    body = operation_of(route).get("requestBody")
    given = set(parameters_of(route, "path")) | set(parameters_of(route, "query")) | set(route.fixed)
    if body is not None:
        given |= resolved(body["content"]["application/json"]["schema"])["properties"].keys()
    if IDEMPOTENCY_KEY in parameters_of(route, "header"):
        given.add("client_id")
    assert given == set(route.contract.model_fields)


@by_route
def test_the_path_s_parameters_are_those_of_its_template(route: Route) -> None:
    """All required, as OpenAPI wants it."""
    parameters = parameters_of(route, "path")
    assert set(re.findall(r"{(\w+)}", route.path)) == set(parameters)
    assert all(parameter["required"] for parameter in parameters.values())


@by_route
def test_headers(route: Route) -> None:
    """The tenant everywhere, the key for what changes something."""
    headers = parameters_of(route, "header")
    assert {"x-tenant-tag", "traceparent"} <= headers.keys()
    assert (IDEMPOTENCY_KEY in headers) == issubclass(route.contract, Command)


@by_route
def test_examples_meet_their_schemas_and_contracts(route: Route) -> None:
    """What is shown would be accepted, and what is answered is shaped so."""
    operation = operation_of(route)
    given: dict[str, Any] = dict(route.fixed)
    for parameter in (*parameters_of(route, "path").values(), *parameters_of(route, "query").values()):
        if "example" in parameter:
            check(parameter["example"], parameter["schema"])
            given[parameter["name"]] = parameter["example"]
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]["application/json"]
        check(content["example"], content["schema"])
        given |= content["example"]
    route.contract.model_validate(given)
    for status, response in operation["responses"].items():
        if int(status) < 300:
            content = response["content"]["application/json"]
            check(content["example"], content["schema"])


NAMED_ELSEWHERE = {"/v1/favorites/toggle", "/v1/audit"}
"""Where what is asked for is named in the body or the query, and may not be there."""


@by_route
def test_answers(route: Route) -> None:
    """The row's status; 200 beside 201 where the thing may exist already; and errors."""
    responses = operation_of(route)["responses"]
    assert str(route.status) in responses
    known = {"created", "duplicate"} & route.contract.RESULT.model_fields.keys()
    assert ("200" in responses) == (route.status == 200 or bool(known))
    assert {"400", "401", "403", "500", "503", "504"} <= responses.keys()
    assert ("429" in responses) == route.counted
    assert ("404" in responses) == ("{" in route.path or route.path in NAMED_ELSEWHERE)


@pytest.mark.parametrize("code", ErrorCode)
def test_every_error_is_shown_with_its_status(code: ErrorCode) -> None:
    """In the one shape, with the header that tells when to retry."""
    statuses = {
        status: resolved(response)
        for item in DOCUMENT["paths"].values()
        for operation in item.values()
        for status, response in operation["responses"].items()
    }
    response = statuses[str(ERRORS[code].status)]
    content = response["content"]["application/json"]
    example = content["examples"][code]["value"]
    check(example, content["schema"])
    assert ErrorView.model_validate(example["error"]).code is code
    assert ("Retry-After" in response.get("headers", {})) == ERRORS[code].retryable


def test_a_token_is_needed_but_for_operations() -> None:
    """Health, metrics and the documents themselves are for everybody."""
    assert DOCUMENT["security"] == [{"bearer": []}, {"token": []}, {"cookie": []}]
    open_ = {path for path, item in DOCUMENT["paths"].items() if item.get("get", {}).get("security") == []}
    assert open_ == set(module.OPERATIONS)
