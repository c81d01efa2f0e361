"""Messages that show files: what is taken from the file, who may not show it, and what the media service is told."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from services.messages import files as module
from services.messages.files import Files
from services.messages.state import FileKey, Plan
from shared.contracts.base import Event
from shared.contracts.content import Attachment, MessageType
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.media import (
    Attaching,
    MediaAttached,
    MediaCleared,
    MediaDetached,
    MediaRefusalView,
    MediaView,
    VariantView,
    media_path,
)
from shared.contracts.media_terms import MediaKind, MediaState, Refusal, VariantName
from shared.contracts.messages import ClearTimeline, DeleteMessage, EditMessage, SendMessage
from shared.contracts.timeline import SentView
from tests.unit.messages_world import ROOM, World, only, refused

CAT, DOG = "c" * 32, "d" * 32
MIA = Actor(id="mia")


def file(media_id: str = CAT, **changes: Any) -> MediaView:
    """A picture of Mia's."""
    picture: dict[str, Any] = {
        "id": media_id, "owner_id": "mia", "kind": MediaKind.IMAGE, "state": MediaState.READY, "name": "cat.png",
        "mime_type": "image/png", "size": 1234, "width": 640, "height": 480, "placeholder": "LEHV6nWB2yk8",
        "created_at": datetime(2026, 1, 1, tzinfo=UTC), "variants": variants(media_id, "original", "small", "medium"),
    }  # fmt: skip
    return MediaView.model_validate(picture | changes)


def variants(media_id: str, *names: str) -> tuple[VariantView, ...]:
    """Forms of a file."""
    return tuple(
        VariantView(name=name, mime_type="image/webp", size=9, url=media_path(media_id, name))
        for name in map(VariantName, names)
    )


def world(*files: MediaView) -> World:
    """A world in which Mia may see these files, and no others that she may ask for."""
    made = World()
    made.files = {FileKey.of(MIA, media_id): None for media_id in (CAT, DOG)}
    made.files |= {FileKey.of(MIA, media.id): media for media in files}
    return made


def show(attachment: Attachment, kind: MessageType = MessageType.IMAGE, client_id: str = "c") -> SendMessage:
    """A message that shows a file."""
    return SendMessage(room_id=ROOM, type=kind, attachment=attachment, client_id=client_id)


def told(decided: Plan) -> list[Event]:
    """What the media service was told."""
    return [item.event for item in decided.notes if isinstance(item.event, Attaching)]


class TestFilled:
    def test_all_is_taken_from_the_file(self) -> None:
        """Whatever else is said of it; links are not signed."""
        said = Attachment(media_id=CAT, url="https://elsewhere.example/x", name="evil.exe", size=1, width=1)
        stage = world(file(waveform=(1, 2), duration=2.5))
        sent = only(stage.do("mia", show(said)), SentView)
        assert stage.view(sent.message_id).attachment == Attachment(
            media_id=CAT, url=f"/v1/media/{CAT}/original", thumbnail_url=f"/v1/media/{CAT}/medium", name="cat.png",
            size=1234, mime_type="image/png", width=640, height=480, placeholder="LEHV6nWB2yk8", waveform=(1, 2),
            duration=2.5,
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("names", "thumbnail"),
        [(["original"], None), (["original", "poster", "small"], "small"), (["original", "poster"], "poster")],
    )
    def test_the_best_thumbnail_there_is(self, names: list[str], thumbnail: str | None) -> None:
        """None where there is none."""
        stage = world(file(variants=variants(CAT, *names)))
        sent = only(stage.do("mia", show(Attachment(media_id=CAT))), SentView)
        attachment = stage.view(sent.message_id).attachment
        assert attachment is not None
        assert attachment.thumbnail_url == (thumbnail and f"/v1/media/{CAT}/{thumbnail}")

    @pytest.mark.parametrize("host", ["", "https://chat.example.com"])
    def test_a_link_of_this_servers_means_the_file(self, host: str) -> None:
        """Signed or not."""
        stage = world(file())
        link = f"{host}/v1/media/{CAT}/large?expires=1&signature=ab"
        sent = only(stage.do("mia", show(Attachment(url=link))), SentView)
        assert stage.view(sent.message_id).attachment == stage_attachment(stage)

    def test_other_links_are_as_they_were_sent(self) -> None:
        """Nobody is asked, and nobody told."""
        stage, elsewhere = World(), Attachment(url="https://elsewhere.example/cat.png", name="cat.png", size=5)
        decided = stage.do("mia", show(elsewhere))
        assert stage.view(only(decided, SentView).message_id).attachment == elsewhere
        assert told(decided) == []

    @pytest.mark.parametrize("kind", [MessageType.FILE, MessageType.VIDEO])
    def test_a_file_shows_any_kind(self, kind: MessageType) -> None:
        """Other types only their own."""
        stage = world(file(kind=MediaKind.VIDEO))
        only(stage.do("mia", show(Attachment(media_id=CAT), kind)), SentView)


def stage_attachment(stage: World) -> Attachment:
    """What a message that shows the one file of a stage has."""
    return only_attachment(stage, show(Attachment(media_id=CAT), client_id="another"))


def only_attachment(stage: World, command: SendMessage) -> Attachment:
    """What a message has, once it is sent."""
    attachment = stage.view(only(stage.do("mia", command), SentView).message_id).attachment
    assert attachment is not None
    return attachment


WHY = MediaRefusalView(reason=Refusal.DAMAGED, message="It ends too early.")
REFUSED = [
    (None, MessageType.IMAGE, ErrorCode.NOT_FOUND),
    (file(state=MediaState.UPLOADING), MessageType.IMAGE, ErrorCode.CONFLICT),
    (file(state=MediaState.PENDING), MessageType.FILE, ErrorCode.CONFLICT),
    (file(state=MediaState.FAILED, refusal=WHY), MessageType.IMAGE, ErrorCode.INVALID),
    (file(state=MediaState.INFECTED), MessageType.IMAGE, ErrorCode.INVALID),
    (file(), MessageType.VIDEO, ErrorCode.INVALID),
    (file(kind=MediaKind.FILE), MessageType.IMAGE, ErrorCode.INVALID),
]


class TestRefused:
    @pytest.mark.parametrize(("media", "kind", "code"), REFUSED)
    def test_what_cannot_be_shown(self, media: MediaView | None, kind: MessageType, code: ErrorCode) -> None:
        """And the plan is unsure: the message may have been written when that was otherwise."""
        stage = world(*([media] if media else []))
        decided = stage.do("mia", show(Attachment(media_id=CAT), kind))
        error = refused(decided, code)
        assert decided.unsure
        assert decided.notes == []
        if media is not None and media.refusal is not None:
            assert error.details == {"reason": "damaged"}
            assert WHY.message in error.message

    def test_what_is_not_known_is_unavailable_and_nothing_else_is(self) -> None:
        """The others of the batch go on."""
        stage = world(file(DOG))
        del stage.files[FileKey.of(MIA, CAT)]
        requests = [
            stage.request("mia", command)
            for command in (
                show(Attachment(media_id=CAT), client_id="a"),
                SendMessage(room_id=ROOM, content="plain"),
                show(Attachment(media_id=DOG), client_id="b"),
            )
        ]
        first, *others = stage.batch(*requests).answers.values()
        assert isinstance(first, ChatError)
        assert (first.code, first.retry_after) == (ErrorCode.UNAVAILABLE, 5.0)
        assert [other.seq for other in others if isinstance(other, SentView)] == [1, 2]

    def test_what_is_there_for_one_is_not_for_another(self) -> None:
        """Nor for the same name with other roles, which is another's look-up."""
        stage = world(file())
        stage.files |= {FileKey("default", "max", (), CAT): None}
        refused(stage.do("max", show(Attachment(media_id=CAT))), ErrorCode.NOT_FOUND)
        root = Actor(id="mia", roles=("admin",))
        refused(stage.do(root, show(Attachment(media_id=CAT))), ErrorCode.UNAVAILABLE)


class TestRepeated:
    @pytest.mark.parametrize(
        "again",
        [
            Attachment(media_id=CAT),
            Attachment(url=f"/v1/media/{CAT}/original?expires=2&signature=cd"),
            Attachment(url=f"https://chat.example.com/v1/media/{CAT}/small", name="as it was handed out"),
        ],
    )
    def test_a_retry_is_the_same_message_though_the_file_is_gone(self, again: Attachment) -> None:
        """However the file is meant: a signature is another one an hour later."""
        stage = world(file())
        sent = only(stage.do("mia", show(Attachment(url=f"/v1/media/{CAT}/original?expires=1&signature=a"))), SentView)
        stage.files[FileKey.of(MIA, CAT)] = None
        decided = stage.do("mia", show(again))
        assert only(decided, SentView) == sent.model_copy(update={"duplicate": True})
        assert not decided.unsure

    def test_another_file_is_another_message(self) -> None:
        """Under the same client_id a conflict."""
        stage = world(file(), file(DOG))
        stage.do("mia", show(Attachment(media_id=CAT)))
        refused(stage.do("mia", show(Attachment(media_id=DOG))), ErrorCode.CONFLICT)


class TestTold:
    def test_what_is_shown_and_again_with_every_repetition(self) -> None:
        """At the place where the message was born, under one id."""
        stage, command = world(file()), show(Attachment(media_id=CAT))
        first = stage.do("mia", command)
        sent = only(first, SentView)
        event = MediaAttached(room_id=ROOM, rev=1, message_id=sent.message_id, seq=1, media_id=CAT)
        assert told(first) == [event]
        stage.do("mia", EditMessage(message_id=sent.message_id, content="a cat"))
        again = stage.do("mia", command)
        assert told(again) == [event]
        assert again.notes[0].id == first.notes[0].id

    def test_an_edit_keeps_it(self) -> None:
        """And tells nothing."""
        stage = world(file())
        sent = only(stage.do("mia", show(Attachment(media_id=CAT))), SentView)
        edited = stage.do("mia", EditMessage(message_id=sent.message_id, content="a cat"))
        assert stage.view(sent.message_id).attachment is not None
        assert told(edited) == []

    def test_what_is_deleted_and_again_with_every_repetition(self) -> None:
        """Though the message does not say any more what it has shown."""
        stage = world(file())
        sent = only(stage.do("mia", show(Attachment(media_id=CAT))), SentView)
        expected = [MediaDetached(room_id=ROOM, rev=2, message_id=sent.message_id, seq=1)]
        for _ in range(2):
            assert told(stage.do("mia", DeleteMessage(message_id=sent.message_id))) == expected
        assert told(stage.do("mia", show(Attachment(media_id=CAT)))) == []  # a late copy of the send

    def test_the_end_of_other_messages_is_not_told(self) -> None:
        """Of a text, and of a file elsewhere."""
        stage = World()
        texts = stage.send("mia", "hi").message_id
        elsewhere = stage.do("mia", show(Attachment(url="https://elsewhere.example/cat.png")))
        for message_id in (texts, only(elsewhere, SentView).message_id):
            assert told(stage.do("mia", DeleteMessage(message_id=message_id))) == []

    def test_a_clearing_and_its_repetition(self) -> None:
        """Once for all."""
        stage, command = world(file()), ClearTimeline(room_id=ROOM, client_id="c")
        stage.do("mia", show(Attachment(media_id=CAT)))
        for _ in range(2):
            assert told(stage.do("olga", command)) == [MediaCleared(room_id=ROOM, rev=2, seq=1)]


class Shelf:
    """The media service's answers; counts the questions, and can be silent or away."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[str]]] = []
        self.silent_to: set[str] = set()
        self.error: ChatError | None = None

    async def ask(self, actor: Actor, media_ids: list[str]) -> list[MediaView]:
        """All but the dog's."""
        self.asked.append((actor.id, media_ids))
        if actor.id in self.silent_to:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return [file(media_id) for media_id in media_ids if media_id != DOG]


@pytest.fixture
def shelf() -> Shelf:
    """Answers at once."""
    return Shelf()


class TestLookedUp:
    async def test_nothing_is_asked_for_where_nothing_is_shown(self, shelf: Shelf) -> None:
        """Text, and files elsewhere."""
        stage = World()
        elsewhere = show(Attachment(url="https://elsewhere.example/x"))
        requests = [stage.request("mia", SendMessage(room_id=ROOM, content="hi")), stage.request("mia", elsewhere)]
        assert await Files(shelf.ask).look_up(requests) == {}
        assert shelf.asked == []

    async def test_each_sender_asks_once_for_each_file(self, shelf: Shelf) -> None:
        """In as many questions as it takes; what is not there is known to be not there."""
        stage = World()
        many = [f"{number:032x}" for number in range(101)]
        shows = [("max", CAT), ("mia", CAT), ("mia", CAT), ("mia", DOG), *(("mia", media_id) for media_id in many)]
        requests = [stage.request(who, show(Attachment(media_id=media_id))) for who, media_id in shows]
        found = await Files(shelf.ask).look_up(requests)
        assert [(who, len(ids)) for who, ids in shelf.asked] == [("max", 1), ("mia", 100), ("mia", 3)]
        assert len(found) == 104
        assert found[FileKey.of(MIA, DOG)] is None
        assert found[FileKey("default", "max", (), CAT)] == file()

    async def test_patience_ends_for_all_and_the_answered_count(
        self, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Then nothing is asked for a while."""
        monkeypatch.setattr(module, "PATIENCE", 0.05)
        stage, files = World(), Files(shelf.ask)
        shelf.silent_to = {"max"}
        requests = [stage.request(who, show(Attachment(media_id=CAT))) for who in ("max", "mia")]
        assert await files.look_up(requests) == {FileKey.of(MIA, CAT): file()}
        shelf.asked.clear()
        assert await files.look_up(requests) == {}
        assert shelf.asked == []

    @pytest.mark.parametrize(
        ("code", "asked_again"),
        [(ErrorCode.UNAVAILABLE, False), (ErrorCode.TIMEOUT, False), (ErrorCode.INTERNAL, True)],
    )
    async def test_an_error_is_no_answer(self, shelf: Shelf, code: ErrorCode, asked_again: bool) -> None:
        """One that passes makes it pause; one that is about the question does not."""
        files, requests = Files(shelf.ask), [World().request("mia", show(Attachment(media_id=CAT)))]
        shelf.error = ChatError(code, "no")
        assert await files.look_up(requests) == {}
        shelf.error = None
        assert (await files.look_up(requests) != {}) is asked_again

    async def test_the_pause_ends(self, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
        """And then it is asked again."""
        monkeypatch.setattr(module, "PAUSE", 0.0)
        files, requests = Files(shelf.ask), [World().request("mia", show(Attachment(media_id=CAT)))]
        shelf.error = ChatError(ErrorCode.UNAVAILABLE, "no")
        await files.look_up(requests)
        shelf.error = None
        assert await files.look_up(requests) == {FileKey.of(MIA, CAT): file()}
