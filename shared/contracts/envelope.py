"""The envelope around everything on the bus: a CloudEvents 1.0 event in JSON, always in batches.

Source: CloudEvents 1.0 JSON format, sections 2 and 4 (batch). Commands and replies travel in the same envelope
as events, so that one reader reads all. Extension attributes: `tenant`, `traceparent` (W3C trace context, by the
distributed tracing extension), `replyto` (where the answer goes), `echo` and `cause` (an event that is the answer),
`roomseq` and `roomrev` (the position of a timeline event in its room).
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.base import Id, Model

CONTENT_TYPE = "application/cloudevents-batch+json"


class Actor(Model):
    """On whose behalf a command or query is made: what the token said, checked at the edge."""

    id: Id
    tenant: Id = "default"
    name: str | None = Field(default=None, max_length=200)
    first_name: str | None = Field(default=None, max_length=100)
    last_name: str | None = Field(default=None, max_length=100)
    avatar: str | None = Field(default=None, max_length=2000)
    roles: tuple[Annotated[str, Field(max_length=100)], ...] = Field(default=(), max_length=50)


class Payload(BaseModel):
    """Data of a command or query: who asks, and what."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    actor: Actor
    body: dict[str, Any]


class Envelope(BaseModel):
    """The CloudEvents attributes Parley reads; others pass unread, as the specification asks."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    specversion: Literal["1.0"] = "1.0"
    id: str = Field(min_length=1, max_length=200)
    source: str = Field(min_length=1, max_length=200)
    type: str = Field(min_length=1, max_length=100)
    subject: str | None = None
    time: datetime | None = None
    tenant: str = "default"
    traceparent: str | None = None


class RequestEnvelope(Envelope):
    """A command or query."""

    replyto: Id | None = None
    """The routing key of the answer, so within what AMQP takes for one."""
    echo: bool = False
    """Whoever asks reads the events: where one of them tells the success, it is the answer, and no other comes."""
    data: Payload


class EventEnvelope(Envelope):
    """An event. `roomseq` and `roomrev` are set where it changed a room's timeline."""

    cause: str | None = None
    """The id of the request that this answers, for who sent it with `echo`."""
    roomseq: int | None = None
    roomrev: int | None = None
    data: dict[str, Any]


class ExternalEnvelope(Envelope):
    """An event of another system. Its tenant, where absent, is that of who hands it in."""

    tenant: Id | None = None  # type: ignore[assignment]
    data: dict[str, Any]
