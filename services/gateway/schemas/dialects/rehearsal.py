"""Rows carried out on examples: what clients send and services answer is made up, all between is the rows' own.

So what documents show is what the rows make, and a row that cannot be carried out on an example is found without a
service: it asks for what no contract takes, or shows what is nowhere.
"""

import re
from collections.abc import Callable, Coroutine, Iterator, Sequence, Set
from dataclasses import replace
from functools import partial
from inspect import signature
from itertools import product
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError

from services.gateway.dialects import errors
from services.gateway.dialects.rows import Dialect, Emit, Greet, Keep, On, Refresh, Route, Say, Step, Upload, Wire
from services.gateway.dispatch import Answered
from services.gateway.native import ReadyRoom
from services.gateway.schemas.components import JSON, Components
from services.gateway.schemas.dialects.models import DialectComponents, spellings
from services.gateway.schemas.errors import example_error
from services.gateway.schemas.examples import FILE, MESSAGE, MOMENT, ROOM, SHOWN, VALUES, Story, example, fits
from services.gateway.sio import packets
from services.gateway.sio.voice import DialectVoice, said
from services.gateway.steps import Steps
from services.gateway.voices import About, about
from shared.contracts.base import Command, Event, Query
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.media import MediaView
from shared.contracts.media_terms import MediaState
from shared.contracts.membership import RoomType, RoomView
from shared.contracts.messages import TimelineEvent
from shared.contracts.people import FavoritesUpdated
from shared.contracts.presence import PresenceChanged, PresencesView
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
    shown=SHOWN | {"external", "first_name", "last_name", "user", "metadata", "total", "read_from"},
)
"""What services answer, told so that what dialects show of it is there."""

LINK = f"https://chat.example.com/v1/media/{FILE}/{{}}?expires=1767610800&signature=4c1f0a9be2d37586"

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
    "status": "online",
    "latitude": 48.8566,
    "longitude": 2.3522,
}
"""What clients send, by the name of the field here or there, in snake case; a field's own `examples` come first."""

SENT_ANYHOW = frozenset({"content", "text", "message"})
"""Fields that examples have although they may be left out."""

PERSONAL: tuple[type[Event], ...] = (PresenceChanged, FavoritesUpdated)
"""Events that are told beside rooms."""

PARAMETER = re.compile(r"{(\w+)(?::[^{}]+)?}")
"""A parameter in the path of a row."""

KINDS_OF_OBJECT = ("event", "sortie", "session")


class Rehearsal:
    """One dialect's rows, on examples. It asks on behalf of a client (`services.gateway.steps.Asker`), and answers."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.connection: Any = NOBODY
        self.here: JSON = {}
        self._kept: JSON = {}
        """What a socket remembers when it has sent all that makes it remember something."""
        self._contracts = Components()
        self._wires = DialectComponents()
        stage: Any = Stage(self.view)
        self._steps = Steps(**dict.fromkeys(signature(Steps).parameters, stage))
        for row in dialect.on.values():
            if any(isinstance(step, Keep) and step.value is not None for step in row.steps):
                shown(partial(self.heard, row))
                self._kept = self.here

    # ── what clients send, and what comes of it ──────────────────────────────────────────────────────────────────

    def sent(self, wire: type[Wire], path: str = "") -> JSON:
        """What a client might send, under the documented names: what must be there, and what stands in the path.

        Where that is not enough, since one thing or another must be there, what may be left out is added in turn.
        """
        schema, names_of = self._wires.inline(wire), spellings(wire)
        parts = {names[0]: schema["properties"][names[0]] for names in names_of.values()}
        values = {names[0]: self._value(parts[names[0]], names) for names in names_of.values()}
        anyhow = {*schema.get("required", ()), *SENT_ANYHOW, *PARAMETER.findall(path)}
        needed = {names[0] for names in names_of.values() if anyhow & {*names} or "examples" in parts[names[0]]}
        choices = [needed, *(needed | {name} for name in values if name not in needed)]
        chosen = next(filter(_taken_by(wire, values), choices), needed)
        return {name: value for name, value in values.items() if name in chosen}

    def _value(self, part: JSON, names: Sequence[str]) -> Any:
        if "examples" in part:
            return part["examples"][0]
        for name in map(_snake, names):
            if name in SENT and fits(SENT[name], part, self._wires):
                return SENT[name]
        return example(part, self._wires, _snake(names[-1]))

    def heard(self, row: On) -> JSON:
        """What is known when an event has been carried out, on a socket that has sent what it should have before.

        Raises:
            Exception: whatever carrying it out raises.
        """
        self.here = {**self._kept}
        return self._carried_out(row.steps, self._known(row.wire))

    def greeted(self, row: Greet) -> JSON:
        """What is known when a client is greeted."""
        rooms = [self.view(ReadyRoom)] if self.dialect.follows else []
        return self._carried_out(row.steps, {**self._known(), "rooms": rooms})

    def refreshed(self, row: Refresh) -> JSON:
        """What is known when a list is told again."""
        return self._carried_out(row.steps, self._known())

    def requested(self, row: Route) -> JSON:
        """What is known when a request has been carried out."""
        known = self._known(row.wire, row.path)
        return known if row.public else self._carried_out(row.steps, known)

    def send(self, request: Command | Query, body: JSON, answered: Answered) -> None:
        """Answer a command or query at once, as its owner might."""
        answered(self.view(request.RESULT), None)

    def view(self, model: type[BaseModel]) -> Any:
        """An example of a contract, as JSON."""
        shown = example(self._contracts.ref(model), self._contracts, story=STORY)
        return model.model_validate(shown).model_dump(mode="json", exclude_none=True)

    def _known(self, wire: type[Wire] = Wire, path: str = "") -> JSON:
        return {
            "in": wire.read(self.sent(wire, path)).given(),
            "me": self.view(Actor),
            "here": self.here,
            "connection": VALUES["connection_id"],
            "now": MOMENT,
        }

    def _carried_out(self, steps: Sequence[Step], known: JSON) -> JSON:
        ended: list[ChatError | None] = []
        self._steps.run(steps, known, self, ended.append)
        (error,) = ended
        if error is not None:
            raise error
        return known

    # ── what is said ─────────────────────────────────────────────────────────────────────────────────────────────

    def says(self, say: Say, known: JSON) -> Any:
        """The payload of something that is said."""
        voice = DialectVoice(self.dialect, "/", framed=False)
        return _at_the_moment(orjson.loads(voice.payload(say.kind, said(say, known))))

    def answers(self, row: Route) -> Any:
        """The body of a response."""
        say = Say("", row.shape, row.of, many=row.many)
        return _at_the_moment(orjson.loads(said(say, self.requested(row))))

    def takes(self, row: Upload) -> Any:
        """The body of a response to an upload."""
        file = {**self.view(MediaView), "state": str(MediaState.READY)}
        known = {"file": file, "url": LINK.format("original"), "thumbnail_url": LINK.format("medium")}
        return _at_the_moment(orjson.loads(said(Say("", row.shape), known)))

    def fails(self, code: ErrorCode, event: str) -> Any:
        """The payload of an error on a socket."""
        return self.says(self.dialect.failure, errors.of_event(example_error(code), event, MOMENT))

    def refuses(self, code: ErrorCode, path: str) -> Any:
        """The body of a refusal over REST."""
        return orjson.loads(said(Say("", self.dialect.problem), errors.of_request(example_error(code), path, MOMENT)))

    def tells(self, row: Emit) -> Any:
        """The payload of what is told of an event, the first of its kinds that is told at all.

        Raises:
            LookupError: where none is.
        """
        voice = DialectVoice(replace(self.dialect, emit={row.event.TYPE: (row,)}), "/", framed=False)
        for room, data in self._occasions(row.event):
            if row.event in PERSONAL:
                told = voice.personal(row.event.TYPE, data)
            elif issubclass(row.event, TimelineEvent):
                told = voice.timeline(row.event.TYPE, room, 12, 15, data)
            else:
                told = voice.happening(row.event.TYPE, room, data)
            if told:
                packet = told.split(packets.END)[0]
                return _at_the_moment(packets.read(packet.decode()).arguments[0])
        raise LookupError(f"No example of {row.event.TYPE} is told as {row.name}.")

    def _occasions(self, event: type[Event]) -> Iterator[tuple[About, JSON]]:
        """Examples of an event, in rooms of every kind, with every word that its fields can have."""
        schema = self._contracts.inline(event)
        data = self.view(event)
        if issubclass(event, TimelineEvent):
            schema, data = self._contracts.resolve(schema["properties"]["message"]), data["message"]
        data["names"] = dict.fromkeys(range(1, 100), MESSAGE)  # which message stands where, as far as that is told
        for variant in self._variants(data, schema):
            for room in self._rooms():
                yield room, variant

    def _rooms(self) -> Iterator[About]:
        room = self.view(RoomView)
        objects = (None, *({"kind": kind, "id": "42"} for kind in KINDS_OF_OBJECT))
        for type_, external, closed in product((RoomType.GROUP, *RoomType), objects, (False, True)):
            yield about({**room, "type": str(type_), "external": external, "closed": closed})

    def _variants(self, data: JSON, schema: JSON) -> Iterator[JSON]:
        yield data
        for name, part in schema["properties"].items():
            found = self._contracts.resolve(part)
            words = [True, False] if found.get("type") == "boolean" else found.get("enum", ())
            yield from ({**data, name: word} for word in words if word != data.get(name))
            if "properties" in found and name in data:
                yield from ({**data, name: inner} for inner in self._variants(data[name], found))


class Stage:
    """Stands in for all that steps touch, but for whom they ask: what follows or watches is told examples."""

    def __init__(self, view: Callable[[type[BaseModel]], Any]) -> None:
        self._view = view

    def __getattr__(self, name: str) -> Any:
        return NOBODY

    def spawn(self, work: Coroutine[Any, Any, None], _name: str) -> None:
        """Do at once what takes a while otherwise."""
        try:
            work.send(None)
        except StopIteration:
            return
        raise RuntimeError("There is nothing to wait for in a rehearsal.")

    async def follow(self, *_: Any) -> Any:
        """Where a room stands that is followed."""
        return self._view(RoomStateView)

    async def watch_only(self, *_: Any) -> Any:
        """How those are who are watched."""
        return self._view(PresencesView)


class _Nobody:
    """Takes whatever is asked of it, and says nothing."""

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *_: Any, **__: Any) -> None:
        return None

    def __contains__(self, _item: object) -> bool:
        return True


NOBODY = _Nobody()


def shown(make: Callable[[], Any]) -> JSON:
    """An example as documents have it; nothing where a row cannot be carried out on one, which is no reason to fail.

    That every row can be is held by tests.
    """
    try:
        return {"example": make()}
    except (ChatError, LookupError, TypeError, ValueError, AttributeError):
        return {}


def _taken_by(wire: type[Wire], values: JSON) -> Callable[[Set[str]], bool]:
    """Tells whether some of the values are enough."""

    def taken(names: Set[str]) -> bool:
        try:
            wire.read({name: values[name] for name in values if name in names})
        except ValidationError:
            return False
        return True

    return taken


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _at_the_moment(payload: Any) -> Any:
    """A payload whose times are all the same: that of the example, not of its making."""
    match payload:
        case dict():
            return {name: _at_the_moment(value) for name, value in payload.items()}
        case list():
            return [_at_the_moment(value) for value in payload]
        case str() if _TIME.fullmatch(payload):
            return MOMENT
        case _:
            return payload


_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
