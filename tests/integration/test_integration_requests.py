"""Events from outside that are wrong, not allowed, out of order or many: refused one by one, applied all the same."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.conftest import SocketOf
from tests.harness.rest import Api
from tests.harness.wire import Dead, Wire
from tests.integration.integration_client import EXCHANGE, Outside, Rooms

pytest_plugins = ("tests.integration.integration_fixtures",)

JSON = dict[str, Any]
PATH = "/v1/integration/events"


# ── the request ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "wrap"),
    [
        ("application/cloudevents+json", lambda event: event),
        ("application/cloudevents-batch+json", lambda event: [event]),
        ("application/json", lambda event: {"events": [event]}),
        ("application/json", lambda event: event),
        ("application/json", lambda event: [event]),
    ],
)
async def test_every_shape_of_body(
    outside: Outside, service: Api, rooms: Rooms, kind: str, wrap: Callable[[JSON], Any]
) -> None:
    """One event, a batch, or an object around it; told again, it has no effect."""
    event = outside.event("session.created", session_id="s", user_id="ann")
    for effective in (True, False):
        answer = await service("POST", PATH, wrap(event), Content_Type=kind)
        assert answer.status == 200
        assert answer.body == {"results": [{"id": event["id"], "applied": True, "effective": effective}]}
    assert await rooms.state(outside.room("session", "s")) is not None


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"[]", 400), (b"17", 400), (b'{"events": 5}', 400), (b"", 400), (b"[" * 300 + b"]" * 300, 400)],
)
async def test_bodies_that_are_no_events(service: Api, body: bytes, status: int) -> None:
    """Refused as a whole."""
    answer = await service("POST", PATH, raw=body)
    assert (answer.status, answer.error) == (status, "invalid")


async def test_each_event_has_its_own_result(outside: Outside, service: Api, rooms: Rooms) -> None:
    """In their order; a bad one takes no other with it."""
    good = [outside.event("session.created", session_id=f"s{number}", user_id="ann") for number in range(2)]
    unknown, malformed = outside.event("event.exploded"), outside.event("event.created", event_id="a b")
    nowhere = outside.event("room.members_set", room_id="gone", members=[])
    answer = await service("POST", PATH, [good[0], unknown, 17, malformed, nowhere, good[1]])
    assert answer.status == 200
    results = answer.body["results"]
    codes = [result.get("error", {}).get("code") for result in results]
    assert codes == [None, "invalid", "invalid", "invalid", "not_found", None]
    assert [result["applied"] for result in results] == [code is None for code in codes]
    assert [result["id"] for result in results][:2] == [good[0]["id"], unknown["id"]]
    for number in range(2):
        assert await rooms.state(outside.room("session", f"s{number}")) is not None


@pytest.mark.parametrize("roles", [(), ("admin",), ("assistant",)])
async def test_only_services_may_tell(
    outside: Outside, api: Callable[..., Api], socket: SocketOf, rooms: Rooms, roles: tuple[str, ...]
) -> None:
    """By REST or by socket; nothing is applied."""
    event = outside.event("session.created", session_id="s", user_id="mallory")
    answer = await api("mallory", roles=roles)("POST", PATH, [event])
    assert (answer.status, answer.error) == (403, "forbidden")
    frame = await (await socket("mallory")).ask("integration.apply", {"events": [event]})
    assert frame["error"]["code"] == "forbidden"
    assert (await api(None)("POST", PATH, [event])).status == 401
    assert await rooms.state(outside.room("session", "s")) is None


async def test_a_service_tells_of_its_own_tenant_only(
    outside: Outside, api: Callable[..., Api], service: Api, rooms: Rooms
) -> None:
    """What names another one is refused; what names none is of its own."""
    abroad = api("backend", roles=("service",), tenant=f"{outside.tenant}-2")
    event = outside.event("session.created", session_id="s", user_id="ann")
    answer = await abroad("POST", PATH, [event])
    (result,) = answer.body["results"]
    assert (result["applied"], result["error"]["code"]) == (False, "forbidden")
    assert await rooms.state(outside.room("session", "s")) is None

    unnamed = {name: value for name, value in event.items() if name != "tenant"}
    assert (await abroad("POST", PATH, [unnamed])).body["results"][0]["applied"]
    theirs = Outside(f"{outside.tenant}-2")
    assert await Rooms(abroad).state(theirs.room("session", "s")) is not None
    assert await rooms.state(outside.room("session", "s")) is None
    assert await rooms.state(theirs.room("session", "s")) is None

    made = (await api("bob")("POST", "/v1/rooms", {"members": ["carl"]})).body["id"]
    wish = theirs.event("room.members_set", room_id=made, members=[{"user_id": "eve", "role": "owner"}])
    (result,) = (await abroad("POST", PATH, [wish])).body["results"]
    assert result["error"]["code"] == "not_found"


async def test_an_object_is_its_tenant_s(outside: Outside, service: Api, api: Callable[..., Api]) -> None:
    """Two tenants' objects of the same name have two rooms, and one's facts are not the other's."""
    other = Outside(f"{outside.tenant}-2")
    foreign = api("backend", roles=("service",), tenant=other.tenant)
    for teller, system, user in ((service, outside, "ann"), (foreign, other, "zoe")):
        await teller("POST", PATH, [system.event("event.created", event_id="7", creator_id=user, participants=[])])
    state = await Rooms(service).state(outside.room("event", "7"))
    assert state is not None
    assert state["members"] == {"ann": "owner"}
    assert await Rooms(service).state(other.room("event", "7")) is None


# ── the queue ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"%d not JSON", "the body is not JSON"),
        (b'"%d"', "a JSON str, not a batch"),
        (b'{"specversion":"1.0","id":"%d"}', "field 'source'"),
        (b'{"id":"%d","source":"/x","type":"event.exploded","data":{}}', "'event.exploded' is not known here"),
        (b'[{"id":"%d","source":"/x","type":"event.created","data":{}}]', "field 'event_id'"),
        (b'{"id":"%d","source":"/x","type":"event.cancelled","time":"2999-01-01T00:00:00Z","data":{"event_id":"1"}}',
         "lies in the future"),
        (b'{"id":"%d","source":"/x","type":"room.members_set","data":{"room_id":"none","members":[]}}',
         "There is no room 'none'"),
    ],
)  # fmt: skip
async def test_what_cannot_be_applied_is_set_aside(bus: Wire, body: bytes, reason: str) -> None:
    """With the reason, under its key."""
    mark = random.randrange(10**12)
    await bus.publish(EXCHANGE, "event.created", body.replace(b"%d", str(mark).encode()))
    letter = await bus.dead(lambda letter: str(mark).encode() in letter.body)
    assert reason in letter.reason
    assert letter.key == "event.created"


async def test_one_bad_event_does_not_spoil_its_batch(outside: Outside, bus: Wire, rooms: Rooms) -> None:
    """It alone is set aside, as it came; a room that refuses harms no other."""
    pair = (await rooms.service("POST", "/v1/rooms", {"type": "direct", "members": ["carl"]})).body["id"]
    good = [outside.event("session.created", session_id=f"s{number}", user_id="ann") for number in range(2)]
    bad = outside.event("event.created", title="x")
    refused = outside.event("room.members_set", room_id=pair, members=[{"user_id": "eve", "role": "owner"}])
    await bus.publish_batch(EXCHANGE, "session.created", good[0], bad, refused, good[1])
    for number in range(2):
        await rooms.becomes(outside.room("session", f"s{number}"), members={"ann": "owner"})

    def is_of(event: JSON) -> Callable[[Dead], bool]:
        return lambda letter: letter.body == orjson.dumps([event])

    assert "event_id" in (await bus.dead(is_of(bad))).reason
    assert "two members for ever" in (await bus.dead(is_of(refused))).reason


async def test_an_event_without_a_tenant_is_of_the_default_one(bus: Wire, api: Callable[..., Api]) -> None:
    """As on every other way."""
    default, session = Outside("default"), f"s-{random.randrange(10**12)}"
    event = default.event("session.created", session_id=session, user_id="ann")
    await bus.publish(EXCHANGE, event["type"], orjson.dumps({name: event[name] for name in event if name != "tenant"}))
    rooms = Rooms(api("backend", roles=("service",), tenant="default"))
    await rooms.becomes(default.room("session", session), members={"ann": "owner"})


# ── any order, any number of times ───────────────────────────────────────────────────────────────────────────────


def history(outside: Outside, number: str) -> list[JSON]:
    """All that befalls one event, in order."""
    about: JSON = {"event_id": number}
    return [
        outside.event("event.created", **about, title="A", creator_id="ann", participants=["bob", "carl"]),
        outside.event("event.participant_added", **about, user_id="dora"),
        outside.event("event.participant_removed", **about, user_id="bob"),
        outside.event("event.cancelled", **about),
        outside.event("event.created", **about, title="B", creator_id="ann"),
        outside.event("event.participant_added", **about, user_id="bob"),
        outside.event("event.updated", **about, title="C", participants=["carl", "emil"]),
        outside.event("event.participant_added", **about, user_id="fay"),
        outside.event("event.participant_removed", **about, user_id="carl"),
        outside.event("event.updated", **about, title="D"),
        outside.event("event.cancelled", **about),
    ]


ENDS = {
    "type": "event",
    "name": "D",
    "closed": True,
    "members": {"ann": "owner", "emil": "member", "fay": "member"},
}


@pytest.mark.parametrize("seed", range(3))
async def test_shuffled_and_repeated_events_end_in_the_same_room(
    outside: Outside, bus: Wire, service: Api, rooms: Rooms, seed: int
) -> None:
    """By both ways at once, alone and in batches, without and with repetition: as though they had come in order."""
    chance, numbers = random.Random(seed), [str(number) for number in range(12)]
    events = [event for number in numbers for event in history(outside, number)]
    stream = events + chance.sample(events, len(events) // 2)
    chance.shuffle(stream)

    async def by_queue(some: list[JSON]) -> None:
        while some:
            batch, some = some[: (size := chance.randint(1, 5))], some[size:]
            await bus.publish_batch(EXCHANGE, "event.updated", *batch)

    async def by_request(some: list[JSON]) -> None:
        for start in range(0, len(some), 20):
            answer = await service("POST", PATH, some[start : start + 20])
            assert all(result["applied"] for result in answer.body["results"]), answer.body

    third = len(stream) // 3
    await asyncio.gather(
        by_queue(stream[:third]), by_request(stream[third : 2 * third]), by_request(stream[2 * third :])
    )
    for number in numbers:
        assert await rooms.becomes(outside.room("event", number), **ENDS) == ENDS
    for number in numbers:
        assert await rooms.state(outside.room("event", number)) == ENDS


async def test_a_user_s_end_and_return_in_any_order(outside: Outside, service: Api, rooms: Rooms) -> None:
    """Rooms that follow other systems come to the same."""
    ended = [
        outside.event("user.upserted", id="bob", name="Bob"),
        outside.event("event.created", event_id="1", creator_id="ann", participants=["bob"]),
        outside.event("user.deleted", id="bob"),
        outside.event("event.participant_added", event_id="1", user_id="carl"),
    ]
    back = outside.event("user.upserted", id="bob", name="Bob again")
    for events, members in (
        (ended[::-1], {"ann": "owner", "carl": "member"}),
        ([back, *ended], {"ann": "owner", "bob": "member", "carl": "member"}),
    ):
        answer = await service("POST", PATH, events)
        assert all(result["applied"] for result in answer.body["results"])
        await rooms.becomes(outside.room("event", "1"), members=members)


async def test_a_letter_can_be_replayed(outside: Outside, bus: Wire, rooms: Rooms) -> None:
    """Once the reason is gone, the event that was set aside does what it was to do."""
    body = {"type": "event", "external": {"kind": "booking", "id": "b"}, "members": ["ann"]}
    room_id = outside.room("booking", "b")
    wish = outside.event("room.members_set", room_id=room_id, members=[{"user_id": "bob", "role": "owner"}])
    await bus.publish_batch(EXCHANGE, wish["type"], wish)
    letter = await bus.dead(lambda letter: letter.body == orjson.dumps([wish]))
    assert "no room" in letter.reason
    assert (await rooms.service("POST", "/v1/rooms", body)).body["id"] == room_id
    await bus.publish(EXCHANGE, letter.key, letter.body)
    await rooms.becomes(room_id, members={"bob": "owner"})
