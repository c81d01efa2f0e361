"""What the messages service notes for others: whom messages concern, or no longer do, and what moderators do."""

from services.messages.state import Plan
from shared.contracts.base import Event
from shared.contracts.envelope import Actor
from shared.contracts.media import MediaCleared
from shared.contracts.messages import ClearTimeline, DeleteMessage, EditMessage, MessageCommand, SendMessage
from shared.contracts.notifications import ActNoted, MessageNoted, MessageUnnoted, Reason
from tests.unit.messages_world import DIRECT, ROOM, World

ROOT = Actor(id="root", roles=("admin",))


def notes(decided: Plan) -> list[Event]:
    """What was noted, in order."""
    return [item.event for item in decided.notes]


def reasons(decided: Plan) -> dict[str, Reason]:
    """Whom the one note concerns."""
    (event,) = notes(decided)
    assert isinstance(event, MessageNoted)
    return event.reasons


class TestNoted:
    def test_a_plain_message_in_a_group_concerns_nobody_in_particular(self) -> None:
        """And costs nothing."""
        assert notes(World().do("mia", SendMessage(room_id=ROOM, content="hi"))) == []

    def test_the_mentioned(self) -> None:
        """Members, not the sender; what is shown of it is short."""
        world = World()
        decided = world.do("mia", SendMessage(room_id=ROOM, content="@max @mia @nobody look", mentions=("adam",)))
        assert reasons(decided) == {"adam": Reason.MENTION, "max": Reason.MENTION}
        (event,) = notes(decided)
        assert isinstance(event, MessageNoted)
        assert (event.seq, event.sender.id, event.preview) == (1, "mia", "@max @mia @nobody look")

    def test_the_other_of_a_room_of_two(self) -> None:
        """Whatever is said; mentioning them is the stronger reason."""
        world = World()
        assert reasons(world.do("mia", SendMessage(room_id=DIRECT, content="hi"))) == {"max": Reason.DIRECT}
        assert reasons(world.do("mia", SendMessage(room_id=DIRECT, content="@max"))) == {"max": Reason.MENTION}

    def test_a_repetition_is_noted_alike(self) -> None:
        """The first note may have been lost; by its id it is known."""
        world, command = World(), SendMessage(room_id=DIRECT, content="hi", client_id="c")
        assert world.do("mia", command).notes == world.do("mia", command).notes != []

    def test_an_edit_concerns_those_it_newly_mentions(self) -> None:
        """Who was mentioned before has been told."""
        world = World()
        sent = world.send("mia", "@max hi")
        edited = world.do("mia", EditMessage(message_id=sent.message_id, content="@max @adam hi"))
        assert reasons(edited) == {"adam": Reason.MENTION}
        assert notes(world.do("mia", EditMessage(message_id=sent.message_id, content="hi"))) == []


class TestUnnoted:
    def test_what_is_deleted(self) -> None:
        """Every time it is asked, for the first note may have been lost."""
        world = World()
        sent = world.send("mia", "@max hi")
        for _ in range(2):
            deleted = world.do("mia", DeleteMessage(message_id=sent.message_id))
            assert notes(deleted) == [MessageUnnoted(room_id=ROOM, message_id=sent.message_id, seq=1)]

    def test_what_is_cleared(self) -> None:
        """All up to there, and it is an act."""
        world = World()
        world.send("mia", "@max hi")
        unnoted, unshown, act = notes(world.do("olga", ClearTimeline(room_id=ROOM)))
        assert unnoted == MessageUnnoted(room_id=ROOM, seq=1)
        assert unshown == MediaCleared(room_id=ROOM, rev=2, seq=1)
        assert isinstance(act, ActNoted)
        assert (act.actor_id, act.act, act.message_id, act.target_id) == ("olga", "timeline.clear", None, None)


class TestActs:
    def test_rights_over_others_messages(self) -> None:
        """Whose, and which; a repetition of the command has the same id, another one has not."""
        world = World()
        sent = [world.send("mia", f"{number}") for number in range(2)]

        def act(message: int, client_id: str) -> tuple[str, ActNoted]:
            command: MessageCommand = DeleteMessage(message_id=sent[message].message_id, client_id=client_id)
            noted = [item for item in world.do(ROOT, command).notes if isinstance(item.event, ActNoted)]
            (item,) = noted
            assert isinstance(item.event, ActNoted)
            return item.id, item.event

        first, event = act(0, "a")
        assert (event.actor_id, event.act, event.message_id) == ("root", "message.delete", sent[0].message_id)
        assert event.target_id == "mia"
        assert act(0, "a")[0] == first
        assert act(1, "b")[0] != first

    def test_what_has_changed_nothing_is_no_act(self) -> None:
        """The message had been deleted."""
        world = World()
        sent = world.send("mia", "hi")
        world.do("mia", DeleteMessage(message_id=sent.message_id))
        assert not any(
            isinstance(event, ActNoted) for event in notes(world.do(ROOT, DeleteMessage(message_id=sent.message_id)))
        )

    def test_ones_own_are_ones_own(self) -> None:
        """No act over oneself."""
        world = World()
        sent = world.send("adam", "hi")
        assert not any(
            isinstance(event, ActNoted) for event in notes(world.do("adam", DeleteMessage(message_id=sent.message_id)))
        )


def test_notes_are_no_announcements_of_the_timeline() -> None:
    """They have no place in it, and answer nobody."""
    world = World()
    decided = world.do("mia", SendMessage(room_id=DIRECT, content="hi"))
    (item,) = decided.notes
    assert (item.seq, item.rev, item.cause) == (None, None, None)
    assert len(decided.announcements) == len(decided.writes) == 1
