"""Socket.IO clients that come back: told what they missed, in order, once, without having asked."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import ClientSession
from socketio.exceptions import ConnectionError as SioError

from deploy.embedded.stack import Stack
from tests.conftest import ClientOf, TokenOf
from tests.harness.engine import engine
from tests.harness.gateway import Gateway
from tests.harness.person import Person
from tests.harness.sio import SioPerson

GatewayWith = Callable[..., Awaitable[Gateway]]
ANSWERS = {"connected", "left_room"}


class Bob:
    """A client of the booking dialect, which comes and goes."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, token
        self.now: SioPerson

    async def come(self, **auth: Any) -> SioPerson:
        """Connect."""
        self.now = SioPerson(self._url, auth={"token": self._token, **auth})
        await self.now.__aenter__()
        await self.now.expect("connected")
        return self.now

    async def go(self) -> None:
        """Disconnect."""
        await self.now.__aexit__()


@pytest.fixture
def bob(stack: Stack, token: TokenOf) -> Bob:
    """He."""
    return Bob(stack.gateway_urls[0], token("bob"))


async def said(person: SioPerson, alice: Person, room_id: str, *contents: str) -> list[tuple[str, str]]:
    """What somebody has been told of a room up to a fence, in order."""
    await alice.send(room_id, "fence")
    await person.expect("new_message", lambda data: data["content"] == "fence")
    return [(heard.name, heard.data.get("content", "")) for heard in person.log if heard.name not in ANSWERS]


async def test_what_was_missed_comes_in_order_and_once(bob: Bob, client: ClientOf) -> None:
    """New messages, a deletion of an old one, and then what happens live; the room is joined again unasked."""
    alice = await client("alice")
    room = await alice.create_room(members=["bob"])
    old = await alice.send(room.id, "old")
    person = await bob.come()
    await person.call("join_room", {"roomId": room.id})
    await alice.send(room.id, "before")
    await person.expect("new_message")
    await bob.go()
    for number in range(3):
        await alice.send(room.id, f"missed {number}")
    await alice.call("message.delete", {"message_id": old.message_id})
    person = await bob.come()
    told = await said(person, alice, room.id)
    created = [(f"missed {number}") for number in range(3)]
    assert told == [
        *(("new_message", content) for content in created),
        ("message_deleted", ""),
        ("new_message", "fence"),
    ]
    await bob.go()


async def test_who_lost_the_room_hears_nothing_of_it(bob: Bob, client: ClientOf) -> None:
    """A membership that ended meanwhile is not gone round."""
    alice = await client("alice")
    room, other = await alice.create_room(members=["bob"]), await alice.create_room(members=["bob"])
    person = await bob.come()
    for joined in (room, other):
        await person.call("join_room", {"roomId": joined.id})
    await bob.go()
    await alice.call("member.remove", {"room_id": room.id, "user_id": "bob"})
    await alice.send(room.id, "secret")
    person = await bob.come()
    assert await said(person, alice, other.id) == [("new_message", "fence")]
    await bob.go()


@pytest.mark.parametrize("named", [{"dialect": "booking"}, {}])
async def test_a_client_that_knows_where_it_was_says_so(bob: Bob, client: ClientOf, named: dict[str, str]) -> None:
    """By `auth.resume`, also where nothing is remembered of it, nor known which API it was written for."""
    alice = await client("alice")
    room = await alice.create_room(members=["bob"])
    for number in range(3):
        await alice.send(room.id, f"message {number}")
    state = (await alice.call("rooms.states", {"room_ids": [room.id]}))["states"][0]
    person = await bob.come(resume={room.id: f"{state['epoch']}:1:1"}, **named)
    if not named:  # what it sends tells
        await person.call("leave_room", {"roomId": "another"})
    told = await said(person, alice, room.id)
    assert told == [("new_message", "message 1"), ("new_message", "message 2"), ("new_message", "fence")]
    await bob.go()


async def test_what_was_written_to_a_client_that_had_gone_silent_is_told_again(
    gateway_with: GatewayWith, http: ClientSession, client: ClientOf, token: TokenOf
) -> None:
    """It has a network no more: it neither reads nor answers pings. What it had answered for does not come again."""
    gateway = await gateway_with(HEARTBEAT=1, PING_TIMEOUT=2)
    alice = await client("alice", url=gateway.url)
    room, other = [await alice.create_room(members=["bob"]) for _ in range(2)]
    bare = await engine(http, gateway.url)
    await bare.connect("/chat", {"token": token("bob"), "dialect": "booking"})
    await bare.send_text(f'42/chat,1["join_room",{{"roomId":"{room.id}"}}]')
    await bare.ack(1)
    await alice.send(room.id, "read")
    await bare.event("new_message")
    await bare.starting_with("2")
    await bare.starting_with("2")  # so the one before was answered
    await bare.send_text(f'42/chat,2["join_room",{{"roomId":"{other.id}"}}]')
    await bare.ack(2)
    bare.stop_reading()
    for number in range(3):
        await alice.send(room.id, f"lost {number}")
    await alice.send(other.id, "lost elsewhere")
    async with asyncio.timeout(20):
        while await connections(http, gateway.url) > 1:
            pass
    await alice.send(room.id, "missed")
    bob = Bob(gateway.url, token("bob"))
    person = await bob.come()
    told = await said(person, alice, room.id)
    assert sorted(told[:-1]) == sorted(
        [("new_message", content) for content in ("lost 0", "lost 1", "lost 2", "lost elsewhere", "missed")]
    )
    here = [content for _, content in told if content != "lost elsewhere"]
    assert here == ["lost 0", "lost 1", "lost 2", "missed", "fence"]
    await bob.go()


async def connections(http: ClientSession, url: str) -> int:
    """How many are connected to a gateway, as it counts."""
    async with http.get(f"{url}/metrics", headers={"Accept": "text/plain"}) as response:
        lines = (await response.text()).splitlines()
    return int(float(next(line for line in lines if line.startswith("parley_connections ")).split()[1]))


async def missing_something(bob: Bob, alice: Person) -> str:
    """A room that bob had joined and was not there to hear `missed`."""
    room = (await alice.create_room(members=["bob"])).id
    person = await bob.come()
    await person.call("join_room", {"roomId": room})
    await bob.go()
    await alice.send(room, "missed")
    return room


async def test_a_refused_attempt_leaves_what_was_missed_to_the_next(
    bob: Bob, client: ClientOf, token: TokenOf, stack: Stack
) -> None:
    """Whatever it is refused for: a bad token, or what the connection says besides."""
    alice = await client("alice")
    room = await missing_something(bob, alice)
    for auth in (
        {"token": "bad"},
        {"token": token("bob", ttl=-60)},
        {"token": token("bob"), "userId": "alice"},
        {"token": token("bob"), "dialect": "nonsense"},
        {"token": token("bob"), "dialect": "team"},
    ):
        with pytest.raises(SioError):
            await SioPerson(stack.gateway_urls[0], auth=auth).__aenter__()
    assert await said(await bob.come(), alice, room) == [("new_message", "missed"), ("new_message", "fence")]
    await bob.go()


async def test_a_second_client_is_not_told_what_the_first_has_missed(
    bob: Bob, client: ClientOf, stack: Stack, token: TokenOf, closing: AsyncExitStack
) -> None:
    """What is remembered of one that left is for one that comes."""
    alice = await client("alice")
    room = await missing_something(bob, alice)
    person = await bob.come()
    another = SioPerson(stack.gateway_urls[0], auth={"token": token("bob")})
    await closing.enter_async_context(another)
    await another.call("join_room", {"roomId": room})
    assert await said(person, alice, room) == [("new_message", "missed"), ("new_message", "fence")]
    await another.expect("new_message")
    assert [heard.data["content"] for heard in another.log if heard.name == "new_message"] == ["fence"]
    await bob.go()
