"""JSON Schemas of contracts, collected under their names while a document is built.

Requests are described as they are read (what has a default may be left out), views as they are written (what is null
may be left out).
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal, cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import override

from shared.contracts.base import Event, View

JSON = dict[str, Any]
Mode = Literal["validation", "serialization"]

PREFIX = "#/components/schemas/"


class _Plain(GenerateJsonSchema):
    """Without titles that only repeat a field's name. What is written is written whole, but for what is null."""

    @override
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    @override
    def field_is_required(self, field: Any, total: bool) -> bool:
        if self.mode == "serialization":
            return not _nullable(field["schema"])
        return super().field_is_required(field, total)


def _nullable(schema: Any) -> bool:
    if schema["type"] == "default":
        return schema.get("default", ...) is None or _nullable(schema["schema"])
    return bool(schema["type"] == "nullable")


@cache
def _schema_of(model: type[BaseModel]) -> tuple[JSON, dict[str, JSON]]:
    """A contract's schema, and the schemas it refers to."""
    mode: Mode = "serialization" if issubclass(model, View | Event) else "validation"
    schema = model.model_json_schema(ref_template=PREFIX + "{model}", schema_generator=_Plain, mode=mode)
    return schema, schema.pop("$defs", {})


class Components:
    """The schemas of one document. The same name always means the same schema."""

    def __init__(self) -> None:
        self.schemas: dict[str, JSON] = {}

    def ref(self, model: type[BaseModel]) -> JSON:
        """A reference to a contract's schema, under the name of its class."""
        return self.put(model.__name__, self.inline(model))

    def inline(self, model: type[BaseModel]) -> JSON:
        """A contract's schema itself, not to be changed; what it is made of is collected."""
        schema, parts = _schema_of(model)
        for name, part in parts.items():
            self.put(name, part)
        return schema

    def put(self, name: str, schema: JSON) -> JSON:
        """Collect a schema and refer to it.

        Raises:
            ValueError: where the name already stands for another one.
        """
        if self.schemas.setdefault(name, schema) != schema:
            raise ValueError(f"Two different schemas are called '{name}': rename one of the classes.")
        return {"$ref": PREFIX + name}

    def resolve(self, schema: JSON) -> JSON:
        """The schema itself, where it is a reference."""
        reference = schema.get("$ref")
        return self.schemas[reference.removeprefix(PREFIX)] if reference is not None else schema

    def sorted(self) -> dict[str, JSON]:
        """All schemas by name."""
        return dict(sorted(self.schemas.items()))


def without(schema: JSON, names: Mapping[str, Any] | set[str]) -> JSON:
    """An object's schema without some of its properties."""
    left: JSON = {**schema, "properties": {key: part for key, part in schema["properties"].items() if key not in names}}
    required = [name for name in schema.get("required", ()) if name not in names]
    left.pop("required", None)
    return {**left, "required": required} if required else left


def summary_of(model: type[BaseModel]) -> str:
    """The first paragraph of a contract's docstring, on one line."""
    return " ".join((model.__doc__ or "").strip().split("\n\n")[0].split())


def references(document: Any) -> Iterator[str]:
    """Every `$ref` in a document."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key == "$ref":
                yield cast("str", value)
            else:
                yield from references(value)
    elif isinstance(document, list):
        for value in document:
            yield from references(value)
