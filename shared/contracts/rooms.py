"""Commands, queries, events and views of the rooms service: rooms, memberships, people."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field, StringConstraints

from shared.contracts.base import Command, Event, Id, Metadata, Query, Service, View
from shared.contracts.envelope import Actor

MAX_MEMBERS = 5000
"""Members per room: what a messages worker keeps in memory of one room stays small."""

MAX_LOOKED_UP = 1000
"""Rooms per question about access."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]


class RoomType(StrEnum):
    """Kinds of room; each is one policy row in shared/permissions.py."""

    DIRECT = "direct"
    GROUP = "group"


class Role(StrEnum):
    """A member's standing in a room."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    READ_ONLY = "read_only"


# ── views ────────────────────────────────────────────────────────────────────────────────────────────────────────


class UserView(View):
    """A person as the directory knows them."""

    id: str
    name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    avatar: str | None = None


class MemberView(View):
    """A user in a room."""

    user_id: str
    role: Role
    joined_at: datetime
    user: UserView | None = None


class RoomView(View):
    """A room. `version` grows with every change of the room or its membership."""

    id: str
    tenant: str
    type: RoomType
    name: str | None = None
    created_by: str
    created_at: datetime
    updated_at: datetime
    version: int
    member_count: int
    metadata: dict[str, Any] | None = None
    role: Role | None = None
    """The asking user's role; absent in events and for those who are not members."""


class RoomResult(View):
    """A room, as the reply of the commands that make or change one. `created` is false where it existed."""

    room: RoomView
    created: bool = False


class MemberResult(View):
    """A membership, as the reply of the commands that make or change one."""

    room_id: str
    member: MemberView


class LeftView(View):
    """A membership or room that is no more."""

    room_id: str
    user_id: str | None = None


class RoomsView(View):
    """A page of the caller's rooms; `next` asks for the following one."""

    rooms: list[RoomView]
    next: str | None = None


class MembersView(View):
    """A page of a room's members; `next` asks for the following one."""

    members: list[MemberView]
    next: str | None = None


class RoomAccess(View):
    """All that is needed to judge who may do what in a room."""

    room_id: str
    tenant: str
    type: RoomType
    version: int
    members: dict[str, Role]


class AccessView(View):
    """The access of the rooms asked for; those that do not exist are absent."""

    rooms: list[RoomAccess]


class SeenView(View):
    """The directory knows the user."""

    user_id: str


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────


class RoomCommand(Command):
    """A command to the rooms service."""

    OWNER: ClassVar = Service.ROOMS


class CreateRoom(RoomCommand):
    """Make a room with the caller as its owner.

    A direct room has exactly one other member, one id per pair and tenant, and is made once, whoever starts.
    """

    TYPE: ClassVar = "room.create"
    RESULT: ClassVar = RoomResult

    type: RoomType = RoomType.GROUP
    name: Name | None = None
    members: list[Id] = Field(default=[], max_length=MAX_MEMBERS - 1)
    metadata: Metadata | None = None


class UpdateRoom(RoomCommand):
    """Rename a room or replace its metadata. `version`, where given, must be the current one."""

    TYPE: ClassVar = "room.update"
    RESULT: ClassVar = RoomResult

    room_id: Id
    name: Name | None = None
    metadata: Metadata | None = None
    version: int | None = None


class LeaveRoom(RoomCommand):
    """End one's own membership. Where the last owner leaves, the longest-standing highest role takes over."""

    TYPE: ClassVar = "room.leave"
    RESULT: ClassVar = LeftView

    room_id: Id


class DeleteRoom(RoomCommand):
    """Delete a room with its timeline."""

    TYPE: ClassVar = "room.delete"
    RESULT: ClassVar = LeftView

    room_id: Id


class AddMember(RoomCommand):
    """Make a user a member. Adding a member again changes nothing."""

    TYPE: ClassVar = "member.add"
    RESULT: ClassVar = MemberResult

    room_id: Id
    user_id: Id
    role: Role = Role.MEMBER


class RemoveMember(RoomCommand):
    """End a user's membership."""

    TYPE: ClassVar = "member.remove"
    RESULT: ClassVar = LeftView

    room_id: Id
    user_id: Id


class SetRole(RoomCommand):
    """Change a member's role."""

    TYPE: ClassVar = "member.set_role"
    RESULT: ClassVar = MemberResult

    room_id: Id
    user_id: Id
    role: Role


class RecordUser(RoomCommand):
    """Keep the caller's claims in the directory. The gateway asks this when a user connects."""

    TYPE: ClassVar = "user.record"
    RESULT: ClassVar = SeenView


# ── queries ──────────────────────────────────────────────────────────────────────────────────────────────────────


class RoomQuery(Query):
    """A question to the rooms service."""

    OWNER: ClassVar = Service.ROOMS


class ListRooms(RoomQuery):
    """The caller's rooms, a page at a time, by room id."""

    TYPE: ClassVar = "rooms.list"
    RESULT: ClassVar = RoomsView

    after: Id | None = None
    limit: int = Field(default=100, ge=1, le=500)


class GetRoom(RoomQuery):
    """One room the caller may read."""

    TYPE: ClassVar = "room.get"
    RESULT: ClassVar = RoomView

    room_id: Id


class ListMembers(RoomQuery):
    """A room's members, a page at a time, by user id."""

    TYPE: ClassVar = "members.list"
    RESULT: ClassVar = MembersView

    room_id: Id
    after: Id | None = None
    limit: int = Field(default=100, ge=1, le=500)


class GetAccess(RoomQuery):
    """Who may enter the given rooms. Asked by services only, never on behalf of a client."""

    TYPE: ClassVar = "rooms.access"
    RESULT: ClassVar = AccessView

    room_ids: list[Id] = Field(max_length=MAX_LOOKED_UP)


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────


class RoomEvent(Event):
    """Something happened to a room. `version` orders the events of one room."""

    TOPIC: ClassVar = "room"

    room_id: str
    version: int


class RoomCreated(RoomEvent):
    """A room was made."""

    TYPE: ClassVar = "room.created"

    room: RoomView
    members: list[MemberView]


class RoomUpdated(RoomEvent):
    """A room's name or metadata changed."""

    TYPE: ClassVar = "room.updated"

    room: RoomView


class RoomDeleted(RoomEvent):
    """A room is no more; its members at that moment are named so that each can be told."""

    TYPE: ClassVar = "room.deleted"

    members: list[str]


class MemberAdded(RoomEvent):
    """A user became a member."""

    TYPE: ClassVar = "member.added"

    room: RoomView
    member: MemberView


class MemberRemoved(RoomEvent):
    """A user is no longer a member."""

    TYPE: ClassVar = "member.removed"

    user_id: str


class MemberUpdated(RoomEvent):
    """A member's role changed."""

    TYPE: ClassVar = "member.updated"

    member: MemberView


def sender_of(actor: Actor) -> UserView:
    """The directory view of an actor, from the token's claims alone."""
    return UserView(
        id=actor.id,
        name=actor.name,
        first_name=actor.first_name,
        last_name=actor.last_name,
        avatar=actor.avatar,
    )


COMMANDS: dict[str, type[RoomCommand]] = {
    command.TYPE: command
    for command in (
        CreateRoom,
        UpdateRoom,
        LeaveRoom,
        DeleteRoom,
        AddMember,
        RemoveMember,
        SetRole,
        RecordUser,
    )
}
QUERIES: dict[str, type[RoomQuery]] = {query.TYPE: query for query in (ListRooms, GetRoom, ListMembers, GetAccess)}
EVENTS: dict[str, type[Event]] = {
    event.TYPE: event for event in (RoomCreated, RoomUpdated, RoomDeleted, MemberAdded, MemberRemoved, MemberUpdated)
}
