"""Whatever arrives in a text frame gets one precise answer, and nobody else notices."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.embedded.stack import Stack
from services.gateway import native
from shared.auth import issue_token
from shared.contracts.errors import ErrorCode
from tests.harness.own_task import in_own_task
from tests.integration.security_stream import BINARY, CONTINUATION, PING, PONG, TEXT, Stream, stream

JSON = dict[str, Any]

FOR_CI = settings(
    max_examples=25, derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
BATCH = 15
"""Frames without a shape in a row: fewer than those after which a peer counts as no client of this protocol."""

GONE = 24 * "0"


class Neighbourhood:
    """Somebody who sends nonsense, and a neighbour who just chats, on the same gateway."""

    def __init__(self, hostile: Stream, neighbour: Stream, room_id: str) -> None:
        self.hostile = hostile
        self.neighbour = neighbour
        self.room_id = room_id

    async def send_all(self, frames: Sequence[bytes]) -> list[JSON]:
        """Send frames at once, each of which gets one answer, and see that all goes on; the answers."""
        for frame in frames:
            self.hostile.put(frame)
        answers = await self.hostile.answers(len(frames))
        await self.goes_on()
        return answers

    async def goes_on(self) -> None:
        """The neighbour's message is acked."""
        content = {"room_id": self.room_id, "content": uuid4().hex}
        self.neighbour.put(orjson.dumps({"type": "message.send", "id": content["content"], "data": content}))
        answer = await self.neighbour.answer()
        assert (answer["type"], answer["id"]) == ("ack", content["content"]), answer


@pytest.fixture(scope="module")
async def hood(stack: Stack) -> AsyncIterator[Neighbourhood]:
    """Both connected, the neighbour in a room."""
    tenant = f"t-{uuid4().hex[:12]}"

    async def connect(held: AsyncExitStack, sub: str) -> Stream:
        token = issue_token(stack.jwt_secret, sub=sub, tenant=tenant)
        return await held.enter_async_context(in_own_task(stream(stack.gateway_urls[0], token)))

    async with AsyncExitStack() as held:
        hostile, neighbour = await connect(held, "hostile"), await connect(held, "neighbour")
        neighbour.put(orjson.dumps({"type": "room.create", "id": 1, "data": {}}))
        room_id = (await neighbour.answer())["data"]["room"]["id"]
        yield Neighbourhood(hostile, neighbour, room_id)


def is_precise(answer: JSON) -> bool:
    """An error in the one shape, which says something, and is nobody's fault but the sender's."""
    error = answer["error"]
    assert answer.keys() == {"type", "id", "error"}, answer
    assert error.keys() == {"code", "message", "retryable", "retry_after", "details"}, answer
    assert ErrorCode(error["code"]) is not ErrorCode.INTERNAL, answer
    assert not error["retryable"], answer
    assert len(error["message"]) > 10, answer
    return True


# ── what has no shape ────────────────────────────────────────────────────────────────────────────────────────────

TEXTS = st.text(max_size=30) | st.sampled_from(
    ["\0", "$where", "a.b", "\u200b", "\u202eabc", "\ufeff", "é" * 40, "../"]
)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([2**63, -(2**64), 10**40])
LEAVES = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)


def encoded(value: Any) -> bytes:
    """JSON as the standard library writes it: any size of number."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def is_misshapen(frame: bytes) -> bool:
    """Whether a frame cannot be the outer shape of anything, by luck."""
    try:
        value = orjson.loads(frame)
    except orjson.JSONDecodeError:
        return True
    return not (isinstance(value, dict) and isinstance(value.get("type"), str))


NOISE = st.binary(max_size=200) | VALUES.map(encoded)


@FOR_CI
@given(frames=st.lists(NOISE.filter(is_misshapen), min_size=1, max_size=BATCH))
async def test_noise_is_invalid(hood: Neighbourhood, frames: list[bytes]) -> None:
    """Bytes that are no UTF-8, text that is no JSON, JSON that is no frame."""
    for answer in await hood.send_all(frames):
        assert is_precise(answer)
        assert answer["error"]["code"] == "invalid"


MISSHAPEN: dict[str, bytes] = {
    "nothing": b"",
    "a list": b"[]",
    "no type": b'{"id":1}',
    "type a number": b'{"type":1,"id":1}',
    "id a list": b'{"type":"ping","id":[1]}',
    "id a fraction": b'{"type":"ping","id":1.5}',
    "id too long": b'{"type":"ping","id":"' + b"x" * 129 + b'"}',
    "id of 400 digits": b'{"type":"ping","id":1' + b"0" * 400 + b"}",
    "data a list": b'{"type":"ping","id":1,"data":[]}',
    "data null": b'{"type":"ping","id":1,"data":null}',
    "more fields": b'{"type":"ping","id":1,"data":{},"token":"x"}',
    "nested lists": b"[" * 30_000,
    "nested objects": b'{"a":' * 10_000,
    "nested and closed": b"[" * 1000 + b"]" * 1000,
    "half a character": b'{"type":"\\ud800","id":1}',
    "invalid UTF-8": b'{"type":"\xff\xfe","id":1}',
    "overlong UTF-8": b'{"type":"\xc0\xaf","id":1}',
    "a byte order mark": b'\xef\xbb\xbf{"type":"ping","id":1}',
    "NaN": b'{"type":"ping","id":NaN}',
    "infinity": b'{"type":"ping","id":1e999}',
    "a comment": b'{"type":"ping"/**/}',
    "two frames": b'{"type":"ping","id":1}{"type":"ping","id":2}',
    "UTF-16": '{"type":"ping"}'.encode("utf-16"),
}


async def test_frames_without_a_shape_are_told_what_they_lack(hood: Neighbourhood) -> None:
    """One by one, each with its reason; the id is given back where it can be read."""
    for name, frame in MISSHAPEN.items():
        [answer] = await hood.send_all([frame])
        assert is_precise(answer), name
        assert answer["error"]["code"] == "invalid", name
    for name in ("data a list", "more fields"):
        [answer] = await hood.send_all([MISSHAPEN[name]])
        assert answer["id"] == 1, name


# ── what has one, with wrong contents ────────────────────────────────────────────────────────────────────────────

VALID: JSON = {
    "room_id": "nowhere", "message_id": GONE, "content": "hi", "emoji": "x", "seq": 1, "user_id": "bob",
    "role": "member", "name": "n", "cursors": {"nowhere": "0:1"}, "token": "x.y.z", "metadata": {"a": 1},
}  # fmt: skip
ROWS = {name: row.contract for name, row in native.ON.items()} | {name: row.wire for name, row in native.LOCAL.items()}


def filled(name: str) -> JSON:
    """Data that a row's contract accepts."""
    return {field: VALID[field] for field in ROWS[name].model_fields if field in VALID}


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A frame of some row, in order but for one or two fields."""
    name = draw(st.sampled_from(sorted(ROWS)))
    data = filled(name)
    for _ in range(draw(st.integers(1, 2))):
        field = draw(st.sampled_from([*ROWS[name].model_fields, "more"]))
        if draw(st.booleans()):
            data.pop(field, None)
        data[field] = draw(VALUES)
    return encoded({"type": name, "id": draw(st.integers(0, 99) | TEXTS), "data": data})


@FOR_CI
@given(frames=st.lists(mutations(), min_size=BATCH, max_size=BATCH))
async def test_a_frame_with_wrong_fields_is_refused_or_taken_never_lost(
    hood: Neighbourhood, frames: list[bytes]
) -> None:
    """Whatever stands in the fields of whatever type: one answer each, and no `internal`."""
    for frame, answer in zip(frames, await hood.send_all(frames), strict=True):
        assert answer["type"] == "ack" or is_precise(answer), frame


ODD: dict[str, JSON] = {
    "null in the content": {"content": "a\0b"},
    "null in the client_id": {"content": "x", "client_id": "a\0b"},
    "bidi override": {"content": "\u202e\u2066abc\u2069"},
    "zero width": {"content": "\u200b\u200d\ufeff"},
    "zero width id": {"content": "x", "client_id": "a\u200bb"},
    "a thousand accents": {"content": "a" + "\u0301" * 1000},
    "beyond the basic plane": {"content": "👩‍👩‍👧‍👦" * 100},
    "operators in metadata": {
        "content": "x",
        "metadata": {"$where": "1", "a.b": {"$ne": None}, "": 0, "__proto__": {}},
    },
    "null in a name of metadata": {"content": "x", "metadata": {"a\0": 1}},
    "a reference in metadata": {"content": "x", "metadata": {"a": [{"$ref": "users", "$id": 1, "$db": "admin"}]}},
    "65 bits in metadata": {"content": "x", "metadata": {"n": 2**64}},
    "deep metadata": {"content": "x", "metadata": {"a": orjson.loads("[" * 300 + "]" * 300)}},
    "wide metadata": {"content": "x", "metadata": {str(n): n for n in range(500)}},
    "a float as seq": {"content": "x", "seq": 1.5},
    "many wrong fields": {f"f{n}": n for n in range(1000)},
}


async def test_odd_contents_are_kept_as_they_are_or_refused(hood: Neighbourhood) -> None:
    """What can be stored comes back to the letter; what cannot is refused by name; the room stays readable."""
    kept = []
    for name, data in ODD.items():
        frame = encoded({"type": "message.send", "id": name, "data": {"room_id": hood.room_id, **data}})
        hood.neighbour.put(frame)
        answer = await hood.neighbour.answer()
        assert answer["id"] == name
        if answer["type"] == "ack":
            kept.append((data["content"], data.get("metadata")))
        else:
            assert is_precise(answer)
            assert answer["error"]["code"] == "invalid", name
            assert answer["error"]["details"], name
    hood.neighbour.put(orjson.dumps({"type": "history.get", "id": 1, "data": {"room_id": hood.room_id, "limit": 200}}))
    messages = (await hood.neighbour.answer())["data"]["messages"]
    contents = [(message["content"], message.get("metadata")) for message in messages]
    assert [content for content in contents if content in kept] == kept
    assert len(kept) == 7


async def test_the_last_of_two_equal_names_counts(hood: Neighbourhood) -> None:
    """JSON with a name twice means what most readers make of it; it is checked as such, not smuggled past."""
    frames = [
        b'{"type":"ping","type":"history.get","id":1,"data":{"room_id":"nowhere"}}',
        b'{"type":"history.get","id":2,"data":{"room_id":"nowhere","room_id":{"$ne":null}}}',
    ]
    first, second = sorted(await hood.send_all(frames), key=lambda answer: int(answer["id"]))
    assert first["error"]["code"] == "not_found"
    assert second["error"]["code"] == "invalid"


# ── sizes ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_frame_over_the_limit_is_too_large(hood: Neighbourhood) -> None:
    """Up to a hard limit a frame is read to its end and refused by its size; the socket goes on."""
    for size in (65_537, 200_000, 4_000_000):
        [answer] = await hood.send_all([b'{"type":"ping","id":"' + b"x" * size])
        assert is_precise(answer)
        assert answer["error"]["code"] == "too_large"
    [answer] = await hood.send_all([b'{"type":"ping","id":1}'.ljust(65_536)])
    assert answer["type"] == "ack"


# ── frames that no library sends ─────────────────────────────────────────────────────────────────────────────────


async def test_binary_frames_are_refused(hood: Neighbourhood) -> None:
    """They are not part of the protocol, and say so; a text frame after them is heard."""
    for payload in (b"", b"\0" * 100, b'{"type":"ping","id":1}'):
        hood.hostile.put(payload, BINARY)
        [answer] = await hood.hostile.answers(1)
        assert answer["error"]["code"] == "invalid"
    await hood.goes_on()


async def test_fragments_are_one_frame_and_control_frames_may_come_between(hood: Neighbourhood) -> None:
    """RFC 6455, 5.4: a frame cut anywhere, even within a character, with pings in the middle of it."""
    text = '{"type":"history.get","id":"ü👍","data":{"room_id":"nowhere"}}'.encode()
    for step in (1, 7, len(text)):
        parts = [text[at : at + step] for at in range(0, len(text), step)]
        for number, part in enumerate([*parts, b""]):
            hood.hostile.put(part, CONTINUATION if number else TEXT, fin=number == len(parts))
            hood.hostile.put(b"?" * 125, PING)
            hood.hostile.put(b"unasked", PONG)
        [answer] = await hood.hostile.answers(1)
        assert (answer["id"], answer["error"]["code"]) == ("ü👍", "not_found")
    await hood.goes_on()


async def test_a_ping_is_answered_with_its_payload(hood: Neighbourhood) -> None:
    """RFC 6455, 5.5.3, up to the longest a control frame may be."""
    for payload in (b"", b"\0\xff", b"x" * 125):
        hood.hostile.put(payload, PING)
        while (frame := await hood.hostile.frame()).opcode != PONG:
            pass
        assert frame.payload == payload


BROKEN: dict[str, tuple[bytes, dict[str, Any]]] = {
    "an unknown opcode": (b"x", {"opcode": 0x3}),
    "a reserved bit": (b"x", {"rsv": 0b100}),
    "a long ping": (b"x" * 126, {"opcode": PING}),
    "a ping in parts": (b"x", {"opcode": PING, "fin": False}),
    "the end of nothing": (b"x", {"opcode": CONTINUATION}),
    "a close of one byte": (b"x", {"opcode": 0x8}),
    "a close code that may not be sent": (b"\x03\xed", {"opcode": 0x8}),
    "a close reason that is no UTF-8": (b"\x03\xe8\xff", {"opcode": 0x8}),
    "larger than is read": (b"x" * 5_000_000, {}),
    "a size of 2**63": (b"x", {"size": 2**63}),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_broken_stream_ends_alone(hood: Neighbourhood, stack: Stack, case: str) -> None:
    """What breaks the framing ends its connection (there is no next frame to find), and only that."""
    payload, options = BROKEN[case]
    async with stream(stack.gateway_urls[0], issue_token(stack.jwt_secret, sub="vandal")) as vandal:
        await vandal.frame()
        vandal.put(payload, **options)
        code = await vandal.ended()
        assert code in {None, 1000, 1002, 1007, 1009}
    await hood.goes_on()
    assert len(await hood.hostile.answers(0)) == 0


async def test_half_a_frame_keeps_nobody_waiting(hood: Neighbourhood, stack: Stack) -> None:
    """A peer that stops in the middle of a header, a mask or a payload holds up only itself."""
    async with AsyncExitStack() as held:
        for size in (1, 3, 6, 10):
            token = issue_token(stack.jwt_secret, sub="sloth")
            sloth = await held.enter_async_context(stream(stack.gateway_urls[0], token))
            await sloth.frame()
            sloth.writer.write(b"\x81\xfe\x00\xff1234hello"[:size])
        await hood.goes_on()


async def test_who_sends_nothing_but_nonsense_is_sent_away(hood: Neighbourhood, stack: Stack) -> None:
    """After 20 frames without a shape in a row, each of them answered, the connection is closed with 4400."""
    async with stream(stack.gateway_urls[0], issue_token(stack.jwt_secret, sub="babbler")) as babbler:
        for _ in range(30):
            babbler.put(b"blah")
        assert [(await babbler.answer())["error"]["code"] for _ in range(20)] == ["invalid"] * 20
        assert await babbler.ended() == 4400
    await hood.goes_on()
