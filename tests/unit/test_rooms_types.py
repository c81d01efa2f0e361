"""What sets types of rooms apart, and what everybody may be told, on rooms in memory."""

import pytest

from shared.contracts.envelope import Actor
from shared.contracts.errors import ErrorCode
from shared.contracts.membership import Action, External, MemberResult, Membership, ReconciledView, Role, RoomType
from shared.contracts.people import UserView
from shared.contracts.rooms import (
    AddMember,
    CloseRoom,
    CreateRoom,
    DeleteRoom,
    LeaveRoom,
    MuteMember,
    RemoveMember,
    RoomCommand,
    SetMembers,
    SetRole,
    UpdateRoom,
)
from tests.unit.rooms_world import ADMIN, World, make_group, refused, room_of

SERVICE = Actor(id="booking", roles=("service",))
CONCERT = External(kind="event", id="42")


@pytest.fixture
def world() -> World:
    """A world with a directory of a customer, a hotel's owner and an admin."""
    roles = {"cara": "CUSTOMER", "hugo": "hotel-owner", "anna": "Admin", "both": "customer"}
    world = World(people={user_id: UserView(id=user_id, roles=(role,)) for user_id, role in roles.items()})
    world.people["both"] = UserView(id="both", roles=("customer", "hotel_owner"))
    return world


@pytest.fixture
def group(world: World) -> str:
    """A group of alice (owner), bob (admin), carol (member) and dan (reader)."""
    return make_group(world)


@pytest.fixture
def event(world: World) -> str:
    """The room of an event that alice made."""
    made = CreateRoom(type=RoomType.EVENT, name="Concert", owner="alice", members=["bob"], external=CONCERT)
    return room_of(world.do(SERVICE, made)).id


class TestExternal:
    def test_a_service_makes_the_room_of_an_object(self, world: World, event: str) -> None:
        """Its owner is in it, the service is not."""
        assert world.roles(event) == {"alice": "owner", "bob": "member"}
        assert world.rooms[event].external == CONCERT

    def test_an_object_has_one_room(self, world: World, event: str) -> None:
        """Whoever asks for it, whatever they call it; another object, kind or tenant has another."""
        again = room_of(world.do(ADMIN, CreateRoom(type=RoomType.EVENT, name="Gig", external=CONCERT)))
        assert (again.id, again.name) == (event, "Concert")
        for actor, external in (
            (SERVICE, External(kind="event", id="43")),
            (SERVICE, External(kind="sortie", id="42")),
            (SERVICE.model_copy(update={"tenant": "t2"}), CONCERT),
        ):
            assert room_of(world.do(actor, CreateRoom(type=RoomType.EVENT, external=external))).id != event

    def test_an_event_may_have_nobody_yet(self, world: World) -> None:
        """Who takes part is told later."""
        room = room_of(world.do(SERVICE, CreateRoom(type=RoomType.EVENT, external=CONCERT)))
        assert (room.member_count, room.role) == (0, None)

    def test_an_object_with_another_type_of_room_is_a_conflict(self, world: World, event: str) -> None:
        """It is not found under a false name."""
        other = CreateRoom(type=RoomType.GROUP, external=CONCERT)
        assert refused(world, SERVICE, other).code is ErrorCode.CONFLICT

    def test_a_deleted_one_is_made_again(self, world: World, event: str) -> None:
        """Under the same id, its version growing on."""
        world.do(SERVICE, DeleteRoom(room_id=event))
        room = room_of(world.do(SERVICE, CreateRoom(type=RoomType.EVENT, external=CONCERT)))
        assert (room.id, room.version) == (event, 3)

    @pytest.mark.parametrize(
        "command",
        [
            CreateRoom(type=RoomType.EVENT, external=CONCERT),
            CreateRoom(type=RoomType.GROUP, external=CONCERT),
            CreateRoom(type=RoomType.SESSION, owner="bob"),
        ],
        ids=["event", "external", "for another"],
    )
    def test_users_make_no_rooms_for_others(self, world: World, command: CreateRoom) -> None:
        """Nor such as belong to objects they may not even see."""
        assert refused(world, "alice", command).code is ErrorCode.FORBIDDEN

    def test_an_event_must_be_named(self, world: World) -> None:
        """A room of type event without its event is nothing."""
        assert refused(world, SERVICE, CreateRoom(type=RoomType.EVENT)).code is ErrorCode.INVALID

    def test_a_pair_belongs_to_no_object(self, world: World) -> None:
        """It would have a second room."""
        command = CreateRoom(type=RoomType.DIRECT, members=["bob"], external=CONCERT)
        assert refused(world, SERVICE, command).code is ErrorCode.INVALID

    @pytest.mark.parametrize(
        "command",
        [
            LeaveRoom(room_id="?"),
            AddMember(room_id="?", user_id="eve"),
            RemoveMember(room_id="?", user_id="bob"),
            SetMembers(room_id="?", members=[]),
            UpdateRoom(room_id="?", name="Mine"),
            DeleteRoom(room_id="?"),
            CloseRoom(room_id="?"),
        ],
        ids=lambda command: command.TYPE,
    )
    def test_members_do_not_govern_it(self, world: World, event: str, command: RoomCommand) -> None:
        """Not even its owner: it is as the other system says."""
        assert refused(world, "alice", command.model_copy(update={"room_id": event})).code is ErrorCode.FORBIDDEN

    def test_its_last_owner_may_go(self, world: World, event: str) -> None:
        """Nobody inside needs to govern it."""
        world.do(SERVICE, RemoveMember(room_id=event, user_id="alice"))
        assert world.roles(event) == {"bob": "member"}


class TestSession:
    def test_a_user_makes_their_own(self, world: World) -> None:
        """With the same client_id the same one."""
        first, again = (world.do("alice", CreateRoom(type=RoomType.SESSION, client_id="1")) for _ in range(2))
        assert room_of(first).id == room_of(again).id
        assert world.roles(room_of(first).id) == {"alice": "owner"}

    def test_assistants_may_write_and_no_more(self, world: World) -> None:
        """They are not members, but the session is open to them."""
        room = room_of(world.do("alice", CreateRoom(type=RoomType.SESSION)))
        assistant = Actor(id="ann", roles=("assistant",))
        assert refused(world, assistant, CloseRoom(room_id=room.id)).code is ErrorCode.FORBIDDEN
        assert refused(world, assistant, UpdateRoom(room_id=room.id, name="x")).code is ErrorCode.FORBIDDEN


class TestPair:
    KIND = RoomType.CUSTOMER_HOTEL_OWNER

    @pytest.mark.parametrize(("who", "roles"), [("cara", ("Customer",)), ("hugo", ("HOTEL_OWNER",))])
    def test_either_of_the_two_may_begin(self, world: World, who: str, roles: tuple[str, ...]) -> None:
        """Their own role is in their token, the other's in the directory; spelling does not matter."""
        other = {"cara": "hugo", "hugo": "cara"}[who]
        room = room_of(world.do(Actor(id=who, roles=roles), CreateRoom(type=self.KIND, members=[other])))
        assert world.roles(room.id) == {"cara": "member", "hugo": "member"}

    def test_there_is_one_per_pair_and_type(self, world: World) -> None:
        """Create or get, whatever it is about; another type has another room."""
        anna = Actor(id="anna", roles=("admin",))
        first = room_of(world.do(SERVICE, CreateRoom(type=self.KIND, owner="cara", members=["hugo"])))
        again = room_of(
            world.do(
                Actor(id="hugo", roles=("hotel_owner",)),
                CreateRoom(type=self.KIND, members=["cara"], metadata={"hotel_id": "h1"}),
            )
        )
        assert (again.id, again.metadata) == (first.id, None)
        other = world.do(anna, CreateRoom(type=RoomType.CUSTOMER_ADMIN, members=["cara"]))
        assert room_of(other).id != first.id

    @pytest.mark.parametrize(
        ("who", "roles", "other"),
        [
            ("cara", ("customer",), "anna"),
            ("cara", ("customer",), "nobody-knows"),
            ("cara", (), "hugo"),
            ("hugo", ("hotel_owner",), "hugo2"),
            ("mallory", ("hotel_ownerx",), "cara"),
        ],
    )
    def test_roles_are_verified(self, world: World, who: str, roles: tuple[str, ...], other: str) -> None:
        """Who has not the role, or is not known to have it, gets no such room."""
        command = CreateRoom(type=self.KIND, members=[other])
        assert refused(world, Actor(id=who, roles=roles), command).code is ErrorCode.FORBIDDEN

    def test_one_person_is_not_both(self, world: World) -> None:
        """Somebody with both roles still needs another with one of them."""
        command = CreateRoom(type=self.KIND, members=["nobody-knows"])
        assert refused(world, Actor(id="both", roles=("customer", "hotel_owner")), command).code is ErrorCode.FORBIDDEN
        world.do(Actor(id="both", roles=("customer", "hotel_owner")), CreateRoom(type=self.KIND, members=["cara"]))

    def test_its_members_stay(self, world: World) -> None:
        """Nobody comes or goes, whoever asks."""
        room_id = room_of(world.do(SERVICE, CreateRoom(type=self.KIND, owner="cara", members=["hugo"]))).id
        for command in (
            AddMember(room_id=room_id, user_id="eve"),
            RemoveMember(room_id=room_id, user_id="cara"),
            SetMembers(room_id=room_id, members=[Membership(user_id="eve")]),
        ):
            assert refused(world, SERVICE, command).code is ErrorCode.CONFLICT


class TestMute:
    def test_the_word_is_taken_and_given_back(self, world: World, group: str) -> None:
        """The member stays one; who is muted already stays so."""
        muted = world.do("bob", MuteMember(room_id=group, user_id="carol"))
        assert isinstance(muted, MemberResult)
        assert muted.member.muted
        version = world.rooms[group].version
        world.do("bob", MuteMember(room_id=group, user_id="carol"))
        assert world.rooms[group].version == version
        world.do("bob", MuteMember(room_id=group, user_id="carol", muted=False))
        assert not world.members[group]["carol"].muted

    def test_a_new_role_does_not_unmute(self, world: World, group: str) -> None:
        """Only giving the word back does."""
        world.do("bob", MuteMember(room_id=group, user_id="carol"))
        world.do("alice", SetRole(room_id=group, user_id="carol", role=Role.READ_ONLY))
        assert world.members[group]["carol"].muted

    @pytest.mark.parametrize(("who", "whom"), [("bob", "alice"), ("bob", "bob"), ("carol", "dan")])
    def test_only_those_below(self, world: World, group: str, who: str, whom: str) -> None:
        """As with removal."""
        assert refused(world, who, MuteMember(room_id=group, user_id=whom)).code is ErrorCode.FORBIDDEN

    def test_capabilities_tell(self, world: World, group: str) -> None:
        """What is left to a muted member is what they are shown."""
        world.do("alice", MuteMember(room_id=group, user_id="bob"))
        shown = room_of(world.do("bob", UpdateRoom(room_id=group, name="quiet")))
        assert shown.muted
        assert shown.capabilities is not None
        assert Action.SEND not in shown.capabilities
        assert {Action.READ, Action.MUTE} <= set(shown.capabilities)


class TestClose:
    def test_a_room_ends_and_begins_again(self, world: World, group: str) -> None:
        """One event each; twice is once."""
        for closed in (True, True, False):
            room = room_of(world.do("alice", CloseRoom(room_id=group, closed=closed)))
            assert room.closed is closed
            assert (Action.SEND in (room.capabilities or ())) is not closed
        assert [event.TYPE for event in world.events] == ["room.updated"] * 2

    def test_its_members_can_still_change(self, world: World, group: str) -> None:
        """Only what is said has ended."""
        world.do("alice", CloseRoom(room_id=group))
        world.do("bob", AddMember(room_id=group, user_id="eve"))


class TestSetMembers:
    def test_members_become_those_wanted(self, world: World, group: str) -> None:
        """Some come, some go, some change; who stays keeps their seniority; again changes nothing."""
        wanted = [Membership(user_id="alice", role=Role.OWNER), Membership(user_id="carol", role=Role.ADMIN)]
        wanted.append(Membership(user_id="eve"))
        command = SetMembers(room_id=group, members=wanted)
        since = world.members[group]["carol"].joined_at
        assert world.do("alice", command) == ReconciledView(room_id=group, added=1, removed=2, changed=1)
        assert world.roles(group) == {"alice": "owner", "carol": "admin", "eve": "member"}
        assert world.members[group]["carol"].joined_at == since
        assert world.rooms[group].member_count == 3
        assert world.do("alice", command) == ReconciledView(room_id=group, added=0, removed=0, changed=0)

    def test_somebody_must_own_a_group(self, world: World, group: str) -> None:
        """Members who govern a room need an owner."""
        command = SetMembers(room_id=group, members=[Membership(user_id="bob", role=Role.ADMIN)])
        assert refused(world, "alice", command).code is ErrorCode.CONFLICT

    def test_an_admin_of_the_room_may_not(self, world: World, group: str) -> None:
        """It takes the right to give every role."""
        command = SetMembers(room_id=group, members=[Membership(user_id="bob", role=Role.OWNER)])
        assert refused(world, "bob", command).code is ErrorCode.FORBIDDEN
