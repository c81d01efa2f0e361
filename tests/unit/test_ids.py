"""Ids follow from what they name, for ever, and lead to its shard."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from shared.contracts.base import Id, MessageId
from shared.ids import (
    BUCKETS,
    bucket_of,
    direct_room_id,
    fingerprint,
    group_room_id,
    message_id,
    shard_of_message,
    shard_of_room,
)

ids = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20)


def test_stored_ids_never_change() -> None:
    """They are primary keys: another hash would find nothing of what was stored before."""
    assert bucket_of("room") == 155
    assert message_id("room", "alice", "c-1") == "9bc145fe6200eebd7af15979"
    assert direct_room_id("default", "alice", "bob") == "dc08e707f937020a5569e4c590e3754"
    assert group_room_id("default", "alice", "c-1") == "gb1ee16d86a8ee130cbd2354f3e873b"
    assert fingerprint("text", "hi", {"a": 1}) == "405d7747ee054d97"


class TestShards:
    @settings(max_examples=50)
    @given(ids, ids, ids, st.integers(1, BUCKETS))
    def test_a_message_leads_to_the_shard_of_its_room(self, room: str, sender: str, key: str, shards: int) -> None:
        """An edit by bare id goes where the room's writer is."""
        assert shard_of_message(message_id(room, sender, key), shards) == shard_of_room(room, shards) < shards

    def test_rooms_spread(self) -> None:
        """No shard gets much more than its share of many rooms."""
        rooms = [group_room_id("default", "alice", str(number)) for number in range(4000)]
        loads = [sum(shard_of_room(room, 4) == shard for room in rooms) for shard in range(4)]
        assert min(loads) > 850


class TestUniqueness:
    @settings(max_examples=50)
    @given(st.tuples(ids, ids, ids), st.tuples(ids, ids, ids))
    def test_other_parts_other_message(self, one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
        """Room, sender and key each count, and none runs into the next."""
        assert (message_id(*one) == message_id(*other)) == (one == other)

    def test_parts_do_not_run_together(self) -> None:
        """The end of one part is not the beginning of another."""
        assert message_id("r", "ab", "c") != message_id("r", "a", "bc")
        assert direct_room_id("t", "ab", "c") != direct_room_id("t", "a", "bc")
        assert fingerprint("text", "hi", {}) != fingerprint("text", "hi", None)

    def test_a_pair_has_one_room_per_tenant(self) -> None:
        """Whoever starts; and no group is ever taken for it."""
        assert direct_room_id("t", "alice", "bob") == direct_room_id("t", "bob", "alice")
        assert direct_room_id("t", "alice", "bob") != direct_room_id("u", "alice", "bob")
        assert direct_room_id("t", "alice", "bob")[0] != group_room_id("t", "alice", "bob")[0]


class TestShape:
    @settings(max_examples=50)
    @given(ids, ids, ids)
    def test_ids_are_ids(self, one: str, two: str, three: str) -> None:
        """What is made here passes the contracts."""
        TypeAdapter(MessageId).validate_python(message_id(one, two, three))
        for room in (direct_room_id(one, two, three), group_room_id(one, two, three)):
            TypeAdapter(Id).validate_python(room)


class TestFingerprint:
    def test_the_order_of_names_does_not_matter(self) -> None:
        """JSON objects have none."""
        assert fingerprint("text", "hi", {"a": 1, "b": [{"c": 2, "d": 3}]}) == fingerprint(
            "text", "hi", {"b": [{"d": 3, "c": 2}], "a": 1}
        )

    @pytest.mark.parametrize(
        "other",
        [("system", "hi", {"a": 1}), ("text", "ho", {"a": 1}), ("text", "hi", {"a": "1"}), ("text", "hi", None)],
    )
    def test_every_part_counts(self, other: tuple[str, str, object]) -> None:
        """Type, content and metadata."""
        assert fingerprint("text", "hi", {"a": 1}) != fingerprint(*other)

    @settings(max_examples=50)
    @given(st.text(max_size=30), st.dictionaries(st.text(max_size=5), st.text(max_size=5)))
    def test_content_cannot_pass_for_metadata(self, content: str, metadata: dict[str, str]) -> None:
        """Whatever it holds, separators included."""
        spoof = f"{json.dumps(metadata, sort_keys=True)}\x1f{content}"
        assert fingerprint("text", content, metadata) != fingerprint("text", spoof, None)
