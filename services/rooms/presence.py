"""Presence: commands and queries. Loads, lets the rules decide, stores, hands on what is to be announced."""

from collections.abc import Callable, Collection
from datetime import timedelta

from services.rooms import presence_rules as rules
from services.rooms.announcer import Announcer
from services.rooms.domain import require
from services.rooms.handlers import CommandTable, now
from services.rooms.presence_rules import Presence, view_of
from services.rooms.presence_store import Key, PresenceStore
from services.rooms.queries import QueryTable
from services.rooms.repository import Repository
from services.rooms.visits import visit
from shared.contracts.envelope import Actor, RequestEnvelope
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.membership import Action
from shared.contracts.presence import (
    GetOnline,
    GetPresence,
    PresencesView,
    PresenceView,
    ReportedView,
    ReportPresence,
    SetPresence,
    Sighting,
)
from shared.permissions import GlobalRole

ATTEMPTS = 100
"""Times a change is decided while others are faster; each of them leaves one rival less."""

Decision = Callable[[Presence], Presence]
"""From how things stand to how they shall stand; the same where nothing is to be done."""


class Presences:
    """Changes presences, each change decided on what is stored, and hands on what others are to be told."""

    def __init__(self, store: PresenceStore, announcer: Announcer) -> None:
        self._store = store
        self._announcer = announcer

    async def change(self, keys: Collection[Key], decide: Decision) -> dict[Key, Presence]:
        """Let `decide` change the presences of some users; how they stand then.

        Raises:
            ChatError: `unavailable` where others change them all the time.
        """
        result: dict[Key, Presence] = {}
        rest = set(keys)
        for _ in range(ATTEMPTS):
            found = await self._store.find(rest)
            before = {key: found.get(key) or Presence(tenant=key.tenant, user_id=key.user_id) for key in rest}
            after = {key: decide(presence) for key, presence in before.items()}
            changed = {key: rules.next_version(presence) for key, presence in after.items() if presence != before[key]}
            written = {Key(item.tenant, item.user_id): item for item in await self._store.save(changed.values())}
            self._announcer.put(item for key, item in written.items() if item.number > before[key].number)
            result |= {key: presence for key, presence in after.items() if key not in changed} | written
            rest = changed.keys() - written.keys()
            if not rest:
                return result
        raise ChatError(ErrorCode.UNAVAILABLE, "Presence is being changed all the time; try again.", retry_after=1.0)


class PresenceCommands:
    """Carries out what changes presences."""

    def __init__(self, presences: Presences, store: PresenceStore, grace: timedelta) -> None:
        self._presences = presences
        self._store = store
        self._grace = grace
        self.table: CommandTable = {SetPresence: self._set, ReportPresence: self._report}

    async def _set(self, envelope: RequestEnvelope, command: SetPresence) -> PresenceView:
        actor, at = envelope.data.actor, now()
        key = Key(actor.tenant, actor.id)

        def decide(presence: Presence) -> Presence:
            return rules.choose(presence, command.status, now=at, grace=self._grace)

        return view_of((await self._presences.change([key], decide))[key])

    async def _report(self, envelope: RequestEnvelope, command: ReportPresence) -> ReportedView:
        if GlobalRole.SERVICE not in envelope.data.actor.roles:
            raise ChatError(ErrorCode.FORBIDDEN, "presence.report is for services only.")
        if command.leaving:  # the sweep ends what it has seen
            await self._store.retire(command.gateway, now())
            return ReportedView(gateway=command.gateway, alive=False)
        lease = timedelta(seconds=command.lease)
        alive = await self._store.renew(command.gateway, lease, now(), beginning=command.beginning)
        if alive:
            await self._take_in(command.gateway, command.sightings)
        return ReportedView(gateway=command.gateway, alive=alive)

    async def _take_in(self, gateway: str, sightings: Collection[Sighting]) -> None:
        latest: dict[Key, Sighting] = {}
        for sighting in sorted(sightings, key=lambda item: item.number):
            latest[Key(sighting.tenant, sighting.user_id)] = sighting
        at = now()

        def decide(presence: Presence) -> Presence:
            word = latest[Key(presence.tenant, presence.user_id)]
            return rules.sight(presence, gateway, word.number, here=word.here, now=at, grace=self._grace)

        if latest:
            await self._presences.change(latest.keys(), decide)


class PresenceQueries:
    """Answers who is here."""

    def __init__(self, repository: Repository, store: PresenceStore) -> None:
        self._repository = repository
        self._store = store
        self.table: QueryTable = {GetPresence: self._get, GetOnline: self._online}

    async def _get(self, actor: Actor, query: GetPresence) -> PresencesView:
        return PresencesView(users=await views(self._store, actor.tenant, query.user_ids))

    async def _online(self, actor: Actor, query: GetOnline) -> PresencesView:
        require(await visit(self._repository, actor, query.room_id), Action.READ)
        members = await self._store.members_of(query.room_id)
        present = await self._store.present([Key(actor.tenant, user_id) for user_id in members])
        return PresencesView(users=sorted((view_of(item) for item in present), key=lambda view: view.user_id))


async def views(store: PresenceStore, tenant: str, user_ids: Collection[str]) -> list[PresenceView]:
    """What is shown of each of a tenant's users, in the order asked for, each once."""
    keys = [Key(tenant, user_id) for user_id in dict.fromkeys(user_ids)]
    found = await store.find(keys)
    return [view_of(found.get(key) or Presence(tenant=tenant, user_id=key.user_id)) for key in keys]
