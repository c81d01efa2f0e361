"""What a dialect is made of: rows that say how the names and shapes of an existing client API map to the contracts.

A dialect only translates. It has four kinds of rows: `On` (what a socket may send), `Emit` (what it is told), `Greet`
(what it gets when it connects) and `Route` (a REST endpoint). What cannot be said by one command or query is a list of
steps, each of which reads what is known by then and adds to it. Pure: services.gateway.steps carries steps out.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Self

from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field

from services.gateway.rows import Contract
from services.gateway.voices import JSON
from shared.contracts.base import Event

# ── shapes ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Wire(BaseModel):
    """What a client sends: fields that are plain or objects. Others are passed over: its server did so, too."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )

    BARE: ClassVar[str | None] = None
    """The field that a payload which is no object stands for."""

    @classmethod
    def read(cls, payload: Any) -> Self:
        """A payload as this shape. Raises ValidationError."""
        if payload is None:
            payload = {}
        if cls.BARE is not None and not isinstance(payload, dict):
            payload = {cls.BARE: payload}
        return cls.model_validate(payload)

    def given(self) -> JSON:
        """What was sent, by the names of the fields: `model_dump` for fields that are plain or one model."""
        return {
            name: value.model_dump(exclude_none=True) if isinstance(value, BaseModel) else value
            for name, value in self.__dict__.items()
            if value is not None
        }


class Shape(BaseModel):
    """What a client is shown: fields that say from where in what is known they are taken (`at`)."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True, serialize_by_alias=True)


def at(
    path: str, default: Any = None, *, otherwise: tuple[str, ...] = (), omit: bool = False, name: str | None = None
) -> Any:
    """A field of a shape that is taken from a dotted path.

    Args:
        otherwise: paths where it is looked for next.
        omit: leave it out where there is nothing.
        name: what clients call it, where Python cannot.
    """
    alias = AliasChoices(*(_alias(each) for each in (path, *otherwise))) if otherwise else _alias(path)
    nothing = (lambda value: value is None) if omit else None
    return Field(default=default, validation_alias=alias, serialization_alias=name, exclude_if=nothing)


def fixed(value: Any) -> Any:
    """A field of a shape that is always the same, whatever else is known by its name."""
    return Field(default=value, validation_alias=AliasPath(""))


def _alias(path: str) -> AliasPath:
    first, *rest = path.split(".")
    return AliasPath(first, *(int(part) if part.isdigit() else part for part in rest))


# ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class At:
    """A value that is known by then, by its dotted path; where there is none, the field is left out."""

    path: str
    _parts: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_parts", _parts(self.path))

    def of(self, known: Any) -> Any:
        """The value; None where there is none."""
        for part in self._parts:
            known = known.get(part) if isinstance(known, dict) else _element(known, part)
        return known


@dataclass(frozen=True, slots=True)
class Ask:
    """Send a command or query; its result is known as `into` from then on."""

    contract: Contract
    fields: Mapping[str, Any]
    into: str = "result"
    given: At | None = None
    """Only where this is known."""
    every: str = ""
    """The list of the result that comes in pages, where all of them are wanted: they are joined into one."""


@dataclass(frozen=True, slots=True)
class Either:
    """Ask one after the other, until one finds something that the caller may see; that is known as `into` then."""

    asks: tuple[Ask, ...]
    missing: str
    """What is said where none does, as the error `not_found`."""
    into: str = "result"


@dataclass(frozen=True, slots=True)
class Each:
    """Ask once per item of a list, one after the other; the item is known to `ask` as `item`."""

    over: At
    ask: Ask


@dataclass(frozen=True, slots=True)
class Need:
    """Go no further where a value is not known, and say why."""

    value: At
    missing: str


@dataclass(frozen=True, slots=True)
class Make:
    """Work something out from what is known."""

    into: str
    how: Callable[[JSON], Any]


@dataclass(frozen=True, slots=True)
class Follow:
    """Subscribe the socket to a room; where its timeline stands, and one's role, is known as `state` from then on."""

    room: At
    given: At | None = None
    """Only where this is known."""


@dataclass(frozen=True, slots=True)
class Unfollow:
    """End a subscription, where there is one."""

    room: At


@dataclass(frozen=True, slots=True)
class Type:
    """Say that somebody has started or stopped typing."""

    room: At
    started: At | bool


@dataclass(frozen=True, slots=True)
class Announce:
    """Let a room's readers know that the socket looks at it, until it follows the room no more."""

    room: At


@dataclass(frozen=True, slots=True)
class Keep:
    """Remember something of the socket: `here.<name>` is known to all that it sends later."""

    name: str
    value: At | None


@dataclass(frozen=True, slots=True)
class Watch:
    """Tell the socket of these users' presence, and of nobody else's whom it has watched so far.

    How things stand now is known as `watched` from then on.
    """

    users: At


Step = Ask | Either | Each | Need | Make | Follow | Unfollow | Type | Announce | Keep | Watch


def asks_of(steps: Iterable[Step]) -> Iterator[Ask]:
    """All that steps ask, or may ask."""
    for step in steps:
        match step:
            case Ask():
                yield step
            case Either():
                yield from step.asks
            case Each():
                yield step.ask


@dataclass(frozen=True, slots=True)
class Say:
    """Something told to one socket: a name, a shape, and what the shape is taken from (everything, where empty)."""

    name: str
    shape: type[Shape]
    of: str = ""
    many: bool = False
    """Whether it is a list of such shapes."""
    kind: str = ""
    """What the dialect's envelope calls it."""
    given: At | None = None
    """Only where this is known."""


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class On:
    """What a socket may send: what it does, and what is said to the sender then.

    Where the client wants an acknowledgement, that is `ack`, or else the last `Say`.
    """

    name: str
    wire: type[Wire]
    steps: tuple[Step, ...]
    says: tuple[Say, ...] = ()
    ack: Say | None = None
    counted: bool = False
    leads: bool = False
    """Whether what is said comes before all that the socket is told meanwhile: a room's state before its changes."""
    settles: bool = field(init=False)
    """Whether what the socket sends next may rest on it: then that waits until this is done."""
    acknowledges: Say | None = field(init=False)
    """What acknowledges it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "acknowledges", self.ack or next(reversed(self.says), None))
        object.__setattr__(self, "settles", any(isinstance(step, Follow | Keep) for step in self.steps))


@dataclass(frozen=True, slots=True)
class Emit:
    """What a socket is told of an event in a room it follows, or about a user.

    The shape is taken from the event's data, with the room beside it (`room`), once per event or once per item of the
    list `each`; `spares` is the path of the user who is not told, `only` of the one who alone is, wherever they are.
    Where `messages` says at which places messages stand that it is about, it is told once for each, as `message_id`.
    """

    event: type[Event]
    name: str
    shape: type[Shape]
    each: str = ""
    spares: str = ""
    only: str = ""
    messages: Callable[[JSON], Collection[int]] | None = None
    when: Callable[[JSON], bool] = bool
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Greet:
    """What a socket gets when it has connected."""

    say: Say
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Refresh:
    """A list that a socket is told again when it has changed, as far as one of these events may have changed it.

    A greeting that tells the list carries out the same steps.
    """

    events: tuple[type[Event], ...]
    say: Say
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """A REST endpoint: its fields come from path, query string and JSON body; the response is taken as a `Say` is."""

    method: str
    path: str
    wire: type[Wire]
    steps: tuple[Step, ...]
    shape: type[Shape]
    summary: str
    of: str = ""
    many: bool = False
    status: int = 200
    counted: bool = False
    existed: str = ""
    """The result of the step that says whether what was to be made was there: then the status is 200."""
    public: bool = False
    """Whether it takes no token."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A REST endpoint that takes a file, as a form: the media service does, and tells what it is when it is ready.

    The response is taken from that (`file`, a `MediaView`), and where it is: `url`, and `thumbnail_url` if it has one.
    """

    path: str
    shape: type[Shape]
    summary: str
    method: str = "POST"
    status: int = 201


@dataclass(frozen=True, slots=True)
class Dialect:
    """A client API.

    `failure` is the shape of errors on sockets, told as the event `error`; `problem` that of REST's.
    `follows` says whether a socket hears of all its user's rooms at once, or of those it has joined.
    """

    name: str
    on: Mapping[str, On]
    emit: Mapping[str, tuple[Emit, ...]]
    greet: tuple[Greet, ...]
    routes: tuple[Route, ...]
    failure: Say
    problem: type[Shape]
    follows: bool = False
    envelope: type[Shape] | None = None
    """What every payload on a socket is put into: a shape of `kind`, `payload` and `now`."""
    namespaces: tuple[str, ...] = ("/chat", "/")
    demands: tuple[str, ...] = ()
    """What the `auth` of a connection must have besides its token."""
    bearer: bool = False
    """Whether the token in the `auth` of a connection must have its scheme (`Bearer `) before it."""
    refresh: tuple[Refresh, ...] = ()
    uploads: tuple[Upload, ...] = ()
    prefix: str = ""
    """A path below which what is no endpoint is refused in its words, too."""
    undecided: bool = False
    """Whether this stands for a client of which it is not known yet what it speaks."""


def dialect(
    name: str, *, on: tuple[On, ...], emit: tuple[Emit, ...], greet: tuple[Greet, ...] = (), **more: Any
) -> Dialect:
    """A dialect from its rows; an event may be told under several names."""
    told: dict[str, tuple[Emit, ...]] = {}
    for row in emit:
        told[row.event.TYPE] = (*told.get(row.event.TYPE, ()), row)
    return Dialect(name, {row.name: row for row in on}, told, greet, **more)


@cache
def _parts(path: str) -> tuple[str, ...]:
    """The parts of a path. There are as many as rows name."""
    return tuple(path.split(".")) if path else ()


def look_up(known: Any, path: str) -> Any:
    """What is at a dotted path, None where nothing is."""
    for part in _parts(path):
        known = known.get(part) if isinstance(known, dict) else _element(known, part)
    return known


def _element(known: Any, part: str) -> Any:
    """An element of a list by its number; None of anything else."""
    if isinstance(known, list | tuple) and part.isdigit() and int(part) < len(known):
        return known[int(part)]
    return None
