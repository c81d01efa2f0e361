"""Nonsense on the bus and on the socket: it is answered or set aside with its reason, and everything goes on."""

import json
from typing import Any
from uuid import uuid4

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.gateway import native
from shared.bus.topology import COMMANDS, EVENTS, QUERIES, REPLIES, event_key
from shared.ids import shard_of_room
from shared.settings import load_settings
from tests.conftest import ClientOf, SocketOf
from tests.harness.rawsocket import RawSocket
from tests.harness.wire import Wire

SHARDS = load_settings().shards
JSON = dict[str, Any]


def envelope(kind: str, body: Any, **more: Any) -> JSON:
    """A command or query as a stranger would forge it; its id tells it from all others."""
    actor = {"id": "mallory", "tenant": "default"}
    data = {"actor": actor, "body": body}
    return {"specversion": "1.0", "id": f"forged-{uuid4().hex}", "source": "/tests", "type": kind, "data": data, **more}


# ── on the bus ───────────────────────────────────────────────────────────────────────────────────────────────────

BODIES: dict[str, bytes] = {
    "no JSON": b"\x00\xff",
    "no batch": b'{"specversion":"1.0"}',
    "nothing": b"",
    "an endless nest": b"[" * 5000,
    "a batch of numbers": b"[1,2]",
    "an envelope without anything": b"[{}]",
}


@pytest.mark.parametrize("case", BODIES)
@pytest.mark.parametrize("key", [*(f"messages.{shard}" for shard in range(SHARDS)), "rooms"])
async def test_a_command_that_is_none_is_set_aside_with_its_reason(bus: Wire, key: str, case: str) -> None:
    """Byte for byte, whichever queue it came to."""
    await bus.publish(COMMANDS, key, BODIES[case])
    letter = await bus.dead(lambda letter: letter.key == key and letter.body in (BODIES[case], b"[1]"))
    assert letter.reason


@pytest.mark.parametrize(
    ("key", "forged", "reason"),
    [
        ("messages.0", envelope("message.send", {"room_id": "x"}), "content"),
        ("messages.0", envelope("castle.build", {}), "castle.build"),
        ("rooms", envelope("room.create", {"type": "castle"}), "type"),
        ("rooms", envelope("castle.build", {}), "castle.build"),
    ],
    ids=["malformed message", "unknown to messages", "malformed room", "unknown to rooms"],
)
async def test_a_command_that_nobody_waits_for_is_set_aside_as_well(
    bus: Wire, key: str, forged: JSON, reason: str
) -> None:
    """Without `replyto` an error would be told to nobody."""
    await bus.publish_batch(COMMANDS, key, forged)
    letter = await bus.dead(lambda letter: forged["id"].encode() in letter.body)
    assert reason in letter.reason
    assert orjson.loads(letter.body) == [forged]


async def test_good_commands_between_bad_ones_are_carried_out(bus: Wire, client: ClientOf) -> None:
    """In their order, though they share one AMQP message."""
    alice = await client("alice")
    room = (await alice.create_room()).id
    await alice.expect("room.subscribed", room_id=room)
    actor = {key: alice.ready["user"][key] for key in ("id", "tenant")}
    good = [envelope("message.send", {"room_id": room, "content": str(number)}) for number in range(3)]
    for item in good:
        item["data"]["actor"] = actor
    bad = [envelope("message.send", None), {"type": "message.send"}, envelope("message.send", {"room_id": room})]
    mixed = [item for pair in zip(good, bad, strict=True) for item in pair]
    await bus.publish_batch(COMMANDS, f"messages.{shard_of_room(room, SHARDS)}", *mixed)
    for number in range(3):
        assert (await alice.said(room, str(number))).seq == number + 1


async def test_questions_answers_and_events_that_are_none_harm_nobody(bus: Wire, client: ClientOf) -> None:
    """No connection closed, no worker stopped, no message missed."""
    alice, bob = await client("alice"), await client("bob")
    room = (await alice.create_room(members=["bob"])).id
    await bob.expect("room.subscribed", room_id=room)
    message_key, room_key = event_key("message", room, SHARDS), event_key("room", room, SHARDS)
    false: list[Any] = [
        {},
        [],
        {"type": "message.created", "subject": room, "data": {}, "roomseq": 1, "roomrev": 1},
        {"type": "message.created", "subject": room, "data": {"message": 1}, "roomseq": "x", "roomrev": "y"},
        {"type": "member.removed", "subject": room, "data": {}},
        {"type": "member.added", "subject": room, "data": {"member": 7}},
        {"type": "room.deleted", "subject": 7, "data": {"members": 7}},
        {"type": 7, "subject": room, "data": []},
    ]
    for body in BODIES.values():
        for exchange, key in [
            (QUERIES, "messages"),
            (QUERIES, "rooms"),
            (REPLIES, "gateway-0"),
            (EVENTS, message_key),
            (EVENTS, room_key),
            (EVENTS, "worker.messages"),
        ]:
            await bus.publish(exchange, key, body)
    for item in false:
        await bus.publish_batch(EVENTS, message_key, item)
        await bus.publish_batch(EVENTS, room_key, item)
        await bus.publish_batch(REPLIES, "gateway-0", item)
    await alice.send(room, "still here?")
    assert (await bob.said(room, "still here?")).seq == 1
    assert (await bob.history(room)).messages[0].content == "still here?"
    assert (await alice.create_room(type="direct", members=["bob"])).member_count == 2
    assert not [event for event in bob.log if event.type == "disconnected"]


# ── on the socket ────────────────────────────────────────────────────────────────────────────────────────────────

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner)
)
FIELDS = sorted({field for row in native.ON.values() for field in row.contract.model_fields})
TYPES = sorted(native.ON.keys() | native.LOCAL.keys())
FRAMES = st.fixed_dictionaries(
    {"type": st.sampled_from(TYPES), "data": st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=5)}
)


@pytest.fixture
async def fuzzed(socket: SocketOf) -> RawSocket:
    """A connection for all examples: it must outlive them."""
    opened = await socket("alice")
    await opened.ready()
    return opened


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(frame=FRAMES, number=st.integers(1, 10**9))
async def test_whatever_a_frame_says_it_is_answered(fuzzed: RawSocket, frame: JSON, number: int) -> None:
    """With an ack or a refusal, never with silence or an internal error."""
    await fuzzed.send_text(json.dumps({**frame, "id": number}).encode())
    answer = await fuzzed.answer(number)
    assert answer["type"] == "ack" or answer["error"]["code"] not in {"internal", "timeout"}, answer
