"""What the outing dialect works out, and which spellings it takes. The rest: tests/integration/test_dialect_outing*."""

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from services.gateway.dialects import outing_steps as steps
from services.gateway.dialects.outing import OUTING
from services.gateway.dialects.outing_shapes import ChatOf, Decision, Gone, Message, PageOf, Send, Typing
from services.gateway.sio.voice import DialectVoice
from services.gateway.voices import About
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.presence import Looking
from shared.contracts.rooms import MemberAdded
from shared.ids import external_room_id

JSON = dict[str, Any]
ROOM = About("x1", "event", "Plage", {"kind": "sortie", "id": "s1"})
MESSAGE: JSON = {
    "id": "f" * 24, "room_id": "x1", "seq": 3, "rev": 3, "type": "text", "content": "hi", "sender": {"id": "ann"},
    "created_at": "2026-01-05T09:00:00Z",
}  # fmt: skip
VOICE = DialectVoice(OUTING, "/chat", framed=False)


def told(kind: str, data: JSON) -> list[Any]:
    """The events that a voice makes of one: name and payload."""
    packets = VOICE.happening(kind, ROOM, data).split(b"\x1e")
    return [orjson.loads(packet[packet.index(b"[") :]) for packet in packets if packet]


@pytest.mark.parametrize(
    ("payload", "names"),
    [
        ({"sortieId": "s"}, {"sortie_id": "s"}),
        ({"sortie_id": "s", "chatId": ""}, {"sortie_id": "s"}),
        ({"chatId": "c"}, {"chat_id": "c"}),
        ({"roomId": "c", "sortieId": None}, {"chat_id": "c"}),
        ("s", {"sortie_id": "s"}),
        (7, {"sortie_id": "7"}),
    ],
)
def test_a_chat_is_named_in_many_ways(payload: Any, names: JSON) -> None:
    """By its outing or by itself."""
    assert ChatOf.read(payload).model_dump(exclude_none=True) == names


@pytest.mark.parametrize("payload", [None, {}, "", [], {"sortieId": {}}, {"sortieId": True}])
def test_a_chat_must_be_named(payload: Any) -> None:
    """Nothing is no name."""
    with pytest.raises(ValidationError):
        ChatOf.read(payload)


def test_which_room_is_meant() -> None:
    """The outing's, of one's own tenant; else the one named; else the one joined last."""
    me = {"id": "ann", "tenant": "t"}
    both = {"in": {"sortie_id": "s", "chat_id": "c"}, "me": me, "here": {"room_id": "h"}}
    assert steps.room_id(both) == external_room_id("t", "sortie", "s")
    assert steps.room_id({**both, "in": {"chat_id": "c"}}) == "c"
    assert steps.room_id({**both, "in": {}}) == "h"
    with pytest.raises(ChatError) as refused:
        steps.room_id({"in": {}, "me": me})
    assert refused.value.code is ErrorCode.INVALID


def test_a_socket_forgets_the_chat_it_has_left() -> None:
    """And no other."""
    assert steps.still({"room_id": "a", "here": {"room_id": "a"}}) is None
    assert steps.still({"room_id": "a", "here": {"room_id": "b"}}) == "b"
    assert steps.still({"room_id": "a", "here": {}}) is None


@pytest.mark.parametrize(
    ("receipt", "seqs"),
    [
        ({"read_seq": 9}, []),
        ({"read_seq": 9, "read_from": 7}, [7, 8, 9]),
        ({"read_seq": 1000, "read_from": 1}, list(range(951, 1001))),
    ],
)
def test_every_message_newly_read_is_told_and_not_too_many(receipt: JSON, seqs: list[int]) -> None:
    """Delivery is no reading; of very many the latest."""
    data = {"receipts": [{"user_id": "bob", **receipt}]}
    assert sorted(VOICE.unnamed("receipts.updated", data)) == seqs
    names = {seq: f"m{seq}" for seq in seqs if seq != 8}  # one that was cleared has no name
    events = told("receipts.updated", {**data, "names": names})
    assert [(name, event["messageId"], event["userId"]) for name, event in events] == [
        ("messageRead", name, "bob") for name in names.values()
    ]


def test_somebody_comes_and_goes() -> None:
    """Each by its own event; it is not told to themselves."""
    data = {"room_id": "x1", "user_id": "bob", "looking": True}
    ((came, payload),) = told(Looking.TYPE, data)
    ((went, _),) = told(Looking.TYPE, {**data, "looking": False})
    assert (came, went, payload["sortieId"]) == ("userJoinedRoom", "userLeftRoom", "s1")
    assert VOICE.spares(Looking.TYPE, data) == "bob"


def test_who_is_admitted_is_told_and_nobody_else() -> None:
    """The others have the system's message."""
    assert VOICE.only(MemberAdded.TYPE, {"member": {"user_id": "bob"}}) == "bob"
    assert VOICE.only("message.created", MESSAGE) is None


def test_a_system_message_is_a_notification_too() -> None:
    """Other messages are not."""
    assert [name for name, _ in told("message.created", MESSAGE)] == ["receiveMessage"]
    system = {**MESSAGE, "type": "system", "metadata": {"event": "member.added"}}
    (_, shown), (name, notice) = told("message.created", system)
    assert (shown["type"], name, notice["type"], notice["message"]) == ("system", "notification", "member.added", "hi")


def test_a_message_has_all_the_fields_of_the_schema() -> None:
    """Those it has nothing for are null; what has changed last is when it was updated."""
    shown = orjson.loads(Message.model_validate({**MESSAGE, "room": ROOM._asdict()}).model_dump_json())
    assert shown["_id"] == shown["id"] == MESSAGE["id"]
    assert (shown["sortieId"], shown["readBy"], shown["isDeleted"], shown["mediaUrl"]) == ("s1", ["ann"], False, None)
    assert shown["updatedAt"] == MESSAGE["created_at"]
    edited = Message.model_validate({**MESSAGE, "edited_at": "E", "read_by": []})
    assert (edited.updatedAt, edited.readBy, edited.sortieId) == ("E", [], None)
    gone = Message.model_validate({**MESSAGE, "edited_at": "E", "deleted_at": "D", "content": ""})
    assert (gone.updatedAt, gone.isDeleted, gone.content) == ("D", True, "")


def test_what_is_fixed_is_not_taken_from_what_is_known() -> None:
    """A step may have left something under the same name."""
    assert Gone.model_validate({"message": MESSAGE, "success": 0, "in": {"message_id": "m"}}).model_dump() == {
        "success": True, "message": "Message deleted", "messageId": "m",
    }  # fmt: skip


def test_spellings_of_what_is_sent() -> None:
    """Empty is nothing, capitals do not matter, places are named either way."""
    sent = Send.read({"type": "IMAGE", "mediaUrl": "u", "thumbnailUrl": "", "content": None, "tempId": 5})
    assert (sent.type, sent.thumbnail_url, sent.content, sent.client_id) == ("image", None, "", "5")
    place = Send.read({"type": "location", "location": {"lat": 1, "lng": 2, "zoom": 3}}).location
    assert place is not None
    assert (place.latitude, place.longitude) == (1, 2)
    assert Typing.read({"sortieId": "s"}).typing
    assert Decision.read({"id": "p", "status": "acceptee"}).status == "ACCEPTEE"


@pytest.mark.parametrize(
    ("page", "begins"),
    [
        ({"page": 3, "limit": 20}, {"offset": 40}),
        ({"before": "2026-01-05T09:00:00Z"}, {"before_time": "2026-01-05T09:00:00Z"}),
    ],
)
def test_where_a_page_begins(page: JSON, begins: JSON) -> None:
    """At a number, or at a time."""
    sent = PageOf.read({"sortieId": "s", **page}).model_dump(exclude_none=True)
    known = {"in": sent, "room": {"id": "x1"}}
    assert not steps.before_message(known)
    assert steps.start(known) == begins
