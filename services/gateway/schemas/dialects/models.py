"""JSON Schemas of what dialects' clients send (`Wire`, as it is read) and see (`Shape`, as it is written). Pure."""

from collections.abc import Iterable
from typing import Any

from pydantic import AliasChoices, AliasPath, BaseModel
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import override

from services.gateway.dialects.rows import Say, Shape, Wire
from services.gateway.schemas.components import JSON, PREFIX, Components, Mode


class _Said(GenerateJsonSchema):
    """A shape is written with all its fields, null or not, but for those that are left out where there is nothing."""

    @override
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    @override
    def field_is_required(self, field: Any, total: bool) -> bool:
        if self.mode == "serialization":
            return "serialization_exclude_if" not in field
        return super().field_is_required(field, total)

    @override
    def default_schema(self, schema: Any) -> JSON:
        whole = super().default_schema(schema)
        return {key: part for key, part in whole.items() if key != "default" or part is not None}


class DialectComponents(Components):
    """The schemas of one dialect's document."""

    @override
    def inline(self, model: type[BaseModel]) -> JSON:
        mode: Mode = "serialization" if issubclass(model, Shape) else "validation"
        template = PREFIX + "{model}"
        schema = model.model_json_schema(ref_template=template, schema_generator=_Said, mode=mode)
        parts = schema.pop("$defs", {})
        if "$ref" in schema:  # it has itself as a part
            schema = parts.pop(schema["$ref"].removeprefix(PREFIX))
        for name, part in parts.items():
            self.put(name, part)
        if issubclass(model, Wire):
            schema = {**schema, "properties": {name: part for name, _, part in _described(model, schema)}}
        return schema

    def said(self, say: Say) -> JSON:
        """What is said: a shape, or a list of them."""
        return {"type": "array", "items": self.ref(say.shape)} if say.many else self.ref(say.shape)

    def payload(self, wire: type[Wire]) -> JSON:
        """What an event may bring: an object, or what stands for one."""
        whole = self.ref(wire)
        if wire.BARE is None:
            return whole
        bare = self.inline(wire)["properties"][documented(wire)[wire.BARE]]
        return {"anyOf": [whole, {key: part for key, part in bare.items() if key != "description"}]}


def documented(wire: type[Wire]) -> dict[str, str]:
    """The documented name of every field, by the name it has here."""
    return {name: names[0] for name, names in spellings(wire).items()}


def spellings(wire: type[Wire]) -> dict[str, tuple[str, ...]]:
    """All names under which a field may be sent, the documented one first, by the name it has here."""
    return {name: tuple(dict.fromkeys([*_aliases(field), name])) for name, field in wire.model_fields.items()}


def _aliases(field: FieldInfo) -> Iterable[str]:
    alias = field.validation_alias if field.validation_alias is not None else field.alias
    for choice in alias.choices if isinstance(alias, AliasChoices) else (alias,):
        if isinstance(choice, AliasPath) and len(choice.path) == 1:
            choice = str(choice.path[0])  # noqa: PLW2901 - the same, said in another way
        if isinstance(choice, str):
            yield choice


def _described(wire: type[Wire], schema: JSON) -> Iterable[tuple[str, str, JSON]]:
    """The properties of what clients send, by the documented and the name here, with the other spellings."""
    for name, names in spellings(wire).items():
        part = schema["properties"][names[0]]
        others = ", ".join(f"`{other}`" for other in names[1:])
        words = [part.get("description", ""), f"Also {others}." if others else ""]
        text = " ".join(word for word in words if word)
        yield names[0], name, {**part, **({"description": text} if text else {})}


def source_of(shape: type[Shape], name: str) -> str:
    """Where in what is known a field is taken from, as a dotted path; nothing where it is always the same."""
    alias = shape.model_fields[name].validation_alias
    if isinstance(alias, AliasChoices):
        alias = alias.choices[0]
    return ".".join(map(str, alias.path)) if isinstance(alias, AliasPath) else str(alias or "")
