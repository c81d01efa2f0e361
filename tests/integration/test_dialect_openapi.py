"""What dialects' OpenAPI documents promise, against made-up requests: no failure inside, no undocumented answer.

Requests are made from the schemas, valid ones and such as break them. Half of them have the document's examples where
it has some, with the ids of what is there, so that not all is refused.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from deploy.embedded.stack import Stack
from services.gateway.dialects.choice import DIALECTS
from services.gateway.schemas.components import JSON
from services.gateway.schemas.dialects.openapi import openapi
from services.gateway.schemas.examples import MESSAGE, ROOM
from tests.conftest import ClientOf, TokenOf

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

EXAMPLES = 15
"""Requests per operation and kind."""

OPERATIONS = [
    (name, method, path)
    for name, dialect in DIALECTS.items()
    for path, item in openapi(dialect)["paths"].items()
    for method in item
]


@pytest.mark.parametrize(("name", "method", "path"), OPERATIONS, ids=[" ".join(item) for item in OPERATIONS])
async def test_answers_are_as_documented(
    name: str, method: str, path: str, stack: Stack, tenant: str, token: TokenOf, client: ClientOf
) -> None:
    """Whatever is asked, by a member of a room with a message."""
    alice = await client("alice", roles=("customer",))
    await client("bob", roles=("hotel_owner",))
    room = await alice.create_room(members=["bob"])
    sent = await alice.send(room.id, "Is there tea?")
    document = openapi(DIALECTS[name])
    operation = schemathesis.openapi.from_dict(document)[path][method.upper()]
    place = _placing(document["paths"][path][method], {ROOM: room.id, MESSAGE: sent.message_id})
    headers = {"Authorization": f"Bearer {token('alice', roles=('customer',))}"}

    def ask(case: Case[Any]) -> None:
        response = case.call(base_url=stack.gateway_urls[0], headers=headers)
        case.validate_response(response, checks=CHECKS)

    for kind in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        await asyncio.to_thread(_explore, operation, kind, tenant, place, ask)


def _explore(
    operation: APIOperation[Any, Any, Any, Any],
    kind: GenerationMode,
    tenant: str,
    place: Callable[[Case[Any]], None],
    ask: Callable[[Case[Any]], None],
) -> None:
    """Ask in many ways."""

    @given(case=operation.as_strategy(kind, headers={"x-tenant-tag": tenant}), placed=st.booleans())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    def explore(case: Case[Any], placed: bool) -> None:
        if placed:
            place(case)
        ask(case)

    try:
        explore()
    except Unsatisfiable:  # nothing of it can be broken
        assert kind is GenerationMode.NEGATIVE


def _placing(operation: JSON, known: dict[str, str]) -> Callable[[Case[Any]], None]:
    """What puts the examples of a document into a request, with the ids that are of use."""
    parameters = [item for item in operation["parameters"] if "example" in item]
    content: Any = operation.get("requestBody", {}).get("content", {}).get("application/json", {})

    def of_use(value: Any) -> Any:
        return known.get(value, value) if isinstance(value, str) else value

    def place(case: Case[Any]) -> None:
        for item in parameters:
            where = case.path_parameters if item["in"] == "path" else case.query
            where[item["name"]] = of_use(item["example"])
        if isinstance(case.body, dict):
            case.body.update({field: of_use(value) for field, value in content.get("example", {}).items()})

    return place
