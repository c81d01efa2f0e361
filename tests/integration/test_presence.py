"""Who is here, on a stack of its own with short times: told to whom it concerns, and right whatever dies."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from deploy.embedded import ports
from deploy.embedded.stack import Stack
from shared.client import Event
from shared.contracts.errors import ChatError, ErrorCode
from tests.conftest import ClientOf, SocketOf, TokenOf
from tests.harness.gateway import LIMITS
from tests.harness.own_task import in_own_task
from tests.harness.person import Person
from tests.harness.rest import Api

GRACE, LEASE = 1.0, 4.0


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Two gateways that tests may kill, and times that tests can wait for."""
    env = {**LIMITS, "PRESENCE_GRACE": str(GRACE), "PRESENCE_LEASE": str(LEASE)}
    root = tmp_path_factory.mktemp("presence")
    async with in_own_task(Stack(root, port=ports.find_free(2), gateways=2, env=env)) as running:
        yield running


def changes(person: Person, user_id: str) -> list[str]:
    """What somebody has been told of a user's presence, in order."""
    return [event.data["status"] for event in person.log if is_of(event, user_id)]


def is_of(event: Event, user_id: str) -> bool:
    """Whether an event tells of a user's presence."""
    return event.type == "presence.changed" and event.data["user_id"] == user_id


async def told(person: Person, user_id: str, status: str) -> dict[str, Any]:
    """The next unseen change of a user's presence, which must be this one."""
    event = await person.expect("presence.changed", that=lambda event: event.data["user_id"] == user_id)
    assert event.data["status"] == status, event.data
    assert event.room_id == ""
    assert event.data.keys() == {"user_id", "status", "number"} | ({"last_seen"} if status == "offline" else set())
    return event.data


async def presence(person: Person, user_id: str) -> dict[str, Any]:
    """What the service says of a user."""
    [view] = (await person.call("presence.get", {"user_ids": [user_id]}))["users"]
    return dict(view)


async def fence(alice: Person, client: ClientOf, name: str) -> None:
    """Return when all that was to be told of earlier departures has been: a later one of a watched user has."""
    await alice.call("presence.watch", {"user_ids": [name]})
    late = await client(name)
    await told(alice, name, "online")
    await late.close()
    await told(alice, name, "offline")


async def test_a_room_mate_and_a_watcher_are_told_and_nobody_else(
    stack: Stack, client: ClientOf, tenant: str, token: TokenOf, closing: AsyncExitStack
) -> None:
    """On either gateway, once each; strangers and namesakes in another tenant hear nothing, even if they watch."""
    alice = await client("alice")
    room = await alice.create_room(members=["bob"])
    watcher = await client("watcher", url=stack.gateway_urls[1])
    stranger = await client("stranger")
    namesake = Person(stack.gateway_urls[0], token("alice", tenant=f"{tenant}-abroad"))
    abroad = await closing.enter_async_context(namesake)
    answer = await watcher.call("presence.watch", {"user_ids": ["bob", "alice"]})
    assert [(view["user_id"], view["status"]) for view in answer["users"]] == [("bob", "offline"), ("alice", "online")]
    await alice.call("presence.watch", {"user_ids": ["bob"]})  # twice entitled, once told
    assert (await abroad.call("presence.watch", {"user_ids": ["bob"]}))["users"][0]["status"] == "offline"
    bob = await client("bob", url=stack.gateway_urls[1])
    for person in (alice, watcher):
        await told(person, "bob", "online")
    online = (await alice.call("presence.room", {"room_id": room.id}))["users"]
    assert [view["user_id"] for view in online] == ["alice", "bob"]
    await watcher.call("presence.unwatch", {"user_ids": ["bob"]})
    await bob.close()
    gone = await told(alice, "bob", "offline")
    assert await presence(alice, "bob") == gone
    await fence(watcher, client, "late")
    for person in (stranger, abroad):
        await person.request("ping", {})
    assert [changes(person, "bob") for person in (alice, watcher, stranger, abroad)] == [
        ["online", "offline"], ["online"], [], [],
    ]  # fmt: skip
    with pytest.raises(ChatError) as refused:
        await stranger.call("presence.room", {"room_id": room.id})
    assert refused.value.code is ErrorCode.FORBIDDEN
    with pytest.raises(ChatError) as refused:
        await abroad.call("presence.room", {"room_id": room.id})
    assert refused.value.code is ErrorCode.NOT_FOUND
    assert (await presence(abroad, "bob"))["status"] == "offline"


async def test_somebody_is_here_until_their_last_device_has_gone(stack: Stack, client: ClientOf) -> None:
    """Two devices at two gateways are told as one."""
    alice = await client("alice")
    await alice.call("presence.watch", {"user_ids": ["bob"]})
    one, other = await client("bob"), await client("bob", url=stack.gateway_urls[1])
    await told(alice, "bob", "online")
    await one.close()
    await fence(alice, client, "carol")
    assert (await presence(alice, "bob"))["status"] == "online"
    await other.close()
    last_seen = (await told(alice, "bob", "offline"))["last_seen"]
    assert changes(alice, "bob") == ["online", "offline"]
    assert (await presence(alice, "bob"))["last_seen"] == last_seen


async def test_a_short_reconnect_tells_nobody(stack: Stack, client: ClientOf) -> None:
    """At the same gateway and at another one."""
    alice = await client("alice")
    await alice.call("presence.watch", {"user_ids": ["bob"]})
    bob = await client("bob")
    await told(alice, "bob", "online")
    for url in (stack.gateway_urls[0], stack.gateway_urls[1]):
        await bob.close()
        bob = await client("bob", url=url)
        await fence(alice, client, "carol")
    assert changes(alice, "bob") == ["online"]


async def test_a_killed_gateway_takes_its_users_along(stack: Stack, client: ClientOf, socket: SocketOf) -> None:
    """Within its lease, though another one of the same name is there at once."""
    alice = await client("alice")
    await alice.call("presence.watch", {"user_ids": ["bob", "carol"]})
    bob = await socket("bob", url=stack.gateway_urls[1])
    await bob.ready()
    await told(alice, "bob", "online")
    carol = await client("carol")
    await told(alice, "carol", "online")
    await stack.kill("gateway-1")
    await stack.wait_ready("gateway-1")
    assert (await told(alice, "bob", "offline"))["last_seen"]
    assert changes(alice, "carol") == ["online"]
    await carol.close()
    await told(alice, "carol", "offline")
    again = await client("bob", url=stack.gateway_urls[1])
    await told(alice, "bob", "online")
    await again.close()


async def test_a_gateway_taken_for_dead_comes_back_with_all_its_users(
    stack: Stack, client: ClientOf, socket: SocketOf
) -> None:
    """It stood still for longer than its lease; its clients never noticed."""
    alice = await client("alice")
    users = ["bob", "carol", "dave"]
    await alice.call("presence.watch", {"user_ids": users})
    sockets = [await socket(name, url=stack.gateway_urls[1]) for name in users]
    for name in users:
        await told(alice, name, "online")
    await stack.kill("gateway-1", signal.SIGSTOP)
    for name in users:
        await told(alice, name, "offline")
    await stack.kill("gateway-1", signal.SIGCONT)
    for name in users:
        await told(alice, name, "online")
    for opened in sockets:
        assert (await opened.ask("ping"))["type"] == "ack"


async def test_a_gateway_that_stops_says_goodbye(stack: Stack, client: ClientOf, socket: SocketOf) -> None:
    """Nobody waits for its lease; who comes back elsewhere in time was never gone."""
    alice = await client("alice")
    await alice.call("presence.watch", {"user_ids": ["bob", "carol"]})
    bob = await socket("bob", url=stack.gateway_urls[1])
    await bob.ready()
    carol = await client("carol", url=[stack.gateway_urls[1], stack.gateway_urls[0]])
    for name in ("bob", "carol"):
        await told(alice, name, "online")
    await stack.kill("gateway-1", signal.SIGTERM)
    await told(alice, "bob", "offline")
    assert changes(alice, "carol") == ["online"]
    await carol.close()
    await stack.wait_ready("gateway-1")


async def test_a_choice_shows_on_all_devices_and_ends_with_them(stack: Stack, client: ClientOf) -> None:
    """Away, and apparently offline; last seen when that began, not when they really went."""
    alice = await client("alice")
    await alice.call("presence.watch", {"user_ids": ["bob"]})
    bob = await client("bob")
    other = await client("bob", url=stack.gateway_urls[1])
    await told(alice, "bob", "online")
    assert (await bob.call("presence.set", {"status": "away"}))["status"] == "away"
    await told(alice, "bob", "away")
    await other.call("presence.set", {"status": "offline"})
    hidden = await told(alice, "bob", "offline")
    for device in (bob, other):
        await device.close()
    await fence(alice, client, "carol")
    assert await presence(alice, "bob") == hidden
    await client("bob")
    assert (await told(alice, "bob", "online"))["number"] > hidden["number"]


async def test_what_happens_while_the_rooms_service_is_away_shows_afterwards(stack: Stack, client: ClientOf) -> None:
    """Reports wait for it, and its end and start take nobody for gone."""
    alice = await client("alice")
    await alice.call("presence.watch", {"user_ids": ["stayed", "went", "came"]})
    stayed, went = await client("stayed"), await client("went", url=stack.gateway_urls[1])
    for name in ("stayed", "went"):
        await told(alice, name, "online")
    await stack.kill("rooms-0")
    await went.close()
    await stack.wait_ready("rooms-0")
    await client("came", url=stack.gateway_urls[1])
    await told(alice, "came", "online")
    await told(alice, "went", "offline")
    await fence(alice, client, "carol")
    assert changes(alice, "stayed") == ["online"]
    await stayed.close()
    await told(alice, "stayed", "offline")


async def test_a_rooms_service_that_stood_still_takes_nobody_for_gone(stack: Stack, client: ClientOf) -> None:
    """For longer than a lease it has heard nobody, and that is its own fault."""
    alice = await client("alice")
    await alice.call("presence.watch", {"user_ids": ["bob"]})
    await client("bob", url=stack.gateway_urls[1])
    await told(alice, "bob", "online")
    await stack.kill("rooms-0", signal.SIGSTOP)
    await asyncio.sleep(LEASE + 1)  # it is time passing that is tested
    await stack.kill("rooms-0", signal.SIGCONT)
    await fence(alice, client, "carol")
    assert changes(alice, "bob") == ["online"]


async def test_an_outage_of_the_broker_takes_nobody_for_gone(stack: Stack, client: ClientOf) -> None:
    """Clients are told that they may have missed something; who really went shows to those who ask again."""
    alice = await client("alice")
    await alice.call("presence.watch", {"user_ids": ["stayed", "went"]})
    stayed, went = await client("stayed"), await client("went", url=stack.gateway_urls[1])
    for name in ("stayed", "went"):
        await told(alice, name, "online")
    await stack.kill("rabbitmq")
    await went.close()
    await stack.wait_ready("rabbitmq")
    await alice.expect("missed")
    [view] = (await alice.call("presence.watch", {"user_ids": ["went"]}))["users"]
    if view["status"] != "offline":  # its change is not among what may have been missed
        await told(alice, "went", "offline")
    await fence(alice, client, "carol")
    assert changes(alice, "stayed") == ["online"]
    await stayed.close()
    await told(alice, "stayed", "offline")


async def test_presence_over_rest(stack: Stack, client: ClientOf, api: Callable[..., Api]) -> None:
    """The same questions and the same choice."""
    bob = await client("bob")
    room = await bob.create_room(members=["alice"])
    alice = api("alice")
    assert (await api("bob")("PUT", "/v1/presence", {"status": "away"})).body["status"] == "away"
    asked = await alice("POST", "/v1/presence/query", {"user_ids": ["bob", "nobody", "bob"]})
    assert [(view["user_id"], view["status"]) for view in asked.body["users"]] == [
        ("bob", "away"), ("nobody", "offline"),
    ]  # fmt: skip
    online = await alice("GET", f"/v1/rooms/{room.id}/online")
    assert [(view["user_id"], view["status"]) for view in online.body["users"]] == [("bob", "away")]
    assert (await api("stranger")("GET", f"/v1/rooms/{room.id}/online")).error == "forbidden"
    assert (await alice("PUT", "/v1/presence", {"status": "busy"})).error == "invalid"


async def test_watching_is_bounded(client: ClientOf) -> None:
    """Past the limit nothing more is watched, until something is not."""
    alice = await client("alice")
    many = [f"user-{number}" for number in range(500)]
    await alice.call("presence.watch", {"user_ids": many})
    with pytest.raises(ChatError) as refused:
        await alice.call("presence.watch", {"user_ids": ["bob"]})
    assert refused.value.code is ErrorCode.CONFLICT
    await alice.call("presence.unwatch", {"user_ids": many[:1]})
    await alice.call("presence.watch", {"user_ids": ["bob"]})
    await client("bob")
    await told(alice, "bob", "online")
