"""Requests made up from an OpenAPI document, by Schemathesis: valid ones, and such as break its schemas.

Half of them have the document's examples where it has some, with the ids of what is there, so that not all is refused.
"""

import asyncio
from collections.abc import Callable
from typing import Any

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

from services.gateway.schemas.components import JSON

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")


async def explore(
    document: JSON, method: str, path: str, *, url: str, token: str, tenant: str, known: dict[str, str], examples: int
) -> None:
    """Ask for an operation in many ways.

    Args:
        known: by the document's examples of ids, the ids of what is there.
        examples: requests of each kind.

    Raises:
        BaseExceptionGroup: where something fails inside, or is answered as the document does not say.
    """
    operation = schemathesis.openapi.from_dict(document)[path][method.upper()]
    place = _placing(document["paths"][path][method.lower()], known)
    headers = {"Authorization": f"Bearer {token}"}

    def ask(case: Case[Any]) -> None:
        response = case.call(base_url=url, headers=headers)
        case.validate_response(response, checks=CHECKS)

    for kind in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        await asyncio.to_thread(_explore, operation, kind, tenant, place, ask, examples)


def _explore(
    operation: APIOperation[Any, Any, Any, Any],
    kind: GenerationMode,
    tenant: str,
    place: Callable[[Case[Any]], None],
    ask: Callable[[Case[Any]], None],
    examples: int,
) -> None:
    """Ask in many ways."""

    @given(case=operation.as_strategy(kind, headers={"x-tenant-tag": tenant}), placed=st.booleans())
    @settings(
        max_examples=examples,
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
