"""Commands, queries, events and views of the rooms service about people: the directory, acquaintances, favorites."""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from shared.contracts.base import Command, Event, Id, Query, Service, View
from shared.contracts.presence import PresenceView

MAX_FAVORITES = 500


class FavoriteKind(StrEnum):
    """What can be a favorite."""

    ROOM = "room"
    USER = "user"


# ── views ────────────────────────────────────────────────────────────────────────────────────────────────────────


class UserView(View):
    """A person as the directory knows them."""

    id: str
    name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    avatar: str | None = None
    roles: tuple[str, ...] = ()


class UsersView(View):
    """Those of the users asked for whom the directory knows."""

    users: list[UserView]


class PersonView(View):
    """Somebody one has talked with: who they are, whether they are here, and the room of the two."""

    user: UserView
    presence: PresenceView
    room_id: str


class PeopleView(View):
    """A page of people; `next` asks for the following one."""

    people: list[PersonView]
    next: str | None = None


class FavoriteView(View):
    """A room or user one has marked. `name` and `avatar` are absent where it is out of sight now."""

    kind: FavoriteKind
    id: str
    name: str | None = None
    avatar: str | None = None


class FavoritesView(View):
    """All one's favorites, the oldest first. `version` grows with every change."""

    favorites: list[FavoriteView]
    version: int = 0


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────


class PeopleCommand(Command):
    """A command to the rooms service."""

    OWNER: ClassVar = Service.ROOMS


class RecordUser(PeopleCommand):
    """Keep the caller's claims in the directory; what it knows of them now. The gateway asks this when a user comes."""

    TYPE: ClassVar = "user.record"
    RESULT: ClassVar = UserView


class ToggleFavorite(PeopleCommand):
    """Mark a room or user as a favorite, or not; without `favorite` the other of what it is now.

    A room must be one the caller may read, a user one whom the caller's tenant knows. What has got out of sight since
    can still be taken off the list.
    """

    TYPE: ClassVar = "favorite.toggle"
    RESULT: ClassVar = FavoritesView

    kind: FavoriteKind
    id: Id
    favorite: bool | None = None


# ── queries ──────────────────────────────────────────────────────────────────────────────────────────────────────


class PeopleQuery(Query):
    """A question to the rooms service."""

    OWNER: ClassVar = Service.ROOMS


class GetUsers(PeopleQuery):
    """Users of one's tenant by id."""

    TYPE: ClassVar = "users.get"
    RESULT: ClassVar = UsersView

    user_ids: list[Id] = Field(min_length=1, max_length=200)


class ListPeople(PeopleQuery):
    """People one has a room of two with, a page at a time, by room id."""

    TYPE: ClassVar = "people.list"
    RESULT: ClassVar = PeopleView

    after: Id | None = None
    limit: int = Field(default=100, ge=1, le=500)


class ListFavorites(PeopleQuery):
    """The rooms and users one has marked."""

    TYPE: ClassVar = "favorites.list"
    RESULT: ClassVar = FavoritesView


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────


class PersonalEvent(Event):
    """Something that concerns one user alone: told on all their connections, and to nobody else."""

    TOPIC: ClassVar = "user"

    user_id: str


class FavoritesUpdated(PersonalEvent):
    """One's favorites changed; these are all of them now."""

    TYPE: ClassVar = "favorites.updated"

    favorites: list[FavoriteView]
    version: int = 0


COMMANDS: dict[str, type[PeopleCommand]] = {command.TYPE: command for command in (RecordUser, ToggleFavorite)}
QUERIES: dict[str, type[PeopleQuery]] = {query.TYPE: query for query in (GetUsers, ListPeople, ListFavorites)}
EVENTS: dict[str, type[PersonalEvent]] = {FavoritesUpdated.TYPE: FavoritesUpdated}
