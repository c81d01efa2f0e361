"""What is past: revisions of what was edited, conversations that were cleared, sessions that are full."""

import pytest

from services.messages.state import MAX_APPLIED, Clearing
from shared.contracts.content import MessageType
from shared.contracts.envelope import Actor
from shared.contracts.errors import ErrorCode
from shared.contracts.messages import (
    MAX_REACTIONS,
    ClearTimeline,
    DeleteMessage,
    EditMessage,
    MessageCommand,
    ReactToMessage,
    SendMessage,
    TimelineCleared,
    UnreactToMessage,
)
from shared.contracts.timeline import ChangedView, ClearedView, SentView
from tests.unit.messages_world import LIMITS, ROOM, SESSION, World, only, refused

SERVICE = Actor(id="bot", roles=("service",))


@pytest.fixture
def world() -> World:
    """Rooms with nothing in them."""
    return World()


def clear(world: World, who: str | Actor = "olga", room_id: str = ROOM, client_id: str | None = None) -> ClearedView:
    """Clear a room; the ack."""
    return only(world.do(who, ClearTimeline(room_id=room_id, client_id=client_id)), ClearedView)


class TestRevisions:
    def test_an_edit_keeps_what_was_said(self, world: World) -> None:
        """With its metadata, and since when it was said."""
        first = world.send(content="one")
        before = world.view(first.message_id)
        decided = world.do("mia", EditMessage(message_id=first.message_id, content="two", metadata={"a": 1}))
        (revision,) = decided.revisions
        assert (revision.rev, revision.content, revision.metadata) == (1, "one", None)
        assert revision.since == before.created_at
        world.change("mia", EditMessage(message_id=first.message_id, content="three"))
        assert world.said(first.message_id) == ["one", "two"]

    def test_it_is_known_by_the_change_that_said_it(self, world: World) -> None:
        """Reactions in between make no difference: to keep it twice is to keep it once."""
        first = world.send(content="one").message_id
        edit = EditMessage(message_id=first, content="two")
        lost = world.plan([world.request("mia", edit)])
        world.revisions |= {(it.message_id, it.rev): it for it in lost.revisions}  # and the process died
        assert world.said(first) == []
        world.change("max", ReactToMessage(message_id=first, emoji="+"))
        assert world.said(first) == []
        world.change("mia", edit)
        assert world.said(first) == ["one"]

    def test_edits_of_one_batch(self, world: World) -> None:
        """Each of them replaces something."""
        first = world.send(content="one").message_id
        decided = world.batch(
            *(world.request("mia", EditMessage(message_id=first, content=text)) for text in ("two", "two", "three"))
        )
        assert [revision.content for revision in decided.revisions] == ["one", "two"]
        assert world.said(first) == ["one", "two"]

    def test_a_deletion_takes_them_along(self, world: World) -> None:
        """Also where it is repeated, for the first one may not have got so far."""
        first = world.send(content="one").message_id
        world.change("mia", EditMessage(message_id=first, content="two"))
        for _ in range(2):
            decided = world.do("mia", DeleteMessage(message_id=first))
            assert decided.forgotten == {first}
            assert world.revisions == {}


class TestClear:
    def test_everything_goes_in_one_change(self, world: World) -> None:
        """One rev, one event, one record; the next message goes on counting."""
        for text in ("one", "two", "three"):
            world.send(content=text)
        decided = world.do("olga", ClearTimeline(room_id=ROOM))
        assert only(decided, ClearedView) == ClearedView(room_id=ROOM, seq=3, rev=4, changed=True)
        (item,) = decided.announcements
        (write,) = decided.writes
        assert isinstance(write.state, Clearing)
        assert item.event == TimelineCleared(room_id=ROOM, seq=3, rev=4, by="olga", at=write.state.at)
        assert (item.seq, item.rev, write.previous) == (3, 4, None)
        assert world.timelines[ROOM][1:] == (3, 4, 3)
        ack = world.send(content="four")
        assert (ack.seq, ack.rev) == (4, 5)
        again = world.do("olga", ClearTimeline(room_id=ROOM))
        assert only(again, ClearedView) == ClearedView(room_id=ROOM, seq=4, rev=6, changed=True)
        assert again.writes[0].previous == 4

    def test_with_nothing_new_it_changes_nothing(self, world: World) -> None:
        """It is announced again, as the first announcement may have been lost."""
        world.send()
        first = clear(world)
        decided = world.do("olga", _clear_room())
        assert only(decided, ClearedView) == first.model_copy(update={"changed": False})
        assert [item.rev for item in decided.announcements] == [first.rev]
        assert world.timelines[ROOM].rev == first.rev

    def test_an_empty_room(self, world: World) -> None:
        """There is nothing to announce."""
        decided = world.do("olga", _clear_room("c-1"))
        assert only(decided, ClearedView) == ClearedView(room_id=ROOM, seq=0, rev=0, changed=False)
        assert decided.announcements == []

    @pytest.mark.parametrize("empty", [True, False])
    def test_a_copy_does_not_clear_what_was_written_since(self, world: World, empty: bool) -> None:
        """Whether or not it had anything to clear."""
        if not empty:
            world.send()
        clear(world, client_id="c-1")
        kept = world.send(content="since").message_id
        assert not clear(world, client_id="c-1").changed
        assert world.view(kept).content == "since"
        assert clear(world, client_id="c-2").changed

    def test_memory_is_bounded(self, world: World) -> None:
        """As a message's."""
        world.send()
        for _ in range(MAX_APPLIED + 5):
            clear(world)
        assert len(world.clearings[ROOM].applied) == MAX_APPLIED

    def test_what_was_cleared_is_not_there(self, world: World) -> None:
        """It can be neither changed nor answered, in the same batch or later."""
        first = world.send(content="one").message_id
        commands: list[MessageCommand] = [
            EditMessage(message_id=first, content="x"),
            DeleteMessage(message_id=first),
            ReactToMessage(message_id=first, emoji="+"),
            UnreactToMessage(message_id=first, emoji="+"),
        ]
        decided = world.batch(
            world.request("olga", _clear_room()), *(world.request("mia", command) for command in commands)
        )
        codes = [getattr(answer, "code", None) for answer in decided.answers.values()]
        assert codes == [None, *[ErrorCode.NOT_FOUND] * 4]
        for command in commands:
            refused(world.do("mia", command), ErrorCode.NOT_FOUND)
        refused(world.do("mia", SendMessage(room_id=ROOM, content="x", reply_to=first)), ErrorCode.INVALID)

    def test_a_reply_goes_on_without_what_it_answers(self, world: World) -> None:
        """A reply is newer than that; only a clearing in between can part them."""
        first = world.send(content="one", client_id="c-1").message_id
        reply = SendMessage(room_id=ROOM, content="yes", reply_to=first, client_id="c-2")
        world.do("max", reply)
        clear(world)
        assert only(world.do("max", reply), SentView).duplicate

    def test_retries_get_the_acks_they_would_have_got(self, world: World) -> None:
        """Of sends and changes alike; nothing of it is told."""
        sent = world.send(content="one", client_id="c-1")
        edit = EditMessage(message_id=sent.message_id, content="two", client_id="c-2")
        edited = world.change("mia", edit)
        clear(world)
        decided = world.do("mia", SendMessage(room_id=ROOM, content="one", client_id="c-1"))
        assert only(decided, SentView) == sent.model_copy(update={"duplicate": True})
        again = world.do("mia", edit)
        assert only(again, ChangedView) == edited.model_copy(update={"changed": False})
        for plan in (decided, again):
            assert (plan.announcements, plan.writes) == ([], [])

    def test_revisions_go_too(self, world: World) -> None:
        """With the messages they were of."""
        first = world.send(content="one").message_id
        world.change("mia", EditMessage(message_id=first, content="two"))
        clear(world)
        assert world.revisions == {}

    @pytest.mark.parametrize("who", ["adam", "mia", "rita", "eve"])
    def test_who_may_not(self, world: World, who: str) -> None:
        """Only the owner of a room, moderators and services."""
        world.send()
        refused(world.do(who, _clear_room()), ErrorCode.FORBIDDEN)
        assert clear(world, Actor(id="root", roles=("admin",))).changed


class TestSessions:
    def test_a_full_session_must_be_cleared(self, world: World) -> None:
        """What was cleared does not count; the system may still speak; retries are none of it."""
        for number in range(int(LIMITS.session)):
            last = world.send(room_id=SESSION, content="hi", client_id=f"c-{number}")
        error = refused(world.do("mia", SendMessage(room_id=SESSION, content="more")), ErrorCode.CONFLICT)
        assert "clear" in error.message
        assert world.send(room_id=SESSION, content="hi", client_id=f"c-{number}").message_id == last.message_id
        system = SendMessage(room_id=SESSION, content="The session is full", type=MessageType.SYSTEM)
        only(world.do(SERVICE, system), SentView)
        clear(world, "mia", SESSION)
        assert world.send(room_id=SESSION).seq == LIMITS.session + 2

    def test_other_rooms_are_not_bounded(self, world: World) -> None:
        """A group goes on for ever."""
        for _ in range(int(LIMITS.session) + 2):
            world.send()


def test_reactions_are_bounded(world: World) -> None:
    """A message is a document, and documents are."""
    room = world.access[ROOM]
    assert room is not None
    first = world.send().message_id
    crowd = [f"user-{number}" for number in range(MAX_REACTIONS + 1)]
    world.access[ROOM] = room.model_copy(update={"members": {**room.members, **dict.fromkeys(crowd, "member")}})
    reactions = [world.request(who, ReactToMessage(message_id=first, emoji="+")) for who in crowd[:-1]]
    for start in range(0, len(reactions), 500):
        world.batch(*reactions[start : start + 500])
    assert len(world.view(first).reactions[0].users) == MAX_REACTIONS
    refused(world.do(crowd[-1], ReactToMessage(message_id=first, emoji="-")), ErrorCode.CONFLICT)
    assert world.change(crowd[0], UnreactToMessage(message_id=first, emoji="+")).changed
    assert world.change(crowd[-1], ReactToMessage(message_id=first, emoji="-")).changed


def _clear_room(client_id: str | None = None) -> ClearTimeline:
    return ClearTimeline(room_id=ROOM, client_id=client_id)
