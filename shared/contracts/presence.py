"""Who is here, looks at what, and is typing. Presence the rooms service keeps; the others are told and forgotten."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from shared.contracts.base import Command, Event, Id, Model, Query, Service, View

MAX_WATCHED = 500
"""Users a connection may watch, and users per question."""

MAX_REPORTED = 1000
"""Users per report of a gateway."""


class PresenceStatus(StrEnum):
    """Whether somebody is here."""

    ONLINE = "online"
    AWAY = "away"
    OFFLINE = "offline"


class PresenceView(View):
    """Whether somebody is here, and when they last were (absent where that is not known, or now)."""

    user_id: str
    status: PresenceStatus
    last_seen: datetime | None = None
    number: int = 0
    """Grows with every change: of two words about one user, the greater number is the newer."""


class PresencesView(View):
    """One presence per user asked for."""

    users: list[PresenceView]


class Sighting(Model):
    """What a gateway says of a user: whether they have connections there. A greater `number` is the newer word."""

    tenant: Id
    user_id: Id
    here: bool
    number: int = Field(ge=0)


class PresenceCommand(Command):
    """A command to the rooms service."""

    OWNER: ClassVar = Service.ROOMS


class SetPresence(PresenceCommand):
    """Appear as online, away or offline. Holds while one is connected, on all one's devices."""

    TYPE: ClassVar = "presence.set"
    RESULT: ClassVar = PresenceView

    status: PresenceStatus


class ReportedView(View):
    """What became of a gateway's report."""

    gateway: str
    alive: bool = True
    """False: it counts as dead, and nothing was taken in. It must take another name and report everybody."""


class ReportPresence(PresenceCommand):
    """A gateway lives, and these users have come or gone there. For services only.

    Without a report for `lease` seconds the gateway counts as dead for ever, and nobody as connected to it. So every
    process takes a name that no other has had.
    """

    TYPE: ClassVar = "presence.report"
    RESULT: ClassVar = ReportedView

    gateway: Id
    lease: float = Field(gt=0, le=600)
    beginning: bool = False
    """No report under this name has been answered yet."""
    leaving: bool = False
    """The gateway ends: nobody is connected to it any more, and nothing more will come under this name."""
    sightings: list[Sighting] = Field(default=[], max_length=MAX_REPORTED)


class PresenceQuery(Query):
    """A question to the rooms service."""

    OWNER: ClassVar = Service.ROOMS


class GetPresence(PresenceQuery):
    """Whether users of one's tenant are here."""

    TYPE: ClassVar = "presence.get"
    RESULT: ClassVar = PresencesView

    user_ids: list[Id] = Field(min_length=1, max_length=MAX_WATCHED)


class GetOnline(PresenceQuery):
    """The members of a room who are online or away."""

    TYPE: ClassVar = "presence.room"
    RESULT: ClassVar = PresencesView

    room_id: Id


class PresenceChanged(Event):
    """Somebody came, went or became away. Told to who watches them, and in the rooms they are in."""

    TYPE: ClassVar = "presence.changed"
    TOPIC: ClassVar = "presence"

    user_id: str
    status: PresenceStatus
    last_seen: datetime | None = None
    number: int = 0
    """Grows with every change of this user's presence."""
    rooms: list[str] = []
    """Rooms whose readers are told; not shown to clients."""


class Typing(Event):
    """A member started or stopped typing. Expires by itself at the readers."""

    TYPE: ClassVar = "typing"
    TOPIC: ClassVar = "typing"

    room_id: str
    user_id: str
    typing: bool


class Looking(Event):
    """Somebody has begun or ceased to look at a room, on a client that lets its readers know.

    Told of each connection: who looks at it on two is told twice. Of a gateway that dies nothing is told.
    """

    TYPE: ClassVar = "looking"
    TOPIC: ClassVar = "looking"

    room_id: str
    user_id: str
    looking: bool


COMMANDS: dict[str, type[PresenceCommand]] = {command.TYPE: command for command in (SetPresence, ReportPresence)}
QUERIES: dict[str, type[PresenceQuery]] = {query.TYPE: query for query in (GetPresence, GetOnline)}
EVENTS: dict[str, type[Event]] = {event.TYPE: event for event in (PresenceChanged, Typing, Looking)}
