"""What the eventchat dialect takes and works out, and that its events are nobody else's."""

from typing import Any

import pytest
from pydantic import ValidationError

from services.gateway.dialects.choice import DIALECTS, choose
from services.gateway.dialects.eventchat import EVENTCHAT, _deletes, _kind_of_chat, _kind_of_message
from services.gateway.dialects.eventchat_shapes import MAX_PARTICIPANTS, Chat, NewChat, Send, display_name
from services.gateway.dialects.steps import with_status
from shared.contracts.membership import Action, Role, RoomType
from shared.permissions import capabilities


def test_the_first_event_tells_this_dialect() -> None:
    for name in EVENTCHAT.on:
        assert [dialect.name for dialect in DIALECTS.values() if name in dialect.on] == ["eventchat"]
        assert choose(name, {}) is EVENTCHAT


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        ({"participants": ["bob"]}, "direct"),
        ({"userId": "bob"}, "direct"),
        ({"participants": ["alice", {"id": "bob"}]}, "direct"),
        ({"participants": ["bob"], "name": "Two"}, "group"),
        ({"participants": ["bob", "carl"]}, "group"),
        ({"name": "Alone"}, "group"),
        ({"eventId": "7"}, "event"),
        ({"type": "GROUP", "participants": ["bob"]}, "group"),
    ],
)
def test_the_kind_of_a_new_chat(sent: dict[str, Any], kind: str) -> None:
    known = {"in": NewChat.read(sent).model_dump(exclude_none=True), "me": {"id": "alice"}}
    assert _kind_of_chat(known) == kind


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        ({"content": "Hi"}, "text"),
        ({"imageUrl": "/a"}, "image"),
        ({"mediaUrl": "/a", "mimeType": "audio/ogg"}, "audio"),
        ({"fileUrl": "/a", "mimeType": "application/zip"}, "file"),
        ({"location": {"lat": 1, "lon": 2}}, "location"),
        ({"type": "Video", "mediaUrl": "/a"}, "video"),
    ],
)
def test_the_kind_of_a_message(sent: dict[str, Any], kind: str) -> None:
    known = {"in": Send.read({"chatId": "c", **sent}).model_dump(exclude_none=True)}
    assert _kind_of_message(known) == kind


def test_how_many_one_request_names_is_bounded() -> None:
    with pytest.raises(ValidationError):
        NewChat.read({"participants": [str(number) for number in range(MAX_PARTICIPANTS + 1)]})


@pytest.mark.parametrize("roles", [(), ("admin",)])
@pytest.mark.parametrize("role", [None, *Role])
@pytest.mark.parametrize("kind", RoomType)
def test_nobody_ends_a_chat_for_others_who_could_leave_it(
    kind: RoomType, role: Role | None, roles: tuple[str, ...]
) -> None:
    may = capabilities(kind, role, roles)
    deletes = _deletes({"room": {"capabilities": [str(action) for action in may], "role": role}})
    assert not deletes or Action.DELETE_ROOM in may
    assert not deletes or role in {None, Role.OWNER} or Action.LEAVE not in may
    if role is Role.OWNER and Action.DELETE_ROOM in may:
        assert deletes


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ({"name": "Bob", "first_name": "Robert"}, "Bob"),
        ({"first_name": "Robert", "last_name": "B"}, "Robert B"),
        ({"last_name": "B"}, "B"),
        ({"id": "bob"}, None),
        (None, None),
    ],
)
def test_what_somebody_is_called(user: Any, name: str | None) -> None:
    assert display_name(user) == name


@pytest.mark.parametrize(
    ("marks", "status"),
    [
        ({}, "sent"),
        ({"alice": (5, 5)}, "sent"),
        ({"bob": (4, 3)}, "sent"),
        ({"bob": (5, 3)}, "delivered"),
        ({"bob": (0, 5)}, "read"),
        ({"bob": (5, 5), "carl": (5, 4)}, "delivered"),
        ({"bob": (5, 5), "carl": (4, 0)}, "sent"),
    ],
    ids=str,
)
def test_a_message_has_got_as_far_as_the_least_of_its_readers(marks: dict[str, tuple[int, int]], status: str) -> None:
    receipts = [
        {"user_id": user, "delivered_seq": delivered, "read_seq": read} for user, (delivered, read) in marks.items()
    ]
    message = {"seq": 5, "sender": {"id": "alice"}}
    [shown] = with_status({"history": {"messages": [message]}, "marks": {"receipts": receipts}})
    assert shown["status"] == status


def test_where_nobody_asked_who_has_got_it_a_message_is_sent() -> None:
    [shown] = with_status({"history": {"messages": [{"seq": 5, "sender": {"id": "alice"}}]}})
    assert shown["status"] == "sent"


@pytest.mark.parametrize(
    ("external", "event_id"),
    [(None, None), ({"kind": "event", "id": "7"}, "7"), ({"kind": "session", "id": "7"}, None)],
)
def test_an_event_is_shown_with_its_chat(external: Any, event_id: str | None) -> None:
    room = {
        "id": "r", "type": "event", "created_by": "a", "created_at": "t", "updated_at": "t", "member_count": 0,
        "members": [], "external": external, "closed": True,
    }  # fmt: skip
    chat = Chat.model_validate(room)
    assert (chat.eventId, chat.isActive) == (event_id, False)
