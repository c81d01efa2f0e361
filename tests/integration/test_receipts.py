"""Who has got and read what: recorded by itself, told in time, and to nobody whose business it is not."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from deploy.embedded import ports
from deploy.embedded.stack import Stack
from shared.auth import issue_token
from shared.contracts.errors import ChatError
from tests.conftest import ClientOf, SocketOf
from tests.harness.gateway import LIMITS
from tests.harness.own_task import in_own_task
from tests.harness.person import Person

JSON = dict[str, Any]


async def room_of(owner: Person, *others: Person, away: tuple[str, ...] = ()) -> str:
    """A group room that those here follow, and of which others are members, too."""
    room = await owner.create_room(members=[*(other.ready["user"]["id"] for other in others), *away])
    for member in (owner, *others):
        await member.expect("room.subscribed", room_id=room.id)
    return room.id


def marks_of(user_id: str, **least: int) -> Callable[[Any], bool]:
    """Whether an event says that a user has got at least so far."""

    def says(event: Any) -> bool:
        return any(
            item["user_id"] == user_id and all(item[name] >= seq for name, seq in least.items())
            for item in event.data["receipts"]
        )

    return says


async def status_of(person: Person, message_id: str) -> tuple[str, list[str], list[str]]:
    """How far a message has got, as somebody is answered."""
    view = await person.request("message.status", {"message_id": message_id})
    assert view["message_id"] == message_id
    return view["status"], view["delivered_to"], view["read_by"]


def receipts_seen(person: Person, room_id: str) -> list[JSON]:
    """All receipts that somebody was ever told of in a room."""
    return [
        receipt
        for event in person.log
        if (event.type, event.room_id) == ("receipts.updated", room_id)
        for receipt in event.data["receipts"]
    ]


# ── delivered ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_message_is_sent_then_delivered_then_read(stack: Stack, client: ClientOf) -> None:
    """Being connected is enough to have got it; its sender sees each step, at another gateway."""
    alice = await client("alice")
    room = await room_of(alice, away=("bob",))
    sent = await alice.send(room, "one")
    assert await status_of(alice, sent.message_id) == ("sent", [], [])
    bob = await client("bob", url=stack.gateway_urls[1])
    sent = await alice.send(room, "two")
    await bob.said(room, "two")
    await alice.expect("receipts.updated", room_id=room, that=marks_of("bob", delivered_seq=sent.seq))
    assert await status_of(alice, sent.message_id) == ("delivered", ["bob"], [])
    await bob.mark_read(room, sent.seq)
    await alice.expect("receipts.updated", room_id=room, that=marks_of("bob", read_seq=sent.seq))
    for reader in (alice, bob):
        assert await status_of(reader, sent.message_id) == ("read", ["bob"], ["bob"])


@pytest.mark.parametrize("how", ["sync", "history.get"])
async def test_what_an_answer_brings_is_delivered(client: ClientOf, socket: SocketOf, how: str) -> None:
    """To who was away: connecting brings nothing yet, reading up does."""
    alice = await client("alice")
    room = await room_of(alice, away=("bob",))
    for number in range(3):
        sent = await alice.send(room, str(number))
    bob = await socket("bob")
    await bob.ready()
    asked: dict[str, JSON] = {"sync": {"cursors": {room: "0:0"}}, "history.get": {"room_id": room}}
    assert (await status_of(alice, sent.message_id))[0] == "sent"
    assert (await bob.ask(how, asked[how]))["type"] == "ack"
    await alice.expect("receipts.updated", room_id=room, that=marks_of("bob", delivered_seq=3))
    assert await status_of(alice, sent.message_id) == ("delivered", ["bob"], [])


async def test_what_rest_brings_is_delivered(client: ClientOf, api: Any) -> None:
    """A page of the history is, whichever way it came."""
    alice = await client("alice")
    room = await room_of(alice, away=("bob",))
    sent = await alice.send(room, "one")
    assert (await api("bob")("GET", f"/v1/rooms/{room}/messages")).status == 200
    await alice.expect("receipts.updated", room_id=room, that=marks_of("bob", delivered_seq=sent.seq))
    view = (await api("alice")("GET", f"/v1/messages/{sent.message_id}/status")).body
    assert (view["status"], view["delivered_to"]) == ("delivered", ["bob"])


async def test_a_gateway_that_goes_says_what_it_has_delivered(client: ClientOf, gateway_with: Any) -> None:
    """A restart does not wait for the next round."""
    alice, leaving = await client("alice"), await gateway_with()
    bob = await client("bob", url=leaving.url)
    room = await room_of(alice, bob)
    for number in range(5):
        await alice.send(room, str(number))
    await bob.said(room, "4")
    await leaving.terminate()
    await alice.expect("receipts.updated", room_id=room, that=marks_of("bob", delivered_seq=5))


async def test_who_has_left_does_not_count(client: ClientOf) -> None:
    """The readers are the members as they are now."""
    alice, bob = await client("alice"), await client("bob")
    room = await room_of(alice, bob, away=("carol",))
    sent = await alice.send(room, "one")
    await bob.mark_read(room, sent.seq)
    assert await status_of(alice, sent.message_id) == ("sent", ["bob"], ["bob"])
    await alice.request("member.remove", {"room_id": room, "user_id": "carol"})
    await bob.expect("member.removed", room_id=room)
    async with asyncio.timeout(10):  # every worker hears of it by itself
        while await status_of(alice, sent.message_id) != ("read", ["bob"], ["bob"]):  # noqa: ASYNC110 - their state
            await asyncio.sleep(0.05)
    await bob.request("room.leave", {"room_id": room})
    with pytest.raises(ChatError, match="may not read"):
        await status_of(bob, sent.message_id)


# ── told ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_marks_are_told_together(client: ClientOf) -> None:
    """A hundred of them within moments: the first at once, then one event a second, and the last says it all."""
    alice, bob = await client("alice"), await client("bob")
    room = await room_of(alice, bob)
    for number in range(100):
        await alice.send(room, str(number))
    await alice.expect("receipts.updated", room_id=room, that=marks_of("bob", delivered_seq=100))
    alice.log.clear()
    begun = time.monotonic()
    for seq in range(1, 101):
        await bob.mark_read(room, seq)
    await alice.expect("receipts.updated", room_id=room, that=marks_of("bob", read_seq=100))
    seconds = time.monotonic() - begun
    told = receipts_seen(alice, room)
    assert 1 <= len(told) <= seconds + 2
    assert (told[-1]["read_seq"], told[-1]["delivered_seq"]) == (100, 100)
    newly_read: set[int] = set()
    for receipt in told:
        newly_read.update(range(receipt["read_from"], receipt["read_seq"] + 1))
    assert newly_read == set(range(1, 101))


async def test_who_does_not_follow_a_room_is_told_nothing(client: ClientOf) -> None:
    """Neither who was never in it, nor who has left it, nor who looks away."""
    alice, bob, carol, eve = [await client(name) for name in ("alice", "bob", "carol", "eve")]
    room = await room_of(alice, bob, carol)
    await alice.request("member.remove", {"room_id": room, "user_id": "carol"})
    await carol.expect("member.removed", room_id=room)
    away = await client("bob")
    await away.request("room.unsubscribe", {"room_id": room})
    sent = await alice.send(room, "psst")
    await bob.mark_read(room, sent.seq)
    await alice.expect("receipts.updated", room_id=room, that=marks_of("bob", read_seq=sent.seq))
    for outside in (carol, eve, away):
        await outside.request("ping", {})  # all are written to in one go: what was told lies before this answer
        assert receipts_seen(outside, room) == []


# ── unread ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def unread_of(person: Person, room_id: str) -> tuple[int, int]:
    """`unread` and `mentions` of a room as its state says, asked for by a fresh subscription."""
    state = await person.request("room.subscribe", {"room_id": room_id})
    return state["unread"], state["mentions"]


async def test_a_room_is_marked_unread_for_oneself_alone(client: ClientOf) -> None:
    """On all one's devices, until one reads; others see nothing of it."""
    alice, bob, phone = await client("alice"), await client("bob"), await client("bob")
    room = await room_of(alice, bob)
    for number in range(4):
        sent = await alice.send(room, str(number))
    await bob.mark_read(room, 4)
    assert await unread_of(bob, room) == (0, 0)
    answer = await bob.request("unread.mark", {"room_id": room, "seq": 2})
    assert answer == {"user_id": "bob", "read_seq": 4, "delivered_seq": 4, "unread_from": 2}
    told = await phone.expect("receipts.updated", room_id=room, that=lambda event: not event.data["everyone"])
    assert told.data["receipts"] == [answer]
    assert await unread_of(phone, room) == (3, 0)
    await alice.request("ping", {})
    assert [item for item in receipts_seen(alice, room) if "unread_from" in item] == []
    assert await status_of(alice, sent.message_id) == ("read", ["bob"], ["bob"])
    shown = (await alice.request("receipts.get", {"room_id": room}))["receipts"]
    assert [item for item in shown if "unread_from" in item] == []
    await bob.mark_read(room, 1)
    await phone.expect(
        "receipts.updated", room_id=room, that=lambda event: "unread_from" not in event.data["receipts"][0]
    )
    assert await unread_of(bob, room) == (0, 0)


# ── large rooms ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
async def narrow(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack in which a room of three is large."""
    env = {**LIMITS, "RECEIPTS_MAX_MEMBERS": "2"}
    described = Stack(tmp_path_factory.mktemp("narrow"), port=ports.find_free(), env=env)
    async with in_own_task(described) as running:
        yield running


@pytest.fixture
def enter(narrow: Stack, tenant: str, closing: AsyncExitStack) -> Callable[[str], Awaitable[Person]]:
    """Connects users to it."""

    async def connect(sub: str) -> Person:
        token = issue_token(narrow.jwt_secret, sub=sub, tenant=tenant)
        return await closing.enter_async_context(Person(narrow.gateway_urls[0], token))

    return connect


async def test_in_a_large_room_each_one_is_told_of_oneself(enter: Callable[[str], Awaitable[Person]]) -> None:
    """Others are not, and delivery is not recorded; in a small one beside it, both."""
    alice, bob, phone = [await enter(sub) for sub in ("alice", "bob", "bob")]
    large, small = await room_of(alice, bob, away=("carol",)), await room_of(alice, bob)
    for member in (bob, phone):
        await member.request("ping", {})
    sent = await alice.send(large, "large")
    await alice.send(small, "small")
    await alice.expect("receipts.updated", room_id=small, that=marks_of("bob", delivered_seq=1))
    # Reported in the same round as the small room's, if at all.
    assert await status_of(alice, sent.message_id) == ("sent", [], [])
    await bob.mark_read(large, 1)
    told = await phone.expect("receipts.updated", room_id=large)
    assert told.data == {
        "room_id": large,
        "receipts": [{"user_id": "bob", "read_seq": 1, "delivered_seq": 1, "read_from": 1}],
        "everyone": False,
    }
    await alice.request("ping", {})
    assert receipts_seen(alice, large) == []
    assert await status_of(alice, sent.message_id) == ("sent", ["bob"], ["bob"])


async def test_a_worker_that_goes_tells_what_waits(narrow: Stack, enter: Callable[[str], Awaitable[Person]]) -> None:
    """What has moved since the last event of a room does not go with it."""
    alice, bob = await enter("alice"), await enter("bob")
    room = await room_of(alice, bob)
    for number in range(3):
        await alice.send(room, str(number))
    await alice.expect("receipts.updated", room_id=room, that=marks_of("bob", delivered_seq=3))
    await bob.mark_read(room, 1)
    await alice.expect("receipts.updated", room_id=room, that=marks_of("bob", read_seq=1))
    await bob.mark_read(room, 2)  # within the second that has just begun
    await narrow.kill("messages-0", signal.SIGTERM)
    await alice.expect("receipts.updated", room_id=room, that=marks_of("bob", read_seq=2))
    await narrow.wait_ready("messages-0")
    await alice.send(room, "and on it goes")
