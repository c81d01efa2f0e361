"""People: the directory, those one has talked with, favorites. Loads, lets the rules decide, stores, announces."""

import asyncio

from services.rooms import favorites as rules
from services.rooms.directory import Directory
from services.rooms.domain import require
from services.rooms.favorites import Favorite, Favorites
from services.rooms.handlers import CommandTable, now
from services.rooms.outbox import Outbox
from services.rooms.people_store import PeopleStore
from services.rooms.presence import views
from services.rooms.presence_store import PresenceStore
from services.rooms.queries import QueryTable
from services.rooms.records import record_of
from services.rooms.repository import Conflict, Repository
from services.rooms.visits import visit
from shared.contracts.base import View
from shared.contracts.envelope import Actor, RequestEnvelope
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.membership import Action
from shared.contracts.people import (
    FavoriteKind,
    FavoritesUpdated,
    FavoritesView,
    FavoriteView,
    GetUsers,
    ListFavorites,
    ListPeople,
    PeopleView,
    PersonView,
    RecordUser,
    ToggleFavorite,
    UsersView,
    UserView,
)
from shared.mongo import PyMongoError, Session, is_duplicate
from shared.permissions import allowed

ATTEMPTS = 50
"""Times a change of favorites is decided while the same user's other devices are faster."""

PAUSE = 0.01


class FavoriteNames:
    """Puts names to favorites, as far as their owner may know them now."""

    def __init__(self, directory: Directory, store: PeopleStore) -> None:
        self._directory = directory
        self._store = store

    async def view(self, actor: Actor, favorites: Favorites) -> FavoritesView:
        """A user's favorites as they see them."""
        user_ids, room_ids = (
            [item.id for item in favorites.items if item.kind is kind]
            for kind in (FavoriteKind.USER, FavoriteKind.ROOM)
        )
        people = await self._directory.people(actor.tenant, user_ids) if user_ids else {}
        sights = await self._store.sights(actor.tenant, actor.id, room_ids) if room_ids else {}
        rooms = {
            room_id: sight.name
            for room_id, sight in sights.items()
            if allowed(Action.READ, sight.type, sight.role, actor.roles)
        }

        def one(item: Favorite) -> FavoriteView:
            if item.kind is FavoriteKind.ROOM:
                return FavoriteView(kind=item.kind, id=item.id, name=rooms.get(item.id))
            person = people.get(item.id)
            if person is None:
                return FavoriteView(kind=item.kind, id=item.id)
            return FavoriteView(kind=item.kind, id=item.id, name=name_of(person), avatar=person.avatar)

        return FavoritesView(favorites=[one(item) for item in favorites.items], version=favorites.version)


class PeopleCommands:
    """Carries out what changes the directory and favorites."""

    def __init__(
        self, repository: Repository, directory: Directory, store: PeopleStore, names: FavoriteNames, outbox: Outbox
    ) -> None:
        self._repository = repository
        self._directory = directory
        self._store = store
        self._names = names
        self._outbox = outbox
        self.table: CommandTable = {RecordUser: self._record, ToggleFavorite: self._toggle}

    async def _record(self, envelope: RequestEnvelope, _command: RecordUser) -> View:
        actor = envelope.data.actor
        await self._directory.record(actor, now())
        return (await self._directory.people(actor.tenant, [actor.id])).get(actor.id) or UserView(id=actor.id)

    async def _toggle(self, envelope: RequestEnvelope, command: ToggleFavorite) -> View:
        actor, key = envelope.data.actor, command.client_id or envelope.id
        for _ in range(ATTEMPTS):
            before = await self._store.favorites(actor.tenant, actor.id)
            if rules.repeats(before, command, key):
                return await self._names.view(actor, before)
            if rules.wants(before, command):
                await self._check_sight(actor, command)
            after = rules.toggle(before, command, key)
            view = await self._names.view(actor, after)
            if after is before:
                return view
            try:
                await self._write(actor, after, view, envelope, told=after.version != before.version)
            except Conflict:
                await asyncio.sleep(PAUSE)
                continue
            return view
        raise ChatError(ErrorCode.UNAVAILABLE, "Your favorites are being changed all the time; try again.")

    async def _check_sight(self, actor: Actor, command: ToggleFavorite) -> None:
        if command.kind is FavoriteKind.ROOM:
            require(await visit(self._repository, actor, command.id), Action.READ)
        elif command.id not in await self._directory.people(actor.tenant, [command.id]):
            raise ChatError(ErrorCode.NOT_FOUND, f"There is no user '{command.id}'.")

    async def _write(
        self, actor: Actor, after: Favorites, view: FavoritesView, envelope: RequestEnvelope, *, told: bool
    ) -> None:
        at = now()
        event = FavoritesUpdated(user_id=actor.id, favorites=view.favorites, version=view.version)
        record = record_of(
            event,
            id=f"favorites/{actor.tenant}/{actor.id}:{after.version}",
            key=event.TOPIC,
            subject=actor.id,
            tenant=actor.tenant,
            at=at,
            traceparent=envelope.traceparent,
        )

        async def work(session: Session) -> None:
            if told:
                await self._store.save(after, record, at, session)
            else:
                await self._store.remember(after, session)

        try:
            await self._repository.transaction(work)
        except PyMongoError as error:
            if is_duplicate(error):  # another device has marked the first one
                raise Conflict("other favorites were written meanwhile") from error
            raise
        if told:
            self._outbox.publish([record])


class PeopleQueries:
    """Answers who somebody is, with whom one has talked, and what one has marked."""

    def __init__(
        self, directory: Directory, store: PeopleStore, presences: PresenceStore, names: FavoriteNames
    ) -> None:
        self._directory = directory
        self._store = store
        self._presences = presences
        self._names = names
        self.table: QueryTable = {GetUsers: self._users, ListPeople: self._people, ListFavorites: self._favorites}

    async def _users(self, actor: Actor, query: GetUsers) -> UsersView:
        people = await self._directory.people(actor.tenant, query.user_ids)
        return UsersView(users=[people[user_id] for user_id in dict.fromkeys(query.user_ids) if user_id in people])

    async def _people(self, actor: Actor, query: ListPeople) -> PeopleView:
        page = await self._store.acquaintances(actor.tenant, actor.id, query.after, query.limit)
        user_ids = [one.user_id for one in page.items]
        people = await self._directory.people(actor.tenant, user_ids)
        presences = {view.user_id: view for view in await views(self._presences, actor.tenant, user_ids)}
        return PeopleView(
            people=[
                PersonView(
                    user=people.get(one.user_id) or UserView(id=one.user_id),
                    presence=presences[one.user_id],
                    room_id=one.room_id,
                )
                for one in page.items
            ],
            next=page.next,
        )

    async def _favorites(self, actor: Actor, _query: ListFavorites) -> FavoritesView:
        return await self._names.view(actor, await self._store.favorites(actor.tenant, actor.id))


def name_of(person: UserView) -> str | None:
    """How somebody is called."""
    return person.name or " ".join(part for part in (person.first_name, person.last_name) if part) or None
