"""The types by which documents say what is told and answered (a few of TypeScript's), as JSON Schemas. Pure."""

import re
from typing import Any

Schema = dict[str, Any]

_TOKENS = re.compile(r"//[^\n]*|'[^']*'|\"[^\"]*\"|=>|\w+|[^\s\w]")
_ATOMS: dict[str, Schema] = {
    "string": {"type": "string"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "null": {"type": "null"},
    "true": {"const": True},
    "Date": {"type": "string", "format": "date-time"},
}


def schema_of(text: str) -> Schema:
    """The schema of a type. Fields that it does not name may be there, and what it only names may be anything.

    Raises:
        ValueError: where it cannot be read.
    """
    types = _Types(text)
    schema = types.union()
    types.end()
    return schema


def interfaces(text: str) -> dict[str, Schema]:
    """The schemas of `interface Name { … }`, one after the other, which may name those before them."""
    types = _Types(text)
    while types.more():
        types.take("interface")
        name = types.next()
        types.known[name] = types.union()
    return types.known


class _Types:
    """Reads types from the left to the right."""

    def __init__(self, text: str) -> None:
        self._tokens: list[str] = [token for token in _TOKENS.findall(text) if not token.startswith("//")]
        self.known: dict[str, Schema] = {}

    def more(self) -> bool:
        return bool(self._tokens)

    def end(self) -> None:
        if self._tokens:
            raise ValueError(f"there is more than a type: {self._tokens}")

    def next(self) -> str:
        if not self._tokens:
            raise ValueError("it ends too soon")
        return self._tokens.pop(0)

    def take(self, *expected: str) -> None:
        for token in expected:
            if (found := self.next()) != token:
                raise ValueError(f"{found} is where {token} should be: {self._tokens}")

    def union(self) -> Schema:
        one_of = [self._list()]
        while self._tokens[:1] == ["|"]:
            self.take("|")
            one_of.append(self._list())
        return one_of[0] if len(one_of) == 1 else {"anyOf": one_of}

    def _list(self) -> Schema:
        schema = self._one()
        while self._tokens[:1] == ["["]:
            self.take("[", "]")
            schema = {"type": "array", "items": schema}
        return schema

    def _one(self) -> Schema:
        token = self.next()
        match token:
            case "{":
                return self._object()
            case "(":
                return self._argument()
            case "Array":
                self.take("<")
                schema = {"type": "array", "items": self.union()}
                self.take(">")
                return schema
            case "Record":
                self.take("<", "string", ",")
                schema = {"type": "object", "additionalProperties": self.union()}
                self.take(">")
                return schema
        if token[0] in "'\"":
            return {"const": token[1:-1]}
        return _ATOMS.get(token) or self.known.get(token, {})

    def _object(self) -> Schema:
        fields: dict[str, Schema] = {}
        required = []
        while (name := self.next()) != "}":
            name = name.strip("'\"")
            if self._tokens[:1] == ["?"]:
                self.take("?")
            else:
                required.append(name)
            self.take(":")
            fields[name] = self.union()
            if self._tokens[:1] in ([","], [";"]):
                self.next()
        return {"type": "object", "properties": fields, "required": required}

    def _argument(self) -> Schema:
        """What a function is called with: the type of its only argument."""
        self.next()
        self.take(":")
        schema = self.union()
        self.take(")", "=>", "void")
        return schema
