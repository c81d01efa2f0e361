"""Brings rooms and the directory in line with what other systems have said, by the same commands as everybody's.

Facts are stored first, then their room follows. Who does that claims the object, so there is one at a time; should the
facts change meanwhile, it looks again. What a crash left behind is *due*, and whichever process finds it takes it up.
"""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from services.rooms.directory import Directory
from services.rooms.domain import Room
from services.rooms.handlers import CommandTable, now
from services.rooms.integration_facts import Facts, Name, Wanted, wanted
from services.rooms.integration_facts import members as members_of
from services.rooms.integration_store import FactsRepository, Stored
from services.rooms.integrations import About, Object
from services.rooms.records import SOURCE
from services.rooms.repository import Repository
from shared import ids
from shared.bus.codec import unique_id
from shared.contracts.base import View
from shared.contracts.envelope import Actor, Payload, RequestEnvelope
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.membership import Membership, Role, RoomResult
from shared.contracts.rooms import (
    MAX_MEMBERS,
    CloseRoom,
    CreateRoom,
    DeleteRoom,
    LeaveRoom,
    RemoveMember,
    RoomCommand,
    SetMembers,
    UpdateRoom,
)
from shared.logging import get_logger
from shared.mongo import PyMongoError, is_transient
from shared.permissions import POLICIES, GlobalRole
from shared.retry import until_done

log = get_logger(__name__)

ACTOR = "integration"
"""Who acts in rooms on behalf of other systems."""

LOOK_EVERY = 1.0
ROOMS = 200
"""Rooms of a user looked at at once."""

WAIT = 5.0
"""Seconds to wait for an object that is in other hands."""

Settled = dict[str, Any]


class Reconciler:
    """Makes rooms what they should be."""

    def __init__(
        self, facts: FactsRepository, repository: Repository, directory: Directory, commands: CommandTable
    ) -> None:
        self._facts = facts
        self._repository = repository
        self._directory = directory
        self._commands = commands

    async def settle(self, key: str, *, patient: bool) -> None:
        """Bring what belongs to an object in line with the facts.

        Args:
            patient: wait for an object that is in other hands, for some seconds.

        Raises:
            ChatError: where the rooms' rules refuse; it is tried again later.
        """
        deadline = asyncio.get_running_loop().time() + (WAIT if patient else 0)
        while not await self._settled(key) and await self._facts.is_due(key):
            if asyncio.get_running_loop().time() >= deadline:
                return
            await asyncio.sleep(0.05)  # another process's state

    async def relay(self) -> None:
        """Settle what was left behind, for ever."""
        while True:
            for key in await until_done(self._due, _database, "looking for rooms left behind"):
                try:
                    await self._settled(key)
                except Exception as error:  # noqa: BLE001 - one object must not stop the others
                    log.warning("a room is not in line", object=key, error=f"{type(error).__name__}: {error}"[:500])
            await asyncio.sleep(LOOK_EVERY)

    async def _due(self) -> list[str]:
        return await self._facts.due(datetime.now(UTC))

    async def _settled(self, key: str) -> bool:
        """Try to settle an object; False where it is in other hands."""
        claimant, first = unique_id(), True
        while True:
            claimed = await self._facts.claim(key, claimant, datetime.now(UTC))
            if claimed is None:
                return False
            try:
                # Having been overtaken, one cannot know whose hand the room shows: compare everything.
                before = (claimed.settled or {}) if first else None
                settled = await self._align(claimed, before)
            except Exception as error:
                if not is_transient(error):
                    await self._facts.fail(claimed, claimant, datetime.now(UTC))
                raise
            if await self._facts.finish(claimed, claimant, settled):
                return True
            first = False

    async def _align(self, stored: Stored, before: Mapping[str, Any] | None) -> Settled:
        """Bring in line what differs from `before`; None: from what is there. What it was brought in line with."""
        about = stored.object
        if about.about is About.USER:
            return await self._align_user(about, stored.facts, before)
        gone = await self._facts.gone(about.tenant, members_of(stored.facts))
        want, room_id = wanted(stored.facts, gone), room_of(about)
        room = await self._repository.room(about.tenant, room_id)
        made = list(stored.facts.stamp(Name.CREATED))
        if room is None or room.deleted_at is not None:
            ended_since = room is not None and before is not None and before.get("made") == made
            if want.deleted or ended_since or (before := await self._make(about, want)) is None:
                return {"made": made}
            room = await self._repository.room(about.tenant, room_id)
        elif want.deleted:
            await self._do(about.tenant, DeleteRoom(room_id=room_id))
            return {"made": made}
        if room is not None:
            await self._change(about, room, want, before)
        return {"made": made, "name": want.name, "members": _digest(want), "closed": want.closed}

    async def _make(self, about: Object, want: Wanted) -> Settled | None:
        """Make the room; what it is in line with then. None where it is not to be.

        It must not begin with nobody to own it, where its type asks for that.
        """
        members = want.members or {}
        owner = next((user_id for user_id, role in members.items() if role is Role.OWNER), None)
        if want.type is None or (owner is None and POLICIES[want.type].creators is None):
            return None
        others = [user_id for user_id in members if user_id != owner][: MAX_MEMBERS - 1]
        command = CreateRoom(type=want.type, name=want.name, members=others, owner=owner, external=about.external)
        result = await self._do(about.tenant, command)
        begins_with = dict.fromkeys(others, Role.MEMBER) | ({} if owner is None else {owner: Role.OWNER})
        if begins_with != members or not isinstance(result, RoomResult) or not result.created:
            return {}
        return {"members": _digest(want)}

    async def _change(self, about: Object, room: Room, want: Wanted, before: Mapping[str, Any] | None) -> None:
        known = before or {}
        if want.name is not None and want.name not in {room.name, known.get("name")}:
            await self._do(about.tenant, UpdateRoom(room_id=room.id, name=want.name))
        if want.members is not None and known.get("members") != _digest(want):
            members = [Membership(user_id=user_id, role=role) for user_id, role in want.members.items()]
            await self._do(about.tenant, SetMembers(room_id=room.id, members=members))
        closed = room.closed if before is None else before.get("closed", False)
        if want.closed is not closed and want.closed is not room.closed:
            await self._do(about.tenant, CloseRoom(room_id=room.id, closed=want.closed))

    # ── users ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _align_user(self, about: Object, facts: Facts, before: Mapping[str, Any] | None) -> Settled:
        """Write the directory; where somebody is gone or back, their objects' rooms follow, then what is left."""
        deleted, profile = facts.deleted, {name: said.value for name, said in facts.of(Name.PROFILE)}
        known = (before or {}).get("profile")
        if deleted:
            await self._directory.bury(about.tenant, about.id, now())
        elif known is None or known != profile:
            # Only what is new: what their token says since then is newer than the rest.
            entries = {name: value for name, value in profile.items() if known is None or known.get(name) != value}
            await self._directory.enter(about.tenant, about.id, entries, now())
        if before is None or before.get("deleted", False) is not deleted:
            for key in await self._facts.touch(about.tenant, about.id, datetime.now(UTC)):
                try:
                    await self._settled(key)
                except ChatError as error:  # stays due; the others must not wait for it
                    log.warning("a room is not in line", object=key, error=error.message)
        if deleted:
            await self._leave_rooms(about.tenant, about.id)
        return {"deleted": deleted, "profile": None if deleted else profile}

    async def _leave_rooms(self, tenant: str, user_id: str) -> None:
        after: str | None = None
        while True:
            page = await self._repository.rooms_of(tenant, user_id, after, ROOMS)
            for room, _ in page.items:
                await self._leave(tenant, user_id, room.id)
            if (after := page.next) is None:
                return

    async def _leave(self, tenant: str, user_id: str, room_id: str) -> None:
        """The first way out that the room's rules allow; nobody leaves a room of two, so that is closed."""
        ways: tuple[tuple[RoomCommand, Actor | None], ...] = (
            (LeaveRoom(room_id=room_id), Actor(id=user_id, tenant=tenant)),
            (RemoveMember(room_id=room_id, user_id=user_id), None),
            (CloseRoom(room_id=room_id), None),
        )
        for command, actor in ways:
            try:
                await self._do(tenant, command, actor)
            except ChatError as error:
                if error.code is ErrorCode.NOT_FOUND:
                    return
                if error.code not in {ErrorCode.FORBIDDEN, ErrorCode.CONFLICT}:
                    raise
            else:
                return

    async def _do(self, tenant: str, command: RoomCommand, actor: Actor | None = None) -> View:
        """Carry a command out as a service, or as somebody else."""
        service = Actor(id=ACTOR, tenant=tenant, roles=(GlobalRole.SERVICE,))
        payload = Payload(actor=actor or service, body={})
        envelope = RequestEnvelope(id=unique_id(), source=SOURCE, type=command.TYPE, tenant=tenant, data=payload)
        return await self._commands[type(command)](envelope, command)


def room_of(about: Object) -> str:
    """The id of an object's room."""
    if about.about is About.ROOM:
        return about.id
    return ids.external_room_id(about.tenant, about.kind, about.id)


def _digest(want: Wanted) -> str | None:
    """Tells one set of members from another."""
    return None if want.members is None else ids.fingerprint("members", json.dumps(want.members, sort_keys=True), None)


def _database(error: Exception) -> bool:
    return isinstance(error, PyMongoError)
