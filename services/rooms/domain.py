"""Rooms and memberships, what a rule sees of them (`Case`) and decides (`Change`). Pure: no I/O, clock or randomness.

What is the same for every command stands here: ids, rights, repetitions, views. What each does: services.rooms.rules.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from shared import ids
from shared.contracts.base import View
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.membership import (
    Action,
    External,
    LeftView,
    MemberResult,
    MemberView,
    ReconciledView,
    Role,
    RoomResult,
    RoomType,
    RoomView,
)
from shared.contracts.people import UserView
from shared.contracts.rooms import CreateRoom, LeaveRoom, RoomCommand, RoomEvent
from shared.permissions import POLICIES, Denial, Key, allowed, capabilities

APPLIED = 20
"""Commands a room remembers to know a repeated one by. A repetition comes within seconds, not after 20 others."""


class Applied(NamedTuple):
    """A command that has been carried out: its idempotency key, and a hash of what it asked."""

    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A user in a room."""

    user_id: str
    role: Role
    joined_at: datetime
    muted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A room, or the tombstone of one (`deleted_at`): a repeated command must still find it."""

    id: str
    tenant: str
    type: RoomType
    name: str | None
    metadata: Mapping[str, Any] | None
    created_by: str
    created_at: datetime
    updated_at: datetime
    version: int
    member_count: int
    fingerprint: str
    """Of the command that made it."""
    applied: tuple[Applied, ...]
    external: External | None = None
    closed: bool = False
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Somebody at a room: all that is needed to judge their rights."""

    room_id: str
    room: Room | None
    """The room or its tombstone, of the visitor's tenant only."""
    actor: Actor
    caller: Member | None = None
    """The visitor's own membership."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case(Visit):
    """All that a rule may look at."""

    applied: Applied
    """What the room will remember this command by."""
    now: datetime
    target: Member | None = None
    people: Mapping[str, UserView] = field(default_factory=dict)
    """The directory's entries of those the command is about."""
    seniors: tuple[Member, ...] = ()
    """The two highest members, the longest-standing first among equals."""
    everyone: tuple[Member, ...] = ()
    """All members; only for the commands that are about all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a rule decided: the answer, and what to write (nothing where `room` is None)."""

    result: View
    room: Room | None = None
    joined: tuple[Member, ...] = ()
    changed: tuple[Member, ...] = ()
    left: tuple[str, ...] = ()
    events: tuple[RoomEvent, ...] = ()
    applied: tuple[Applied, ...] | None = None
    """What the room remembers from now on, where that is all that changes."""


Rule = Callable[[Case, Any], Change]


def decide(case: Case, command: RoomCommand, rule: Rule) -> Change:
    """Apply `rule`, unless the room remembers the command: then answer with the room as it stands and do nothing.

    Raises:
        ChatError: `conflict` where the same client_id came with another command.
    """
    if case.room is None:
        return rule(case, command)
    earlier = dict(case.room.applied).get(case.applied.key)
    if earlier is None:
        change = rule(case, command)
        if change.room is None and command.client_id is not None:
            # Remembered all the same: should it come again, it must not undo what has followed it.
            return replace(change, applied=remember(case.room.applied, case.applied))
        return change
    if earlier != case.applied.fingerprint:
        raise reused(command)
    return Change(result=standing(case, command))


def require(visit: Visit, action: Action) -> Room:
    """The room, if it exists and the visitor may do `action` in it.

    Raises:
        ChatError: `not_found` for a room that is deleted, of another tenant or was never made: one answer for all.
    """
    room, role = living(visit), role_of(visit.caller)
    if not allowed(action, room.type, role, visit.actor.roles, denials_of(room, visit.caller)):
        who = "Who is not a member" if role is None else f"A member who is {role}"
        raise ChatError(ErrorCode.FORBIDDEN, f"{who} may not {action.replace('_', ' ')} in this {room.type} room.")
    return room


def living(visit: Visit) -> Room:
    """The room, if it exists, whether or not the visitor may enter it. Raises ChatError `not_found`."""
    if visit.room is None or visit.room.deleted_at is not None:
        raise ChatError(ErrorCode.NOT_FOUND, f"There is no room '{visit.room_id}'.")
    return visit.room


def denials_of(room: Room, member: Member | None) -> tuple[Denial, ...]:
    """What is denied to a member, or to anybody else (None), whatever their rights."""
    muted = (Denial.MUTED,) if member is not None and member.muted else ()
    return (*muted, Denial.CLOSED) if room.closed else muted


def room_id_of(command: RoomCommand, actor: Actor, client_id: str) -> str:
    """The room a command is about; a new one's id follows from what makes it one and the same.

    Raises:
        ChatError: `invalid` where the command does not say that.
    """
    if not isinstance(command, CreateRoom):
        return str(command.room)
    key = POLICIES[command.type].key
    if command.external is not None:
        return ids.external_room_id(actor.tenant, command.external.kind, command.external.id)
    if key is Key.EXTERNAL:
        raise ChatError(ErrorCode.INVALID, f"A room of type {command.type} belongs to an object: name its 'external'.")
    if key is Key.PAIR:
        one, (other,) = command.owner or actor.id, other_members(command, actor)
        if command.type is RoomType.DIRECT:
            return ids.direct_room_id(actor.tenant, one, other)
        return ids.pair_room_id(actor.tenant, command.type, one, other)
    return ids.group_room_id(actor.tenant, actor.id, client_id)


def founder_of(command: CreateRoom, actor: Actor) -> str | None:
    """Who a new room begins with: its owner or maker. None where whoever makes such rooms is not in them."""
    if command.owner is not None or POLICIES[command.type].creators is not None:
        return command.owner
    return actor.id


def other_members(command: CreateRoom, actor: Actor) -> list[str]:
    """Who is in a new room beside its founder, each once.

    Raises:
        ChatError: `invalid` where a room of two has not exactly one.
    """
    founder = founder_of(command, actor)
    others = list(dict.fromkeys(user_id for user_id in command.members if user_id != founder))
    if POLICIES[command.type].key is Key.PAIR and len(others) != 1:
        raise ChatError(
            ErrorCode.INVALID,
            f"A {command.type} room has exactly one member beside its creator; 'members' names {len(others)}.",
        )
    return others


def applied(command: RoomCommand, actor: Actor, request_id: str) -> Applied:
    """What a room remembers a command by. Ids hold no space, so no two pairs make the same key."""
    key = request_id if command.client_id is None else f"{actor.id} {command.client_id}"
    body = command.model_dump(mode="json", exclude={"client_id", "metadata"})
    if isinstance(command, CreateRoom):
        body["members"] = sorted(set(command.members))
    content = json.dumps(body, sort_keys=True)
    return Applied(key, ids.fingerprint(command.TYPE, content, getattr(command, "metadata", None)))


def remember(earlier: tuple[Applied, ...], latest: Applied) -> tuple[Applied, ...]:
    """The commands a room remembers, with the latest."""
    return (*earlier, latest)[-APPLIED:]


def standing(case: Case, command: RoomCommand) -> View:
    """The answer to a command that has nothing (more) to do: how things stand, for those who may know."""
    if command.RESULT is LeftView:
        leaver = case.actor.id if isinstance(command, LeaveRoom) else getattr(command, "user_id", None)
        return LeftView(room_id=case.room_id, user_id=leaver)
    room = require(case, Action.READ)
    if command.RESULT is RoomResult:
        return RoomResult(room=seen(case, room))
    if command.RESULT is ReconciledView:
        return ReconciledView(room_id=room.id, added=0, removed=0, changed=0)
    target = require_target(case, getattr(command, "user_id", ""))
    return MemberResult(room_id=room.id, member=member_view(target, case.people.get(target.user_id)))


def seen(visit: Visit, room: Room) -> RoomView:
    """What a visitor sees of a room: itself, and how they stand in it."""
    return as_seen(room, visit.caller, visit.actor.roles)


def as_seen(room: Room, member: Member | None, roles: Sequence[str]) -> RoomView:
    """What a member (or somebody else, None) sees of a room, who has these global roles."""
    return room_view(room).model_copy(
        update={
            "role": role_of(member),
            "muted": None if member is None else member.muted,
            "capabilities": _capabilities(room.type, role_of(member), tuple(roles), denials_of(room, member)),
        }
    )


def room_view(room: Room) -> RoomView:
    """What everybody sees of a room."""
    return RoomView(
        id=room.id,
        tenant=room.tenant,
        type=room.type,
        name=room.name,
        created_by=room.created_by,
        created_at=room.created_at,
        updated_at=room.updated_at,
        version=room.version,
        member_count=room.member_count,
        external=room.external,
        closed=room.closed,
        metadata=None if room.metadata is None else dict(room.metadata),
    )


def member_view(member: Member, person: UserView | None = None) -> MemberView:
    """What readers see of a membership."""
    return MemberView(
        user_id=member.user_id, role=member.role, joined_at=member.joined_at, muted=member.muted, user=person
    )


def reused(command: RoomCommand) -> ChatError:
    """The refusal of one client_id for two things."""
    return ChatError(
        ErrorCode.CONFLICT,
        f"client_id '{command.client_id}' was used for another command before; take a new one for a new command.",
    )


def require_target(case: Case, user_id: str) -> Member:
    """The member the command is about. Raises ChatError `not_found` where they are none."""
    if case.target is None:
        raise ChatError(ErrorCode.NOT_FOUND, f"'{user_id}' is not a member of the room.")
    return case.target


def role_of(member: Member | None) -> Role | None:
    """A member's role; nobody has none."""
    return None if member is None else member.role


@lru_cache(maxsize=4096)
def _capabilities(
    kind: RoomType, role: Role | None, roles: tuple[str, ...], denials: tuple[Denial, ...]
) -> tuple[Action, ...]:
    """Few combinations, many rooms in a list."""
    return capabilities(kind, role, roles, denials)
