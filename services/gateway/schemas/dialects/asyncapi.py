"""AsyncAPI 3.0 of what a dialect's sockets send and are told, from its rows.

The channel is a Socket.IO namespace (its address has a parameter where the same is said in several), a message is an
event: its name, and its one argument as payload. Acknowledgements are replies. Written from the server's point of view,
as the specification wants it.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from services.gateway.dialects.rows import Dialect, On, Say
from services.gateway.schemas.components import JSON, summary_of
from services.gateway.schemas.dialects.models import DialectComponents, source_of
from services.gateway.schemas.dialects.rehearsal import Rehearsal, shown
from services.gateway.schemas.dialects.words import does, may_have_changed, when
from services.gateway.schemas.errors import error_table
from services.gateway.schemas.openapi import VERSION
from shared.contracts.errors import ErrorCode

ENGINE_PATH = "/socket.io/"
CHANNEL = "namespace"
REFUSED = "refused"
NOTHING: JSON = {"type": "object", "maxProperties": 0}
"""What an event without an answer of its own is acknowledged by."""


class _Told(NamedTuple):
    """An event: on which occasion, its payload, and an example where there is one."""

    name: str
    summary: str
    payload: JSON
    example: JSON


def asyncapi(dialect: Dialect) -> JSON:
    """The document of one dialect."""
    document = _Document(dialect)
    messages, operations = document.messages(), document.operations()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": f"Parley: {dialect.name}",
            "version": VERSION,
            "description": f"What Socket.IO clients of the dialect '{dialect.name}' send and are told, from its rows. "
            "A message is an event with one argument; fields that the schemas do not name are passed over.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "gateway": {
                "host": "localhost:3000",
                "pathname": ENGINE_PATH,
                "protocol": "ws",
                "description": "Socket.IO protocol 5 over Engine.IO 4, by WebSocket or polling.",
                "security": [{"$ref": "#/components/securitySchemes/bearer"}],
            }
        },
        "channels": {CHANNEL: _channel(dialect, messages)},
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": document.components.sorted(),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "As `auth.token`, Authorization header, `?token=` or cookie `token`.",
                }
            },
        },
        "x-errors": error_table(),
    }


def _channel(dialect: Dialect, messages: JSON) -> JSON:
    first, *others = dialect.namespaces
    auth = {
        "token": {"type": "string", "description": "The JWT, with or without `Bearer ` before it."},
        "userId": {"type": "string", "description": "The token's user."},
        "dialect": {"const": dialect.name, "description": "Which dialect the client speaks, where that is not plain."},
    }
    channel: JSON = {
        "address": "{namespace}" if others else first,
        "title": "Socket.IO namespace",
        "servers": [{"$ref": "#/servers/gateway"}],
        "description": "Every event that is sent with a callback is acknowledged; one that fails by the error.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "ws": {
                "method": "GET",
                "query": {
                    "type": "object",
                    "properties": {
                        "EIO": {"const": "4"},
                        "token": {"type": "string", "description": "The JWT, where `auth` cannot be given."},
                        "dialect": auth["dialect"],
                    },
                },
                "headers": {
                    "type": "object",
                    "properties": {
                        "Authorization": {"type": "string", "description": "`Bearer <jwt>`."},
                        "x-tenant-tag": {"type": "string", "description": "The tenant; must be the token's."},
                    },
                },
                "bindingVersion": "0.1.0",
            }
        },
        "x-auth": {"type": "object", "properties": auth, "required": sorted(dialect.demands)},
    }
    if others:
        channel["parameters"] = {
            "namespace": {
                "enum": list(dialect.namespaces),
                "default": first,
                "description": "The same is said in all.",
            }
        }
    return channel


class _Document:
    """The messages and operations of a dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._rehearsal = Rehearsal(dialect)
        self.components = DialectComponents()
        self._told: dict[str, list[_Told]] = {}
        for told in self._all_told():
            self._told.setdefault(told.name, []).append(told)

    def messages(self) -> JSON:
        """Every message: what is sent, how it is acknowledged, what is told."""
        messages: JSON = {}
        for row in self._dialect.on.values():
            example = shown(partial(self._rehearsal.sent, row.wire))
            sent = _Told(row.name, does(row.steps), self.components.payload(row.wire), example)
            messages[_key("receive", row.name)] = _message([sent])
            messages[_key("ack", row.name)] = _message([self._ack(row)])
        for name, told in self._told.items():
            messages[_key("send", name)] = _message(told)
        messages[REFUSED] = _message([self._failure("The acknowledgement of an event that failed.")])
        return messages

    def operations(self) -> JSON:
        """Every operation."""
        operations: JSON = {}
        channel = {"$ref": f"#/channels/{CHANNEL}"}
        for row in self._dialect.on.values():
            replies = [_in_channel(_key("ack", row.name)), _in_channel(REFUSED)]
            operations[_key("receive", row.name)] = {
                "action": "receive",
                "channel": channel,
                "summary": does(row.steps),
                "messages": [_in_channel(_key("receive", row.name))],
                "reply": {"channel": channel, "messages": replies},
            }
        for name, told in self._told.items():
            operations[_key("send", name)] = {
                "action": "send",
                "channel": channel,
                "summary": _summary(told),
                "messages": [_in_channel(_key("send", name))],
            }
        return operations

    # ── what is said ─────────────────────────────────────────────────────────────────────────────────────────────

    def _ack(self, row: On) -> _Told:
        answer = row.acknowledges
        if answer is None:
            return _Told(row.name, "Done.", NOTHING, {"example": {}})
        return self._said(answer, summary_of(answer.shape), partial(self._rehearsal.heard, row))

    def _all_told(self) -> Iterator[_Told]:
        for greet in self._dialect.greet:
            yield self._said(greet.say, "Told when the client has connected.", partial(self._rehearsal.greeted, greet))
        for row in self._dialect.on.values():
            for say in row.says:
                yield self._said(say, f"Told to the sender of `{row.name}`.", partial(self._rehearsal.heard, row))
        for emit in (row for rows in self._dialect.emit.values() for row in rows):
            payload = self._enveloped(emit.kind, self.components.ref(emit.shape))
            yield _Told(emit.name, when(emit), payload, shown(partial(self._rehearsal.tells, emit)))
        for refresh in self._dialect.refresh:
            yield self._said(refresh.say, may_have_changed(refresh), partial(self._rehearsal.refreshed, refresh))
        yield self._failure("An event of the client failed.")

    def _said(self, say: Say, summary: str, known: Callable[[], JSON]) -> _Told:
        payload = self._enveloped(say.kind, self.components.said(say))
        return _Told(say.name, summary, payload, shown(lambda: self._rehearsal.says(say, known())))

    def _failure(self, summary: str) -> _Told:
        say, event = self._dialect.failure, next(iter(self._dialect.on), "")
        payload = self._enveloped(say.kind, self.components.said(say))
        return _Told(say.name, summary, payload, shown(lambda: self._rehearsal.fails(ErrorCode.FORBIDDEN, event)))

    def _enveloped(self, kind: str, payload: JSON) -> JSON:
        """A payload's schema in the dialect's envelope, where it has one."""
        envelope = self._dialect.envelope
        if envelope is None:
            return payload
        inside = {"payload": payload, "kind": {"const": kind}}
        schema = self.components.inline(envelope)
        parts = {name: inside.get(source_of(envelope, name), part) for name, part in schema["properties"].items()}
        return {key: value for key, value in schema.items() if key != "title"} | {"properties": parts}


def _message(told: Sequence[_Told]) -> JSON:
    """An event: one payload, or one of several."""
    payloads = [
        item.payload for position, item in enumerate(told) if item.payload not in [t.payload for t in told[:position]]
    ]
    message: JSON = {
        "name": told[0].name,
        "summary": _summary(told),
        "payload": payloads[0] if len(payloads) == 1 else {"anyOf": payloads},
    }
    examples = [{"payload": item.example["example"]} for item in told if item.example]
    return {**message, "examples": examples} if examples else message


def _summary(told: Sequence[_Told]) -> str:
    return " ".join(dict.fromkeys(item.summary for item in told))


def _key(kind: str, name: str) -> str:
    """What something is called in the document, which allows fewer signs than the names of events have."""
    return re.sub(r"[^\w.\-]", ".", f"{kind}.{name}")


def _in_channel(message: str) -> JSON:
    return {"$ref": f"#/channels/{CHANNEL}/messages/{message}"}
