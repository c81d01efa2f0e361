"""What each command does to a room. Pure: a rule looks at a `Case` and gives a `Change`, or raises ChatError.

Who may do what stands in shared.permissions. What holds in every room, whoever asks, stands here:

- A direct room has exactly two members for ever; it can only be deleted.
- A group has at least one owner for as long as it exists; when the last member leaves, it ends.
- Nobody may give, change or take a role that they do not outrank: an admin deals in members and readers, an owner (or
  a global admin or service) in every role, their own included.
"""

from dataclasses import replace
from typing import Any

from services.rooms.domain import (
    Applied,
    Case,
    Change,
    Member,
    Room,
    member_view,
    other_members,
    require,
    require_target,
    reused,
    role_of,
    room_view,
    standing,
)
from shared.contracts.base import View
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.membership import Action, MemberResult, Role, RoomResult, RoomType
from shared.contracts.rooms import (
    MAX_MEMBERS,
    AddMember,
    CreateRoom,
    DeleteRoom,
    LeaveRoom,
    MemberAdded,
    MemberRemoved,
    MemberUpdated,
    RemoveMember,
    RoomCreated,
    RoomDeleted,
    RoomUpdated,
    SetRole,
    UpdateRoom,
)
from shared.permissions import outranks

APPLIED = 20
"""Commands a room remembers to know a repeated one by. A repetition comes within seconds, not after 20 others."""


def create(case: Case, command: CreateRoom) -> Change:
    """Make a room; a direct one that exists is found instead, a deleted direct one made again under its old id."""
    others = other_members(command, case.actor.id)
    before = case.room
    if before is not None and (before.type is not RoomType.DIRECT or before.deleted_at is None):
        return _found(case, command, before)
    own = Role.OWNER if command.type is RoomType.GROUP else Role.MEMBER
    members = (
        Member(user_id=case.actor.id, role=own, joined_at=case.now),
        *(Member(user_id=user_id, role=Role.MEMBER, joined_at=case.now) for user_id in others),
    )
    room = Room(
        id=case.room_id,
        tenant=case.actor.tenant,
        type=command.type,
        name=command.name,
        metadata=command.metadata,
        created_by=case.actor.id,
        created_at=case.now,
        updated_at=case.now,
        version=before.version + 1 if before is not None else 1,
        member_count=len(members),
        fingerprint=case.applied.fingerprint,
        applied=_remember(before.applied if before is not None else (), case.applied),
    )
    made = RoomCreated(
        room_id=room.id,
        version=room.version,
        room=room_view(room),
        members=[member_view(member) for member in members],
    )
    return Change(result=RoomResult(room=room_view(room, own), created=True), room=room, joined=members, events=(made,))


def update(case: Case, command: UpdateRoom) -> Change:
    """Rename a room or replace its metadata; `{}` empties it."""
    before = require(case, Action.UPDATE_ROOM)
    if command.name is None and command.metadata is None:
        raise ChatError(ErrorCode.INVALID, "room.update changes nothing: give 'name', 'metadata' or both.")
    if command.version is not None and command.version != before.version:
        raise ChatError(
            ErrorCode.CONFLICT,
            f"The room has changed: it is at version {before.version}, not {command.version}. Read it again.",
            details={"version": before.version},
        )
    name = before.name if command.name is None else command.name
    metadata = before.metadata if command.metadata is None else command.metadata
    if name == before.name and metadata == before.metadata:
        return Change(result=standing(case, command))
    room = _next(case, before, name=name, metadata=metadata)
    changed = RoomUpdated(room_id=room.id, version=room.version, room=room_view(room))
    return Change(result=RoomResult(room=room_view(room, role_of(case.caller))), room=room, events=(changed,))


def leave(case: Case, command: LeaveRoom) -> Change:
    """End the caller's membership; the next in line takes over from the last owner, and an empty room ends."""
    before = require(case, Action.LEAVE)
    result, user_id = standing(case, command), case.actor.id
    heir = next((member for member in case.seniors if member.user_id != user_id), None)
    if heir is None:
        return _end(case, before, (user_id,), result)
    room = _next(case, before, member_count=before.member_count - 1)
    gone = MemberRemoved(room_id=room.id, version=room.version, user_id=user_id)
    if not _is_last_owner(case, case.caller):
        return Change(result=result, room=room, left=(user_id,), events=(gone,))
    heir = replace(heir, role=Role.OWNER)
    promoted = MemberUpdated(room_id=room.id, version=room.version, member=member_view(heir))
    return Change(result=result, room=room, changed=(heir,), left=(user_id,), events=(promoted, gone))


def delete(case: Case, command: DeleteRoom) -> Change:
    """Delete a room: a tombstone stays, without name and metadata."""
    before = require(case, Action.DELETE_ROOM)
    return _end(case, before, case.everyone, standing(case, command))


def add_member(case: Case, command: AddMember) -> Change:
    """Make a user a member with a role the caller outranks. A member stays as they are."""
    before = require(case, Action.ADD_MEMBER)
    if case.target is not None:
        return Change(result=standing(case, command))
    _refuse_direct(before)
    _require_rank(case, command.role, f"add a member as {command.role}")
    if before.member_count >= MAX_MEMBERS:
        raise ChatError(ErrorCode.CONFLICT, f"The room is full: it has {MAX_MEMBERS} members.")
    member = Member(user_id=command.user_id, role=command.role, joined_at=case.now)
    view = member_view(member, case.person)
    room = _next(case, before, member_count=before.member_count + 1)
    added = MemberAdded(room_id=room.id, version=room.version, room=room_view(room), member=view)
    return Change(result=MemberResult(room_id=room.id, member=view), room=room, joined=(member,), events=(added,))


def remove_member(case: Case, command: RemoveMember) -> Change:
    """End the membership of somebody the caller outranks, but never that of the last owner."""
    before = require(case, Action.REMOVE_MEMBER)
    target = require_target(case, command.user_id)
    _refuse_direct(before)
    _require_rank(case, target.role, f"remove a member who is {target.role}")
    if _is_last_owner(case, target):
        raise _last_owner(command.user_id)
    room = _next(case, before, member_count=before.member_count - 1)
    gone = MemberRemoved(room_id=room.id, version=room.version, user_id=target.user_id)
    return Change(result=standing(case, command), room=room, left=(target.user_id,), events=(gone,))


def set_role(case: Case, command: SetRole) -> Change:
    """Give a member another role; the caller outranks the old one and the new one."""
    before = require(case, Action.SET_ROLE)
    target = require_target(case, command.user_id)
    _require_rank(case, target.role, f"change the role of a member who is {target.role}")
    _require_rank(case, command.role, f"make a member {command.role}")
    if target.role is command.role:
        return Change(result=standing(case, command))
    if before.type is RoomType.GROUP and _is_last_owner(case, target):
        raise _last_owner(command.user_id)
    member = replace(target, role=command.role)
    view = member_view(member, case.person)
    room = _next(case, before)
    changed = MemberUpdated(room_id=room.id, version=room.version, member=view)
    return Change(result=MemberResult(room_id=room.id, member=view), room=room, changed=(member,), events=(changed,))


def _found(case: Case, command: CreateRoom, room: Room) -> Change:
    if room.type is not RoomType.DIRECT and room.fingerprint != case.applied.fingerprint:
        raise reused(command)
    return Change(result=standing(case, command))


def _end(case: Case, before: Room, members: tuple[str, ...], result: View) -> Change:
    room = _next(case, before, name=None, metadata=None, member_count=0, deleted_at=case.now)
    ended = RoomDeleted(room_id=room.id, version=room.version, members=list(members))
    return Change(result=result, room=room, left=members, events=(ended,))


def _next(case: Case, before: Room, **changes: Any) -> Room:
    return replace(
        before,
        version=before.version + 1,
        updated_at=case.now,
        applied=_remember(before.applied, case.applied),
        **changes,
    )


def _remember(earlier: tuple[Applied, ...], latest: Applied) -> tuple[Applied, ...]:
    return (*earlier, latest)[-APPLIED:]


def _is_last_owner(case: Case, member: Member | None) -> bool:
    owners = [senior.user_id for senior in case.seniors if senior.role is Role.OWNER]
    return member is not None and owners == [member.user_id]


def _require_rank(case: Case, target: Role, deed: str) -> None:
    if not outranks(role_of(case.caller), target, case.actor.roles):
        raise ChatError(ErrorCode.FORBIDDEN, f"A member who is {role_of(case.caller)} may not {deed}.")


def _refuse_direct(room: Room) -> None:
    if room.type is RoomType.DIRECT:
        raise ChatError(ErrorCode.CONFLICT, "A direct room has its two members for ever; it can only be deleted.")


def _last_owner(user_id: str) -> ChatError:
    return ChatError(
        ErrorCode.CONFLICT,
        f"'{user_id}' is the last owner of the room: make another member owner first, or delete the room.",
    )
