"""What the team dialect works out: lists as one sees them, ids of reactions, how kinds and people are called."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.dialects.rows import Shape
from services.gateway.dialects.team_shapes import ChatMessage, Favorite, Problem, Room, Updated
from services.gateway.dialects.team_steps import (
    MAX_NAMED,
    called,
    named,
    partners,
    reaction_id,
    reaction_of,
    reactors,
    shown_favorites,
    shown_people,
    shown_room,
)
from services.gateway.dialects.team_wires import History, NewRoom, RoomOf, Send, UserOf
from shared.contracts.errors import ChatError, ErrorCode

JSON = dict[str, Any]
MESSAGE: JSON = {
    "id": "a" * 24,
    "room_id": "r",
    "type": "text",
    "content": "Hello",
    "sender": {"id": "alice", "first_name": "Alice", "last_name": "Liddell"},
    "created_at": "2026-01-01T00:00:00Z",
    "room": {"type": "direct"},
}


def shown(shape: type[Shape], known: JSON) -> JSON:
    """What a client reads."""
    return shape.model_validate(known).model_dump(mode="json")


# ── how things are called ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ({"id": "a", "name": "Alice", "first_name": "Al"}, "Alice"),
        ({"id": "a", "first_name": "Alice", "last_name": "Liddell"}, "Alice Liddell"),
        ({"id": "a", "last_name": "Liddell"}, "Liddell"),
        ({"id": "a", "name": None}, "a"),
    ],
)
def test_everybody_has_a_name(user: JSON, name: str) -> None:
    """Their id, where none is known."""
    assert called(user) == name


@pytest.mark.parametrize(
    ("kind", "told"),
    [("text", "TEXT"), ("system", "SYSTEM"), ("file", "FILE"), ("image", "FILE"), ("location", "TEXT")],
)
def test_kinds_of_messages(kind: str, told: str) -> None:
    """There are three, whatever else a message is."""
    assert shown(ChatMessage, {**MESSAGE, "type": kind})["type"] == told


@pytest.mark.parametrize(("kind", "told"), [("direct", "DIRECT"), ("group", "GROUP"), ("event", "GROUP")])
def test_kinds_of_rooms(kind: str, told: str) -> None:
    """There are two, whatever else a room is."""
    assert shown(ChatMessage, {**MESSAGE, "room": {"type": kind}})["roomType"] == told


def test_a_message_with_a_file() -> None:
    """What is known of the file is told, and nothing else."""
    attachment = {"url": "/f", "mime_type": "image/png"}
    told = shown(ChatMessage, {**MESSAGE, "type": "image", "attachment": attachment})
    assert told["attachment"] == {"url": "/f", "mimeType": "image/png"}
    assert "attachment" not in shown(ChatMessage, MESSAGE)


def test_a_reaction_is_told_with_what_is_known_of_who_reacted() -> None:
    """Which is their ids, in an event."""
    told = shown(Updated, {**MESSAGE, "reactions": [{"emoji": "👍", "users": ["bob"]}]})
    assert told["roomId"] == "r"
    assert told["message"]["reactions"] == [{"emoji": "👍", "users": [{"id": "bob", "name": "bob"}]}]


# ── what clients send ────────────────────────────────────────────────────────────────────────────────────────────


def test_spellings() -> None:
    """Bare words and objects, capitals and none."""
    assert RoomOf.read("r") == RoomOf.read({"roomId": "r"})
    assert UserOf.read("u") == UserOf.read({"targetUserId": "u"}) == UserOf.read({"userId": "u"})
    assert Send.read({"roomId": "r", "content": "x", "type": "TEXT"}) == Send.read({"roomId": "r", "content": "x"})


@pytest.mark.parametrize("before", ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00", "1767225600000"])
def test_times(before: str) -> None:
    """With a zone, in UTC without one, and in milliseconds."""
    read = History.read({"roomId": "r", "before": before}).before
    assert read is not None
    assert read.timestamp() == 1767225600


def test_limits_are_kept() -> None:
    """Who wants more than a page gets a page."""
    assert History.read({"roomId": "r", "limit": "10000"}).limit == 200


def test_partners_are_others_and_each_once() -> None:
    """One is in one's rooms anyway."""
    wire = NewRoom.read({"name": "x", "participants": ["b", "a", "b", "c"]})
    assert partners({"in": wire.model_dump(), "me": {"id": "a"}}) == ["b", "c"]


# ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────────


def member(user_id: str, **user: str) -> JSON:
    """A member of a room, known to the directory where something is said of them."""
    return {"user_id": user_id, "user": {"id": user_id, **user} if user else None}


def test_a_direct_room_is_the_other_one() -> None:
    """By name and picture."""
    room = {"id": "r", "type": "direct", "members": [member("a"), member("b", name="Bob", avatar="/b.png")]}
    assert shown(Room, shown_room(room, "a")) == {
        "id": "r", "name": "Bob", "type": "DIRECT", "unreadCount": 0, "avatar": "/b.png",
    }  # fmt: skip
    assert shown(Room, shown_room(room, "b")) == {"id": "r", "name": "a", "type": "DIRECT", "unreadCount": 0}


@pytest.mark.parametrize(
    ("room", "name", "avatar"),
    [
        ({"name": "Plans"}, "Plans", None),
        ({"name": "Plans", "metadata": {"avatar": "/p.png"}}, "Plans", "/p.png"),
        ({"name": "Plans", "metadata": {"avatar": 7}}, "Plans", None),
        ({"members": [member("a"), member("b"), member("c", name="Carol")]}, "b, Carol", None),
        ({"members": [member("a")]}, "a", None),
        ({}, "", None),
    ],
)
def test_a_group_has_a_name(room: JSON, name: str, avatar: str | None) -> None:
    """Its members', where it has none of its own."""
    seen = shown_room({"id": "r", "type": "group", **room}, "a")
    assert (seen["name"], seen["avatar"]) == (name, avatar)


def test_people_are_told_once_and_as_they_are_now() -> None:
    """Whoever shares two rooms of two with one; what was asked last counts."""
    presence = {"user_id": "b", "status": "offline"}
    acquaintances = [{"user": {"id": "b"}, "presence": presence, "room_id": room_id} for room_id in ("r", "s")]
    watched = [{"user_id": "b", "status": "online"}]
    [person] = shown_people({"acquaintances": {"people": acquaintances}, "watched": {"users": watched}})
    assert person["status"] == "online"


def test_a_favorite_out_of_sight_shows_by_its_id() -> None:
    """It can still be taken off the list."""
    known = {"rooms": [], "acquaintances": {"people": []}, "marked": {"favorites": [{"kind": "room", "id": "r"}]}}
    [favorite] = shown_favorites(known)
    assert shown(Favorite, favorite) == {"id": "r", "type": "ROOM", "name": "r"}


# ── reactions ────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_reaction_is_found_by_its_id(emoji: str, user_id: str) -> None:
    """By whose it is; the id can stand in a path."""
    me = {"id": user_id}
    encoded = reaction_id({"in": {"message_id": "a" * 24, "emoji": emoji}, "me": me})
    assert set(encoded) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
    assert reaction_of({"in": {"reaction_id": encoded}, "me": me}) == {"message_id": "a" * 24, "emoji": emoji}
    with pytest.raises(ChatError) as refused:
        reaction_of({"in": {"reaction_id": encoded}, "me": {"id": user_id + "x"}})
    assert refused.value.code is ErrorCode.FORBIDDEN


@given(st.text())
def test_what_is_no_id_is_nothing(text: str) -> None:
    """Whatever it is."""
    with pytest.raises(ChatError):
        reaction_of({"in": {"reaction_id": text}, "me": {"id": "alice"}})


def test_many_who_reacted_are_asked_for_in_parts() -> None:
    """And so many; the others show by their ids."""
    users = [f"u{number}" for number in range(MAX_NAMED + 1)]
    known: JSON = {"page": [{"id": "m", "reactions": [{"emoji": "👍", "users": users}]}, {"id": "n"}]}
    parts = reactors(known)
    assert [user for part in parts for user in part] == users[:MAX_NAMED]
    known["users1"] = {"users": [{"id": parts[1][0], "name": "Alice"}]}
    [first, second] = named(known)
    assert first["reactions"][0]["users"][200] == {"id": "u200", "name": "Alice"}
    assert first["reactions"][0]["users"][-1] == {"id": users[-1]}
    assert second["reactions"] == []


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("details", "told"),
    [
        (None, None),
        ([{"field": "name", "problem": "missing"}, {"field": "type", "problem": "odd"}], "name: missing; type: odd"),
        ({"id": "42"}, "{'id': '42'}"),
        (["anything"], "anything"),
    ],
)
def test_particulars_are_a_text(details: Any, told: str | None) -> None:
    """Whatever they are."""
    known = {"error": {"message": "No.", "details": details}, "status": 400}
    assert shown(Problem, known) == {"error": "No.", "details": told, "code": 400}
