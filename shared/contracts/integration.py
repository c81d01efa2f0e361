"""What other systems tell the chat: CloudEvents on `chat.integration`, or in the body of a request.

`EXTERNALS` is the whole vocabulary: by type, the model of its data. Unknown fields are ignored: they are not ours.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from shared.contracts.base import Command, Id, Model, Query, Service, View
from shared.contracts.errors import ErrorView
from shared.contracts.membership import External, ExternalKind, Membership

MAX_PARTICIPANTS = 5000
MAX_EXTERNALS = 500
"""Events per request."""

MAX_DEPTH = 32

Title = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]


class ParticipationStatus(StrEnum):
    """Where somebody's wish to take part stands. Only who is accepted is in the room."""

    EN_ATTENTE = "EN_ATTENTE"
    ACCEPTEE = "ACCEPTEE"
    REFUSEE = "REFUSEE"
    ANNULEE = "ANNULEE"


# ── the data of the events, by type ──────────────────────────────────────────────────────────────────────────────


class Told(Model):
    """What a foreign event says; what it says beyond that is none of ours."""

    model_config = ConfigDict(extra="ignore")


class UserUpserted(Told):
    """A user of the other system, as they are now. A field that is absent stays as it is."""

    id: Id
    name: str | None = Field(default=None, max_length=200)
    first_name: str | None = Field(default=None, max_length=100)
    last_name: str | None = Field(default=None, max_length=100)
    avatar: str | None = Field(default=None, max_length=2000)
    roles: tuple[Annotated[str, Field(max_length=100)], ...] | None = Field(default=None, max_length=50)


class UserDeleted(Told):
    """A user is no more: forgotten by the directory, and out of every room."""

    id: Id


class EventCreated(Told):
    """An event, with who made it. `participants`, where given, are all who take part."""

    event_id: Id
    title: Title | None = None
    creator_id: Id | None = None
    participants: tuple[Id, ...] | None = Field(default=None, max_length=MAX_PARTICIPANTS)


class EventUpdated(Told):
    """An event has changed. `participants`, where given, are all who take part now."""

    event_id: Id
    title: Title | None = None
    participants: tuple[Id, ...] | None = Field(default=None, max_length=MAX_PARTICIPANTS)


class EventCancelled(Told):
    """An event does not take place: its room is closed."""

    event_id: Id


class EventParticipant(Told):
    """Somebody takes part, or does not any more."""

    event_id: Id
    user_id: Id


class SortieCreated(Told):
    """An outing, with who made it."""

    sortie_id: Id
    titre: Title | None = None
    createur_id: Id | None = None


class SortieUpdated(Told):
    """An outing has changed."""

    sortie_id: Id
    titre: Title | None = None


class SortieDeleted(Told):
    """An outing is no more, nor is its room."""

    sortie_id: Id


class ParticipationChanged(Told):
    """Where somebody's wish to take part in an outing stands."""

    participation_id: Id
    sortie_id: Id
    user_id: Id
    status: ParticipationStatus


class ParticipationRequested(Told):
    """Somebody wishes to take part in an outing."""

    participation_id: Id
    sortie_id: Id
    user_id: Id
    status: ParticipationStatus = ParticipationStatus.EN_ATTENTE


class SessionCreated(Told):
    """A user's session with assistants."""

    session_id: Id
    user_id: Id


class SessionEnded(Told):
    """A session is over: its room is closed."""

    session_id: Id
    user_id: Id | None = None


class MembersWanted(Told):
    """The members a room shall have: of Parley's id, or of the object it belongs to."""

    room_id: Id | None = None
    external: External | None = None
    members: tuple[Membership, ...] = Field(max_length=MAX_PARTICIPANTS)

    @model_validator(mode="after")
    def _names_one_room(self) -> Self:
        if (self.room_id is None) == (self.external is None):
            raise ValueError("name the room by 'room_id' or by 'external', not both")
        return self


EXTERNALS: dict[str, type[Told]] = {
    "user.upserted": UserUpserted,
    "user.deleted": UserDeleted,
    "event.created": EventCreated,
    "event.updated": EventUpdated,
    "event.cancelled": EventCancelled,
    "event.participant_added": EventParticipant,
    "event.participant_removed": EventParticipant,
    "sortie.created": SortieCreated,
    "sortie.updated": SortieUpdated,
    "sortie.deleted": SortieDeleted,
    "participation.requested": ParticipationRequested,
    "participation.status_changed": ParticipationChanged,
    "session.created": SessionCreated,
    "session.ended": SessionEnded,
    "room.members_set": MembersWanted,
}


def _shallow(events: list[Any]) -> list[Any]:
    """Refuse what serializers choke on."""
    level: list[Any] = events
    for _ in range(MAX_DEPTH):
        inner = (
            value.values() if isinstance(value, dict) else value for value in level if isinstance(value, dict | list)
        )
        level = [child for children in inner for child in children]
    if level:
        raise ValueError(f"an event is nested deeper than {MAX_DEPTH} levels")
    return events


# ── views, commands and queries ──────────────────────────────────────────────────────────────────────────────────


class AppliedView(View):
    """What became of one event: `applied`, or the error. `effective` is false where it was known, or outdated."""

    id: str
    applied: bool
    effective: bool = False
    error: ErrorView | None = None


class AppliedAllView(View):
    """One result per event, in their order."""

    results: list[AppliedView]


class ParticipationView(View):
    """A wish to take part."""

    id: str
    room_id: str
    external: External
    user_id: str
    status: ParticipationStatus
    updated_at: datetime


class ParticipationsView(View):
    """A page of wishes to take part in one object; `next` asks for the following one."""

    participations: list[ParticipationView]
    next: str | None = None


class ApplyExternal(Command):
    """Apply events from outside, each as if it had come by `chat.integration`. For services only."""

    TYPE: ClassVar = "integration.apply"
    OWNER: ClassVar = Service.ROOMS
    RESULT: ClassVar = AppliedAllView

    events: Annotated[list[Any], AfterValidator(_shallow)] = Field(min_length=1, max_length=MAX_EXTERNALS)
    """CloudEvents in JSON; each is judged by itself, so none is described here."""


class SetParticipation(Command):
    """Accept, refuse or cancel a participation: the first two are for the owner of its room, the last for both."""

    TYPE: ClassVar = "participation.set_status"
    OWNER: ClassVar = Service.ROOMS
    RESULT: ClassVar = ParticipationView

    participation_id: Id
    status: ParticipationStatus


class ListParticipations(Query):
    """Wishes to take part in an object, by their ids: all for the owner of its room, one's own for everybody else."""

    TYPE: ClassVar = "participations.list"
    OWNER: ClassVar = Service.ROOMS
    RESULT: ClassVar = ParticipationsView

    kind: ExternalKind
    id: Id
    after: Id | None = None
    limit: int = Field(default=100, ge=1, le=500)


COMMANDS: dict[str, type[Command]] = {command.TYPE: command for command in (ApplyExternal, SetParticipation)}
QUERIES: dict[str, type[Query]] = {ListParticipations.TYPE: ListParticipations}
