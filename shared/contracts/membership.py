"""Rooms, memberships and rights as readers see them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import StringConstraints

from shared.contracts.base import Id, Model, View
from shared.contracts.people import UserView


class RoomType(StrEnum):
    """Kinds of room; each is one policy row in shared/permissions.py."""

    DIRECT = "direct"
    GROUP = "group"
    EVENT = "event"
    SESSION = "session"
    CUSTOMER_HOTEL_OWNER = "customer_hotel_owner"
    CUSTOMER_ADMIN = "customer_admin"
    HOTEL_OWNER_ADMIN = "hotel_owner_admin"


class Role(StrEnum):
    """A member's standing in a room."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    READ_ONLY = "read_only"


class Action(StrEnum):
    """Everything that needs a right in a room."""

    READ = "read"
    SEND = "send"
    SEND_SYSTEM = "send_system"
    REACT = "react"
    EDIT_OWN = "edit_own"
    EDIT_ANY = "edit_any"
    DELETE_OWN = "delete_own"
    DELETE_ANY = "delete_any"
    READ_REVISIONS_OWN = "read_revisions_own"
    READ_REVISIONS_ANY = "read_revisions_any"
    CLEAR = "clear"
    MARK = "mark"
    TYPE = "type"
    UPDATE_ROOM = "update_room"
    DELETE_ROOM = "delete_room"
    CLOSE_ROOM = "close_room"
    LEAVE = "leave"
    ADD_MEMBER = "add_member"
    REMOVE_MEMBER = "remove_member"
    SET_ROLE = "set_role"
    MUTE = "mute"


ExternalKind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]


class External(Model):
    """An object of another system: `event`, `sortie`, `session`, …, and its id there."""

    kind: ExternalKind
    id: Id


class Membership(Model):
    """A member as somebody wants them to be."""

    user_id: Id
    role: Role = Role.MEMBER


class MemberView(View):
    """A user in a room."""

    user_id: str
    role: Role
    joined_at: datetime
    muted: bool = False
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
    external: External | None = None
    """The object of another system that the room belongs to."""
    closed: bool = False
    """Whether it is over: it can be read, but nothing can be written any more."""
    metadata: dict[str, Any] | None = None
    role: Role | None = None
    """The asking user's role; absent in events and for those who are not members."""
    muted: bool | None = None
    """Whether the asking user may only listen; absent in events and for those who are not members."""
    capabilities: tuple[Action, ...] | None = None
    """All that the asking user may do in the room; absent in events."""
    members: tuple[MemberView, ...] | None = None
    """The first of its members, the highest and longest-standing; only where they were asked for."""


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
    muted: frozenset[str] = frozenset()
    closed: bool = False


class ReconciledView(View):
    """What it took to make a room's members those that were wanted."""

    room_id: str
    added: int
    removed: int
    changed: int


class RightView(View):
    """Whether somebody may do something in a room, and the rule that says so."""

    room_id: str
    user_id: str
    action: Action
    allowed: bool
    rule: str


class AuditEntry(View):
    """Who did what administrative act in which room."""

    id: str
    room_id: str
    actor_id: str
    act: str
    """The command's type."""
    target_id: str | None = None
    details: dict[str, Any] | None = None
    at: datetime


class AuditView(View):
    """A page of audit entries, the latest first; `next` asks for the following one."""

    entries: list[AuditEntry]
    next: str | None = None


class AccessView(View):
    """The access of the rooms asked for; those that do not exist are absent."""

    rooms: list[RoomAccess]
