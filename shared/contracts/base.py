"""The four kinds of contract: Command, Query, Event and View. Holds no field of any particular one."""

import json
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from typing_extensions import override

MAX_METADATA_BYTES = 4096
MAX_METADATA_DEPTH = 16
_REFERENCE = {"$ref", "$id"}
"""What makes an object a DBRef to MongoDB's drivers: it would come back as something that is not JSON."""

Id = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[\x21-\x7e]+$")]
"""An opaque identifier: 1 to 128 printable ASCII characters without spaces."""

MessageId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{24}$")]
"""12 bytes in hex, see shared.ids.message_id."""

Seq = Annotated[int, Field(ge=0, le=2**53)]
"""A position in a room, small enough for every JSON reader."""


def _storable(metadata: dict[str, Any]) -> dict[str, Any]:
    """Refuse what a serializer or BSON chokes on: depth first, since it would exhaust the stack of the others."""
    level: list[Any] = [metadata]
    for _ in range(MAX_METADATA_DEPTH):
        if any(isinstance(value, int) and not -(2**63) <= value < 2**63 for value in level):
            raise ValueError("metadata holds an integer of more than 64 bits")
        if any("\0" in key for value in level if isinstance(value, dict) for key in value):
            raise ValueError("metadata has a name with a null character")
        if any(isinstance(value, dict) and value.keys() >= _REFERENCE for value in level):
            raise ValueError("metadata has an object with both '$ref' and '$id', which the database takes for its own")
        level = [child for value in level for child in _children(value)]
    if level:
        raise ValueError(f"metadata is nested deeper than {MAX_METADATA_DEPTH} levels")
    size = len(json.dumps(metadata, separators=(",", ":"), ensure_ascii=False).encode())
    if size > MAX_METADATA_BYTES:
        raise ValueError(f"metadata is {size} bytes of JSON; at most {MAX_METADATA_BYTES} are kept")
    return metadata


def _children(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


Metadata = Annotated[dict[str, Any], AfterValidator(_storable)]
"""What applications attach to a room or message: opaque, small, plain JSON."""


class Service(StrEnum):
    """The owner of a command or query: the one service that answers it."""

    MESSAGES = "messages"
    ROOMS = "rooms"
    MEDIA = "media"


class Model(BaseModel):
    """Immutable and strict about names: an unknown field is an error, not a typo that passes."""

    # What is wrong with an input may be logged; the input, somebody's message, may not.
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)


class View(Model):
    """What a reader sees: the shape of data in replies, query results and events."""


class Request(Model):
    """What somebody asks of exactly one owner: a command or a query."""

    TYPE: ClassVar[str]
    OWNER: ClassVar[Service]
    RESULT: ClassVar[type[View]]
    ABOUT: ClassVar[str | None] = None
    """The field that names what this is about and so where it goes; read off the fields once per class."""

    @classmethod
    @override
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        cls.ABOUT = next((name for name in ("room_id", "message_id") if name in cls.model_fields), None)

    @property
    def room(self) -> str | None:
        """The room this is about, where it names one."""
        return getattr(self, "room_id") if self.ABOUT == "room_id" else None  # noqa: B009 - a subclass's field

    @property
    def message(self) -> str | None:
        """The message this is about, where it names one instead of a room."""
        return getattr(self, "message_id") if self.ABOUT == "message_id" else None  # noqa: B009 - a subclass's field


class Command(Request):
    """A wish to change something, in the imperative."""

    client_id: Id | None = None
    """The caller's idempotency key: the same key sent again has no further effect and gets the same reply.

    Whether or not there was an effect. Three things are decided afresh: what was refused, so that it may succeed now;
    marks, which say how far somebody has got and only ever move forward (the one exception, `unread.mark`, ends with
    the next `read.mark`, also a repeated one); and what a room or a list of favorites remembers no more, having seen
    some twenty commands since.
    """


class Query(Request):
    """A question without side effects."""


class Event(Model):
    """Something that has happened, in the past tense; any number of readers."""

    TYPE: ClassVar[str]
    TOPIC: ClassVar[str]
    """First word of the routing key on `chat.events`; the shard of the room follows."""
