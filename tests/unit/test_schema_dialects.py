"""The OpenAPI and AsyncAPI documents of dialects: valid, complete, their examples true to their schemas."""

import re
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from services.gateway.dialects.choice import DIALECTS
from services.gateway.dialects.rows import Dialect, Route, asks_of
from services.gateway.rest import BODILESS
from services.gateway.schemas.components import JSON, references
from services.gateway.schemas.dialects.asyncapi import REFUSED, asyncapi
from services.gateway.schemas.dialects.models import spellings
from services.gateway.schemas.dialects.openapi import openapi

OPENAPI = {name: openapi(dialect) for name, dialect in DIALECTS.items()}
ASYNCAPI = {name: asyncapi(dialect) for name, dialect in DIALECTS.items()}
ROUTES = [(name, row) for name, dialect in DIALECTS.items() for row in dialect.routes]

dialects = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))
routes = pytest.mark.parametrize(
    ("name", "route"), ROUTES, ids=[f"{name} {row.method} {row.path}" for name, row in ROUTES]
)


def at(document: JSON, reference: str) -> Any:
    """What a reference leads to."""
    found: Any = document
    for key in reference.removeprefix("#/").split("/"):
        found = found[key]
    return found


def resolved(document: JSON, item: JSON) -> JSON:
    """What is referred to, or the thing itself."""
    found: JSON = at(document, item["$ref"]) if "$ref" in item else item
    return found


class TestOpenApi:
    def operation(self, name: str, route: Route) -> JSON:
        """A row's operation."""
        path = re.sub(r"{(\w+):[^}]*}", r"{\1}", route.path)
        operation: JSON = OPENAPI[name]["paths"][path][route.method.lower()]
        return operation

    def parameters(self, name: str, route: Route, where: str) -> dict[str, JSON]:
        """A row's parameters by name."""
        document = OPENAPI[name]
        found = (resolved(document, item) for item in self.operation(name, route)["parameters"])
        return {item["name"]: item for item in found if item["in"] == where}

    def check(self, name: str, content: JSON) -> None:
        """Fail where an example is missing, or does not meet its schema."""
        schema = {**content["schema"], "components": OPENAPI[name]["components"]}
        Draft202012Validator(schema).validate(content["example"])

    @dialects
    def test_it_is_valid(self, dialect: Dialect) -> None:
        """By the meta-schema of OpenAPI 3.1; every reference leads somewhere, every operation has a name of its own."""
        document = OPENAPI[dialect.name]
        validate(document, cls=OpenAPIV31SpecValidator)
        assert all(at(document, reference) for reference in references(document))
        operations = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
        assert len(operations) == len(set(operations)) == len(dialect.routes) + len(dialect.uploads)
        assert all(re.fullmatch(r"\w+", name) for name in operations)

    @routes
    def test_every_field_can_be_given(self, name: str, route: Route) -> None:
        """Once: in the path, the query string or the body, as the handler looks for it."""
        given = [*self.parameters(name, route, "path"), *self.parameters(name, route, "query")]
        body = self.operation(name, route).get("requestBody")
        if body is not None:
            content = body["content"]["application/json"]
            given += resolved(OPENAPI[name], content["schema"])["properties"]
            self.check(name, content)
        fields = spellings(route.wire)
        assert len(given) == len(fields)
        assert all(any(spelling in names for names in fields.values()) for spelling in given)
        assert (body is None) or route.method not in BODILESS
        assert set(self.parameters(name, route, "path")) == set(re.findall(r"{(\w+)", route.path))

    @routes
    def test_answers(self, name: str, route: Route) -> None:
        """The row's status, 200 where it may have been there, and all that can go wrong, in the dialect's shape."""
        document, responses = OPENAPI[name], self.operation(name, route)["responses"]
        good = {str(route.status)} | ({"200"} if route.existed else set())
        assert {status for status in responses if status < "300"} == good
        for status, response in responses.items():
            content = resolved(document, response)["content"]["application/json"]
            if status in good:
                self.check(name, content)
                continue
            assert content["schema"] == {"$ref": f"#/components/schemas/{DIALECTS[name].problem.__name__}"}
            for example in content["examples"].values():
                self.check(name, {**content, "example": example["value"]})
        assert "500" in responses
        assert ({"401", "403"} <= responses.keys()) == (not route.public)
        assert ("429" in responses) == route.counted
        assert ({"503", "504"} <= responses.keys()) == any(asks_of(route.steps))

    @pytest.mark.parametrize("name", [name for name, dialect in DIALECTS.items() if dialect.uploads])
    def test_uploads(self, name: str) -> None:
        """A form goes in; what comes out is the dialect's, and so is what goes wrong."""
        for row in DIALECTS[name].uploads:
            operation = OPENAPI[name]["paths"][row.path][row.method.lower()]
            assert operation["requestBody"]["content"]["multipart/form-data"]["schema"]["required"] == ["file"]
            good = operation["responses"][str(row.status)]["content"]["application/json"]
            self.check(name, good)
            assert good["example"]["mediaUrl"].startswith("https://")
            assert {"400", "401", "403", "409", "413", "429", "503"} <= operation["responses"].keys()

    @routes
    def test_who_may(self, name: str, route: Route) -> None:
        """A token and its tenant, or neither."""
        assert (self.operation(name, route).get("security") == []) == route.public
        assert ("x-tenant-tag" in self.parameters(name, route, "header")) == (not route.public)


class TestAsyncApi:
    @dialects
    def test_its_structure(self, dialect: Dialect) -> None:
        """AsyncAPI 3.0: references lead somewhere, operations use their channel's messages, names are allowed."""
        document = ASYNCAPI[dialect.name]
        assert document["asyncapi"] == "3.0.0"
        assert all(at(document, reference) for reference in references(document))
        for operation in document["operations"].values():
            assert operation["action"] in ("send", "receive")
            for part in filter(None, (operation, operation.get("reply"))):
                channel = part["channel"]["$ref"]
                assert all(item["$ref"].startswith(f"{channel}/messages/") for item in part["messages"])
        for kind in document["components"].values():
            assert all(re.fullmatch(r"[\w.\-]+", name) for name in kind)
        assert all(re.fullmatch(r"[\w.\-]+", name) for name in document["operations"])
        for channel in document["channels"].values():
            assert set(re.findall(r"{(\w+)}", channel["address"])) == set(channel.get("parameters", {}))

    @dialects
    def test_every_row_is_there(self, dialect: Dialect) -> None:
        """As an operation whose message bears the event's name; and no other."""
        document = ASYNCAPI[dialect.name]
        names: dict[str, set[str]] = {"receive": set(), "send": set()}
        for operation in document["operations"].values():
            for reference in operation["messages"]:
                message = resolved(document, at(document, reference["$ref"]))
                names[operation["action"]].add(message["name"])
        told = {row.name for rows in dialect.emit.values() for row in rows}
        told |= {greet.say.name for greet in dialect.greet} | {dialect.failure.name}
        told |= {row.say.name for row in dialect.refresh}
        told |= {say.name for row in dialect.on.values() for say in row.says}
        assert names == {"receive": set(dialect.on), "send": told}

    @dialects
    def test_what_is_sent_is_answered(self, dialect: Dialect) -> None:
        """By its acknowledgement, or the error."""
        for operation in ASYNCAPI[dialect.name]["operations"].values():
            if operation["action"] == "receive":
                _, refused = operation["reply"]["messages"]
                assert refused["$ref"].endswith(f"/{REFUSED}")

    @dialects
    def test_its_namespaces(self, dialect: Dialect) -> None:
        """Are what an address can be."""
        (channel,) = ASYNCAPI[dialect.name]["channels"].values()
        spaces = channel["parameters"]["namespace"]["enum"] if "parameters" in channel else [channel["address"]]
        assert tuple(spaces) == dialect.namespaces

    @dialects
    def test_examples_meet_their_schemas(self, dialect: Dialect) -> None:
        """Every message has one; schemas are such by the meta-schema of draft 7, which AsyncAPI's extends."""
        document = ASYNCAPI[dialect.name]
        for schema in document["components"]["schemas"].values():
            Draft7Validator.check_schema(schema)
        for name, message in document["components"]["messages"].items():
            assert message["examples"], name
            for example in message["examples"]:
                schema = {**message["payload"], "components": document["components"]}
                Draft7Validator(schema).validate(example["payload"])
