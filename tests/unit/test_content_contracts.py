"""What a message may be made of: each kind with what it needs, and nothing that a reader's page could trip over."""

from typing import Any

import pytest
from pydantic import ValidationError

from shared.contracts.content import MAX_CONTENT, MAX_MENTIONS, REQUIRED, Attachment, Location, MessageType, Part
from shared.contracts.messages import ClearTimeline, EditMessage, SendMessage, TimelineCleared

PARTS: dict[Part, Any] = {
    Part.CONTENT: "hi",
    Part.ATTACHMENT: {"url": "/media/1"},
    Part.LOCATION: {"latitude": 1.5, "longitude": -2},
}


def refused(**body: Any) -> str:
    """What is wrong with a message."""
    with pytest.raises(ValidationError) as caught:
        SendMessage.model_validate({"room_id": "room", **body})
    return str(caught.value)


@pytest.mark.parametrize("kind", MessageType)
def test_each_kind_has_its_part_and_no_others(kind: MessageType) -> None:
    """Content may go with every kind."""
    needed = REQUIRED[kind]
    message = SendMessage.model_validate({"room_id": "room", "type": kind, "content": "hi", needed: PARTS[needed]})
    assert message.type is kind
    lacking = {part: value for part, value in PARTS.items() if part is not needed and part is Part.CONTENT}
    assert f"needs '{needed}'" in refused(type=kind, **lacking)
    for other in {Part.ATTACHMENT, Part.LOCATION} - {needed}:
        whole = {needed.value: PARTS[needed], other.value: PARTS[other]}
        assert f"has no '{other}'" in refused(type=kind, **whole)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "//evil.example",
        "/\\evil.example",
        "ftp://x/y",
        "https://",
        "/a b",
        "x",
        "/",
        "/\n",
        "",
    ],
)
def test_other_addresses_than_the_webs_are_refused(url: str) -> None:
    """A reader may put one into a page."""
    for field in ("url", "thumbnail_url"):
        with pytest.raises(ValidationError):
            Attachment.model_validate({"url": "/x", field: url})


@pytest.mark.parametrize("field", [{"latitude": 90.1}, {"longitude": -181}, {"latitude": "nan"}, {"name": "x" * 201}])
def test_places_are_on_the_earth(field: dict[str, Any]) -> None:
    """And described in few words."""
    with pytest.raises(ValidationError):
        Location.model_validate({"latitude": 0, "longitude": 0, **field})


def test_everything_is_bounded() -> None:
    """Whatever a message has."""
    assert "content" in refused(content="x" * (MAX_CONTENT + 1))
    assert "mentions" in refused(content="x", mentions=[f"u{number}" for number in range(MAX_MENTIONS + 1)])
    assert "reply_to" in refused(content="x", reply_to="x" * 24)
    with pytest.raises(ValidationError):
        EditMessage(message_id="0" * 24, content="")


def test_a_clearing_is_of_a_room() -> None:
    """What tells it late knows neither who nor when."""
    assert ClearTimeline(room_id="room").room == "room"
    assert TimelineCleared(room_id="room", seq=3, rev=4).by is None
