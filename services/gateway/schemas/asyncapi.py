"""AsyncAPI 3.0: the native WebSocket from its rows, the message bus from topology and contracts.

Written from the server's point of view, as the specification wants it: clients' frames are received, ours are sent.
"""

from services.gateway import native
from services.gateway.rows import Emit, Local, On, Tell
from services.gateway.schemas.bus import bus_channels, bus_operations
from services.gateway.schemas.components import JSON, Components, summary_of
from services.gateway.schemas.errors import close_table, error_table, example_error
from services.gateway.schemas.examples import example
from services.gateway.schemas.openapi import VERSION
from shared.contracts.base import View
from shared.contracts.errors import ErrorCode, ErrorView
from shared.contracts.messages import TimelineEvent

SOCKET = "native"
ASKED: tuple[On | Local, ...] = (*native.ON.values(), *native.LOCAL.values())
TOLD: tuple[Emit | Tell, ...] = (*native.TELL.values(), *native.EMIT.values())
FRAME_ID: JSON = {
    "description": "The client's own; its answer bears it.",
    "anyOf": [{"type": "string", "maxLength": 128}, {"type": "integer"}, {"type": "null"}],
}


def asyncapi(shards: int) -> JSON:
    """The document for a deployment with so many shards."""
    components = Components()
    messages = _frames(components)
    channels = {SOCKET: _socket(messages), **bus_channels(components, shards)}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Parley",
            "version": VERSION,
            "description": "The native WebSocket protocol, and the message bus between the services. A frame is one "
            "JSON text message; a message on the bus is a batch of CloudEvents 1.0.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "gateway": {"host": "localhost:3000", "protocol": "ws", "security": [{"$ref": _scheme("bearer")}]},
            "rabbitmq": {"host": "localhost:5672", "protocol": "amqp", "protocolVersion": "0.9.1"},
        },
        "channels": channels,
        "operations": {**_operations(), **bus_operations(channels)},
        "components": {
            "messages": messages,
            "schemas": components.sorted(),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "As Authorization header, `?token=`, cookie `token`, or beside the subprotocol "
                    "`parley.v1` as `bearer.<jwt>`.",
                }
            },
        },
        "x-errors": error_table(),
        "x-close-codes": close_table(),
    }


def _scheme(name: str) -> str:
    return f"#/components/securitySchemes/{name}"


def _socket(messages: JSON) -> JSON:
    return {
        "address": "/ws",
        "title": "Native WebSocket",
        "servers": [{"$ref": "#/servers/gateway"}],
        "description": "Every frame of the client is answered by an `ack` or an `error` with its `id`.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "ws": {
                "method": "GET",
                "query": {
                    "type": "object",
                    "properties": {
                        "token": {"type": "string", "description": "The JWT, where no header can be sent."},
                        "subscribe": {
                            "type": "string",
                            "enum": ["none"],
                            "description": "Follow no room by itself; choose with `room.subscribe`.",
                        },
                    },
                },
                "headers": {
                    "type": "object",
                    "properties": {
                        "Authorization": {"type": "string", "description": "`Bearer <jwt>`."},
                        "Sec-WebSocket-Protocol": {"type": "string", "description": "`parley.v1, bearer.<jwt>`."},
                        "x-tenant-tag": {"type": "string", "description": "The tenant; must be the token's."},
                    },
                },
                "bindingVersion": "0.1.0",
            }
        },
    }


# ── frames ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _frames(components: Components) -> JSON:
    frames: JSON = {}
    for row in ASKED:
        data, result = _wish(row, components)
        frames[row.name] = _frame(
            components, row.name, _purpose(row), {"id": FRAME_ID, "data": data}, optional=("id", "data")
        )
        answer = {"id": FRAME_ID, "data": components.ref(result)}
        frames[f"{row.name}.ack"] = _frame(components, "ack", summary_of(result), answer)
    for told in TOLD:
        frames[told.name] = _frame(components, told.name, _occasion(told), _news(told, components))
    error = _frame(
        components, "error", "The answer to a frame that failed.", {"id": FRAME_ID, "error": components.ref(ErrorView)}
    )
    error["examples"] = [
        {"name": str(code), "payload": {"type": "error", "id": "7", "error": example_error(code)}} for code in ErrorCode
    ]
    frames["error"] = error
    return frames


def _wish(row: On | Local, components: Components) -> tuple[JSON, type[View]]:
    """What a client's frame says: the schema of its data, and the view of its result."""
    if isinstance(row, On):
        return components.ref(row.contract), row.contract.RESULT
    return components.inline(row.wire), row.result


def _purpose(row: On | Local) -> str:
    return summary_of(row.contract) if isinstance(row, On) else row.summary


def _occasion(row: Emit | Tell) -> str:
    return summary_of(row.event) if isinstance(row, Emit) else row.summary


def _news(row: Emit | Tell, components: Components) -> JSON:
    """What one of our frames says beside its type."""
    room: JSON = {"room_id": {"type": "string"}}
    if isinstance(row, Tell):
        return {**(room if row.in_room else {}), "data": components.ref(row.view)}
    if not issubclass(row.event, TimelineEvent):
        shown = components.inline(row.event) if row.view is None else components.ref(row.view)
        return {**(room if row.in_room else {}), "data": shown}
    position = {
        "seq": {"type": "integer", "description": "The message's place in the room."},
        "rev": {"type": "integer", "description": "The cursor after this change: resume from it."},
    }
    return {**room, **position, "data": components.inline(row.event)["properties"]["message"]}


def _frame(
    components: Components, kind: str, summary: str, properties: JSON, *, optional: tuple[str, ...] = ()
) -> JSON:
    payload: JSON = {
        "type": "object",
        "properties": {"type": {"const": kind}, **properties},
        "required": ["type", *(name for name in properties if name not in optional)],
        "additionalProperties": False,
    }
    shown = {"type": kind}
    for name, part in properties.items():
        shown[name] = "7" if part is FRAME_ID else example(part, components, name)
    frame: JSON = {
        "name": kind,
        "summary": summary,
        "payload": payload,
        "examples": [{"payload": shown}],
    }
    if "id" in properties:
        frame["correlationId"] = {"location": "$message.payload#/id"}
    return frame


# ── operations ───────────────────────────────────────────────────────────────────────────────────────────────────


def _operations() -> JSON:
    operations: JSON = {}
    channel = {"$ref": f"#/channels/{SOCKET}"}
    for row in ASKED:
        operations[f"receive.{row.name}"] = {
            "action": "receive",
            "channel": channel,
            "summary": _purpose(row),
            "messages": [_in_channel(row.name)],
            "reply": {"channel": channel, "messages": [_in_channel(f"{row.name}.ack"), _in_channel("error")]},
        }
    for told in TOLD:
        operations[f"send.{told.name}"] = {
            "action": "send",
            "channel": channel,
            "summary": _occasion(told),
            "messages": [_in_channel(told.name)],
        }
    return operations


def _in_channel(message: str) -> JSON:
    return {"$ref": f"#/channels/{SOCKET}/messages/{message}"}
