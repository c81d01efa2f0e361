"""Rooms in memory, for tests of the rules: decisions are applied to it as the repository does to the database."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from services.rooms.domain import Case, Change, Member, Room, applied, decide, room_id_of
from services.rooms.handlers import ABOUT_ALL, CHANGES
from shared.contracts.base import View
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError
from shared.contracts.membership import Role, RoomView
from shared.contracts.people import UserView
from shared.contracts.rooms import (
    CreateRoom,
    MemberAdded,
    MemberRemoved,
    MemberUpdated,
    RoomCommand,
    RoomCreated,
    RoomDeleted,
    RoomEvent,
    SetRole,
)
from shared.permissions import RANK

ADMIN = Actor(id="root", roles=("admin",))
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class World:
    """Rooms and members by id, every event so far, and how many commands came."""

    rooms: dict[str, Room] = field(default_factory=dict)
    members: dict[str, dict[str, Member]] = field(default_factory=dict)
    events: list[RoomEvent] = field(default_factory=list)
    commands: int = 0
    people: dict[str, UserView] = field(default_factory=dict)

    def do(self, actor: Actor | str, command: RoomCommand, *, request: str | None = None) -> View:
        """Carry a command out, a second after the last; its result. Raises ChatError and changes nothing then."""
        actor = Actor(id=actor) if isinstance(actor, str) else actor
        self.commands = number = self.commands + 1
        change = self.decide(actor, command, request or f"test.{number}", START + timedelta(seconds=number))
        self.apply(change, room_id_of(command, actor, command.client_id or request or f"test.{number}"))
        return change.result

    def decide(self, actor: Actor, command: RoomCommand, request: str, now: datetime) -> Change:
        """What the command's rule makes of the world as it stands."""
        room_id = room_id_of(command, actor, command.client_id or request)
        room = self.rooms.get(room_id)
        members = self.members.get(room_id, {})
        order = sorted(members.values(), key=lambda member: (-RANK[member.role], member.joined_at, member.user_id))
        case = Case(
            room_id=room_id,
            room=room if room is not None and room.tenant == actor.tenant else None,
            actor=actor,
            applied=applied(command, actor, request),
            now=now,
            caller=members.get(actor.id),
            target=members.get(getattr(command, "user_id", actor.id)),
            seniors=tuple(order[:2]),
            everyone=tuple(members.values()) if isinstance(command, ABOUT_ALL) else (),
            people=self.people,
        )
        return decide(case, command, CHANGES[type(command)])

    def apply(self, change: Change, room_id: str) -> None:
        """Write what was decided about a room."""
        room = change.room
        if room is None:
            if change.applied is not None:
                self.rooms[room_id] = replace(self.rooms[room_id], applied=change.applied)
            assert not (*change.joined, *change.changed, *change.left, *change.events)
            return
        self.rooms[room.id] = room
        members = self.members.setdefault(room.id, {})
        for user_id in change.left:
            del members[user_id]
        for member in change.changed:
            assert member.user_id in members
            members[member.user_id] = member
        for member in change.joined:
            assert member.user_id not in members
            members[member.user_id] = member
        self.events += change.events

    def roles(self, room_id: str) -> dict[str, str]:
        """Who has which role."""
        return {user_id: member.role.value for user_id, member in self.members[room_id].items()}

    def as_told(self, room_id: str) -> Mapping[str, str] | None:
        """Who has which role, by the room's events alone; None where they say there is no room."""
        roles: dict[str, str] | None = None
        for event in self.events:
            if event.room_id != room_id:
                continue
            match event:
                case RoomCreated():
                    roles = {member.user_id: member.role.value for member in event.members}
                case RoomDeleted():
                    assert roles is not None
                    assert set(event.members) == set(roles)
                    roles = None
                case MemberAdded() | MemberUpdated():
                    assert roles is not None
                    roles[event.member.user_id] = event.member.role.value
                case MemberRemoved():
                    assert roles is not None
                    del roles[event.user_id]
        return roles


def room_of(result: View) -> RoomView:
    """The room in a command's result."""
    room = getattr(result, "room", None)
    assert isinstance(room, RoomView)
    return room


def make_group(world: World) -> str:
    """A group of alice (owner), bob (admin), carol (member) and dan (reader); its events so far are forgotten."""
    room_id = room_of(world.do("alice", CreateRoom(name="ops", members=["bob", "carol", "dan"]))).id
    world.do("alice", SetRole(room_id=room_id, user_id="bob", role=Role.ADMIN))
    world.do("alice", SetRole(room_id=room_id, user_id="dan", role=Role.READ_ONLY))
    world.events.clear()
    return room_id


def refused(world: World, actor: Actor | str, command: RoomCommand) -> ChatError:
    """The error that a command gets; nothing has changed."""
    before = (dict(world.rooms), {room: dict(members) for room, members in world.members.items()}, len(world.events))
    with pytest.raises(ChatError) as caught:
        world.do(actor, command)
    assert before == (world.rooms, world.members, len(world.events))
    return caught.value
