"""Query operators, paths and control characters in every text: they are text, or refused, and the logs stay logs."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import orjson
import pytest

from deploy.embedded.stack import Stack
from services.gateway import native
from shared.contracts.membership import RoomView
from tests.harness.person import Person
from tests.harness.rawsocket import RawSocket

JSON = dict[str, Any]

OPERATORS: list[Any] = [
    {"$ne": None},
    {"$gt": ""},
    {"$regex": ".*"},
    {"$where": "1"},
    {"$in": ["x"]},
    ["$ne"],
    [{}],
    1,
    None,
]
LOOKALIKES = [
    "$ne", "$where", "$$ROOT", "$gt:", "a.b", "_id", "__proto__", "constructor", "../../rooms", "%24ne", "0'||'1'=='1",
    "*", "#", "{}", "true", "null", "0", "-1", "d" + "0" * 30, ";", "<script>", "room.#", "messages.0", "`id`",
]  # fmt: skip
FILLING: JSON = {
    "room_id": "nowhere", "message_id": "0" * 24, "content": "x", "emoji": "x", "seq": 1, "user_id": "bob",
    "role": "member", "name": "x", "client_id": "k", "type": "text", "token": "x", "after": "x",
    "reply_to": "0" * 24, "kind": "event", "id": "x", "owner": "bob", "action": "read", "status": "online",
    "participation_id": "x", "before_time": "2026-01-01T00:00:00Z", "media_id": "0" * 32,
}  # fmt: skip
OWN = {
    ("room.create", "type"): "group", ("favorite.toggle", "kind"): "room",
    ("participation.set_status", "status"): "ACCEPTEE",
}  # fmt: skip
"""What a field says instead in some frames: names of other enums."""
COMPOSED: JSON = {
    "cursors": {"nowhere": "0:0"},
    "members": [{"user_id": "bob", "role": "member"}],
    "user_ids": ["bob"],
    "room_ids": ["nowhere"],
    "events": [{}],
    "media_ids": ["0" * 32],
}
"""What is no text, and must be there."""
ROWS = {name: row.contract for name, row in native.ON.items()} | {name: row.wire for name, row in native.LOCAL.items()}
NEEDED = {("message.send", "content")}
"""Fields that may be left out of some kinds, but not of the kind that is filled here."""
NUMBERS = {("read.mark", "seq"), ("delivered.mark", "seq"), ("unread.mark", "seq"), ("history.get", "after")}
NUMBERS |= {("history.get", "before_time")}  # seconds since the epoch


def texts() -> list[tuple[str, str]]:
    """(frame type, field) of every text that a client can send."""
    return [(name, field) for name, wire in ROWS.items() for field in wire.model_fields if field in FILLING]


def filled(name: str) -> JSON:
    """Data in order for a frame type."""
    fields = ROWS[name].model_fields
    values = {
        **FILLING,
        **COMPOSED,
        "type": "text",
        **{field: value for (own, field), value in OWN.items() if own == name},
    }
    asked = {field for field in fields if fields[field].is_required() or field == "type" or (name, field) in NEEDED}
    return {field: values[field] for field in asked}


def parts(value: Any) -> list[tuple[str, str, Any]]:
    """(frame type, field, its value): every text that must be there within a list or an object, being `value`."""
    return [
        ("room.create", "members", ["bob", value]),
        ("room.create", "external", {"kind": value, "id": "x"}),
        ("room.create", "external", {"kind": "event", "id": value}),
        ("message.send", "mentions", ["bob", value]),
        ("message.send", "attachment", {"url": value}),
        ("message.send", "attachment", {"media_id": value}),
        ("media.find", "media_ids", ["0" * 32, value]),
        ("members.set", "members", [{"user_id": value}]),
        ("members.set", "members", [{"user_id": "bob", "role": value}]),
        ("rooms.states", "room_ids", ["nowhere", value]),
        *((name, "user_ids", ["bob", value]) for name, wire in ROWS.items() if "user_ids" in wire.model_fields),
    ]


@pytest.fixture
async def mallory(socket: Callable[..., Any]) -> RawSocket:
    """Somebody who is in no room."""
    opened: RawSocket = await socket("mallory")
    await opened.ready()
    return opened


def test_every_text_is_among_them() -> None:
    """A field that is new here must be given a value, or be known as something else than a text."""
    known = {
        *FILLING,
        *COMPOSED,
        "metadata",
        "limit",
        "before",
        "around",
        "offset",
        "version",
        "with_members",
        "announce",
    }
    known |= {"attachment", "location", "mentions", "external", "muted", "closed", "favorite"}
    assert {field for wire in ROWS.values() for field in wire.model_fields} <= known


async def test_an_operator_in_place_of_a_text_is_invalid(mallory: RawSocket) -> None:
    """Every text field of every frame: an object, list or number is no text, and the answer names the field."""
    for name, field in texts():
        optional = not ROWS[name].model_fields[field].is_required()
        for operator in OPERATORS:
            if (operator is None and optional) or (operator == 1 and (name, field) in NUMBERS):
                continue
            answer = await mallory.ask(name, {**filled(name), field: operator})
            assert answer["type"] == "error", (name, field, operator)
            assert answer["error"]["code"] == "invalid", answer
            assert any(detail["field"].startswith(field) for detail in answer["error"]["details"]), answer


async def test_an_operator_among_ids_is_invalid(mallory: RawSocket) -> None:
    """The same for the ids in lists, in parts and in names of objects."""
    for operator in OPERATORS:
        for name, field, value in parts(operator):
            answer = await mallory.ask(name, {**filled(name), field: value})
            assert answer["error"]["code"] == "invalid", (name, field, operator)
            assert any(detail["field"].startswith(field) for detail in answer["error"]["details"]), answer
        if operator is not None:
            answer = await mallory.ask("sync", {"cursors": {"nowhere": operator}})
            assert answer["error"]["code"] == "invalid", operator


@pytest.mark.parametrize("text", LOOKALIKES)
async def test_what_looks_like_an_operator_is_a_name_like_any(mallory: RawSocket, text: str) -> None:
    """As the id of a room, message, user or page: nothing matches it but itself."""
    for name in ROWS:
        if "room_id" in ROWS[name].model_fields:
            answer = await mallory.ask(name, {**filled(name), "room_id": text})
            unknown = (
                answer["type"] == "ack"
                if name == "room.unsubscribe"
                else answer["error"]["code"] in {"not_found", "forbidden"}
            )
            assert unknown, answer
        if "message_id" in ROWS[name].model_fields:
            answer = await mallory.ask(name, {**filled(name), "message_id": text})
            assert answer["error"]["code"] == "invalid", answer
    assert (await mallory.ask("sync", {"cursors": {text: "0:0"}}))["data"] == {
        "rooms": {},
        "errors": {text: "not_found"},
    }
    assert (await mallory.ask("rooms.states", {"room_ids": [text]}))["data"]["states"] == []
    assert (await mallory.ask("rooms.list", {"after": text}))["data"] == {"rooms": []}
    assert (await mallory.ask("people.list", {"after": text}))["data"] == {"people": []}
    assert (await mallory.ask("users.get", {"user_ids": [text]}))["data"] == {"users": []}
    about = {"kind": "room", "id": text, "favorite": True}
    assert (await mallory.ask("favorite.toggle", about))["error"]["code"] == "not_found"
    assert (await mallory.ask("favorites.list"))["data"]["favorites"] == []


async def test_a_user_named_like_an_operator_is_one_user(client: Callable[..., Any]) -> None:
    """They are members where they were added, and nowhere else."""
    alice: Person = await client("alice")
    people = [name for name in LOOKALIKES if " " not in name]
    await alice.create_room(members=["bob", "carol"])
    theirs = await alice.create_room(members=people)
    for name in people:
        someone: Person = await client(name)
        assert [room["id"] for room in someone.ready["rooms"]] == [theirs.id]
    members = await alice.request("members.list", {"room_id": theirs.id, "limit": 500})
    assert {member["user_id"] for member in members["members"]} == {"alice", *people}


METADATA: list[JSON] = [
    {"$set": {"tenant": "x"}, "$where": "sleep(1)", "$unset": ""},
    {"a.b": 1, "a": {"b": 2}, ".": 0, "$": 0, "$.$": {"$.$": []}},
    {"": "", " ": {"": [None]}, "_id": 5, "id": "x", "tenant": "y", "__proto__": {"admin": True}},
    {"$ref": "users"}, {"$id": 1}, {"$oid": "0" * 24}, {"$date": 1}, {"$numberLong": "1"}, {"$binary": "", "$type": 0},
    {"\u202e\u200b": "\0", "\U0001f469": "\x1b[31m", "line\nbreak": "\r\n"},
    {"n": -(2**63), "m": 2**63 - 1, "f": 1e300, "z": -0.0, "t": 5e-324},
]  # fmt: skip


@pytest.mark.parametrize("metadata", METADATA, ids=str)
async def test_metadata_comes_back_to_the_letter(client: Callable[..., Any], metadata: JSON) -> None:
    """Whatever its names: in the ack, in the event, in the room, in the history, after an edit and over sync."""
    alice: Person = await client("alice")
    room: RoomView = await alice.create_room(metadata=metadata)
    assert room.metadata == metadata
    await alice.expect("room.subscribed", room_id=room.id)
    sent = await alice.send(room.id, "x", metadata=metadata)
    assert (await alice.said(room.id, "x")).data["metadata"] == metadata
    await alice.call("message.edit", {"message_id": sent.message_id, "content": "y", "metadata": metadata | {"k": 1}})
    await alice.call("room.update", {"room_id": room.id, "metadata": metadata | {"k": 1}})
    assert (await alice.request("room.get", {"room_id": room.id}))["metadata"] == metadata | {"k": 1}
    assert (await alice.history(room.id)).messages[0].metadata == metadata | {"k": 1}
    assert (await alice.sync({room.id: "0:0"})).rooms[room.id].messages[0].metadata == metadata | {"k": 1}


async def test_nothing_said_can_forge_a_line_in_the_logs(
    stack: Stack, socket: Callable[..., Any], http: Any, token: Callable[..., str], bus: Any
) -> None:
    """Line breaks, control characters, tokens and contents in every place: each line is one JSON object of ours."""
    mark = uuid4().hex
    forged = f'{mark}\r\n{{"level":"critical","event":"{mark} forged"}}\x1b[2J\u2028'
    bearer = token("mallory", name=forged)
    mallory: RawSocket = await socket(headers={"Authorization": f"Bearer {bearer}", "traceparent": mark})
    await mallory.ready()
    for name in ROWS:
        for field in ROWS[name].model_fields:
            await mallory.ask(name, {**filled(name), field: forged})
    await mallory.ask(forged, {})
    await mallory.send_text(forged.encode())
    await mallory.receive()
    room = (await mallory.ask("room.create", {"name": forged, "metadata": {forged: forged}}))["data"]["room"]
    await mallory.ask("message.send", {"room_id": room["id"], "content": forged})
    await bus.publish("chat.commands", "rooms", forged.encode())
    await bus.publish("chat.events", "room.0", orjson.dumps([{"type": forged, "subject": forged, "data": {}}]))
    await bus.publish("chat.replies", "gateway-0", orjson.dumps([{"id": forged, "data": {"error": forged}}]))
    for path in (f"/v1/rooms/{mark}%0d%0aforged", f"/v1/rooms?token={bearer}&after={mark}%0a"):
        async with http.get(f"{stack.gateway_urls[0]}{path}", headers={"Authorization": f"Bearer {bearer[:-5]}"}):
            pass
    await bus.dead(lambda letter: letter.body == forged.encode())
    for name in stack.pids:
        if name.rstrip("0123456789-") in {"gateway", "messages", "rooms", "media"}:
            text = await asyncio.to_thread((stack.home.log / f"{name}.log").read_text)
            lines = [orjson.loads(line) for line in text.splitlines() if line]
            assert all({"event", "level", "service", "timestamp"} <= line.keys() for line in lines)
            assert not [line for line in lines if line["level"] == "critical"]
            assert bearer not in text
            assert mark not in text, [line for line in lines if mark in str(line)]
