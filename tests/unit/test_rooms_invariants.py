"""What holds whatever happens to a room: repeated commands change nothing, and a room stays whole."""

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.rooms.domain import APPLIED
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.membership import Role
from shared.contracts.rooms import (
    AddMember,
    CloseRoom,
    CreateRoom,
    DeleteRoom,
    LeaveRoom,
    MuteMember,
    RemoveMember,
    RoomCommand,
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


class TestRepetition:
    @pytest.mark.parametrize("client_id", ["1", None], ids=["by the client", "by the broker"])
    @pytest.mark.parametrize(
        "command",
        [
            UpdateRoom(room_id="?", name="dev"),
            AddMember(room_id="?", user_id="eve"),
            SetRole(room_id="?", user_id="carol", role=Role.READ_ONLY),
            RemoveMember(room_id="?", user_id="carol"),
            LeaveRoom(room_id="?"),
            DeleteRoom(room_id="?"),
        ],
        ids=lambda command: command.TYPE,
    )
    def test_a_repeated_command_has_no_further_effect(
        self, world: World, group: str, command: RoomCommand, client_id: str | None
    ) -> None:
        """Known by the caller's client_id or the request's id, it is answered as before."""
        command = command.model_copy(update={"room_id": group, "client_id": client_id})
        first = world.do("alice", command, request="gateway.1")
        room, members, events = world.rooms[group], dict(world.members[group]), len(world.events)
        assert world.do("alice", command, request="gateway.1") == first
        assert (world.rooms[group], world.members[group], len(world.events)) == (room, members, events)

    @pytest.mark.parametrize(
        ("same", "since"),
        [
            (UpdateRoom(room_id="?", name="dev"), UpdateRoom(room_id="?", name="ops")),
            (AddMember(room_id="?", user_id="carol"), RemoveMember(room_id="?", user_id="carol")),
            (
                SetRole(room_id="?", user_id="carol", role=Role.MEMBER),
                SetRole(room_id="?", user_id="carol", role=Role.ADMIN),
            ),
            (MuteMember(room_id="?", user_id="carol", muted=False), MuteMember(room_id="?", user_id="carol")),
            (CloseRoom(room_id="?", closed=False), CloseRoom(room_id="?")),
        ],
        ids=lambda command: command.TYPE,
    )  # fmt: skip
    def test_what_changed_nothing_changes_nothing_later(
        self, world: World, group: str, same: RoomCommand, since: RoomCommand
    ) -> None:
        """It is remembered by its client_id, so that it does not undo what has followed it."""
        world.do("alice", UpdateRoom(room_id=group, name="dev"))
        same = same.model_copy(update={"room_id": group, "client_id": "1"})
        version = world.rooms[group].version
        world.do("alice", same)
        assert world.rooms[group].version == version
        world.do("alice", since.model_copy(update={"room_id": group}))
        room, members = world.rooms[group], dict(world.members[group])
        with suppress(ChatError):  # that its effect is undone
            world.do("alice", same)
        assert (world.rooms[group], world.members[group]) == (room, members)

    def test_what_has_no_client_id_and_changed_nothing_leaves_no_trace(self, world: World, group: str) -> None:
        """Whoever only looks for a room by making it must not let it forget others' commands."""
        world.do("alice", UpdateRoom(room_id=group, name="dev"))
        room = world.rooms[group]
        world.do("alice", UpdateRoom(room_id=group, name="dev"))
        assert world.rooms[group] == room

    def test_one_client_id_for_two_commands_is_a_conflict(self, world: World, group: str) -> None:
        """The second is not taken for the first."""
        world.do("alice", AddMember(room_id=group, user_id="eve", client_id="1"))
        assert refused(world, "alice", AddMember(room_id=group, user_id="fay", client_id="1")).code is (
            ErrorCode.CONFLICT
        )
        assert refused(world, "alice", RemoveMember(room_id=group, user_id="eve", client_id="1")).code is (
            ErrorCode.CONFLICT
        )

    def test_a_client_id_means_nothing_for_others(self, world: World, group: str) -> None:
        """The same one from another user is judged by itself."""
        command = UpdateRoom(room_id=group, name="dev", client_id="1")
        world.do("alice", command)
        assert refused(world, "carol", command).code is ErrorCode.FORBIDDEN

    def test_a_repetition_shows_nothing_to_who_was_removed(self, world: World, group: str) -> None:
        """Success is not answered with the state of a room that one may not read any more."""
        command = UpdateRoom(room_id=group, name="dev", client_id="1")
        world.do("bob", command)
        world.do("alice", RemoveMember(room_id=group, user_id="bob"))
        assert refused(world, "bob", command).code is ErrorCode.FORBIDDEN

    def test_a_member_who_is_gone_again_is_not_shown(self, world: World, group: str) -> None:
        """The repetition of an addition whose effect has been undone says so."""
        command = AddMember(room_id=group, user_id="eve", client_id="1")
        world.do("alice", command)
        world.do("alice", RemoveMember(room_id=group, user_id="eve"))
        assert refused(world, "alice", command).code is ErrorCode.NOT_FOUND

    def test_a_room_remembers_the_last_commands(self, world: World, group: str) -> None:
        """As many as APPLIED, so that the document stays small."""
        for number in range(APPLIED + 5):
            world.do("alice", UpdateRoom(room_id=group, name=f"{number}"))
        assert len(world.rooms[group].applied) == APPLIED


USERS = ("alice", "bob", "carol", "dan")


ROOM = "the-room"
_user, _role, _room = st.sampled_from(USERS), st.sampled_from(Role), st.just(ROOM)
COMMANDS: st.SearchStrategy[RoomCommand] = st.one_of(
    st.builds(AddMember, room_id=_room, user_id=_user, role=_role, client_id=st.none()),
    st.builds(RemoveMember, room_id=_room, user_id=_user, client_id=st.none()),
    st.builds(SetRole, room_id=_room, user_id=_user, role=_role, client_id=st.none()),
    st.just(LeaveRoom(room_id=ROOM)),
    st.builds(UpdateRoom, room_id=_room, name=st.sampled_from(["a", "b"]), client_id=st.none()),
)
ACTORS = st.sampled_from([*(Actor(id=user) for user in USERS), ADMIN])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(ACTORS, COMMANDS), max_size=25))
def test_whatever_happens_a_room_stays_whole(steps: list[tuple[Actor, RoomCommand]]) -> None:
    """After any commands by anybody: an owner, the right count, versions without gap, events that tell all."""
    world = World()
    room_id = room_of(world.do("alice", CreateRoom(members=["bob"]))).id
    for actor, command in steps:
        before = world.rooms[room_id]
        try:
            result = world.do(actor, command.model_copy(update={"room_id": room_id}))
        except ChatError as error:
            assert error.code in {ErrorCode.FORBIDDEN, ErrorCode.CONFLICT, ErrorCode.NOT_FOUND}  # noqa: PT017
            continue
        room, members = world.rooms[room_id], world.members[room_id]
        assert room.version - before.version in {0, 1}
        assert room.member_count == len(members)
        assert isinstance(result, command.RESULT)
        if room.deleted_at is not None:
            assert not members
            assert world.as_told(room_id) is None
            break
        assert "owner" in world.roles(room_id).values()
        assert world.as_told(room_id) == world.roles(room_id)
    assert all(later.version - earlier.version in {0, 1} for earlier, later in pairwise(world.events))
