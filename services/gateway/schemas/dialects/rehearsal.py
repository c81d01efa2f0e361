"""Rows carried out on examples: what clients send and services answer is made up, all between is the rows' own.

So what documents show is what the rows make, and a row that cannot be carried out on an example is found without a
service: it asks for what no contract takes, or shows what is nowhere.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import orjson
from pydantic import BaseModel

from services.gateway.dialects.rows import (
    Ask,
    Dialect,
    Each,
    Either,
    Emit,
    Follow,
    Greet,
    Keep,
    Make,
    On,
    Route,
    Say,
    Step,
    Wire,
    look_up,
)
from services.gateway.native import ReadyRoom
from services.gateway.schemas.components import JSON, Components
from services.gateway.schemas.dialects.models import DialectComponents, spellings
from services.gateway.schemas.errors import example_error
from services.gateway.schemas.examples import MESSAGE, MOMENT, ROOM, SHOWN, VALUES, Story, example, fits
from services.gateway.sio.voice import said
from services.gateway.steps import keep, resolved
from services.gateway.voices import About
from shared.contracts.base import Event
from shared.contracts.envelope import Actor
from shared.contracts.errors import ERRORS, ChatError, ErrorCode
from shared.contracts.membership import RoomType
from shared.contracts.messages import TimelineEvent
from shared.contracts.timeline import RoomStateView

STORY = Story(
    values={
        **VALUES,
        "RoomView.members": [
            {
                "user_id": user_id,
                "role": role,
                "joined_at": MOMENT,
                "muted": False,
                "user": {"id": user_id, "name": f"{first} {last}", "first_name": first, "last_name": last, "roles": []},
            }
            for user_id, role, first, last in (("alice", "owner", "Alice", "Adams"), ("bob", "member", "Bob", "Brown"))
        ],
        "SenderView.name": "Alice Adams",
        "SenderView.first_name": "Alice",
        "SenderView.last_name": "Adams",
        "UserView.name": "Bob Brown",
        "UserView.first_name": "Bob",
        "UserView.last_name": "Brown",
        "RoomView.external": {"kind": "sortie", "id": "66f0c0ffee00000000000001"},
        "RoomsView.next": None,
        "total": 12,
    },
    shown=SHOWN | {"external", "first_name", "last_name", "user", "metadata", "total"},
)
"""What services answer, told so that what dialects show of it is there."""

SENT: dict[str, Any] = {
    "room_id": ROOM,
    "chat_id": ROOM,
    "chat_room_id": ROOM,
    "session_id": ROOM,
    "message_id": MESSAGE,
    "user_id": "bob",
    "participant_id": "bob",
    "participant1_id": "alice",
    "participant2_id": "bob",
    "content": "Shall we take the early train?",
    "text": "Shall we take the early train?",
    "message": "Shall we take the early train?",
    "emoji": "👍",
    "reaction": "👍",
    "latitude": 48.8566,
    "longitude": 2.3522,
}
"""What clients send, by the name of the field here or there, in snake case; a field's own `examples` come first."""

SENT_ANYHOW = frozenset({"content", "text", "message"})
"""Fields that examples have although they may be left out."""

KINDS_OF_OBJECT = (None, "event", "sortie", "session")


class Rehearsal:
    """One dialect's rows, on examples."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._contracts = Components()
        self._wires = DialectComponents()
        self._here: JSON = {}
        for row in dialect.on.values():
            if any(isinstance(step, Keep) for step in row.steps):
                shown(partial(self.heard, row))

    # ── what clients send, and what comes of it ──────────────────────────────────────────────────────────────────

    def sent(self, wire: type[Wire]) -> JSON:
        """What a client might send, under the documented names."""
        schema = self._wires.inline(wire)
        required = schema.get("required", ())
        shown = {}
        for name, names in spellings(wire).items():
            part = schema["properties"][names[0]]
            if names[0] in required or "examples" in part or {name, *names} & SENT_ANYHOW:
                shown[names[0]] = self._value(part, names)
        return shown

    def _value(self, part: JSON, names: Sequence[str]) -> Any:
        if "examples" in part:
            return part["examples"][0]
        for name in map(_snake, names):
            if name in SENT and fits(SENT[name], part, self._wires):
                return SENT[name]
        return example(part, self._wires, _snake(names[-1]))

    def heard(self, row: On) -> JSON:
        """What is known when an event has been carried out. Raises whatever carrying it out raises."""
        return self._carried_out(row.steps, self._known(row.wire))

    def greeted(self, row: Greet) -> JSON:
        """What is known when a client is greeted."""
        rooms = [self._view(ReadyRoom)] if self.dialect.follows else []
        return self._carried_out(row.steps, {**self._known(), "rooms": rooms})

    def requested(self, row: Route) -> JSON:
        """What is known when a request has been carried out."""
        known = self._known(row.wire)
        return known if row.public else self._carried_out(row.steps, known)

    def _known(self, wire: type[Wire] = Wire) -> JSON:
        return {
            "in": wire.read(self.sent(wire)).model_dump(exclude_none=True),
            "me": self._view(Actor),
            "here": dict(self._here),
            "connection": VALUES["connection_id"],
            "now": MOMENT,
        }

    def _carried_out(self, steps: Sequence[Step], known: JSON) -> JSON:
        for step in steps:
            match step:
                case Ask() | Either() | Each():
                    for ask, given, into in _asks(step, known):
                        ask.contract.model_validate(resolved(ask.fields, given))
                        known[into] = self._view(ask.contract.RESULT)
                case Make():
                    known[step.into] = step.how(known)
                case Keep() if step.value is not None:  # what is remembered is so for the other rows
                    keep(self._here, step, known)
                case Follow():
                    known["state"] = self._view(RoomStateView)
                case _:  # changes nothing that is known
                    pass
        return known

    def _view(self, model: type[BaseModel]) -> Any:
        shown = example(self._contracts.ref(model), self._contracts, story=STORY)
        return model.model_validate(shown).model_dump(mode="json", exclude_none=True)

    # ── what is said ─────────────────────────────────────────────────────────────────────────────────────────────

    def says(self, say: Say, known: JSON) -> Any:
        """The payload of something that is said."""
        return self._enveloped(say.kind, orjson.loads(said(say, known)))

    def answers(self, row: Route) -> Any:
        """The body of a response."""
        return orjson.loads(said(Say("", row.shape, row.of, many=row.many), self.requested(row)))

    def fails(self, code: ErrorCode, event: str) -> Any:
        """The payload of an error on a socket."""
        failure = self.dialect.failure
        known = {"error": example_error(code), "event": event, "status": ERRORS[code].status, "now": MOMENT}
        return self._enveloped(failure.kind, orjson.loads(said(failure, known)))

    def refuses(self, code: ErrorCode, path: str) -> Any:
        """The body of a refusal over REST."""
        known = {"error": example_error(code), "status": ERRORS[code].status, "path": path, "now": MOMENT}
        return orjson.loads(said(Say("", self.dialect.problem), known))

    def tells(self, row: Emit) -> Any:
        """The payload of what is told of an event, the first of its kinds that is told at all.

        Raises:
            LookupError: where none is.
        """
        for whole in self._occasions(row):
            if row.when(whole):
                return self._enveloped(row.kind, row.shape.model_validate(whole).model_dump(mode="json"))
        raise LookupError(f"No example of {row.event.TYPE} is told as {row.name}.")

    def _occasions(self, row: Emit) -> Iterator[JSON]:
        """Examples of an event, in rooms of every kind, with every word that its fields can have."""
        for data in self._events(row.event):
            for item in data.get(row.each, ()) if row.each else (data,):
                for room in _rooms():
                    yield {"message_id": MESSAGE, **item, "room": room._asdict(), "now": MOMENT}

    def _events(self, event: type[Event]) -> Iterator[JSON]:
        whole = self._view(event)
        data = whole["message"] if issubclass(event, TimelineEvent) else whole
        yield data
        schema = self._contracts.inline(event)
        if issubclass(event, TimelineEvent):
            schema = self._contracts.resolve(schema["properties"]["message"])
        for name, part in schema["properties"].items():
            found = self._contracts.resolve(part)
            words = [True, False] if found.get("type") == "boolean" else found.get("enum", ())
            yield from ({**data, name: word} for word in words if word != data.get(name))

    def _enveloped(self, kind: str, payload: Any) -> Any:
        envelope = self.dialect.envelope
        if envelope is None:
            return payload
        return envelope.model_validate({"kind": kind, "payload": payload, "now": MOMENT}).model_dump(mode="json")


def _asks(step: Ask | Either | Each, known: JSON) -> Iterator[tuple[Ask, JSON, str]]:
    """What a step asks, of what is known then, and as what the answer is known: of several, the first one's last."""
    match step:
        case Ask():
            if step.given is None or look_up(known, step.given.path):
                yield step, known, step.into
        case Either():
            yield from ((ask, known, step.into) for ask in reversed(step.asks))
        case Each():
            items = look_up(known, step.over.path) or ()
            yield from ((step.ask, {**known, "item": item}, step.ask.into) for item in items)


def _rooms() -> Iterator[About]:
    for type_ in (RoomType.GROUP, *RoomType):
        for kind in KINDS_OF_OBJECT:
            for closed in (False, True):
                external = None if kind is None else {"kind": kind, "id": "42"}
                yield About(ROOM, str(type_), "Weekend", external, closed)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def shown(make: Callable[[], Any]) -> JSON:
    """An example as documents have it; nothing where a row cannot be carried out on one, which is no reason to fail.

    That every row can be is held by tests.
    """
    try:
        return {"example": make()}
    except (ChatError, LookupError, TypeError, ValueError, AttributeError):
        return {}
