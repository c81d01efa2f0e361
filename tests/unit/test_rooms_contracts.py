"""What a room command may contain: metadata that the bus and the database can carry, and nothing else."""

from typing import Any

import pytest
from pydantic import ValidationError

from shared.contracts.base import MAX_METADATA_BYTES, MAX_METADATA_DEPTH
from shared.contracts.rooms import CreateRoom


def nested(depth: int) -> dict[str, Any]:
    """Lists in lists in a dictionary, `depth` levels in all."""
    value: list[Any] = []
    for _ in range(depth - 2):
        value = [value]
    return {"deep": value}


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"$set": {"a.b": [1, None, True, 1.5, "ü"]}},
        {"$ref": "users", "a": {"$id": 1}},
        {"n": 2**63 - 1, "m": -(2**63)},
        nested(MAX_METADATA_DEPTH),
        {"k": "x" * (MAX_METADATA_BYTES - len('{"k":""}'))},
    ],
)
def test_plain_metadata_is_kept_as_it_is(metadata: dict[str, Any]) -> None:
    """Plain JSON within the bounds passes, whatever its names."""
    assert CreateRoom(metadata=metadata).metadata == metadata


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({"n": 2**63}, "64 bits"),
        ({"a": [{"n": -(2**63) - 1}]}, "64 bits"),
        ({"a": {"b\0": 1}}, "null character"),
        ({"$ref": "users", "$id": 1}, "database takes"),
        ({"a": [{"$id": None, "$ref": 1, "b": 2}]}, "database takes"),
        (nested(MAX_METADATA_DEPTH + 1), "nested deeper"),
        (nested(1020), "nested deeper"),
        ({"k": "x" * MAX_METADATA_BYTES}, "bytes of JSON"),
        ({"k": "ü" * (MAX_METADATA_BYTES // 2)}, "bytes of JSON"),
        ({"k": "\ud800"}, "surrogates"),
    ],
)
def test_metadata_that_cannot_be_stored_is_refused(metadata: dict[str, Any], problem: str) -> None:
    """What would fail in a serializer or the database is an error of the caller's, said as such."""
    with pytest.raises(ValidationError, match=problem):
        CreateRoom(metadata=metadata)
