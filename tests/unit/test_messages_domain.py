"""Every rule of a timeline, one behaviour at a time: sending, retries, and who may do what."""

from dataclasses import replace
from itertools import product

import pytest

from services.messages.domain import RULES
from services.messages.state import Announcement
from shared.contracts.content import MessageType
from shared.contracts.envelope import Actor
from shared.contracts.errors import ErrorCode
from shared.contracts.membership import Action, Role, RoomType
from shared.contracts.messages import (
    COMMANDS,
    ClearTimeline,
    DeleteMessage,
    EditMessage,
    MarkRead,
    MessageCommand,
    MessageCreated,
    MessageUpdated,
    PurgeRoom,
    ReactToMessage,
    SendMessage,
    UnreactToMessage,
)
from shared.contracts.timeline import SentView
from shared.ids import message_id
from shared.permissions import allowed
from tests.unit.messages_world import (
    DIRECT,
    FOREIGN,
    MAX_LENGTH,
    ROOM,
    START,
    World,
    access,
    changes,
    only,
    refusal_of,
    refused,
)

ADMIN = Actor(id="root", roles=("admin",))
SERVICE = Actor(id="bot", roles=("service",))


@pytest.fixture
def world() -> World:
    """Rooms with nothing in them."""
    return World()


def announced(announcements: list[Announcement]) -> list[tuple[type, int | None, int | None]]:
    """What was announced, by event and position."""
    return [(type(item.event), item.seq, item.rev) for item in announcements]


def test_every_command_has_a_rule() -> None:
    """But the purge, which decides nothing."""
    assert set(RULES) == set(COMMANDS.values()) - {PurgeRoom}


class TestSend:
    def test_the_first_message(self, world: World) -> None:
        """It is stored at seq 1 and rev 1, shown to everybody, and acked with its place."""
        actor = Actor(id="mia", name="Mia", avatar="https://example.org/mia.png")
        command = SendMessage(room_id=ROOM, content="hi", metadata={"a": 1}, client_id="c-1")
        decided = world.do(actor, command)
        ack = only(decided, SentView)
        view = world.view(ack.message_id)
        assert (ack.seq, ack.rev, ack.duplicate, ack.created_at) == (1, 1, False, view.created_at)
        assert ack.message_id == message_id(ROOM, "mia", "c-1")
        assert (view.seq, view.rev, view.content, view.metadata, view.client_id) == (1, 1, "hi", {"a": 1}, "c-1")
        assert (view.sender.id, view.sender.name, view.sender.avatar) == ("mia", "Mia", actor.avatar)
        assert announced(decided.announcements) == [(MessageCreated, 1, 1)]
        assert decided.announcements[0].event == MessageCreated(message=view)

    def test_seq_and_rev_go_on_per_room(self, world: World) -> None:
        """Rooms do not count each other's messages."""
        acks = [world.send(room_id=room_id) for room_id in (ROOM, DIRECT, ROOM)]
        assert [(ack.seq, ack.rev) for ack in acks] == [(1, 1), (1, 1), (2, 2)]

    def test_without_a_client_id_the_request_is_the_key(self, world: World) -> None:
        """A command that the broker delivers twice makes one message all the same."""
        request = world.request("mia", SendMessage(room_id=ROOM, content="hi"))
        first, second = (only(world.batch(request), SentView) for _ in range(2))
        assert second == first.model_copy(update={"duplicate": True})
        assert world.view(first.message_id).client_id is None

    def test_a_retry_gets_the_same_ack_and_is_announced_again(self, world: World) -> None:
        """Nothing is written; the first announcement may have been lost."""
        first = world.send(client_id="c-1")
        world.send()
        decided = world.do("mia", SendMessage(room_id=ROOM, content="hi", client_id="c-1"))
        assert only(decided, SentView) == first.model_copy(update={"duplicate": True})
        assert decided.writes == []
        assert announced(decided.announcements) == [(MessageCreated, 1, 1)]

    def test_a_retry_in_the_same_batch(self, world: World) -> None:
        """Two copies that arrive together make one message."""
        command = SendMessage(room_id=ROOM, content="hi", client_id="c-1")
        decided = world.batch(*(world.request("mia", command) for _ in range(2)))
        first, second = decided.answers.values()
        assert isinstance(first, SentView)
        assert second == first.model_copy(update={"duplicate": True})
        assert len(decided.writes) == 1

    def test_a_retry_after_an_edit_gets_the_first_ack(self, world: World) -> None:
        """Its rev is that of the creation; what is announced is the message as it is now."""
        first = world.send(client_id="c-1")
        world.change("mia", EditMessage(message_id=first.message_id, content="better"))
        decided = world.do("mia", SendMessage(room_id=ROOM, content="hi", client_id="c-1"))
        assert only(decided, SentView) == first.model_copy(update={"duplicate": True})
        assert announced(decided.announcements) == [(MessageCreated, 1, 2)]
        assert decided.announcements[0].event == MessageCreated(message=world.view(first.message_id))

    @pytest.mark.parametrize(
        "other", [{"content": "other"}, {"metadata": {"a": 2}}, {"metadata": {}}, {"type": MessageType.SYSTEM}]
    )
    def test_another_body_under_the_same_key_is_a_conflict(self, world: World, other: dict[str, object]) -> None:
        """Neither replaces the first nor is dropped in silence."""
        body = {"room_id": ROOM, "content": "hi", "client_id": "c-1"}
        world.do(SERVICE, SendMessage.model_validate(body))
        error = refused(world.do(SERVICE, SendMessage.model_validate(body | other)), ErrorCode.CONFLICT)
        assert "c-1" in error.message

    def test_a_key_is_its_senders_own(self, world: World) -> None:
        """Two users may use the same client_id, and one user in two rooms."""
        acks = [
            world.send("mia", client_id="c-1"),
            world.send("max", client_id="c-1"),
            world.send("mia", room_id=DIRECT, client_id="c-1"),
        ]
        assert len({ack.message_id for ack in acks}) == 3
        assert not any(ack.duplicate for ack in acks)

    def test_content_is_limited_in_characters(self, world: World) -> None:
        """Exactly the limit is accepted."""
        world.send(content="ä" * MAX_LENGTH)
        too_long = SendMessage(room_id=ROOM, content="ä" * (MAX_LENGTH + 1))
        refused(world.do("mia", too_long), ErrorCode.TOO_LARGE)

    def test_a_batch_bears_one_time(self, world: World) -> None:
        """The time comes from outside, once."""
        decided = world.plan([world.request("mia", SendMessage(room_id=ROOM, content=text)) for text in "ab"])
        assert {view.created_at for view in changes(decided)} == {START}

    def test_planning_changes_nothing(self, world: World) -> None:
        """A plan can be made again on a fresh snapshot, and comes out the same."""
        requests = [world.request("mia", SendMessage(room_id=ROOM, content="hi", client_id="c-1"))]
        assert world.plan(requests) == world.plan(requests)
        assert world.messages == {}


class TestAccess:
    def test_what_is_refused_names_the_room_for_a_second_look(self, world: World) -> None:
        """The caller may have been let in a moment ago, so the room's access is worth asking for again."""
        decided = world.do("eve", SendMessage(room_id=ROOM, content="hi"))
        refused(decided, ErrorCode.FORBIDDEN)
        assert decided.refused_by_access == {ROOM}

    @pytest.mark.parametrize("room_id", [FOREIGN, "gone"])
    def test_other_tenants_rooms_and_none_at_all_look_the_same(self, world: World, room_id: str) -> None:
        """Even to a user of the same name, and to an admin of another tenant."""
        for who in ("mia", ADMIN, SERVICE):
            error = refused(world.do(who, SendMessage(room_id=room_id, content="hi")), ErrorCode.NOT_FOUND)
            assert error.message == f"There is no room '{room_id}'."

    def test_unknown_access_is_unavailable(self, world: World) -> None:
        """Where the rooms service does not answer, the caller is asked to try again; it is no refusal."""
        del world.access[ROOM]
        decided = world.do("mia", SendMessage(room_id=ROOM, content="hi"))
        error = refused(decided, ErrorCode.UNAVAILABLE)
        assert error.retry_after
        assert decided.refused_by_access == set()

    def test_a_message_of_another_tenant_does_not_exist(self, world: World) -> None:
        """The error names the message the caller asked for, and nothing of its room."""
        theirs = Actor(id="mia", tenant="other")
        ack = only(world.do(theirs, SendMessage(room_id=FOREIGN, content="hi")), SentView)
        commands: list[MessageCommand] = [
            EditMessage(message_id=ack.message_id, content="x"),
            DeleteMessage(message_id=ack.message_id),
            ReactToMessage(message_id=ack.message_id, emoji="👍"),
            UnreactToMessage(message_id=ack.message_id, emoji="👍"),
        ]
        for command in commands:
            error = refused(world.do("mia", command), ErrorCode.NOT_FOUND)
            assert error.message == f"There is no message '{ack.message_id}'."

    def test_a_message_that_never_was_does_not_exist(self, world: World) -> None:
        """The same words as for another tenant's."""
        error = refused(world.do("mia", DeleteMessage(message_id="0" * 24)), ErrorCode.NOT_FOUND)
        assert error.message == f"There is no message '{'0' * 24}'."

    @pytest.mark.parametrize(
        ("kind", "role", "own", "roles"),
        list(product(RoomType, [*Role, None], [True, False], [(), ("admin",), ("service",), ("nobody",)])),
    )
    def test_every_rule_asks_the_permission_table(
        self, kind: RoomType, role: Role | None, own: bool, roles: tuple[str, ...]
    ) -> None:
        """Each command over each room type, role, global role, and one's own message or another's."""
        members = {"olga": Role.OWNER} | ({"me": role} if role is not None else {})
        world = World(access={ROOM: access(ROOM, kind, **members)})
        writer = Actor(id="me" if own else "olga", roles=("service",))
        ack = only(world.do(writer, SendMessage(room_id=ROOM, content="hi")), SentView)
        needed: dict[tuple[Action, ...], MessageCommand] = {
            (Action.SEND,): SendMessage(room_id=ROOM, content="hi"),
            (Action.SEND_SYSTEM,): SendMessage(room_id=ROOM, content="hi", type=MessageType.SYSTEM),
            (Action.EDIT_ANY, *[Action.EDIT_OWN] * own): EditMessage(message_id=ack.message_id, content="x"),
            (Action.DELETE_ANY, *[Action.DELETE_OWN] * own): DeleteMessage(message_id=ack.message_id),
            (Action.REACT,): ReactToMessage(message_id=ack.message_id, emoji="👍"),
            (Action.MARK,): MarkRead(room_id=ROOM, seq=1),
            (Action.CLEAR,): ClearTimeline(room_id=ROOM),
        }
        for actions, command in needed.items():
            may = any(allowed(action, kind, role, roles) for action in actions)
            expected = None if may else ErrorCode.FORBIDDEN
            assert refusal_of(world, Actor(id="me", roles=roles), command) is expected, actions


class TestTogether:
    def test_a_batch_sees_its_own_work(self, world: World) -> None:
        """A message can be edited, reacted to and deleted in the batch that creates it."""
        key = message_id(ROOM, "mia", "c-1")
        commands: list[MessageCommand] = [
            SendMessage(room_id=ROOM, content="hi", client_id="c-1"),
            EditMessage(message_id=key, content="better"),
            ReactToMessage(message_id=key, emoji="👍"),
            DeleteMessage(message_id=key),
        ]
        decided = world.batch(*(world.request("mia", command) for command in commands))
        assert [(view.rev, write.previous) for view, write in zip(changes(decided), decided.writes, strict=True)] == [
            (1, None), (2, 1), (3, 2), (4, 3),
        ]  # fmt: skip
        assert [item.rev for item in decided.announcements] == [1, 2, 3, 4]
        assert world.view(key).deleted_at is not None

    def test_a_refusal_does_not_touch_the_others(self, world: World) -> None:
        """Each request of a batch is answered by itself."""
        decided = world.batch(
            world.request("mia", SendMessage(room_id=ROOM, content="one")),
            world.request("eve", SendMessage(room_id=ROOM, content="two")),
            world.request("mia", SendMessage(room_id="gone", content="three")),
            world.request("max", SendMessage(room_id=ROOM, content="four")),
        )
        assert [answer.seq if isinstance(answer, SentView) else None for answer in decided.answers.values()] == [
            1, None, None, 2,
        ]  # fmt: skip

    def test_announcements_bear_the_trace_and_an_id_of_their_own(self, world: World) -> None:
        """The same change announced twice has the same id: message and rev."""
        ack = world.send(client_id="c-1")
        command = EditMessage(message_id=ack.message_id, content="x")
        request = replace(world.request("mia", command), traceparent="00-1")
        for _ in range(2):
            (item,) = world.batch(request).announcements
            assert (item.id, item.traceparent) == (f"{ack.message_id}:2", "00-1")
            assert type(item.event) is MessageUpdated
