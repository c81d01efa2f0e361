"""Envelopes to bytes and back. The only place that writes or reads the JSON of a batch."""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import orjson
from pydantic import BaseModel

from shared.contracts.envelope import Actor
from shared.contracts.errors import ErrorView
from shared.logging import get_logger

log = get_logger(__name__)

JSON = dict[str, Any]

MAX_ITEMS = 2048
"""Envelopes in a batch: twice what publishers put into one, few enough to be set aside one by one."""


class Malformed(Exception):  # noqa: N818 - a state of a body, said as such
    """A body that is no batch of envelopes; the message says why."""


def encode_actor(actor: Actor) -> orjson.Fragment:
    """An actor's JSON, made once per connection and spliced into every envelope."""
    return orjson.Fragment(actor.model_dump_json(exclude_defaults=True).encode())


def to_json(model: BaseModel) -> bytes:
    """A contract's JSON on every wire: fields that are null are left out."""
    return model.__pydantic_serializer__.to_json(model, exclude_none=True)


def encode_request(
    *, id: str, source: str, type: str, subject: str | None, actor: orjson.Fragment, tenant: str, body: JSON,
    replyto: str | None, traceparent: str, echo: bool = False,
) -> bytes:  # fmt: skip
    """A command or query (shared.contracts.envelope.RequestEnvelope)."""
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": id,
            "source": source,
            "type": type,
            "subject": subject,
            "tenant": tenant,
            "replyto": replyto,
            "echo": echo,
            "traceparent": traceparent,
            "data": {"actor": actor, "body": body},
        }
    )


def encode_event(
    *, id: str, source: str, type: str, subject: str, tenant: str, time: datetime, data: bytes,
    traceparent: str | None = None, seq: int | None = None, rev: int | None = None, cause: str | None = None,
) -> bytes:  # fmt: skip
    """An event (shared.contracts.envelope.EventEnvelope); `data` is its contract's JSON."""
    envelope: JSON = {
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": type,
        "subject": subject,
        "time": time,
        "tenant": tenant,
    }
    if traceparent is not None:
        envelope["traceparent"] = traceparent
    if cause is not None:
        envelope["cause"] = cause
    if rev is not None:
        envelope["roomseq"] = seq
        envelope["roomrev"] = rev
    envelope["data"] = orjson.Fragment(data)
    return orjson.dumps(envelope)


def encode_reply(request_id: str, source: str, result: bytes) -> bytes:
    """A successful answer; `result` is its view's JSON."""
    return _reply(request_id, source, {"ok": orjson.Fragment(result)})


def encode_refusal(request_id: str, source: str, error: ErrorView) -> bytes:
    """An error as the answer."""
    return _reply(request_id, source, {"error": orjson.Fragment(error.model_dump_json())})


def _reply(request_id: str, source: str, data: JSON) -> bytes:
    return orjson.dumps({"specversion": "1.0", "id": request_id, "source": source, "type": "reply", "data": data})


def join_batch(items: Iterable[bytes]) -> bytes:
    """One AMQP body from encoded envelopes (CloudEvents JSON batch format)."""
    return b"[" + b",".join(items) + b"]"


def batch_of_one(envelope: Any) -> bytes:
    """The body that holds just this envelope, whatever its shape.

    What is nested deeper than can be written (254 levels, though 1024 are read) is left out.
    """
    try:
        return join_batch([orjson.dumps(envelope)])
    except TypeError:
        fields = envelope.items() if isinstance(envelope, dict) else ()
        return join_batch([orjson.dumps({name: field for name, field in fields if not isinstance(field, dict | list)})])


def split_batch(body: bytes, *, lone: bool = False) -> list[JSON]:
    """The envelopes of a body, unread.

    Args:
        lone: one envelope may stand for itself, without a batch around it.

    Raises:
        Malformed: where it is not a JSON array, or too long.
    """
    try:
        batch = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"the body is not JSON: {error}") from error
    if lone and isinstance(batch, dict):
        return [batch]
    if not isinstance(batch, list):
        raise Malformed(f"the body is a JSON {type(batch).__name__}, not a batch (an array of envelopes)")
    if len(batch) > MAX_ITEMS:
        raise Malformed(f"the batch holds {len(batch)} envelopes; at most {MAX_ITEMS} are read at once")
    return batch


def readable_events(body: bytes) -> list[JSON]:
    """The events of a batch that have the shape of one; others are logged and left out."""
    try:
        items = split_batch(body)
    except Malformed as error:
        log.error("malformed event batch dropped", error=str(error))
        return []
    events = [item for item in items if _is_event(item)]
    if len(events) < len(items):
        log.error("malformed events dropped", count=len(items) - len(events))
    return events


def _is_event(item: Any) -> bool:
    if not isinstance(item, dict):
        return False
    data, rev = item.get("data"), item.get("roomrev")
    return (
        isinstance(item.get("type"), str)
        and isinstance(item.get("subject"), str)
        and isinstance(item.get("tenant", ""), str)
        and isinstance(item.get("cause") or "", str)
        and isinstance(data, dict)
        and (rev is None or (type(rev) is int and type(item.get("roomseq")) is int))
    )


def unique_id() -> str:
    """An id for what has none of its own."""
    return uuid.uuid4().hex
