"""Every rule of a timeline, one behaviour at a time: edits, deletions, reactions and marks."""

import pytest

from services.messages.state import MAX_APPLIED
from shared.contracts.errors import ErrorCode
from shared.contracts.messages import (
    MAX_REACTION_KINDS,
    DeleteMessage,
    EditMessage,
    MessageDeleted,
    MessageReacted,
    MessageUpdated,
    ReactToMessage,
    SendMessage,
    UnreactToMessage,
)
from shared.contracts.timeline import ChangedView
from tests.unit.messages_world import MAX_LENGTH, ROOM, World, only, refused


@pytest.fixture
def world() -> World:
    """Rooms with nothing in them."""
    return World()


@pytest.fixture
def message(world: World) -> str:
    """The id of a message by mia with metadata."""
    world.do("mia", SendMessage(room_id=ROOM, content="hi", metadata={"a": 1}, client_id="c-1"))
    return next(iter(world.messages))


class TestEdit:
    def test_it_replaces_the_content_and_says_when(self, world: World, message: str) -> None:
        """The message keeps its place and takes the room's next rev."""
        decided = world.do("mia", EditMessage(message_id=message, content="better"))
        view = world.view(message)
        assert (view.content, view.seq, view.rev, view.metadata) == ("better", 1, 2, {"a": 1})
        assert view.edited_at is not None
        assert [item.event for item in decided.announcements] == [MessageUpdated(message=view)]

    def test_metadata_is_replaced_where_given(self, world: World, message: str) -> None:
        """`{}` empties it; left out, it stays."""
        world.change("mia", EditMessage(message_id=message, content="hi", metadata={"b": 2}))
        assert world.view(message).metadata == {"b": 2}
        world.change("mia", EditMessage(message_id=message, content="hi", metadata={}))
        assert world.view(message).metadata == {}

    def test_an_edit_that_changes_nothing_is_announced_again(self, world: World, message: str) -> None:
        """It takes no rev, and says at which one the message stands."""
        first = world.change("mia", EditMessage(message_id=message, content="better"))
        decided = world.do("mia", EditMessage(message_id=message, content="better"))
        again = only(decided, type(first))
        assert (again.rev, again.changed, first.changed) == (first.rev, False, True)
        assert [item.rev for item in decided.announcements] == [2]
        assert world.timelines[ROOM].rev == 2

    def test_too_long(self, world: World, message: str) -> None:
        """The limit holds for edits too."""
        command = EditMessage(message_id=message, content="x" * (MAX_LENGTH + 1))
        refused(world.do("mia", command), ErrorCode.TOO_LARGE)

    def test_a_deleted_message_stays_deleted(self, world: World, message: str) -> None:
        """Nothing brings its content back."""
        world.change("mia", DeleteMessage(message_id=message))
        refused(world.do("mia", EditMessage(message_id=message, content="x")), ErrorCode.CONFLICT)

    @pytest.mark.parametrize("who", ["olga", "adam", "max", "rita", "eve"])
    def test_nobody_puts_words_into_anothers_mouth(self, world: World, message: str, who: str) -> None:
        """Not even a room's owner."""
        refused(world.do(who, EditMessage(message_id=message, content="x")), ErrorCode.FORBIDDEN)


class TestDelete:
    def test_it_takes_everything_but_the_place(self, world: World, message: str) -> None:
        """Content, metadata and reactions go; seq, sender and times stay."""
        world.change("max", ReactToMessage(message_id=message, emoji="👍"))
        decided = world.do("mia", DeleteMessage(message_id=message))
        view = world.view(message)
        assert (view.content, view.metadata, list(view.reactions)) == ("", None, [])
        assert (view.seq, view.rev, view.sender.id) == (1, 3, "mia")
        assert view.deleted_at is not None
        assert [item.event for item in decided.announcements] == [MessageDeleted(message=view)]

    def test_again_it_changes_nothing(self, world: World, message: str) -> None:
        """A second deletion is acked with the first one's rev and announced again."""
        world.change("mia", DeleteMessage(message_id=message))
        before = world.view(message)
        decided = world.do("mia", DeleteMessage(message_id=message))
        assert world.view(message) == before
        assert [(type(item.event), item.rev) for item in decided.announcements] == [(MessageDeleted, 2)]

    @pytest.mark.parametrize(("who", "may"), [("olga", True), ("adam", True), ("max", False), ("rita", False)])
    def test_moderators_delete_what_others_wrote(self, world: World, message: str, who: str, may: bool) -> None:
        """Owner and admins do, members do not."""
        decided = world.do(who, DeleteMessage(message_id=message))
        if may:
            assert world.view(message).deleted_at is not None
        else:
            refused(decided, ErrorCode.FORBIDDEN)


class TestReactions:
    def chosen(self, world: World, message: str) -> dict[str, list[str]]:
        """Who chose what."""
        return {reaction.emoji: list(reaction.users) for reaction in world.view(message).reactions}

    def test_each_user_counts_once_per_emoji(self, world: World, message: str) -> None:
        """In the order in which they came."""
        for who, emoji in (("max", "👍"), ("mia", "👍"), ("max", "🎉"), ("max", "👍")):
            world.change(who, ReactToMessage(message_id=message, emoji=emoji))
        assert self.chosen(world, message) == {"👍": ["max", "mia"], "🎉": ["max"]}
        assert world.timelines[ROOM].rev == 4

    def test_taking_one_back(self, world: World, message: str) -> None:
        """The last one takes the emoji with it."""
        for who in ("max", "mia"):
            world.change(who, ReactToMessage(message_id=message, emoji="👍"))
        world.change("max", UnreactToMessage(message_id=message, emoji="👍"))
        assert self.chosen(world, message) == {"👍": ["mia"]}
        decided = world.do("mia", UnreactToMessage(message_id=message, emoji="👍"))
        assert self.chosen(world, message) == {}
        assert [type(item.event) for item in decided.announcements] == [MessageReacted]

    def test_what_is_so_already_changes_nothing(self, world: World, message: str) -> None:
        """Reacting twice, or taking back what was never given, takes no rev."""
        world.change("max", ReactToMessage(message_id=message, emoji="👍"))
        before = world.view(message)
        for command in (
            ReactToMessage(message_id=message, emoji="👍"),
            UnreactToMessage(message_id=message, emoji="🎉"),
        ):
            decided = world.do("max", command)
            assert not only(decided, ChangedView).changed
            assert [item.rev for item in decided.announcements] == [2]
        assert world.view(message) == before

    def test_kinds_are_limited(self, world: World, message: str) -> None:
        """A message takes so many different ones; more of the same kind are welcome."""
        for number in range(MAX_REACTION_KINDS):
            world.change("max", ReactToMessage(message_id=message, emoji=f":{number}:"))
        refused(world.do("max", ReactToMessage(message_id=message, emoji=":more:")), ErrorCode.CONFLICT)
        world.change("mia", ReactToMessage(message_id=message, emoji=":0:"))

    def test_a_deleted_message_takes_none(self, world: World, message: str) -> None:
        """Taking one's own back is still fine: it went with the rest."""
        world.change("max", ReactToMessage(message_id=message, emoji="👍"))
        world.change("mia", DeleteMessage(message_id=message))
        refused(world.do("max", ReactToMessage(message_id=message, emoji="🎉")), ErrorCode.CONFLICT)
        assert not world.change("max", UnreactToMessage(message_id=message, emoji="👍")).changed


class TestCopies:
    """A command that comes again, from the broker or from a client that has not heard of its ack."""

    def test_a_copy_does_not_undo_what_has_followed(self, world: World, message: str) -> None:
        """Whatever it was: its time is over."""
        first = EditMessage(message_id=message, content="better", client_id="c-2")
        world.change("mia", first)
        world.change("mia", EditMessage(message_id=message, content="best"))
        decided = world.do("mia", first)
        assert (world.view(message).content, decided.writes) == ("best", [])
        assert only(decided, ChangedView) == ChangedView(message_id=message, rev=3, changed=False)

    def test_not_even_where_it_had_nothing_to_change(self, world: World, message: str) -> None:
        """A second tap on an emoji, taken back, and then the tap's copy."""
        world.change("max", ReactToMessage(message_id=message, emoji="👍"))
        tap = world.request("max", ReactToMessage(message_id=message, emoji="👍"))
        back = world.request("max", UnreactToMessage(message_id=message, emoji="👍"))
        for _ in range(2):
            world.batch(tap)
            world.batch(back)
            assert world.view(message).reactions == ()

    def test_a_copy_after_the_deletion_is_no_conflict(self, world: World, message: str) -> None:
        """The edit was made; that the message was deleted since is announced instead."""
        edit = EditMessage(message_id=message, content="better", client_id="c-2")
        world.change("mia", edit)
        world.change("mia", DeleteMessage(message_id=message))
        decided = world.do("mia", edit)
        assert only(decided, ChangedView).rev == 3
        assert [type(item.event) for item in decided.announcements] == [MessageDeleted]

    def test_memory_is_bounded(self, world: World, message: str) -> None:
        """A message remembers the latest changes."""
        for number in range(MAX_APPLIED + 5):
            world.change("mia", EditMessage(message_id=message, content=f"{number}"))
        assert len(world.messages[message].applied) == MAX_APPLIED
