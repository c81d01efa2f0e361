"""Events from outside: one row per type says what it tells about which object. Pure; applies nothing.

An object of another system has a room of its own where its row says so (CREATED); users are objects without one.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple

from pydantic import ValidationError

from services.rooms.integration_facts import Key, Name, Statement
from shared.contracts import integration as told
from shared.contracts.envelope import ExternalEnvelope
from shared.contracts.errors import ChatError, ErrorCode, invalid
from shared.contracts.membership import External, RoomType

EVENT, SORTIE, SESSION = "event", "sortie", "session"
"""Kinds of objects."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST_AHEAD = timedelta(hours=1)
"""How far clocks may differ: what is said of the future would outweigh all that is said until then."""

PROFILE = ("name", "first_name", "last_name", "avatar", "roles")

Values = dict[Key, Any]


class About(StrEnum):
    """What an object is."""

    EXTERNAL = "external"
    """Something of another system, by kind and id."""
    ROOM = "room"
    """A room by its own id."""
    USER = "user"


class Object(NamedTuple):
    """What facts are about. Its key is unique among all."""

    tenant: str
    about: About
    kind: str
    id: str

    @property
    def key(self) -> str:
        """Ids hold no space, so no two objects share one."""
        return f"{self.tenant} {self.about} {self.kind} {self.id}"

    @property
    def external(self) -> External:
        """The object as its room names it."""
        return External(kind=self.kind, id=self.id)


class Telling(NamedTuple):
    """What one event tells about what."""

    object: Object
    statement: Statement


class Subject(NamedTuple):
    """What an event is about, within its tenant, and what it says of it."""

    about: About
    kind: str
    id: str
    values: Values


class Rank(IntEnum):
    """What of several events at the same moment usually comes later."""

    BEGIN = 0
    WHOLE = 1
    ONE = 2
    END = 3


class Row(NamedTuple):
    """A type of event: what its data says about what, and its rank among others of the same moment."""

    tells: Callable[[Any], Subject]
    rank: Rank


def _external(kind: str, id: str, **values: Any) -> Subject:
    """Registers without keys, by their names; what is None was not said."""
    said = {Key(Name(name)): value for name, value in values.items() if value is not None}
    return Subject(About.EXTERNAL, kind, id, said)


def _everybody(members: Mapping[str, str], *, exact: bool) -> dict[str, Any]:
    return {"members": sorted(list(item) for item in members.items()), "exact": exact}


def _participants(ids: tuple[str, ...] | None) -> dict[str, Any] | None:
    return None if ids is None else _everybody(dict.fromkeys(ids, "member"), exact=False)


def _event_created(data: told.EventCreated) -> Subject:
    return _external(
        EVENT,
        data.event_id,
        created=RoomType.EVENT.value,
        title=data.title,
        creator=data.creator_id,
        all=_participants(data.participants),
    )


def _event_updated(data: told.EventUpdated) -> Subject:
    return _external(EVENT, data.event_id, title=data.title, all=_participants(data.participants))


def _event_cancelled(data: told.EventCancelled) -> Subject:
    return _external(EVENT, data.event_id, cancelled=True)


def _participant_added(data: told.EventParticipant) -> Subject:
    return Subject(About.EXTERNAL, EVENT, data.event_id, {Key(Name.PERSON, data.user_id): True})


def _participant_removed(data: told.EventParticipant) -> Subject:
    return Subject(About.EXTERNAL, EVENT, data.event_id, {Key(Name.PERSON, data.user_id): False})


def _sortie_created(data: told.SortieCreated) -> Subject:
    kind = RoomType.EVENT.value
    return _external(SORTIE, data.sortie_id, created=kind, title=data.titre, creator=data.createur_id)


def _sortie_updated(data: told.SortieUpdated) -> Subject:
    return _external(SORTIE, data.sortie_id, title=data.titre)


def _sortie_deleted(data: told.SortieDeleted) -> Subject:
    return _external(SORTIE, data.sortie_id, deleted=True)


def _participation(data: told.ParticipationRequested | told.ParticipationChanged) -> Subject:
    values = participation(data.participation_id, data.user_id, data.status)
    return Subject(About.EXTERNAL, SORTIE, data.sortie_id, values)


def participation(id: str, user_id: str, status: told.ParticipationStatus) -> Values:
    """What there is to say about a participation."""
    return {Key(Name.PARTICIPATION, id): {"user_id": user_id, "status": status.value}}


def _session_created(data: told.SessionCreated) -> Subject:
    return _external(SESSION, data.session_id, created=RoomType.SESSION.value, creator=data.user_id)


def _session_ended(data: told.SessionEnded) -> Subject:
    return _external(SESSION, data.session_id, cancelled=True)


def _user_upserted(data: told.UserUpserted) -> Subject:
    fields = data.model_dump(mode="json", include=set(PROFILE), exclude_none=True)
    said: Values = {Key(Name.PROFILE, name): value for name, value in fields.items()}
    return Subject(About.USER, "user", data.id, {**said, Key(Name.CREATED): True})


def _user_deleted(data: told.UserDeleted) -> Subject:
    return Subject(About.USER, "user", data.id, {Key(Name.DELETED): True})


def _members_set(data: told.MembersWanted) -> Subject:
    everybody = _everybody({item.user_id: item.role.value for item in data.members}, exact=True)
    if data.external is not None:
        return _external(data.external.kind, data.external.id, all=everybody)
    return Subject(About.ROOM, "room", data.room_id or "", {Key(Name.ALL): everybody})


INTEGRATIONS: Mapping[str, Row] = {
    "user.upserted": Row(_user_upserted, Rank.BEGIN),
    "user.deleted": Row(_user_deleted, Rank.END),
    "event.created": Row(_event_created, Rank.BEGIN),
    "event.updated": Row(_event_updated, Rank.WHOLE),
    "event.cancelled": Row(_event_cancelled, Rank.END),
    "event.participant_added": Row(_participant_added, Rank.ONE),
    "event.participant_removed": Row(_participant_removed, Rank.ONE),
    "sortie.created": Row(_sortie_created, Rank.BEGIN),
    "sortie.updated": Row(_sortie_updated, Rank.WHOLE),
    "sortie.deleted": Row(_sortie_deleted, Rank.END),
    "participation.requested": Row(_participation, Rank.BEGIN),
    "participation.status_changed": Row(_participation, Rank.ONE),
    "session.created": Row(_session_created, Rank.BEGIN),
    "session.ended": Row(_session_ended, Rank.END),
    "room.members_set": Row(_members_set, Rank.WHOLE),
}
"""By type: the row of an event."""


def envelope_of(item: Any) -> ExternalEnvelope:
    """A JSON value as an event from outside. Raises ChatError `invalid`."""
    try:
        return ExternalEnvelope.model_validate(item)
    except ValidationError as error:
        raise invalid(error, "the event") from error


def read(envelope: ExternalEnvelope, tenant: str, arrived: datetime) -> Telling:
    """What an event tells.

    Args:
        tenant: whose objects it speaks of.
        arrived: when it came, by our clock.

    Raises:
        ChatError: `invalid` for an unknown type, data that is not of its type, or a time to come.
    """
    model, row = told.EXTERNALS.get(envelope.type), INTEGRATIONS.get(envelope.type)
    if model is None or row is None:
        known = ", ".join(sorted(INTEGRATIONS))
        raise ChatError(ErrorCode.INVALID, f"'{envelope.type}' is not known here; known are {known}.")
    try:
        data = model.model_validate(envelope.data)
    except ValidationError as error:
        raise invalid(error, envelope.type) from error
    time = None if envelope.time is None else microseconds(envelope.time)
    if time is not None and time > microseconds(arrived + MOST_AHEAD):
        raise ChatError(ErrorCode.INVALID, f"'time' lies in the future ({envelope.time}); see to the sender's clock.")
    subject = row.tells(data)
    about = Object(tenant, subject.about, subject.kind, subject.id)
    return Telling(about, Statement(envelope.source, envelope.id, time, row.rank, subject.values))


def microseconds(time: datetime) -> int:
    """A time since the epoch; UTC, where it names no zone."""
    aware = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    return (aware - EPOCH) // timedelta(microseconds=1)
