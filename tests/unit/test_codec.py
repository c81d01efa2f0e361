"""Envelopes on the bus: CloudEvents batches out and in, and whatever else may arrive."""

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.bus.codec import (
    MAX_ITEMS,
    Malformed,
    batch_of_one,
    encode_actor,
    encode_event,
    encode_refusal,
    encode_reply,
    encode_request,
    join_batch,
    readable_events,
    split_batch,
    to_json,
    unique_id,
)
from shared.contracts.envelope import Actor, EventEnvelope, RequestEnvelope
from shared.contracts.errors import ChatError, ErrorCode, ErrorView
from shared.contracts.membership import LeftView
from shared.contracts.messages import SendMessage
from shared.contracts.timeline import SentView

NOW = datetime(2026, 1, 1, 12, 0, 0, 123000, tzinfo=UTC)
ATTRIBUTE = re.compile(r"[a-z0-9]{1,20}")

texts = st.text(max_size=20)
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
"""What metadata may be called."""

actors = st.builds(
    Actor,
    id=st.sampled_from(("alice", "b" * 128)),
    tenant=st.sampled_from(("default", "acme")),
    name=st.none() | texts,
    roles=st.lists(texts, max_size=3).map(tuple),
)


class TestRequests:
    @settings(max_examples=40)
    @given(actors, st.text(min_size=1, max_size=50), st.none() | st.dictionaries(names, st.integers(-5, 5), max_size=3))
    def test_a_request_arrives_as_it_was_sent(
        self, actor: Actor, content: str, metadata: dict[str, int] | None
    ) -> None:
        """Who asks, for what, and where the answer goes."""
        command = SendMessage(room_id="room", content=content, metadata=metadata)
        encoded = encode_request(
            id="g.1", source="/g", type=command.TYPE, subject="room", actor=encode_actor(actor), tenant=actor.tenant,
            body=command.model_dump(mode="json"), replyto="g", traceparent="00-1",
        )  # fmt: skip
        (item,) = split_batch(join_batch([encoded]))
        envelope = RequestEnvelope.model_validate(item)
        assert (envelope.id, envelope.type, envelope.subject, envelope.replyto) == ("g.1", "message.send", "room", "g")
        assert envelope.data.actor == actor
        assert SendMessage.model_validate(envelope.data.body) == command
        assert all(ATTRIBUTE.fullmatch(name) for name in item), "CloudEvents 1.0 section 3.1.1"


class TestEvents:
    def encoded(self, **more: Any) -> dict[str, Any]:
        """One event as JSON."""
        data = to_json(LeftView(room_id="room"))
        body = encode_event(
            id="e", source="/m", type="room.left", subject="room", tenant="acme", time=NOW, data=data, **more
        )
        (item,) = split_batch(join_batch([body]))
        return item

    def test_an_event_is_a_cloudevent(self) -> None:
        """The required attributes, RFC 3339 time, and extensions by the rules of their names."""
        item = self.encoded(traceparent="00-1", seq=3, rev=7)
        assert {"specversion": "1.0", "id": "e", "source": "/m", "type": "room.left"}.items() <= item.items()
        assert item["time"] == "2026-01-01T12:00:00.123000+00:00"
        assert all(ATTRIBUTE.fullmatch(name) for name in item)
        envelope = EventEnvelope.model_validate(item)
        assert (envelope.roomseq, envelope.roomrev, envelope.tenant, envelope.data) == (
            3,
            7,
            "acme",
            {"room_id": "room"},
        )

    def test_what_is_no_change_of_a_timeline_has_no_position(self) -> None:
        """Readers tell the two kinds apart by it."""
        assert not {"roomseq", "roomrev", "traceparent"} & self.encoded().keys()

    def test_null_fields_are_left_out(self) -> None:
        """On every wire."""
        assert self.encoded()["data"] == {"room_id": "room"}

    @pytest.mark.parametrize(
        "broken",
        [
            {}, [], 5, None, {"type": 5}, {"subject": None}, {"tenant": 5}, {"data": []}, {"roomrev": "7"},
            {"roomrev": True}, {"roomseq": None},
        ],
    )  # fmt: skip
    def test_a_malformed_event_is_left_out_and_the_others_are_read(self, broken: Any) -> None:
        """One producer's mistake does not cost the rest of the batch."""
        good: dict[str, Any] = {
            "type": "message.created", "subject": "room", "data": {"message": {}}, "roomrev": 1, "roomseq": 1,
        }  # fmt: skip
        item = {**good, **broken} if isinstance(broken, dict) and broken else broken
        assert readable_events(orjson.dumps([item, good])) == [good]

    def test_an_unreadable_batch_is_dropped(self) -> None:
        """It has nothing to offer."""
        assert readable_events(b"nonsense") == []


class TestReplies:
    def test_a_result(self) -> None:
        """Under the id of the request."""
        view = SentView(message_id="m", seq=1, rev=2, created_at=NOW)
        (item,) = split_batch(join_batch([encode_reply("g.1", "/m", to_json(view))]))
        assert item["id"] == "g.1"
        assert SentView.model_validate(item["data"]["ok"]) == view

    def test_an_error(self) -> None:
        """It is the same exception on the other side."""
        error = ChatError(ErrorCode.OVERLOADED, "later", details={"a": [1]}, retry_after=1.5)
        (item,) = split_batch(join_batch([encode_refusal("g.1", "/m", error.view())]))
        again = ChatError.from_view(ErrorView.model_validate(item["data"]["error"]))
        assert again.view() == error.view()


class TestBatches:
    @pytest.mark.parametrize("body", [b"", b"{}", b"5", b"null", b"[", b"\xff", b'"x"', b"[" * 2000 + b"]" * 2000])
    def test_what_is_no_batch_is_said_to_be_none(self, body: bytes) -> None:
        """With the reason, for whoever finds it among the dead letters."""
        with pytest.raises(Malformed, match=r"^the body is"):
            split_batch(body)

    def test_a_batch_is_limited(self) -> None:
        """A small body can hold very many tiny envelopes."""
        assert len(split_batch(b"[" + b"1," * (MAX_ITEMS - 1) + b"1]")) == MAX_ITEMS
        with pytest.raises(Malformed, match=str(MAX_ITEMS)):
            split_batch(b"[" + b"1," * MAX_ITEMS + b"1]")

    @settings(max_examples=100)
    @given(st.binary(max_size=100))
    def test_any_bytes_are_a_batch_or_malformed(self, body: bytes) -> None:
        """Nothing else comes out."""
        with suppress(Malformed):
            assert isinstance(split_batch(body), list)

    @pytest.mark.parametrize("depth", [1, 100, 253, 254, 1000])
    def test_whatever_could_be_read_can_be_set_aside(self, depth: int) -> None:
        """More can be read than written: what is too deep is left out, the rest is kept."""
        nested: Any = "x"
        for _ in range(depth):
            nested = [nested]
        (item,) = split_batch(batch_of_one({"id": "e", "data": nested}))
        assert item["id"] == "e"

    def test_ids_are_unique(self) -> None:
        """For what has none of its own."""
        assert len({unique_id() for _ in range(100)}) == 100
