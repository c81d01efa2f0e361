"""AsyncAPI: structured as version 3.0 wants it, and true to rows, topology and contracts."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from jsonschema import Draft7Validator

from services.gateway import native
from services.gateway.schemas.asyncapi import asyncapi
from services.gateway.schemas.components import references
from services.gateway.voices import About
from services.rooms.integrations import read
from shared.bus.topology import EXCHANGES, durable_queues
from shared.contracts import media, messages, notifications, people, presence, rooms
from shared.contracts.envelope import CONTENT_TYPE, EventEnvelope, ExternalEnvelope, RequestEnvelope
from shared.contracts.errors import CLOSES, ErrorCode

SHARDS = 4
DOCUMENT = asyncapi(SHARDS)
MESSAGES = DOCUMENT["components"]["messages"]
CHANNELS = DOCUMENT["channels"]
BUS = {name: item for name, item in CHANNELS.items() if "amqp" in item["bindings"]}
ENVELOPES = {
    name.removeprefix("envelope."): schema
    for name, schema in DOCUMENT["components"]["schemas"].items()
    if name.startswith("envelope.")
}

asked = pytest.mark.parametrize("name", [*native.ON, *native.LOCAL])
told = pytest.mark.parametrize("name", [*native.EMIT, *native.TELL])


def at(reference: str) -> Any:
    """What a reference leads to."""
    found: Any = DOCUMENT
    for key in reference.removeprefix("#/").split("/"):
        found = found[key]
    return found


def check(value: Any, schema: dict[str, Any]) -> None:
    """Fail where a value does not meet a schema of the document (AsyncAPI's are a superset of draft 7)."""
    Draft7Validator({**schema, "components": DOCUMENT["components"]}).validate(value)


class TestStructure:
    def test_the_document_has_its_parts(self) -> None:
        """AsyncAPI 3.0.0, the AsyncAPI object."""
        assert DOCUMENT["asyncapi"] == "3.0.0"
        assert {"title", "version"} <= DOCUMENT["info"].keys()
        for server in DOCUMENT["servers"].values():
            assert {"host", "protocol"} <= server.keys()

    def test_every_reference_leads_somewhere(self) -> None:
        """Nothing is promised that is not there."""
        for reference in references(DOCUMENT):
            assert at(reference)

    def test_operations_use_their_channels_messages(self) -> None:
        """By reference through the channel, as the specification demands; replies too."""
        for name, operation in DOCUMENT["operations"].items():
            assert operation["action"] in ("send", "receive"), name
            for part in filter(None, (operation, operation.get("reply"))):
                channel = part["channel"]["$ref"]
                assert all(item["$ref"].startswith(f"{channel}/messages/") for item in part["messages"])

    def test_names_are_what_the_specification_allows(self) -> None:
        """Keys of components, and parameters exactly as in the address."""
        for kind in DOCUMENT["components"].values():
            assert all(re.fullmatch(r"[\w.\-]+", name) for name in kind)
        for channel in CHANNELS.values():
            assert set(re.findall(r"{(\w+)}", channel["address"])) == set(channel.get("parameters", {}))

    def test_every_schema_is_one(self) -> None:
        """By the meta-schema."""
        for schema in DOCUMENT["components"]["schemas"].values():
            Draft7Validator.check_schema(schema)
        for message in MESSAGES.values():
            Draft7Validator.check_schema(message["payload"])


class TestSocket:
    def test_every_frame_is_there_and_nothing_else(self) -> None:
        """From the rows of both directions, with one ack for each wish."""
        wishes = {*native.ON, *native.LOCAL}
        assert set(MESSAGES) == (wishes | {f"{name}.ack" for name in wishes} | {*native.EMIT, *native.TELL} | {"error"})
        assert set(CHANNELS["native"]["messages"]) == set(MESSAGES)

    @asked
    def test_a_wish_is_received_and_answered(self, name: str) -> None:
        """By its ack or an error."""
        operation = DOCUMENT["operations"][f"receive.{name}"]
        assert operation["action"] == "receive"
        assert [item["$ref"].rpartition("/")[2] for item in operation["reply"]["messages"]] == [f"{name}.ack", "error"]

    @asked
    def test_an_example_of_a_wish_would_be_accepted(self, name: str) -> None:
        """By the codec that reads frames, and by the contract."""
        (example,) = MESSAGES[name]["examples"]
        incoming = native.read(_json(example["payload"]), 65536)
        model = native.ON[name].contract if name in native.ON else native.LOCAL[name].wire
        native.contract(model, incoming)

    @told
    def test_what_is_told_is_sent(self, name: str) -> None:
        """Ours are sent."""
        assert DOCUMENT["operations"][f"send.{name}"]["action"] == "send"

    @pytest.mark.parametrize("name", MESSAGES)
    def test_examples_meet_their_schemas(self, name: str) -> None:
        """Down to the last field."""
        message = MESSAGES[name]
        assert message["examples"]
        for example in message["examples"]:
            check(example["payload"], message["payload"])

    def test_frames_are_what_the_codec_makes(self) -> None:
        """A timeline change, another happening, a greeting, an ack and an error, as they leave."""
        data = MESSAGES["message.created"]["examples"][0]["payload"]["data"]
        frames = {
            "message.created": native.NATIVE.timeline("message.created", About("room"), 1, 2, data),
            "typing": native.NATIVE.happening(
                "typing", About("room"), {"room_id": "room", "user_id": "bob", "typing": True}
            ),
            "ready": native.ready(MESSAGES["ready"]["examples"][0]["payload"]["data"]),
            "ping.ack": native.ack(7, {"time": 1.5}),
            "error": native.refusal("7", native.unknown("nonsense")),
        }
        for name, frame in frames.items():
            check(_payload(frame), MESSAGES[name]["payload"])

    def test_errors_and_close_codes(self) -> None:
        """Each with an example, a row and a meaning."""
        assert [example["name"] for example in MESSAGES["error"]["examples"]] == list(ErrorCode)
        assert {row["code"] for row in DOCUMENT["x-errors"]} == set(ErrorCode)
        assert {row["close"] for row in DOCUMENT["x-close-codes"]} == set(CLOSES)


class TestBus:
    def test_every_exchange_and_every_queue_is_there(self) -> None:
        """From the topology; a process's own queues once, by pattern."""
        exchanges = {item["bindings"]["amqp"]["exchange"]["name"] for item in BUS.values() if "exchange" in _amqp(item)}
        queues = {item["address"] for item in BUS.values() if "queue" in _amqp(item)}
        assert exchanges == {exchange.name for exchange in EXCHANGES}
        assert queues == {queue.name for queue in durable_queues(SHARDS)} | {"events.{process}", "replies.{process}"}

    def test_the_shards_are_the_deployment_s(self) -> None:
        """The served document knows them."""
        assert "queue.commands.messages.7" in asyncapi(8)["channels"]

    def test_every_contract_has_its_envelope(self) -> None:
        """Commands, queries, events, and the reply."""
        wanted = {"reply"} | {
            name
            for module in (messages, rooms, media)
            for table in (module.COMMANDS, module.QUERIES, module.EVENTS)
            for name in table
        }
        assert set(ENVELOPES) == wanted | set(presence.EVENTS) | set(people.EVENTS) | set(notifications.EVENTS)

    @pytest.mark.parametrize("name", [name for name, item in BUS.items() if "messages" in item])
    def test_examples_of_batches_meet_their_schemas(self, name: str) -> None:
        """And the envelopes that the code reads."""
        batch = BUS[name]["messages"]["batch"]
        assert batch["contentType"] == CONTENT_TYPE
        for example in batch["examples"]:
            check(example["payload"], batch["payload"])
            (item,) = example["payload"]
            if name.startswith("events."):
                EventEnvelope.model_validate(item)
            elif name == "integration":
                read(ExternalEnvelope.model_validate(item), "default", datetime.now(UTC) + timedelta(days=365))
            elif name != "replies":
                RequestEnvelope.model_validate(item)

    def test_a_change_of_a_timeline_has_a_position(self) -> None:
        """So it is required, there and only there."""
        placed = {kind for kind, schema in ENVELOPES.items() if "roomrev" in schema["required"]}
        assert placed == {"message.created", "message.updated", "message.deleted", "message.reacted"}


def _json(value: Any) -> bytes:
    return orjson.dumps(value)


def _payload(frame: bytes) -> Any:
    return orjson.loads(frame[{126: 4, 127: 10}.get(frame[1], 2) :])


def _amqp(channel: dict[str, Any]) -> dict[str, Any]:
    amqp: dict[str, Any] = channel["bindings"]["amqp"]
    return amqp
