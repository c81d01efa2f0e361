"""Whatever lies in a queue: what can be answered is, the rest is set aside with its reason, and all processes go on."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import aiohttp
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.embedded.stack import Stack
from tests.harness.own_task import in_own_task
from tests.harness.wire import Wire
from tests.integration.security_bus import PATIENCE, Insider, insider
from tests.integration.test_malformed_frames import FOR_CI, VALUES

JSON = dict[str, Any]
Queue = tuple[str, str]

MALLORY = {"id": "mallory", "tenant": "malformed", "roles": []}
GOOD: dict[str, tuple[str, JSON]] = {
    "chat.commands messages": ("message.send", {"room_id": "nowhere", "content": "hi"}),
    "chat.commands rooms": ("room.leave", {"room_id": "nowhere"}),
    "chat.queries messages": ("history.get", {"room_id": "nowhere"}),
    "chat.queries rooms": ("room.get", {"room_id": "nowhere"}),
}
"""What each owner answers with `not_found`."""

COMMANDS: list[Queue] = [*(("chat.commands", f"messages.{shard}") for shard in range(4)), ("chat.commands", "rooms")]
QUERIES: list[Queue] = [("chat.queries", "messages"), ("chat.queries", "rooms")]
QUEUES = [*COMMANDS, *QUERIES]


@pytest.fixture(scope="module")
async def inside(stack: Stack) -> AsyncIterator[Insider]:
    """Somebody on the bus."""
    async with in_own_task(insider(stack.amqp_url)) as connected:
        yield connected


@pytest.fixture(autouse=True)
async def everybody_goes_on(stack: Stack) -> AsyncIterator[None]:
    """After each test every process is the one it was, and ready."""
    before = stack.pids
    yield
    assert stack.pids == before
    listeners = {**stack.ports.operations(), **stack.ports.listeners()}
    async with aiohttp.ClientSession() as session:
        for port, name in listeners.items():
            async with session.get(f"http://127.0.0.1:{port}/readyz") as response:
                assert response.status == 200, name


def good(inside: Insider, queue: Queue, **changes: Any) -> JSON:
    """An envelope that the queue's owner answers with `not_found`."""
    exchange, key = queue
    kind, body = GOOD[f"{exchange} {key.split('.')[0]}"]
    return inside.envelope(kind, body, MALLORY, **changes)


async def is_served(inside: Insider, queue: Queue) -> None:
    """A good envelope in the queue is answered."""
    answer = await inside.ask(*queue, good(inside, queue))
    assert answer["error"]["code"] == "not_found", answer


# ── what is no batch ─────────────────────────────────────────────────────────────────────────────────────────────


def no_batches() -> dict[str, bytes]:
    """Bodies, each unlike any other, and a word of the reason they are set aside for."""
    mark = uuid4().hex.encode()
    return {
        "": b"",
        "not JSON": b"\xff\xfe\x00" + mark,
        "not JSON ": b'[{"id":"' + mark,
        "not JSON  ": b"[" * 5000 + mark,
        "str": b'"' + mark + b'"',
        "dict": b'{"id":"' + mark + b'"}',
        "2049 envelopes": b"[" + b",".join([b'"' + mark + b'"'] * 2049) + b"]",
        "not JSON   ": b" " * 20_000_000 + mark,
    }


@pytest.mark.parametrize("queue", QUEUES, ids=" ".join)
async def test_a_body_that_is_no_batch_is_set_aside_whole(inside: Insider, bus: Wire, queue: Queue) -> None:
    """To the letter, under the key it came by, with the reason; and what comes after it is served."""
    for word, body in no_batches().items():
        await inside.publish(*queue, body)
        letter = await bus.dead(lambda letter, body=body: letter.body == body and letter.key == queue[1])  # type: ignore[misc]
        assert letter.reason
        assert word.strip() in letter.reason
    await is_served(inside, queue)


@pytest.mark.parametrize("queue", QUEUES, ids=" ".join)
async def test_the_content_type_is_not_believed(inside: Insider, queue: Queue) -> None:
    """A batch is a batch, whatever its label says."""
    envelope = good(inside, queue)
    [answer] = await inside.send(*queue, envelope)
    await inside.publish(*queue, orjson.dumps([good(inside, queue)]), content_type="image/png")
    assert "error" in await answer
    await is_served(inside, queue)


# ── bad ones among good ones ─────────────────────────────────────────────────────────────────────────────────────


def no_envelopes(inside: Insider, queue: Queue) -> dict[str, Any]:
    """Items that are no request, each unlike any other, by a word of the reason they are set aside for."""
    whole = good(inside, queue)

    def without(*names: str) -> JSON:
        return {name: value for name, value in good(inside, queue).items() if name not in names}

    return {
        "valid dictionary": f"{uuid4()}",
        "valid dictionary ": [str(uuid4())],
        "'id'": without("id") | {"source": str(uuid4())},
        "'type'": without("type"),
        "'data'": without("data"),
        "'specversion'": good(inside, queue, specversion="0.3"),
        "'replyto'": good(inside, queue, replyto="x" * 300),
        "'replyto' ": good(inside, queue, replyto="é" * 128),
        "'replyto'  ": good(inside, queue, replyto="a\0b"),
        "'data.actor'": good(inside, queue, data={"body": {}}),
        "'data.body'": good(inside, queue, data={**whole["data"], "body": []}),
        "'data.actor.id'": good(inside, queue, data={**whole["data"], "actor": {**MALLORY, "id": "a b"}}),
        "'data.actor.roles'": good(inside, queue, data={**whole["data"], "actor": {**MALLORY, "roles": {"admin": 1}}}),
        "malformed": good(inside, queue, replyto=None, data={**whole["data"], "body": {"nonsense": str(uuid4())}}),
        "no.such.thing": good(inside, queue, replyto=None, type="no.such.thing"),
    }


@pytest.mark.parametrize("queue", QUEUES, ids=" ".join)
async def test_what_is_no_request_is_set_aside_alone(inside: Insider, bus: Wire, queue: Queue) -> None:
    """One batch, good and bad by turns: every good one is answered, every bad one lies in `dead` by itself."""
    bad = no_envelopes(inside, queue)
    items = [item for envelope in bad.values() for item in (envelope, good(inside, queue))]
    futures = await inside.send(*queue, *items)
    async with asyncio.timeout(PATIENCE):
        answers = [
            await future for item, future in zip(listening(inside, items), futures, strict=True) if is_good(item)
        ]
    assert [answer["error"]["code"] for answer in answers] == ["not_found"] * len(bad)
    for word, envelope in bad.items():
        letter = await bus.dead(lambda letter, envelope=envelope: letter.body == orjson.dumps([envelope]))  # type: ignore[misc]
        assert letter.key == queue[1]
        assert word.strip() in letter.reason, letter


def listening(inside: Insider, items: list[Any]) -> list[JSON]:
    """The items whose answer would come here, as `Insider.send` has it."""
    return [item for item in items if isinstance(item, dict) and item.get("replyto") == inside.name and "id" in item]


def is_good(item: JSON) -> bool:
    """Whether an envelope is one of `good`'s, unchanged."""
    bodies = [body for _, body in GOOD.values()]
    whole = item.get("data", {}).get("body") in bodies and "type" in item and item.get("specversion") == "1.0"
    return whole and item["data"].get("actor") == MALLORY


@pytest.mark.parametrize("queue", QUEUES, ids=" ".join)
async def test_what_can_be_told_is_told(inside: Insider, queue: Queue) -> None:
    """A request of an unknown type or with a wrong body is refused to who asked, by its field."""
    whole = good(inside, queue)
    unknown = await inside.ask(*queue, good(inside, queue, type="no.such.thing"))
    assert unknown["error"]["code"] == "invalid"
    assert "no.such.thing" in unknown["error"]["message"]
    data = {**whole["data"], "body": {"room_id": {"$ne": None}}}
    wrong = await inside.ask(*queue, good(inside, queue, data=data))
    assert wrong["error"]["code"] == "invalid"
    assert "room_id" in [detail["field"] for detail in wrong["error"]["details"]]


@pytest.mark.parametrize("queue", QUEUES, ids=" ".join)
async def test_an_answer_to_nobody_is_dropped(inside: Insider, queue: Queue) -> None:
    """A reply queue that is not there, or no longer, costs nobody anything."""
    for replyto in ("nobody", "gateway-0", None, "."):
        await inside.send(*queue, good(inside, queue, replyto=replyto))
    await is_served(inside, queue)


@FOR_CI
@given(queue=st.sampled_from(QUEUES), items=st.lists(VALUES, max_size=20))
async def test_a_good_request_is_answered_in_any_company(inside: Insider, queue: Queue, items: list[Any]) -> None:
    """Anything that is JSON, before and after it in the same batch."""
    printable = orjson.loads(
        orjson.dumps([item if isinstance(item, dict | list) else str(item) for item in written(items)])
    )
    [answer] = await inside.send(*queue, *printable, good(inside, queue), *printable)
    async with asyncio.timeout(PATIENCE):
        assert (await answer)["error"]["code"] == "not_found"


def written(items: list[Any]) -> list[Any]:
    """The items as far as the bus's JSON can carry their numbers and texts."""
    texts = [json.dumps(item).encode("utf-8", "replace") for item in items]
    readable = []
    for text in texts:
        try:
            readable.append(orjson.loads(text))
        except orjson.JSONDecodeError:
            readable.append(text.decode())
    return readable


# ── events and replies ───────────────────────────────────────────────────────────────────────────────────────────


def no_events(room_id: str, tenant: str) -> list[Any]:
    """Items that are no event, or not what their type says, about bob's room."""
    about = {"specversion": "1.0", "id": "x", "source": "/x", "subject": room_id, "tenant": tenant}
    king = {"user_id": "bob", "role": "king"}
    return [
        1, None, "x", [], {}, about, {**about, "type": 1, "data": {}}, {**about, "type": "message.created"},
        {**about, "type": "message.created", "data": {}, "roomseq": "1", "roomrev": 2},
        {**about, "type": "message.created", "data": {}, "roomseq": 1, "roomrev": 2},
        {**about, "type": "timeline.cleared", "data": {}, "roomseq": 1, "roomrev": 2},
        {**about, "type": "timeline.cleared", "data": {"seq": "x"}, "roomseq": 1, "roomrev": 2},
        {**about, "type": "message.created", "data": {"message": 5}, "roomseq": 2**63, "roomrev": 2**63},
        {**about, "type": "message.created", "data": {"message": {}}, "roomseq": -1, "roomrev": -1},
        {**about, "type": "typing", "data": []}, {**about, "type": "typing", "data": {}, "subject": 5},
        {**about, "type": "room.created", "data": {"members": [1]}}, {**about, "type": "room.created", "data": {}},
        {**about, "type": "room.created", "data": {"members": 5, "room": 5}},
        {**about, "type": "room.deleted", "data": {}, "subject": "a b"},
        {**about, "type": "room.deleted", "data": {}, "subject": "\0" * 500},
        {**about, "type": "member.added", "data": {}}, {**about, "type": "member.added", "data": {"member": "x"}},
        {**about, "type": "member.added", "data": {"member": {"user_id": []}, "room": {}}},
        {**about, "type": "member.removed", "data": {"user_id": {}}}, {**about, "type": "member.updated", "data": {}},
        {**about, "type": "member.updated", "data": {"member": king}},
        {**about, "type": "member.added", "data": {"member": king, "room": {"id": room_id, "type": "group"}}},
        {**about, "type": "member.removed", "data": {"user_id": "x"}, "tenant": ["x"]},
        {**about, "type": "worker.beat", "data": {}}, {**about, "type": "$where", "data": {}},
    ]  # fmt: skip


async def test_no_event_stops_a_reader(inside: Insider, stack: Stack, client: Any, tenant: str) -> None:
    """Malformed events by every key, to gateways, workers and the durable queue: the next good one is delivered."""
    alice, bob = await client("alice"), await client("bob", url=stack.gateway_urls[1])
    room = await alice.create_room(members=["bob"])
    for member in (alice, bob):
        await member.expect("room.subscribed", room_id=room.id)
    deep = b'[{"type":"typing","subject":"%b","data":{"a":%b}}]' % (room.id.encode(), b"[" * 500 + b"]" * 500)
    for key in ("messages.0", "message.0", "room.0", "typing.0", "worker.messages", "nobody.reads.this"):
        for item in no_events(room.id, tenant):
            await inside.publish("chat.events", key, orjson.dumps([item]))
        for body in (b"", b"\xff", b"{}", b"[" * 3000, deep):
            await inside.publish("chat.events", key, body)
    await alice.send(room.id, "still here")
    for member in (alice, bob):
        await member.said(room.id, "still here")
    await alice.call("member.remove", {"room_id": room.id, "user_id": "bob"})
    await bob.expect("member.removed", room_id=room.id)


async def test_no_reply_stops_its_reader(inside: Insider, stack: Stack, client: Any) -> None:
    """Malformed answers to gateways and services, even beside good ones, are dropped alone."""
    alice = await client("alice")
    room = await alice.create_room()
    items: list[Any] = [
        1, None, {}, {"id": 1, "data": {}}, {"id": [], "data": {"ok": {}}}, {"id": "x", "data": []},
        {"id": "x", "data": {"ok": 5}}, {"id": "x", "data": {"error": {}}}, {"id": "x", "data": {"ok": {}}},
        {"id": "x"},
        {"id": "x", "data": {"error": {"code": "?", "message": "?", "retryable": 1}}},
    ]  # fmt: skip
    for name in stack.pids:
        for body in (b"", b"\xff", b"{}", b"[" * 3000, orjson.dumps(items)):
            await inside.publish("chat.replies", name, body)
    assert (await alice.send(room.id, "still here")).seq == 1
