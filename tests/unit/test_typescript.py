"""The reader of the types that documents print: it takes what they allow, and nothing else."""

import pytest
from jsonschema import Draft202012Validator

from tests.e2e.typescript import interfaces, schema_of

ROOM = """{
    "id": string,  // a remark
    type: 'GROUP' | "DIRECT";
    lastMessage?: { count: number } | null;
    "members": Array<{ name: string }>,
    tags: string[]
}"""


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True),
        ({"lastMessage": None, "more": 1}, True),
        ({"members": [{"name": "Bob"}], "tags": ["a"]}, True),
        ({"id": None}, False),
        ({"type": "OTHER"}, False),
        ({"lastMessage": {"count": "1"}}, False),
        ({"members": [{}]}, False),
        ({"tags": [1]}, False),
    ],
)
def test_a_type(change: dict[str, object], fits: bool) -> None:
    room = {"id": "1", "type": "GROUP", "members": [], "tags": [], **change}
    assert Draft202012Validator(schema_of(ROOM)).is_valid(room) is fits
    assert not Draft202012Validator(schema_of(ROOM)).is_valid({})


def test_interfaces_name_each_other() -> None:
    known = interfaces(
        "interface A { x: number }\ninterface Events { 'a:b': (list: A[]) => void; any: (it: B) => void }"
    )
    events = known["Events"]["properties"]
    assert Draft202012Validator(events["a:b"]).is_valid([{"x": 1}])
    assert not Draft202012Validator(events["a:b"]).is_valid([{"x": "1"}])
    assert events["any"] == {}


@pytest.mark.parametrize("text", ["{ a string }", "Array<string", "string number", "{ a: string"])
def test_what_is_no_type(text: str) -> None:
    with pytest.raises(ValueError, match=r"where|more|ends"):
        schema_of(text)
