"""Commands and queries of the rooms service: one row each. Loads, lets the rule decide, stores, announces."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from services.rooms import rules
from services.rooms.domain import (
    Applied,
    Case,
    Change,
    Rule,
    Visit,
    applied,
    decide,
    member_view,
    require,
    role_of,
    room_id_of,
    room_view,
)
from services.rooms.outbox import Outbox
from services.rooms.repository import Conflict, Record, Repository
from shared.bus.codec import encode_event, to_json
from shared.bus.topology import event_key
from shared.contracts.base import Command, Query, View
from shared.contracts.envelope import Actor, RequestEnvelope
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.membership import AccessView, Action, MembersView, RoomsView, RoomView
from shared.contracts.rooms import (
    AddMember,
    CreateRoom,
    DeleteRoom,
    GetAccess,
    GetRoom,
    LeaveRoom,
    ListMembers,
    ListRooms,
    RemoveMember,
    RoomCommand,
    RoomEvent,
    SetRole,
    UpdateRoom,
)
from shared.mongo import Session
from shared.permissions import GlobalRole

SOURCE = "/rooms"
ATTEMPTS = 100
LONGEST_PAUSE = 0.1
SUSPICIOUS = 20
"""Failed attempts, about a second's worth, that make one look for transactions of the dead."""

T = TypeVar("T")

CHANGES: Mapping[type[RoomCommand], Rule] = {
    CreateRoom: rules.create,
    UpdateRoom: rules.update,
    LeaveRoom: rules.leave,
    DeleteRoom: rules.delete,
    AddMember: rules.add_member,
    RemoveMember: rules.remove_member,
    SetRole: rules.set_role,
}
"""The commands that change a room."""

CommandTable = Mapping[type[Command], Callable[[RequestEnvelope, Any], Awaitable[View]]]
"""Who carries which command out; gives its result or raises ChatError."""

QueryTable = Mapping[type[Query], Callable[[Actor, Any], Awaitable[View]]]
"""Who answers which query, or raises ChatError."""


class RoomCommands:
    """Carries out what changes a room: loads, lets the rule decide, stores, begins to announce."""

    def __init__(self, repository: Repository, outbox: Outbox, shards: int) -> None:
        self._repository = repository
        self._outbox = outbox
        self._shards = shards
        self.table: CommandTable = {kind: partial(self._change, rule) for kind, rule in CHANGES.items()}

    async def _change(self, rule: Rule, envelope: RequestEnvelope, command: RoomCommand) -> View:
        actor = envelope.data.actor
        room_id = room_id_of(command, actor, command.client_id or envelope.id)
        mark = applied(command, actor, envelope.id)

        async def work(session: Session) -> tuple[Change, list[Record]]:
            change = decide(await self._case(room_id, actor, command, mark, session), command, rule)
            records = self._records(change, envelope)
            await self._repository.save(change, records, session)
            return change, records

        change, records = await self._against_rivals(lambda: self._repository.transaction(work))
        self._outbox.publish(records)
        return change.result

    async def _against_rivals(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try until no other writer is faster; one who does not give way at all is dead, or we are too late."""
        for number in range(1, ATTEMPTS + 1):
            try:
                return await attempt()
            except Conflict:
                await asyncio.sleep(min(0.002 * 2**number, LONGEST_PAUSE) * random.random())  # noqa: S311 - jitter
            if number % SUSPICIOUS == 0:
                await self._repository.end_abandoned()
        raise ChatError(ErrorCode.UNAVAILABLE, "The room is being changed all the time; try again.", retry_after=1.0)

    async def _case(self, room_id: str, actor: Actor, command: RoomCommand, mark: Applied, session: Session) -> Case:
        case = Case(room_id=room_id, room=None, actor=actor, applied=mark, now=now())
        room = await self._repository.room(actor.tenant, room_id, session)
        if room is None:
            return case
        target_id: str = getattr(command, "user_id", actor.id)
        members = await self._repository.members(room_id, {actor.id, target_id}, session)
        people = await self._repository.people(actor.tenant, [target_id], session)
        return replace(
            case,
            room=room,
            caller=members.get(actor.id),
            target=members.get(target_id),
            person=people.get(target_id),
            seniors=await self._repository.seniors(room_id, session),
            everyone=await self._repository.everyone(room_id, session) if isinstance(command, DeleteRoom) else (),
        )

    def _records(self, change: Change, envelope: RequestEnvelope) -> list[Record]:
        room, records = change.room, []
        if room is not None:
            key = event_key(RoomEvent.TOPIC, room.id, self._shards)
            for number, event in enumerate(change.events):
                identifier = f"{room.id}:{room.version}:{number}"
                body = encode_event(
                    id=identifier,
                    source=SOURCE,
                    type=event.TYPE,
                    subject=room.id,
                    tenant=room.tenant,
                    time=room.updated_at,
                    data=to_json(event),
                    traceparent=envelope.traceparent,
                )
                records.append(Record(identifier, key, body))
        return records


class RoomQueries:
    """Answers questions about rooms and memberships."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self.table: QueryTable = {
            ListRooms: self._rooms,
            GetRoom: self._room,
            ListMembers: self._members,
            GetAccess: self._access,
        }

    async def _rooms(self, actor: Actor, query: ListRooms) -> RoomsView:
        page = await self._repository.rooms_of(actor.tenant, actor.id, query.after, query.limit)
        return RoomsView(rooms=[room_view(room, role) for room, role in page.items], next=page.next)

    async def _room(self, actor: Actor, query: GetRoom) -> RoomView:
        visit = await self._visit(actor, query.room_id)
        return room_view(require(visit, Action.READ), role_of(visit.caller))

    async def _members(self, actor: Actor, query: ListMembers) -> MembersView:
        require(await self._visit(actor, query.room_id), Action.READ)
        page = await self._repository.members_of(query.room_id, query.after, query.limit)
        people = await self._repository.people(actor.tenant, [member.user_id for member in page.items])
        return MembersView(
            members=[member_view(member, people.get(member.user_id)) for member in page.items], next=page.next
        )

    async def _access(self, actor: Actor, query: GetAccess) -> AccessView:
        if GlobalRole.SERVICE not in actor.roles:
            raise ChatError(ErrorCode.FORBIDDEN, "rooms.access is for services only.")
        return AccessView(rooms=await self._repository.access(query.room_ids))

    async def _visit(self, actor: Actor, room_id: str) -> Visit:
        room = await self._repository.room(actor.tenant, room_id)
        members = {} if room is None else await self._repository.members(room_id, [actor.id])
        return Visit(room_id=room_id, room=room, actor=actor, caller=members.get(actor.id))


def now() -> datetime:
    """The time in whole milliseconds, as the database keeps it, so that replies say what later reads will."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
