"""What the session dialect takes and shows, and that what it shares with another one is the same."""

from typing import Any

import pytest
from pydantic import ValidationError

from services.gateway.dialects import booking_shapes, session_shapes
from services.gateway.dialects.auto import AUTO
from services.gateway.dialects.booking import BOOKING
from services.gateway.dialects.choice import choose
from services.gateway.dialects.session import SESSION
from services.gateway.dialects.session_shapes import Envelope, Message, PageOf, Send, SessionOf, Typing
from shared.contracts.errors import ChatError

MESSAGE: dict[str, Any] = {
    "id": "m1",
    "room_id": "r1",
    "author": "assistant",
    "content": "Hi",
    "sender": {"id": "bot"},
    "created_at": "2026-01-05T09:00:00Z",
}


@pytest.mark.parametrize(
    ("room", "name"),
    [
        ({"id": "r1"}, "r1"),
        ({"id": "r1", "external": None}, "r1"),
        ({"id": "r1", "external": {"kind": "session", "id": "s-1"}}, "s-1"),
        ({"id": "r1", "external": {"kind": "event", "id": "7"}}, "r1"),
    ],
)
def test_a_session_is_shown_by_the_name_that_finds_it(room: dict[str, Any], name: str) -> None:
    assert Message.model_validate({**MESSAGE, "room": room}).sessionId == name


@pytest.mark.parametrize("author", ["user", "assistant", "system"])
def test_roles_are_in_capitals(author: str) -> None:
    assert Message.model_validate({**MESSAGE, "author": author, "room": {"id": "r1"}}).role == author.upper()


def test_what_is_not_there_is_left_out() -> None:
    shown = Message.model_validate({**MESSAGE, "room": {"id": "r1"}}).model_dump()
    assert not {"metadata", "editedAt", "deletedAt"} & set(shown)


@pytest.mark.parametrize("payload", [{"sessionId": "s"}, {"session_id": "s"}, "s"])
def test_a_session_is_named_in_any_way(payload: Any) -> None:
    assert SessionOf.read(payload).session_id == "s"


@pytest.mark.parametrize("payload", [{"isTyping": True}, {"is_typing": True}, True])
def test_so_is_whether_one_is_typing(payload: Any) -> None:
    assert Typing.read(payload).is_typing


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "201"}, {"offset": "-1"}, {"limit": "many"}])
def test_pages_are_bounded(query: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PageOf.read({"sessionId": "s", **query})


class TestSendMessage:
    """Two dialects have an event of this name."""

    @pytest.mark.parametrize("payload", [{"content": "x"}, {"content": "x", "metadata": {}}, "x"])
    def test_without_a_room_it_is_this_ones(self, payload: Any) -> None:
        assert choose("send_message", payload) is SESSION

    def test_with_a_room_it_is_bookings(self) -> None:
        assert choose("send_message", {"chat_room_id": "r1", "content": "x"}) is BOOKING

    @pytest.mark.parametrize("payload", [None, {}, {"content": 7}])
    def test_what_nobody_takes_tells_nothing(self, payload: Any) -> None:
        with pytest.raises(ChatError, match="does not tell"):
            choose("send_message", payload)

    def test_a_room_is_refused_not_passed_over(self) -> None:
        with pytest.raises(ValidationError, match="chat_room_id"):
            Send.read({"chat_room_id": "r1", "content": "x"})


def test_what_both_serve_is_answered_alike() -> None:
    """`DELETE /chat/messages/{messageId}` is in two documents, and one of them answers for both."""
    one, two = (
        next(
            route for route in dialect.routes if (route.method, route.path) == ("DELETE", "/chat/messages/{messageId}")
        )
        for dialect in (BOOKING, SESSION)
    )
    known = {"in": {"message_id": "m1"}}
    assert one.wire.read({"messageId": "m1"}).model_dump() == two.wire.read({"messageId": "m1"}).model_dump()
    assert (one.steps, one.status, one.of) == (two.steps, two.status, two.of)
    assert one.shape.model_validate(known).model_dump() == two.shape.model_validate(known).model_dump()
    problem = {"error": {"message": "m", "code": "c"}, "status": 404, "path": "/", "now": "t"}
    shown = [kind.model_validate(problem).model_dump() for kind in (booking_shapes.Problem, session_shapes.Problem)]
    assert shown[0] == shown[1]
    assert shown[0]["error"] == "Not Found"


def test_who_is_greeted_in_all_tongues_finds_an_envelope() -> None:
    known = {"me": {"id": "alice"}, "connection": "c1", "now": "t"}
    greeting = AUTO.greet[0].say.shape.model_validate(known).model_dump()
    plain = SESSION.greet[0].say.shape.model_validate(known).model_dump()
    mine = Envelope.model_validate({"kind": "system", "payload": plain, "now": "t"}).model_dump()
    assert greeting["type"] == mine["type"]
    assert greeting["timestamp"] == mine["timestamp"]
    assert greeting["data"]["userId"] == mine["data"]["userId"] == "alice"
