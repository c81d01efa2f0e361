"""What the rooms service makes of messages it cannot understand or carry out: set aside with a reason, one by one."""

from typing import Any

import orjson
import pytest

from deploy.embedded.stack import Stack
from shared.bus.codec import join_batch
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.rooms import CreateRoom, GetRoom, UpdateRoom
from shared.mongo import Mongo
from tests.integration.rooms_client import Caller, next_dead, publish_raw

pytest_plugins = ("tests.integration.rooms_fixtures",)
pytestmark = pytest.mark.usefixtures("rooms_process")


async def make(caller: Caller, **fields: Any) -> str:
    """A room of alice's; its id."""
    room_id: str = (await caller.ask("alice", CreateRoom(**fields)))["room"]["id"]
    return room_id


DEEP = b"[" * 1000 + b"]" * 1000


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the body is not JSON"),
        (b"\xff\x00", "the body is not JSON"),
        (b'{"specversion":"1.0"}', "a JSON dict, not a batch"),
        (b"17", "a JSON int, not a batch"),
        (b"[17]", "the envelope is malformed"),
        (b'[{"id":"1"}]', "field 'source'"),
        (b'[{"specversion":"0.3","id":"1","source":"/x","type":"room.create","data":{}}]', "specversion"),
        (b'[{"id":"1","source":"/x","type":"room.create","data":{"actor":{"id":"a b"},"body":{}}}]', "data.actor.id"),
        (b'[{"id":"1","source":"/x","type":"room.explode","data":{"actor":{"id":"a"},"body":{}}}]', "not known here"),
        (b'[{"id":"1","source":"/x","type":"room.leave","data":{"actor":{"id":"a"},"body":{}}}]', "room_id"),
        (
            b'[{"id":"1","source":"/x","type":"room.create","replyto":"' + b"x" * 256 + b'",'
            b'"data":{"actor":{"id":"a"},"body":{}}}]',
            "replyto",
        ),
        (b"[" + DEEP + b"]", "the envelope is malformed"),
        (b'[{"id":"1","source":"/x","type":"room.leave","data":{"actor":7,"body":' + DEEP + b"}}]", "data.actor"),
    ],
)
async def test_a_malformed_message_is_set_aside_with_its_reason(
    rooms_servers: Stack, caller: Caller, body: bytes, reason: str
) -> None:
    """And the next command is carried out."""
    await publish_raw(rooms_servers.amqp_url, body)
    await make(caller)
    assert reason in (await next_dead(rooms_servers.amqp_url))[0]


async def test_one_bad_envelope_does_not_spoil_its_batch(rooms_servers: Stack, caller: Caller) -> None:
    """It alone is set aside, as it came; those around it are carried out."""
    room_id = await make(caller)
    bad: dict[str, Any] = {"id": "1", "type": "room.update", "extra": [1]}
    good = [caller.envelope("alice", UpdateRoom(room_id=room_id, name=name), name) for name in ("a", "b")]
    await publish_raw(rooms_servers.amqp_url, join_batch([good[0], orjson.dumps(bad), good[1]]))
    events = await caller.events_of(room_id, lambda events: len(events) == 3)
    assert [event["data"]["room"].get("name") for event in events] == [None, "a", "b"]
    reason, body = await next_dead(rooms_servers.amqp_url)
    assert "source" in reason
    assert orjson.loads(body) == [bad]


async def test_a_poisoned_room_harms_no_other(rooms_servers: Stack, caller: Caller, rooms_database: Mongo) -> None:
    """A command that fails for a reason nobody foresaw is set aside and answered with an id; a query only answered."""
    poisoned, healthy = await make(caller), await make(caller)
    await rooms_database.collection("memberships").update_one({"room_id": poisoned}, {"$set": {"role": "emperor"}})
    command = UpdateRoom(room_id=poisoned, name="x", client_id="poison")
    with pytest.raises(ChatError) as caught:
        await caller.ask("alice", command)
    assert caught.value.code is ErrorCode.INTERNAL
    assert caught.value.details["correlation_id"]
    reason, body = await next_dead(rooms_servers.amqp_url)
    assert "emperor" in reason
    (envelope,) = orjson.loads(body)
    assert envelope["data"]["body"]["client_id"] == "poison"
    assert envelope["id"] == caught.value.details["correlation_id"]
    assert await caller.refusal("alice", GetRoom(room_id=poisoned)) == "internal"
    assert await caller.refusal("alice", UpdateRoom(room_id=healthy, name="x")) == "ok"
