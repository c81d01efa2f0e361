"""Every rule of a room, on rooms in memory."""

import pytest

from services.rooms.domain import APPLIED
from shared.contracts.envelope import Actor
from shared.contracts.errors import ErrorCode
from shared.contracts.membership import LeftView, MemberResult, Role, RoomResult, RoomType
from shared.contracts.rooms import (
    AddMember,
    CreateRoom,
    DeleteRoom,
    LeaveRoom,
    RemoveMember,
    RoomCreated,
    SetRole,
    UpdateRoom,
)
from tests.unit.rooms_world import ADMIN, World, make_group, refused, room_of


@pytest.fixture
def world() -> World:
    """An empty world."""
    return World()


@pytest.fixture
def group(world: World) -> str:
    """A group of alice (owner), bob (admin), carol (member) and dan (reader)."""
    return make_group(world)


@pytest.fixture
def direct(world: World) -> str:
    """The direct room of alice and bob."""
    return room_of(world.do("alice", CreateRoom(type=RoomType.DIRECT, members=["bob"]))).id


class TestCreate:
    def test_the_creator_owns_a_group(self, world: World) -> None:
        """The creator is owner and the others are members, each once; one event tells it all."""
        result = world.do("alice", CreateRoom(name="ops", members=["bob", "alice", "bob"], metadata={"k": 1}))
        assert isinstance(result, RoomResult)
        assert result.created
        assert (result.room.version, result.room.member_count, result.room.role) == (1, 2, Role.OWNER)
        assert world.roles(result.room.id) == {"alice": "owner", "bob": "member"}
        (event,) = world.events
        assert isinstance(event, RoomCreated)
        assert event.room.role is None
        assert event.room.metadata == {"k": 1}

    def test_the_same_client_id_makes_one_room(self, world: World) -> None:
        """A retry finds the room, however its members are ordered."""
        first = world.do("alice", CreateRoom(name="ops", members=["bob", "carol"], client_id="1"))
        again = world.do("alice", CreateRoom(name="ops", members=["carol", "bob", "bob"], client_id="1"))
        assert isinstance(again, RoomResult)
        assert not again.created
        assert again.room == room_of(first)

    @pytest.mark.parametrize(
        "other",
        [
            CreateRoom(name="dev", members=["bob"], client_id="1"),
            CreateRoom(name="ops", members=["carol"], client_id="1"),
            CreateRoom(name="ops", members=["bob"], client_id="1", metadata={}),
        ],
    )
    def test_the_same_client_id_with_another_body_is_a_conflict(self, world: World, other: CreateRoom) -> None:
        """Also when the room has since forgotten the command itself."""
        room_id = room_of(world.do("alice", CreateRoom(name="ops", members=["bob"], client_id="1"))).id
        assert refused(world, "alice", other).code is ErrorCode.CONFLICT
        for number in range(APPLIED):
            world.do("alice", UpdateRoom(room_id=room_id, name=f"{number}"))
        assert refused(world, "alice", other).code is ErrorCode.CONFLICT
        assert room_of(world.do("alice", CreateRoom(name="ops", members=["bob"], client_id="1"))).id == room_id

    def test_client_ids_of_different_users_are_different(self, world: World) -> None:
        """A client_id is its user's own."""
        rooms = [world.do(who, CreateRoom(name="ops", client_id="1")) for who in ("alice", "bob")]
        assert room_of(rooms[0]).id != room_of(rooms[1]).id

    @pytest.mark.parametrize("others", [0, APPLIED], ids=["remembered", "forgotten"])
    def test_a_deleted_group_is_not_made_again(self, world: World, others: int) -> None:
        """A late retry of its creation does not bring it back, nor show it, whether or not it is remembered."""
        room_id = room_of(world.do("alice", CreateRoom(name="ops", client_id="1"))).id
        for number in range(others):
            world.do("alice", UpdateRoom(room_id=room_id, name=f"{number}"))
        world.do("alice", DeleteRoom(room_id=room_id))
        assert refused(world, "alice", CreateRoom(name="ops", client_id="1")).code is ErrorCode.NOT_FOUND

    def test_a_retry_shows_nothing_to_who_has_left(self, world: World) -> None:
        """The creator who left is no member, whatever they once made."""
        room_id = room_of(world.do("alice", CreateRoom(name="ops", members=["bob"], client_id="1"))).id
        world.do("alice", LeaveRoom(room_id=room_id))
        assert refused(world, "alice", CreateRoom(name="ops", members=["bob"], client_id="1")).code is (
            ErrorCode.FORBIDDEN
        )

    def test_a_direct_room_is_one_per_pair(self, world: World, direct: str) -> None:
        """Whoever starts; both are members."""
        result = world.do("bob", CreateRoom(type=RoomType.DIRECT, members=["alice"]))
        assert isinstance(result, RoomResult)
        assert (result.created, result.room.id) == (False, direct)
        assert world.roles(direct) == {"alice": "member", "bob": "member"}
        assert len(world.events) == 1

    def test_a_direct_room_is_one_per_tenant(self, world: World, direct: str) -> None:
        """The same names in another tenant are other people."""
        other = world.do(Actor(id="alice", tenant="t2"), CreateRoom(type=RoomType.DIRECT, members=["bob"]))
        assert room_of(other).id != direct

    @pytest.mark.parametrize("members", [[], ["alice"], ["bob", "carol"]])
    def test_a_direct_room_has_exactly_one_other(self, world: World, members: list[str]) -> None:
        """Neither oneself nor a crowd."""
        command = CreateRoom(type=RoomType.DIRECT, members=members)
        assert refused(world, "alice", command).code is ErrorCode.INVALID

    def test_a_deleted_direct_room_can_be_made_again(self, world: World, direct: str) -> None:
        """Under the same id, its version growing on; but not by a retry of the first creation."""
        world.do(ADMIN, DeleteRoom(room_id=direct))
        again = world.do("bob", CreateRoom(type=RoomType.DIRECT, members=["alice"], client_id="1"))
        assert isinstance(again, RoomResult)
        assert (again.created, again.room.id, again.room.version) == (True, direct, 3)
        assert again.room.created_by == "bob"
        world.do(ADMIN, DeleteRoom(room_id=direct))
        retry = CreateRoom(type=RoomType.DIRECT, members=["alice"], client_id="1")
        assert refused(world, "bob", retry).code is ErrorCode.NOT_FOUND


class TestUpdate:
    def test_what_is_not_named_stays(self, world: World, group: str) -> None:
        """Name and metadata change separately, each with a new version and an event."""
        world.do("bob", UpdateRoom(room_id=group, metadata={"a": 1}))
        room = room_of(world.do("bob", UpdateRoom(room_id=group, name="dev")))
        assert (room.name, room.metadata, room.role) == ("dev", {"a": 1}, Role.ADMIN)
        assert [event.version for event in world.events] == [room.version - 1, room.version]

    def test_no_difference_is_no_change(self, world: World, group: str) -> None:
        """Neither version nor event."""
        before = world.rooms[group]
        world.do("alice", UpdateRoom(room_id=group, name="ops"))
        assert world.rooms[group] == before
        assert not world.events

    def test_a_stale_version_is_a_conflict(self, world: World, group: str) -> None:
        """The details say which version is current."""
        version = world.rooms[group].version
        world.do("alice", UpdateRoom(room_id=group, name="dev", version=version))
        error = refused(world, "alice", UpdateRoom(room_id=group, name="qa", version=version))
        assert (error.code, error.details) == (ErrorCode.CONFLICT, {"version": version + 1})

    def test_an_empty_update_is_invalid(self, world: World, group: str) -> None:
        """It can only be a mistake."""
        assert refused(world, "alice", UpdateRoom(room_id=group)).code is ErrorCode.INVALID


class TestLeave:
    def test_the_next_in_line_becomes_owner(self, world: World, group: str) -> None:
        """The highest role first; the room always has an owner."""
        world.do("alice", LeaveRoom(room_id=group))
        assert world.roles(group) == {"bob": "owner", "carol": "member", "dan": "read_only"}
        assert [event.TYPE for event in world.events] == ["member.updated", "member.removed"]
        assert len({event.version for event in world.events}) == 1

    def test_the_longest_standing_inherits_among_equals(self, world: World) -> None:
        """By the time they joined."""
        room_id = room_of(world.do("alice", CreateRoom())).id
        for user_id in ("zoe", "bob"):
            world.do("alice", AddMember(room_id=room_id, user_id=user_id))
        world.do("alice", LeaveRoom(room_id=room_id))
        assert world.roles(room_id) == {"zoe": "owner", "bob": "member"}

    def test_another_owner_leaves_things_as_they_are(self, world: World, group: str) -> None:
        """Nobody is promoted where an owner remains."""
        world.do("alice", SetRole(room_id=group, user_id="carol", role=Role.OWNER))
        world.do("alice", LeaveRoom(room_id=group))
        assert world.roles(group) == {"bob": "admin", "carol": "owner", "dan": "read_only"}

    def test_the_last_to_leave_ends_the_room(self, world: World) -> None:
        """A tombstone without name or metadata stays."""
        room_id = room_of(world.do("alice", CreateRoom(name="ops", metadata={"k": 1}))).id
        world.do("alice", LeaveRoom(room_id=room_id))
        room = world.rooms[room_id]
        assert room.deleted_at is not None
        assert (room.name, room.metadata, room.member_count) == (None, None, 0)
        assert world.as_told(room_id) is None

    def test_nobody_leaves_a_direct_room(self, world: World, direct: str) -> None:
        """Nor what they are not in."""
        assert refused(world, "alice", LeaveRoom(room_id=direct)).code is ErrorCode.FORBIDDEN
        assert refused(world, "eve", LeaveRoom(room_id=direct)).code is ErrorCode.FORBIDDEN


class TestMembers:
    def test_adding_again_changes_nothing(self, world: World, group: str) -> None:
        """Not even the role."""
        result = world.do("alice", AddMember(room_id=group, user_id="bob", role=Role.MEMBER))
        assert isinstance(result, MemberResult)
        assert result.member.role is Role.ADMIN
        assert not world.events

    def test_a_full_room_takes_nobody(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """MAX_MEMBERS, made small here."""
        monkeypatch.setattr("services.rooms.rules.MAX_MEMBERS", 2)
        room_id = room_of(world.do("alice", CreateRoom(members=["bob"]))).id
        error = refused(world, "alice", AddMember(room_id=room_id, user_id="carol"))
        assert (error.code, error.message) == (ErrorCode.CONFLICT, "The room is full: it has 2 members.")

    def test_an_admin_deals_in_members_and_readers_only(self, world: World, group: str) -> None:
        """Giving and taking alike."""
        world.do("bob", AddMember(room_id=group, user_id="eve", role=Role.READ_ONLY))
        world.do("bob", RemoveMember(room_id=group, user_id="carol"))
        for role in (Role.ADMIN, Role.OWNER):
            command = AddMember(room_id=group, user_id="fay", role=role)
            assert refused(world, "bob", command).code is ErrorCode.FORBIDDEN
        for user_id in ("alice", "bob"):
            command_ = RemoveMember(room_id=group, user_id=user_id)
            assert refused(world, "bob", command_).code is ErrorCode.FORBIDDEN
        assert refused(world, "bob", SetRole(room_id=group, user_id="dan", role=Role.MEMBER)).code is (
            ErrorCode.FORBIDDEN
        )

    def test_an_owner_deals_in_every_role(self, world: World, group: str) -> None:
        """Their own included, and a global admin like an owner."""
        world.do("alice", SetRole(room_id=group, user_id="bob", role=Role.OWNER))
        world.do("bob", RemoveMember(room_id=group, user_id="alice"))
        world.do(ADMIN, SetRole(room_id=group, user_id="carol", role=Role.OWNER))
        world.do(ADMIN, AddMember(room_id=group, user_id="eve", role=Role.OWNER))
        assert world.roles(group) == {"bob": "owner", "carol": "owner", "dan": "read_only", "eve": "owner"}

    @pytest.mark.parametrize("actor", ["alice", ADMIN])
    def test_the_last_owner_stays(self, world: World, group: str, actor: Actor | str) -> None:
        """Whoever would demote or remove them is told what to do instead."""
        demote = SetRole(room_id=group, user_id="alice", role=Role.ADMIN)
        for command in (demote, RemoveMember(room_id=group, user_id="alice")):
            error = refused(world, actor, command)
            assert error.code is ErrorCode.CONFLICT
            assert "make another member owner first" in error.message

    def test_only_members_are_removed_or_changed(self, world: World, group: str) -> None:
        """The error names who is none."""
        for command in (
            RemoveMember(room_id=group, user_id="eve"),
            SetRole(room_id=group, user_id="eve", role=Role.ADMIN),
        ):
            error = refused(world, "alice", command)
            assert error.code is ErrorCode.NOT_FOUND
            assert "'eve'" in error.message

    def test_a_direct_room_keeps_its_two(self, world: World, direct: str) -> None:
        """Against global admins too, who may delete it."""
        for command in (
            AddMember(room_id=direct, user_id="eve"),
            RemoveMember(room_id=direct, user_id="bob"),
        ):
            assert refused(world, ADMIN, command).code is ErrorCode.CONFLICT
            assert refused(world, "alice", command).code is ErrorCode.FORBIDDEN


def test_leaving_names_who_left(world: World, group: str) -> None:
    """The answers of commands that end something."""
    assert world.do("bob", RemoveMember(room_id=group, user_id="carol")) == LeftView(room_id=group, user_id="carol")
    assert world.do("bob", LeaveRoom(room_id=group)) == LeftView(room_id=group, user_id="bob")
    assert world.do("alice", DeleteRoom(room_id=group)) == LeftView(room_id=group)
