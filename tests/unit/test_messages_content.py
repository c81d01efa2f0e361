"""What messages are made of: kinds and authors, whom they mention, what they answer, and what is denied."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from services.messages.state import Announcement, Plan
from shared.contracts.content import (
    MAX_MENTIONS,
    QUOTE_LENGTH,
    Attachment,
    Author,
    Location,
    MessageType,
    MessageView,
    QuoteView,
)
from shared.contracts.envelope import Actor
from shared.contracts.errors import ErrorCode
from shared.contracts.membership import Role, RoomAccess
from shared.contracts.messages import (
    DeleteMessage,
    EditMessage,
    MessageCommand,
    ReactToMessage,
    SendMessage,
    TimelineEvent,
    UnreactToMessage,
)
from shared.contracts.timeline import SentView
from tests.unit.messages_world import DIRECT, ROOM, SESSION, World, only, refused

SERVICE = Actor(id="bot", roles=("service",))
HELPER = Actor(id="helper", roles=("assistant",))
IMAGE = Attachment(url="/media/1", name="a.png", size=5, mime_type="image/png", width=3, height=4)
FILE = Attachment(url="https://example.org/a.pdf")
PLACE = Location(latitude=48.2, longitude=16.4, name="Vienna")


@pytest.fixture
def world() -> World:
    """Rooms with nothing in them."""
    return World()


def told(announcement: Announcement) -> MessageView:
    """The message that an announcement shows."""
    assert isinstance(announcement.event, TimelineEvent)
    return announcement.event.message


def sent(world: World, who: str | Actor = "mia", room_id: str = ROOM, **body: Any) -> MessageView:
    """A message as it is announced."""
    decided = world.do(who, SendMessage(room_id=room_id, **body))
    only(decided, SentView)
    return told(decided.announcements[0])


class TestKinds:
    @pytest.mark.parametrize(
        ("kind", "body"),
        [
            (MessageType.TEXT, {"content": "hi"}),
            (MessageType.IMAGE, {"attachment": IMAGE}),
            (MessageType.VIDEO, {"attachment": FILE, "content": "look"}),
            (MessageType.AUDIO, {"attachment": Attachment(url="/a", duration=1.5)}),
            (MessageType.FILE, {"attachment": FILE}),
            (MessageType.LOCATION, {"location": PLACE}),
            (MessageType.SYSTEM, {"content": "mia has come"}),
        ],
    )
    def test_each_is_kept_with_its_parts(self, world: World, kind: MessageType, body: Mapping[str, Any]) -> None:
        """What was sent is what is shown."""
        view = sent(world, SERVICE, type=kind, **body)
        assert view == world.view(view.id)
        shown = {"content": "", "attachment": None, "location": None, **body}
        assert (view.type, {name: getattr(view, name) for name in shown}) == (kind, shown)

    @pytest.mark.parametrize(
        "other",
        [
            {"attachment": FILE},
            {"attachment": IMAGE.model_copy(update={"name": "b.png"})},
            {"content": "x"},
            {"mentions": ("max",)},
            {"type": MessageType.FILE},
        ],
    )
    def test_every_part_tells_a_retry_from_another_body(self, world: World, other: Mapping[str, Any]) -> None:
        """The same again is a duplicate; with another part it is a conflict."""
        body = {"room_id": ROOM, "type": MessageType.IMAGE, "attachment": IMAGE, "client_id": "c-1"}
        first = only(world.do("mia", SendMessage(**body)), SentView)
        assert only(world.do("mia", SendMessage(**body)), SentView) == first.model_copy(update={"duplicate": True})
        refused(world.do("mia", SendMessage(**{**body, **other})), ErrorCode.CONFLICT)

    def test_another_place_or_answer_is_another_body(self, world: World) -> None:
        """Likewise."""
        place = {"room_id": ROOM, "type": MessageType.LOCATION, "location": PLACE, "client_id": "c-1"}
        world.do("mia", SendMessage(**place))
        there = PLACE.model_copy(update={"latitude": 48.3})
        refused(world.do("mia", SendMessage(**{**place, "location": there})), ErrorCode.CONFLICT)
        first = world.send("max", client_id="c-2")
        answer = SendMessage(room_id=ROOM, content="hi", client_id="c-2", reply_to=first.message_id)
        refused(world.do("max", answer), ErrorCode.CONFLICT)

    def test_a_deletion_takes_every_part(self, world: World) -> None:
        """What is left is the place in the order, who wrote it, and of what kind it was."""
        first = sent(world, content="one")
        view = sent(
            world, type=MessageType.IMAGE, attachment=IMAGE, content="@max", reply_to=first.id, metadata={"a": 1}
        )
        world.change("max", ReactToMessage(message_id=view.id, emoji="+"))
        decided = world.do("mia", DeleteMessage(message_id=view.id))
        left = told(decided.announcements[0])
        assert (left.content, left.attachment, left.metadata, left.reactions) == ("", None, None, ())
        assert (left.mentions, left.reply_to, left.quote) == ((), None, None)
        assert (left.seq, left.type, left.sender.id) == (2, MessageType.IMAGE, "mia")

    def test_a_caption_can_be_edited(self, world: World) -> None:
        """The picture stays."""
        view = sent(world, type=MessageType.IMAGE, attachment=IMAGE, content="one")
        world.change("mia", EditMessage(message_id=view.id, content="two"))
        assert (world.view(view.id).content, world.view(view.id).attachment) == ("two", IMAGE)


class TestAuthors:
    def test_users_and_the_system(self, world: World) -> None:
        """Whoever says so."""
        assert sent(world, content="hi").author is Author.USER
        assert sent(world, SERVICE, content="hi").author is Author.USER
        assert sent(world, SERVICE, content="hi", type=MessageType.SYSTEM).author is Author.SYSTEM

    def test_an_assistant_is_one_where_the_role_counts(self, world: World) -> None:
        """In sessions, and not where they are members like everybody else."""
        assert sent(world, HELPER, SESSION, content="How can I help?").author is Author.ASSISTANT
        mia = Actor(id="mia", roles=("assistant",))
        assert sent(world, mia, SESSION, content="hi").author is Author.ASSISTANT
        assert sent(world, mia, ROOM, content="hi").author is Author.USER


class TestMentions:
    @pytest.mark.parametrize(
        ("content", "mentions"),
        [
            ("@max", ("max",)),
            ("hi @max, and @olga.", ("max", "olga")),
            ("(@max) @max @max!", ("max",)),
            ("ask @rita...", ("rita",)),
            ("mail max@olga or é@max", ()),
            ("@eve @nobody @", ()),
            ("@mia to myself", ()),
            ("@maxi", ()),
            ("@Max", ()),
            ("@@max", ("max",)),
            ("no one", ()),
        ],
    )
    def test_ids_in_the_text(self, world: World, content: str, mentions: tuple[str, ...]) -> None:
        """Members other than the sender, by their whole id, once each."""
        assert sent(world, content=content).mentions == mentions

    def test_ids_with_dots_and_dashes(self, world: World) -> None:
        """A stop at the end is the sentence's, unless there is such a member."""
        world.access[ROOM] = self.room("jo.ann", "jo-", "mia")
        assert sent(world, content="@jo.ann. and @jo-").mentions == ("jo.ann", "jo-")

    def test_ids_beside_the_text(self, world: World) -> None:
        """Of members only, and first."""
        view = sent(world, content="hi @olga", mentions=("max", "eve", "mia", "max"))
        assert view.mentions == ("max", "olga")

    def test_there_is_a_limit(self, world: World) -> None:
        """Nobody calls a thousand people at once."""
        names = [f"u{number}" for number in range(MAX_MENTIONS + 5)]
        world.access[ROOM] = self.room("mia", *names)
        view = sent(world, content=" ".join(f"@{name}" for name in names)[:99], mentions=tuple(names[-MAX_MENTIONS:]))
        assert view.mentions == tuple(names[-MAX_MENTIONS:])

    def test_an_edit_mentions_anew(self, world: World) -> None:
        """By its text alone: who is meant by that is a member now."""
        view = sent(world, content="@max @olga", mentions=("adam",))
        world.change("mia", EditMessage(message_id=view.id, content="@rita and @olga"))
        assert world.view(view.id).mentions == ("rita", "olga")
        world.access[ROOM] = self.room("mia", "rita")
        world.change("mia", EditMessage(message_id=view.id, content="@rita"))
        assert world.view(view.id).mentions == ("rita",)

    def room(self, *members: str) -> RoomAccess:
        """A room with members."""
        room = World().access[ROOM]
        assert room is not None
        return room.model_copy(update={"members": dict.fromkeys(members, Role.MEMBER)})


class TestReplies:
    def quote_in(self, decided: Plan) -> QuoteView:
        """What the last announcement quotes."""
        quote = told(decided.announcements[-1]).quote
        assert quote is not None
        return quote

    def test_a_reply_quotes_what_it_answers(self, world: World) -> None:
        """Its first characters; the quote is not stored."""
        first = sent(world, Actor(id="max", name="Max"), content="x" * 99, client_id="c-1")
        view = sent(world, content="yes", reply_to=first.id)
        assert view.quote == QuoteView(
            message_id=first.id, seq=1, type=MessageType.TEXT, sender=first.sender, content="x" * 99
        )
        assert view.quote.sender.name == "Max"
        stored = world.view(view.id)
        assert (stored.reply_to, stored.quote) == (first.id, None)

    def test_a_quote_is_short(self, world: World) -> None:
        """However long the message is."""
        first = sent(world, content="hi")
        message = world.messages[first.id]
        long = message.view.model_copy(update={"content": "ä" * (QUOTE_LENGTH + 1)})
        world.messages[first.id] = replace(message, view=long)
        view = sent(world, content="yes", reply_to=first.id)
        assert view.quote is not None
        assert view.quote.content == "ä" * QUOTE_LENGTH

    def test_a_quote_follows_edit_and_deletion(self, world: World) -> None:
        """Whatever happens to the reply is told with what it answers as that is now."""
        first = sent(world, "max", content="one")
        reply = sent(world, content="yes", reply_to=first.id).id
        world.change("max", EditMessage(message_id=first.id, content="two"))
        assert self.quote_in(world.do("mia", EditMessage(message_id=reply, content="no"))).content == "two"
        world.change("max", DeleteMessage(message_id=first.id))
        quote = self.quote_in(world.do("max", ReactToMessage(message_id=reply, emoji="+")))
        assert (quote.content, quote.deleted, quote.sender.id) == ("", True, "max")

    def test_a_retry_quotes_as_well(self, world: World) -> None:
        """Even where what it answers was deleted meanwhile: the reply was made."""
        first = sent(world, content="one")
        command = SendMessage(room_id=ROOM, content="yes", reply_to=first.id, client_id="c-1")
        world.do("max", command)
        world.change("mia", DeleteMessage(message_id=first.id))
        decided = world.do("max", command)
        assert only(decided, SentView).duplicate
        assert self.quote_in(decided).deleted

    def test_only_what_is_in_the_room_can_be_answered(self, world: World) -> None:
        """What is elsewhere, or nowhere, is the same."""
        elsewhere = world.send("mia", room_id=DIRECT).message_id
        for target in (elsewhere, "0" * 24):
            decided = world.do("mia", SendMessage(room_id=ROOM, content="yes", reply_to=target))
            assert target in refused(decided, ErrorCode.INVALID).message

    def test_a_deleted_message_cannot_be_answered(self, world: World) -> None:
        """There is nothing to answer."""
        first = world.send("mia").message_id
        world.change("mia", DeleteMessage(message_id=first))
        refused(world.do("max", SendMessage(room_id=ROOM, content="yes", reply_to=first)), ErrorCode.CONFLICT)


class TestDenials:
    def commands(self, message_id: str) -> list[MessageCommand]:
        """What a denial takes away."""
        return [
            SendMessage(room_id=ROOM, content="hi"),
            EditMessage(message_id=message_id, content="x"),
            ReactToMessage(message_id=message_id, emoji="+"),
            UnreactToMessage(message_id=message_id, emoji="+"),
        ]

    @pytest.mark.parametrize(
        ("denial", "reason"),
        [({"muted": frozenset({"mia"})}, "You are muted in this room."), ({"closed": True}, "This room is closed.")],
    )
    def test_the_muted_and_those_in_closed_rooms_only_read(
        self, world: World, denial: Mapping[str, Any], reason: str
    ) -> None:
        """They are told why. What is theirs they may still delete."""
        own = world.send("mia").message_id
        room = world.access[ROOM]
        assert room is not None
        world.access[ROOM] = room.model_copy(update=dict(denial))
        for command in self.commands(own):
            assert refused(world.do("mia", command), ErrorCode.FORBIDDEN).message == reason
        assert world.change("mia", DeleteMessage(message_id=own)).changed

    def test_others_are_not_muted(self, world: World) -> None:
        """One member's denial is nobody else's."""
        room = world.access[ROOM]
        assert room is not None
        world.access[ROOM] = room.model_copy(update={"muted": frozenset({"mia"})})
        world.send("max")

    def test_the_system_may_say_why_a_room_is_closed(self, world: World) -> None:
        """Services write system messages there, and nothing else."""
        room = world.access[ROOM]
        assert room is not None
        world.access[ROOM] = room.model_copy(update={"closed": True})
        sent(world, SERVICE, content="This room is closed", type=MessageType.SYSTEM)
        refused(world.do(SERVICE, SendMessage(room_id=ROOM, content="hi")), ErrorCode.FORBIDDEN)

    def test_who_has_no_right_is_told_so(self, world: World) -> None:
        """Closed or not."""
        room = world.access[ROOM]
        assert room is not None
        world.access[ROOM] = room.model_copy(update={"closed": True})
        error = refused(world.do("eve", SendMessage(room_id=ROOM, content="hi")), ErrorCode.FORBIDDEN)
        assert error.message == "You may not send in this room."


class TestUnsure:
    def test_what_may_be_a_retry_is_not_refused_for_good(self) -> None:
        """A reply to what is gone, a message in a full session: the plan says that nobody has looked for it."""
        world = World()
        sent = world.send("mia", "who?")
        world.change("mia", DeleteMessage(message_id=sent.message_id))
        reply = SendMessage(room_id=ROOM, content="me", reply_to=sent.message_id)
        assert world.plan([world.request("mia", reply)]).unsure
        assert not world.plan([world.request("mia", SendMessage(room_id=ROOM, content="me"))]).unsure
        assert not world.plan([world.request("rita", SendMessage(room_id=ROOM, content="me"))]).unsure
