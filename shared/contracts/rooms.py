"""Commands, queries and events of the rooms service about rooms and memberships."""

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from shared.contracts import integration, people, presence
from shared.contracts.base import Command, Event, Id, Metadata, Query, Service
from shared.contracts.membership import (
    AccessView,
    Action,
    AuditView,
    External,
    ExternalKind,
    LeftView,
    MemberResult,
    Membership,
    MembersView,
    MemberView,
    ReconciledView,
    RightView,
    Role,
    RoomResult,
    RoomsView,
    RoomType,
    RoomView,
)

MAX_MEMBERS = 5000
"""Members per room: what a messages worker keeps in memory of one room stays small."""

MAX_LOOKED_UP = 1000
"""Rooms per question about access."""

MAX_SHOWN = 20
"""Members that are shown with a room."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────


class RoomCommand(Command):
    """A command to the rooms service."""

    OWNER: ClassVar = Service.ROOMS


class CreateRoom(RoomCommand):
    """Make a room with the caller as its owner.

    A direct room has exactly one other member, one id per pair and tenant, and is made once, whoever starts; so is
    one of the types that are named after two roles, which its members must have. Services and admins may make rooms
    for others: `owner` stands in for the caller then, and `external` names the object of another system that the room
    belongs to. An object has one room, whoever asks for it.
    """

    TYPE: ClassVar = "room.create"
    RESULT: ClassVar = RoomResult

    type: RoomType = RoomType.GROUP
    name: Name | None = None
    members: list[Id] = Field(default=[], max_length=MAX_MEMBERS - 1)
    owner: Id | None = None
    external: External | None = None
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


class MuteMember(RoomCommand):
    """Take a member's word away, or give it back. They go on reading."""

    TYPE: ClassVar = "member.mute"
    RESULT: ClassVar = MemberResult

    room_id: Id
    user_id: Id
    muted: bool = True


class SetMembers(RoomCommand):
    """Make a room's members exactly these, with these roles."""

    TYPE: ClassVar = "members.set"
    RESULT: ClassVar = ReconciledView

    room_id: Id
    members: list[Membership] = Field(max_length=MAX_MEMBERS)


class CloseRoom(RoomCommand):
    """End the conversation in a room, or open it again. It can be read as before."""

    TYPE: ClassVar = "room.close"
    RESULT: ClassVar = RoomResult

    room_id: Id
    closed: bool = True


# ── queries ──────────────────────────────────────────────────────────────────────────────────────────────────────


class RoomQuery(Query):
    """A question to the rooms service."""

    OWNER: ClassVar = Service.ROOMS


class ListRooms(RoomQuery):
    """The caller's rooms, a page at a time, by room id; with the first so many members of each."""

    TYPE: ClassVar = "rooms.list"
    RESULT: ClassVar = RoomsView

    after: Id | None = None
    limit: int = Field(default=100, ge=1, le=500)
    with_members: int = Field(default=0, ge=0, le=MAX_SHOWN)


class GetRoom(RoomQuery):
    """One room the caller may read; with its first members, so many."""

    TYPE: ClassVar = "room.get"
    RESULT: ClassVar = RoomView

    room_id: Id
    with_members: int = Field(default=0, ge=0, le=MAX_SHOWN)


class FindRoom(RoomQuery):
    """The room of an object of another system, if the caller may read it; with its first members, so many."""

    TYPE: ClassVar = "room.find"
    RESULT: ClassVar = RoomView

    kind: ExternalKind
    id: Id
    with_members: int = Field(default=0, ge=0, le=MAX_SHOWN)


class ListMembers(RoomQuery):
    """A room's members, a page at a time, by user id."""

    TYPE: ClassVar = "members.list"
    RESULT: ClassVar = MembersView

    room_id: Id
    after: Id | None = None
    limit: int = Field(default=100, ge=1, le=500)


class ExplainRight(RoomQuery):
    """Whether somebody may do something in a room, and why. Others than oneself are for who may mute them to ask."""

    TYPE: ClassVar = "rights.explain"
    RESULT: ClassVar = RightView

    room_id: Id
    action: Action
    user_id: Id | None = None


class ListAudit(RoomQuery):
    """Administrative acts in one's tenant, for its admins; in one room where that is given."""

    TYPE: ClassVar = "audit.list"
    RESULT: ClassVar = AuditView

    room_id: Id | None = None
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
    """A room's name or metadata changed, or it was closed or opened."""

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
    """A member's role changed, or they were muted or unmuted."""

    TYPE: ClassVar = "member.updated"

    member: MemberView


_COMMANDS: tuple[type[Command], ...] = (
    CreateRoom,
    UpdateRoom,
    LeaveRoom,
    DeleteRoom,
    AddMember,
    RemoveMember,
    SetRole,
    MuteMember,
    SetMembers,
    CloseRoom,
)
_QUERIES: tuple[type[Query], ...] = (ListRooms, GetRoom, FindRoom, ListMembers, ExplainRight, ListAudit, GetAccess)

COMMANDS: dict[str, type[Command]] = {
    **{command.TYPE: command for command in _COMMANDS},
    **people.COMMANDS,
    **presence.COMMANDS,
    **integration.COMMANDS,
}
"""All that the rooms service carries out."""

QUERIES: dict[str, type[Query]] = {
    **{query.TYPE: query for query in _QUERIES},
    **people.QUERIES,
    **presence.QUERIES,
    **integration.QUERIES,
}
"""All that it answers."""

EVENTS: dict[str, type[Event]] = {
    event.TYPE: event for event in (RoomCreated, RoomUpdated, RoomDeleted, MemberAdded, MemberRemoved, MemberUpdated)
}
