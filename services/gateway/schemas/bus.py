"""The message bus in AsyncAPI's terms: exchanges and keys, queues, and the envelopes in their batches. Pure.

A batch may hold envelopes of every type that goes by its key, so a channel has one message: the batch.
"""

from collections.abc import Iterable

from services.gateway.schemas.components import JSON, Components, summary_of
from services.gateway.schemas.examples import example
from services.gateway.schemas.externals import LONE_CONTENT_TYPE, external_envelopes, shown
from shared.bus.topology import (
    COMMANDS,
    DEAD,
    EVENTS,
    EXCHANGES,
    GATEWAY_KEYS,
    INTEGRATION,
    LATER,
    QUERIES,
    REPLIES,
    Queue,
    durable_queues,
    events_queue,
    replies_queue,
)
from shared.contracts import media, messages, notifications, people, presence, rooms
from shared.contracts.base import Command, Event, Query, Service
from shared.contracts.envelope import CONTENT_TYPE, Actor, Envelope, EventEnvelope, RequestEnvelope
from shared.contracts.errors import ErrorView

BINDING_VERSION = "0.3.0"
PROCESS = "{process}"
SHARD = {"shard": {"description": "The shard of the room: crc32(room id) % 256 % SHARDS."}}
KEYS = {
    messages.WorkerBeat.TOPIC: "worker.messages",
    presence.PresenceChanged.TOPIC: presence.PresenceChanged.TOPIC,
    people.PersonalEvent.TOPIC: people.PersonalEvent.TOPIC,
    media.MediaEvent.TOPIC: media.MediaEvent.TOPIC,
}
"""By topic, where it is about no room and so has no shard."""

CONTRACTS = {Service.MESSAGES: messages, Service.ROOMS: rooms, Service.MEDIA: media}
ALL_EVENTS: tuple[type[Event], ...] = tuple(
    event for module in (messages, rooms, people, presence, notifications, media) for event in module.EVENTS.values()
)


def bus_channels(components: Components, shards: int) -> JSON:
    """Every exchange with its keys and what goes by them, and every queue."""
    channels: JSON = {}
    for owner, module in CONTRACTS.items():
        key = "messages.{shard}" if owner is Service.MESSAGES else str(owner)
        commands = [_request(components, command) for command in module.COMMANDS.values()]
        queries = [_request(components, query) for query in module.QUERIES.values()]
        channels[f"commands.{owner}"] = _route(COMMANDS, key, f"Commands to the {owner} service.", commands, components)
        channels[f"queries.{owner}"] = _route(
            QUERIES, str(owner), f"Queries to the {owner} service.", queries, components
        )
    for topic in dict.fromkeys(event.TOPIC for event in ALL_EVENTS):
        events = [_event(components, event) for event in ALL_EVENTS if topic == event.TOPIC]
        key = KEYS.get(topic, f"{topic}.{{shard}}")
        channels[f"events.{topic}"] = _route(EVENTS, key, f"Events: {topic}.", events, components)
    replies = [_reply(components)]
    channels["replies"] = _route(REPLIES, PROCESS, "Results and errors, to who asked.", replies, components)
    channels["integration"] = _integration(components)
    channels["dead"] = _route(DEAD, "{key}", "What could not be handled, under its original key.", [], components)
    channels["later"] = _route(LATER, "{key}", "Commands that are tried again, under their own key.", [], components)
    queues = (*durable_queues(shards), events_queue(PROCESS, *GATEWAY_KEYS), replies_queue(PROCESS))
    return channels | {f"queue.{_name(queue)}": _queue(queue) for queue in queues}


def bus_operations(channels: JSON) -> JSON:
    """Who does what on the bus, as far as there are contracts for it."""
    operations: JSON = {}
    for name, channel in channels.items():
        if "amqp" not in channel["bindings"] or not channel.get("messages"):
            continue
        asked = name.startswith(("commands.", "queries."))
        operation: JSON = {
            "action": "receive" if asked or name == "integration" else "send",
            "channel": {"$ref": f"#/channels/{name}"},
            "summary": channel["title"],
            "messages": [{"$ref": f"#/channels/{name}/messages/{message}"} for message in channel["messages"]],
        }
        if asked:
            replies = "#/channels/replies"
            operation["reply"] = {"channel": {"$ref": replies}, "messages": [{"$ref": f"{replies}/messages/batch"}]}
        operations[f"bus.{name}"] = operation
    return operations


# ── envelopes ────────────────────────────────────────────────────────────────────────────────────────────────────


def _request(components: Components, contract: type[Command] | type[Query]) -> JSON:
    data = {
        "type": "object",
        "properties": {"actor": components.ref(Actor), "body": components.ref(contract)},
        "required": ["actor", "body"],
    }
    required = ["tenant", "replyto", "traceparent"]
    return _envelope(components, RequestEnvelope, contract.TYPE, summary_of(contract), data, required)


def _event(components: Components, event: type[Event]) -> JSON:
    required = ["subject", "time", "tenant"]
    if issubclass(event, messages.TimelineEvent):
        required += ["roomseq", "roomrev"]
    return _envelope(components, EventEnvelope, event.TYPE, summary_of(event), components.ref(event), required)


def _reply(components: Components) -> JSON:
    requests = [
        request for module in CONTRACTS.values() for request in (*module.COMMANDS.values(), *module.QUERIES.values())
    ]
    results = {request.RESULT.__name__: components.ref(request.RESULT) for request in requests}
    data = {
        "oneOf": [
            _only("ok", {"anyOf": [results[name] for name in sorted(results)]}),
            _only("error", components.ref(ErrorView)),
        ]
    }
    summary = "The answer to the command or query with the same `id`."
    return _envelope(components, Envelope, "reply", summary, data, [])


def _only(name: str, schema: JSON) -> JSON:
    return {"type": "object", "properties": {name: schema}, "required": [name], "additionalProperties": False}


def _envelope(
    components: Components, model: type[Envelope], kind: str, summary: str, data: JSON, required: Iterable[str]
) -> JSON:
    """An envelope narrowed to one type; its attributes are those of its contract."""
    attributes = components.inline(model)["properties"]
    schema: JSON = {
        "title": f"Envelope of {kind}",
        "description": summary,
        "type": "object",
        "properties": {**attributes, "type": {"const": kind}, "data": data},
        "required": ["specversion", "id", "source", "type", *required, "data"],
    }
    return components.put(f"envelope.{kind}", schema)


# ── channels ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _route(exchange: str, key: str, title: str, envelopes: list[JSON], components: Components) -> JSON:
    kind = next(item.kind for item in EXCHANGES if item.name == exchange)
    channel: JSON = {
        "address": key,
        "title": title,
        "servers": [{"$ref": "#/servers/rabbitmq"}],
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {"name": exchange, "type": kind, "durable": True, "autoDelete": False},
                "bindingVersion": BINDING_VERSION,
            }
        },
    }
    if parameters := _parameters(key):
        channel["parameters"] = parameters
    if envelopes:
        channel["messages"] = {"batch": _batch(envelopes, components)}
    return channel


def _integration(components: Components) -> JSON:
    """What other systems tell: several events in a batch, or one by itself."""
    envelopes = external_envelopes(components)
    channel = _route(INTEGRATION, "{type}", "What other systems tell the chat.", list(envelopes.values()), components)
    channel["messages"]["batch"]["examples"] = [{"payload": [shown(kind)]} for kind in envelopes]
    channel["messages"]["event"] = {
        "name": "event",
        "title": "CloudEvent in structured mode",
        "contentType": LONE_CONTENT_TYPE,
        "payload": {"anyOf": list(envelopes.values())},
        "examples": [{"payload": shown(kind)} for kind in envelopes],
    }
    return channel


def _batch(envelopes: list[JSON], components: Components) -> JSON:
    items = envelopes[0] if len(envelopes) == 1 else {"anyOf": envelopes}
    return {
        "name": "batch",
        "title": "CloudEvents batch",
        "contentType": CONTENT_TYPE,
        "payload": {"type": "array", "minItems": 1, "items": items},
        "examples": [{"payload": [_shown(envelope, components)]} for envelope in envelopes],
    }


def _shown(envelope: JSON, components: Components) -> JSON:
    shown: JSON = example(envelope, components)
    return {**shown, "id": "gateway-0.5f0c2a91.17"}


def _queue(queue: Queue) -> JSON:
    channel: JSON = {
        "address": queue.name,
        "title": f"Queue {queue.name}",
        "servers": [{"$ref": "#/servers/rabbitmq"}],
        "bindings": {
            "amqp": {
                "is": "queue",
                "queue": {
                    "name": queue.name,
                    "durable": queue.durable,
                    "exclusive": queue.exclusive,
                    "autoDelete": False,
                },
                "bindingVersion": BINDING_VERSION,
            }
        },
        "x-bindings": [{"exchange": binding.exchange, "key": binding.key} for binding in queue.bindings],
        "x-arguments": dict(queue.arguments),
    }
    if parameters := _parameters(queue.name):
        channel["parameters"] = parameters
    return channel


def _name(queue: Queue) -> str:
    return queue.name.replace("{", "").replace("}", "")


_PARAMETERS: JSON = {
    **SHARD,
    "process": {"description": "The name of the process that listens (INSTANCE)."},
    "type": {"description": "The CloudEvents type of the event."},
    "key": {"description": "The routing key the message had."},
}


def _parameters(address: str) -> JSON:
    return {name: text for name, text in _PARAMETERS.items() if f"{{{name}}}" in address}
