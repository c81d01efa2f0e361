"""The AsyncAPI documents against the schema of AsyncAPI 3.0 itself, which AsyncAPI publishes at npm."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from services.gateway.dialects.choice import DIALECTS
from services.gateway.schemas.asyncapi import asyncapi
from services.gateway.schemas.dialects import asyncapi as dialects

DOCUMENTS = {"native": asyncapi(4), **{name: dialects.asyncapi(dialect) for name, dialect in DIALECTS.items()}}


@pytest.fixture(scope="module")
def specification(modules: Path) -> Draft7Validator:
    """What every document must be."""
    return Draft7Validator(json.loads((modules / "@asyncapi/specs/schemas/3.0.0.json").read_text()))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_are_asyncapi(specification: Draft7Validator, name: str) -> None:
    """Of every part: channels, operations, messages, bindings, schemas."""
    specification.validate(DOCUMENTS[name])


@pytest.mark.parametrize(
    ("where", "broken"),
    [
        (("info",), {"title": "without a version"}),
        (("operations", "broken"), {"action": "whisper", "channel": {"$ref": "#/channels/x"}}),
        (("channels", "broken"), {"messages": {"x": {"payload": {"type": "no such type"}}}}),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_is_none_is_seen(specification: Draft7Validator, where: tuple[str, ...], broken: Any) -> None:
    """The schema is one that finds mistakes."""
    document = json.loads(json.dumps(DOCUMENTS["booking"]))
    part = document
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = broken
    assert not specification.is_valid(document)
