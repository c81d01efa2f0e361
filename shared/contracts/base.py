"""The four kinds of contract: Command, Query, Event and View. Holds no field of any particular one."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Id = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[\x21-\x7e]+$")]
"""An opaque identifier: 1 to 128 printable ASCII characters without spaces."""

MessageId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{24}$")]
"""12 bytes in hex, see shared.ids.message_id."""

Seq = Annotated[int, Field(ge=0, le=2**53)]
"""A position in a room, small enough for every JSON reader."""


class Service(StrEnum):
    """The owner of a command or query: the one service that answers it."""

    MESSAGES = "messages"
    ROOMS = "rooms"
    MEDIA = "media"


class Model(BaseModel):
    """Immutable and strict about names: an unknown field is an error, not a typo that passes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class View(Model):
    """What a reader sees: the shape of data in replies, query results and events."""


class Command(Model):
    """A wish to change something, in the imperative, with exactly one owner."""

    TYPE: ClassVar[str]
    OWNER: ClassVar[Service]
    RESULT: ClassVar[type[View]]

    client_id: Id | None = None
    """The caller's idempotency key: the same key sent again has no further effect and gets the same reply."""

    @property
    def room(self) -> str | None:
        """The room this is about, where the command names one."""
        return getattr(self, "room_id", None)

    @property
    def message(self) -> str | None:
        """The message this is about, where the command names one."""
        return getattr(self, "message_id", None)

    @classmethod
    def parse(cls, data: Any) -> Self:
        """Validate `data` (a mapping). Raises pydantic.ValidationError."""
        return cls.model_validate(data)


class Query(Model):
    """A question without side effects, answered by its owner."""

    TYPE: ClassVar[str]
    OWNER: ClassVar[Service]
    RESULT: ClassVar[type[View]]


class Event(Model):
    """Something that has happened, in the past tense; any number of readers."""

    TYPE: ClassVar[str]
    TOPIC: ClassVar[str]
    """First word of the routing key on `chat.events`; the shard of the room follows."""
