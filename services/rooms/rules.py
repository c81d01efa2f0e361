"""What each command does to a room. Pure: a rule looks at a `Case` and gives a `Change`, or raises ChatError.

Who may do what stands in shared.permissions. What holds in every room, whoever asks, stands here:

- A room of two has its two members for ever; it can only be deleted.
- A room that its members govern has at least one owner for as long as it exists; when the last member leaves, it ends.
- Only services and admins make rooms for others, and such as belong to objects of other systems.
- Nobody may give, change or take a role that they do not outrank: an admin deals in members and readers, an owner (or
  a global admin or service) in every role, their own included.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from services.rooms.domain import (
    Case,
    Change,
    Member,
    Room,
    founder_of,
    member_view,
    other_members,
    remember,
    require,
    require_target,
    reused,
    role_of,
    room_view,
    seen,
    standing,
)
from shared.contracts.base import View
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.membership import Action, MemberResult, Membership, ReconciledView, Role, RoomResult
from shared.contracts.rooms import (
    MAX_MEMBERS,
    AddMember,
    CloseRoom,
    CreateRoom,
    DeleteRoom,
    LeaveRoom,
    MemberAdded,
    MemberRemoved,
    MemberUpdated,
    MuteMember,
    RemoveMember,
    RoomCreated,
    RoomDeleted,
    RoomEvent,
    RoomUpdated,
    SetMembers,
    SetRole,
    UpdateRoom,
)
from shared.permissions import POLICIES, GlobalRole, Key, outranks


def create(case: Case, command: CreateRoom) -> Change:
    """Make a room. One that is the only one of its kind is found instead, or made again under its id if deleted."""
    policy, others, founder = (
        POLICIES[command.type],
        other_members(command, case.actor),
        founder_of(command, case.actor),
    )
    _may_make(case, command)
    before = case.room
    if before is not None and (not _only_one(command) or before.deleted_at is None):
        return _found(case, command, before)
    if policy.pair is not None:
        _require_roles(case, policy.pair, (founder or "", *others))
    founders = () if founder is None else (Member(user_id=founder, role=policy.founder, joined_at=case.now),)
    members = (*founders, *(Member(user_id=user_id, role=Role.MEMBER, joined_at=case.now) for user_id in others))
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
        applied=remember(before.applied if before is not None else (), case.applied),
        external=command.external,
    )
    made = RoomCreated(
        room_id=room.id,
        version=room.version,
        room=room_view(room),
        members=[member_view(member) for member in members],
    )
    caller = next((member for member in members if member.user_id == case.actor.id), None)
    result = RoomResult(room=seen(replace(case, caller=caller), room), created=True)
    return Change(result=result, room=room, joined=members, events=(made,))


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
    return Change(result=RoomResult(room=seen(case, room)), room=room, events=(changed,))


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
    return _end(case, before, tuple(member.user_id for member in case.everyone), standing(case, command))


def add_member(case: Case, command: AddMember) -> Change:
    """Make a user a member with a role the caller outranks. A member stays as they are."""
    before = require(case, Action.ADD_MEMBER)
    if case.target is not None:
        return Change(result=standing(case, command))
    _refuse_pair(before)
    _require_rank(case, command.role, f"add a member as {command.role}")
    if before.member_count >= MAX_MEMBERS:
        raise ChatError(ErrorCode.CONFLICT, f"The room is full: it has {MAX_MEMBERS} members.")
    member = Member(user_id=command.user_id, role=command.role, joined_at=case.now)
    view = member_view(member, case.people.get(member.user_id))
    room = _next(case, before, member_count=before.member_count + 1)
    added = MemberAdded(room_id=room.id, version=room.version, room=room_view(room), member=view)
    return Change(result=MemberResult(room_id=room.id, member=view), room=room, joined=(member,), events=(added,))


def remove_member(case: Case, command: RemoveMember) -> Change:
    """End the membership of somebody the caller outranks, but never that of the last owner."""
    before = require(case, Action.REMOVE_MEMBER)
    target = require_target(case, command.user_id)
    _refuse_pair(before)
    _require_rank(case, target.role, f"remove a member who is {target.role}")
    if _governed(before) and _is_last_owner(case, target):
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
    if _governed(before) and _is_last_owner(case, target):
        raise _last_owner(command.user_id)
    return _replaced(case, before, replace(target, role=command.role))


def mute_member(case: Case, command: MuteMember) -> Change:
    """Take the word of somebody the caller outranks, or give it back."""
    before = require(case, Action.MUTE)
    target = require_target(case, command.user_id)
    _require_rank(case, target.role, f"mute a member who is {target.role}")
    if target.muted is command.muted:
        return Change(result=standing(case, command))
    return _replaced(case, before, replace(target, muted=command.muted))


def set_members(case: Case, command: SetMembers) -> Change:
    """Make the members those that are wanted; who stays, stays muted, and joined when they did."""
    before = require(case, Action.SET_ROLE)
    _refuse_pair(before)
    present, wanted = {member.user_id: member for member in case.everyone}, _wanted(command.members)
    if _governed(before) and Role.OWNER not in wanted.values():
        raise ChatError(ErrorCode.CONFLICT, f"This {before.type} room needs an owner: name one among the members.")
    joined = tuple(
        Member(user_id=user_id, role=role, joined_at=case.now)
        for user_id, role in wanted.items()
        if user_id not in present
    )
    changed = tuple(
        replace(member, role=wanted[user_id])
        for user_id, member in present.items()
        if user_id in wanted and wanted[user_id] is not member.role
    )
    left = tuple(user_id for user_id in present if user_id not in wanted)
    result = ReconciledView(room_id=before.id, added=len(joined), removed=len(left), changed=len(changed))
    if not (joined or changed or left):
        return Change(result=result)
    room = _next(case, before, member_count=len(wanted))
    told: list[RoomEvent] = [
        MemberAdded(
            room_id=room.id,
            version=room.version,
            room=room_view(room),
            member=member_view(member, case.people.get(member.user_id)),
        )
        for member in joined
    ]
    told += (
        MemberUpdated(
            room_id=room.id, version=room.version, member=member_view(member, case.people.get(member.user_id))
        )
        for member in changed
    )
    told += (MemberRemoved(room_id=room.id, version=room.version, user_id=user_id) for user_id in left)
    return Change(result=result, room=room, joined=joined, changed=changed, left=left, events=tuple(told))


def close(case: Case, command: CloseRoom) -> Change:
    """End the conversation, or open it again."""
    before = require(case, Action.CLOSE_ROOM)
    if before.closed is command.closed:
        return Change(result=standing(case, command))
    room = _next(case, before, closed=command.closed)
    changed = RoomUpdated(room_id=room.id, version=room.version, room=room_view(room))
    return Change(result=RoomResult(room=seen(case, room)), room=room, events=(changed,))


def _may_make(case: Case, command: CreateRoom) -> None:
    roles = set(case.actor.roles)
    creators = POLICIES[command.type].creators
    if creators is not None and not creators & roles:
        needed = " or ".join(sorted(creators))
        raise ChatError(ErrorCode.FORBIDDEN, f"Rooms of type {command.type} are made by who has the role {needed}.")
    for_others = command.external is not None or command.owner not in {None, case.actor.id}
    if for_others and not roles & {GlobalRole.ADMIN, GlobalRole.SERVICE}:
        raise ChatError(ErrorCode.FORBIDDEN, "Only who has the role admin or service may name 'owner' or 'external'.")
    if command.external is not None and POLICIES[command.type].key is Key.PAIR:
        raise ChatError(ErrorCode.INVALID, f"A {command.type} room belongs to its pair, not to an 'external' object.")


def _only_one(command: CreateRoom) -> bool:
    """Whether there is one such room, whoever makes it: it can be found, and made again."""
    return command.external is not None or POLICIES[command.type].key is not Key.CLIENT


def _require_roles(case: Case, pair: tuple[str, str], members: tuple[str, ...]) -> None:
    """Each of the two has one of the roles: by their token who asks, by the directory who does not."""
    one, other = ({_plain(role) for role in _roles(case, user_id)} for user_id in members)
    first, second = pair
    if not (first in one and second in other) and not (second in one and first in other):
        raise ChatError(ErrorCode.FORBIDDEN, f"Such a room is for a {first} and a {second}; its two members are not.")


def _roles(case: Case, user_id: str) -> Iterable[str]:
    if user_id == case.actor.id:
        return case.actor.roles
    person = case.people.get(user_id)
    return () if person is None else person.roles


def _plain(role: str) -> str:
    """Applications spell their roles in their own ways: `HOTEL_OWNER`, `hotel-owner`, `Hotel Owner`."""
    return role.lower().replace("-", "_").replace(" ", "_")


def _wanted(members: Iterable[Membership]) -> dict[str, Role]:
    """The role of each user; of several named for one the last holds."""
    return {member.user_id: member.role for member in members}


def _found(case: Case, command: CreateRoom, room: Room) -> Change:
    if not _only_one(command) and room.fingerprint != case.applied.fingerprint:
        raise reused(command)
    if room.type is not command.type:
        raise ChatError(ErrorCode.CONFLICT, f"The object has a room already, of type {room.type}.")
    return Change(result=standing(case, command))


def _replaced(case: Case, before: Room, member: Member) -> Change:
    """Another role or another word for a member."""
    room, view = _next(case, before), member_view(member, case.people.get(member.user_id))
    told = MemberUpdated(room_id=room.id, version=room.version, member=view)
    return Change(result=MemberResult(room_id=room.id, member=view), room=room, changed=(member,), events=(told,))


def _end(case: Case, before: Room, members: tuple[str, ...], result: View) -> Change:
    room = _next(case, before, name=None, metadata=None, member_count=0, deleted_at=case.now)
    ended = RoomDeleted(room_id=room.id, version=room.version, members=list(members))
    return Change(result=result, room=room, left=members, events=(ended,))


def _next(case: Case, before: Room, **changes: Any) -> Room:
    return replace(
        before,
        version=before.version + 1,
        updated_at=case.now,
        applied=remember(before.applied, case.applied),
        **changes,
    )


def _is_last_owner(case: Case, member: Member | None) -> bool:
    owners = [senior.user_id for senior in case.seniors if senior.role is Role.OWNER]
    return member is not None and owners == [member.user_id]


def _require_rank(case: Case, target: Role, deed: str) -> None:
    if not outranks(role_of(case.caller), target, case.actor.roles):
        raise ChatError(ErrorCode.FORBIDDEN, f"A member who is {role_of(case.caller)} may not {deed}.")


def _refuse_pair(room: Room) -> None:
    if POLICIES[room.type].key is Key.PAIR:
        raise ChatError(ErrorCode.CONFLICT, f"A {room.type} room has its two members for ever; it can only be deleted.")


def _governed(room: Room) -> bool:
    """Whether its members decide who is in it, so that one of them must be able to."""
    return bool(POLICIES[room.type].rights[Action.SET_ROLE])


def _last_owner(user_id: str) -> ChatError:
    return ChatError(
        ErrorCode.CONFLICT,
        f"'{user_id}' is the last owner of the room: make another member owner first, or delete the room.",
    )
