"""Questions to the rooms service about rooms, memberships and rights. Nothing here changes anything."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from services.rooms.domain import (
    as_seen,
    denials_of,
    living,
    member_view,
    require,
    role_of,
    seen,
)
from services.rooms.repository import Repository
from services.rooms.visits import visit
from shared import ids
from shared.contracts.base import Query, View
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.membership import AccessView, Action, AuditView, MembersView, RightView, RoomsView, RoomView
from shared.contracts.rooms import (
    ExplainRight,
    FindRoom,
    GetAccess,
    GetRoom,
    ListAudit,
    ListMembers,
    ListRooms,
)
from shared.permissions import GlobalRole, explain

QueryTable = Mapping[type[Query], Callable[[Actor, Any], Awaitable[View]]]
"""Who answers which query, or raises ChatError."""


class RoomQueries:
    """Answers questions about rooms and memberships."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self.table: QueryTable = {
            ListRooms: self._rooms,
            GetRoom: self._room,
            FindRoom: self._find,
            ListMembers: self._members,
            ExplainRight: self._explain,
            ListAudit: self._audit,
            GetAccess: self._access,
        }

    async def _rooms(self, actor: Actor, query: ListRooms) -> RoomsView:
        page = await self._repository.rooms_of(actor.tenant, actor.id, query.after, query.limit)
        views = [as_seen(room, member, actor.roles) for room, member in page.items]
        return RoomsView(rooms=await self._with_members(actor.tenant, views, query.with_members), next=page.next)

    async def _room(self, actor: Actor, query: GetRoom) -> RoomView:
        here = await visit(self._repository, actor, query.room_id)
        [view] = await self._with_members(actor.tenant, [seen(here, require(here, Action.READ))], query.with_members)
        return view

    async def _find(self, actor: Actor, query: FindRoom) -> RoomView:
        here = await visit(self._repository, actor, ids.external_room_id(actor.tenant, query.kind, query.id))
        if here.room is None or here.room.deleted_at is not None:
            raise ChatError(ErrorCode.NOT_FOUND, f"There is no room of {query.kind} '{query.id}'.")
        [view] = await self._with_members(actor.tenant, [seen(here, require(here, Action.READ))], query.with_members)
        return view

    async def _with_members(self, tenant: str, rooms: list[RoomView], number: int) -> list[RoomView]:
        """The rooms with so many of their members; two look-ups for all of them, none for none."""
        if not number or not rooms:
            return rooms
        members = await self._repository.first_members([room.id for room in rooms], number)
        named = {member.user_id for some in members.values() for member in some}
        people = await self._repository.people(tenant, named)
        return [
            room.model_copy(
                update={"members": tuple(member_view(it, people.get(it.user_id)) for it in members.get(room.id, ()))}
            )
            for room in rooms
        ]

    async def _members(self, actor: Actor, query: ListMembers) -> MembersView:
        require(await visit(self._repository, actor, query.room_id), Action.READ)
        page = await self._repository.members_of(query.room_id, query.after, query.limit)
        people = await self._repository.people(actor.tenant, [member.user_id for member in page.items])
        return MembersView(
            members=[member_view(member, people.get(member.user_id)) for member in page.items], next=page.next
        )

    async def _explain(self, actor: Actor, query: ExplainRight) -> RightView:
        """One's own rights are told to everybody who knows of the room; others' to who could take them away."""
        here = await visit(self._repository, actor, query.room_id)
        if query.user_id is None or query.user_id == actor.id:
            room, member, roles = living(here), here.caller, actor.roles
        else:
            room = require(here, Action.MUTE)
            member = (await self._repository.members(room.id, [query.user_id])).get(query.user_id)
            person = (await self._repository.people(actor.tenant, [query.user_id])).get(query.user_id)
            roles = () if person is None else person.roles
        verdict = explain(query.action, room.type, role_of(member), roles, denials_of(room, member))
        return RightView(
            room_id=room.id,
            user_id=query.user_id or actor.id,
            action=query.action,
            allowed=verdict.allowed,
            rule=verdict.rule,
        )

    async def _audit(self, actor: Actor, query: ListAudit) -> AuditView:
        if not {GlobalRole.ADMIN, GlobalRole.SERVICE} & set(actor.roles):
            raise ChatError(ErrorCode.FORBIDDEN, "The audit is for who has the role admin or service.")
        page = await self._repository.audit(actor.tenant, query.room_id, query.after, query.limit)
        return AuditView(entries=page.items, next=page.next)

    async def _access(self, actor: Actor, query: GetAccess) -> AccessView:
        if GlobalRole.SERVICE not in actor.roles:
            raise ChatError(ErrorCode.FORBIDDEN, "rooms.access is for services only.")
        return AccessView(rooms=await self._repository.access(query.room_ids))
