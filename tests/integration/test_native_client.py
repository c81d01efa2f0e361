"""The reference client on lines that break: resumes exactly, repeats what was not answered, gives up when refused."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from deploy.embedded.stack import Stack
from shared.auth import LEEWAY
from shared.client import Client, Event
from shared.contracts.errors import ChatError, CloseCode, ErrorCode
from tests.conftest import ClientOf, TokenOf
from tests.harness.gateway import Gateway
from tests.harness.line import Line
from tests.harness.person import Person

PATIENCE = 20.0


@pytest.fixture
async def line(stack: Stack, closing: AsyncExitStack) -> Line:
    """A line to the stack's second gateway."""
    return await closing.enter_async_context(Line(stack.gateway_urls[1]).up())


async def room_with(alice: Person, bob: Person) -> str:
    """A group room that both follow."""
    room = (await alice.create_room(members=["bob"])).id
    for person in (alice, bob):
        await person.expect("room.subscribed", room_id=room)
    return room


# ── resuming ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_happened_meanwhile_comes_first_and_in_order(client: ClientOf, line: Line) -> None:
    """New messages by `seq`, then changes of older ones by `rev`, then what is live."""
    alice, bob = await client("alice"), await client("bob", url=line.url)
    room = await room_with(alice, bob)
    sent = [await alice.send(room, content) for content in ("a", "b", "c")]
    await bob.said(room, "c")
    line.broken = True
    line.cut()
    assert (await bob.expect("disconnected")).data["code"] == 1006
    await alice.edit(sent[1].message_id, "B")
    await alice.send(room, "d")
    await alice.delete(sent[0].message_id)
    await alice.send(room, "e")
    line.broken = False
    await bob.said(room, "e")
    await bob.expect("message.deleted")
    assert bob.changes(room)[3:] == [
        ("message.created", 4, "d"),
        ("message.created", 5, "e"),
        ("message.updated", 2, "B"),
        ("message.deleted", 1, ""),
    ]
    await alice.send(room, "f")
    assert not (await bob.said(room, "f")).resumed
    await alice.said(room, "f")
    assert bob.positions[room] == alice.positions[room]


async def test_under_fire_nothing_is_missed_and_nothing_comes_twice(client: ClientOf, line: Line) -> None:
    """Cut again and again while messages and edits go on, the log is complete, in order and without repetition."""
    chance = random.Random(7)
    alice, bob = await client("alice"), await client("bob", url=line.url)
    room = await room_with(alice, bob)

    async def talk() -> None:
        sent = []
        for number in itertools.count():
            sent.append(await alice.send(room, str(number)))
            if chance.random() < 0.3:
                await alice.edit(chance.choice(sent[-30:]).message_id, f"edited {number}")

    async def cut_often() -> None:
        for _ in range(6):
            await bob.expect("ready")
            await bob.expect("message.created")
            line.cut()

    talking = asyncio.ensure_future(talk())  # noqa: TID251 - cancelled below
    await cut_often()
    talking.cancel()
    await bob.live(room, alice)
    seen: dict[int, Any] = {}
    for event in bob.log:
        if event.is_change and event.room_id == room:
            assert event.seq in seen or event.seq == len(seen) + 1
            assert event.data["rev"] > seen.get(event.seq, {"rev": 0})["rev"]
            seen[event.seq] = event.data
    latest = {number: message for number, message in seen.items() if number > len(seen) - 200}
    stored = (await alice.history(room, limit=200)).messages
    assert [(data["content"], data["rev"]) for data in latest.values()] == [(it.content, it.rev) for it in stored]


async def test_a_client_goes_on_where_an_earlier_one_stopped(client: ClientOf, token: TokenOf, stack: Stack) -> None:
    """Positions taken from one client are all that another needs."""
    alice = await client("alice")
    async with Person(stack.gateway_urls, token("bob")) as bob:
        room = await room_with(alice, bob)
        await alice.send(room, "before")
        await bob.said(room, "before")
        positions = bob.positions
    await alice.send(room, "meanwhile")
    later = await client("bob", positions=positions)
    assert (await later.said(room, "meanwhile")).resumed
    assert [content for _, _, content in later.changes(room)] == ["meanwhile"]


async def test_a_room_one_came_into_meanwhile_begins_where_it_stands(client: ClientOf, line: Line) -> None:
    """What was said before is history, to be asked for."""
    alice, bob = await client("alice"), await client("bob", url=line.url)
    line.cut()
    await bob.expect("disconnected")
    room = (await alice.create_room(members=["bob"])).id
    await alice.send(room, "before")
    await bob.expect("ready", that=lambda event: event.data["rooms"])
    await alice.send(room, "after")
    await bob.said(room, "after")
    assert [seq for _, seq, _ in bob.changes(room)] == [2]


async def test_what_is_followed_by_wish_is_followed_again(client: ClientOf, line: Line) -> None:
    """A room that `ready` does not list is subscribed to and resumed after a reconnection."""
    alice, admin = await client("alice"), await client("admin", roles=("admin",), url=line.url)
    room = (await alice.create_room()).id
    await admin.subscribe(room)
    line.cut()
    await admin.expect("disconnected")
    await alice.send(room, "meanwhile")
    await admin.said(room, "meanwhile")
    await alice.send(room, "live")
    assert not (await admin.said(room, "live")).resumed


async def test_a_room_made_anew_is_told_as_a_reset(client: ClientOf, line: Line) -> None:
    """The old position means nothing in the new epoch: the application is told to start afresh."""
    alice, bob = await client("alice"), await client("bob", url=line.url)
    service = await client("service", roles=("service",))
    room = (await alice.create_room(type="direct", members=["bob"])).id
    await bob.expect("room.subscribed", room_id=room)
    await alice.send(room, "old")
    await bob.said(room, "old")
    line.cut()
    await bob.expect("disconnected")
    await service.call("room.delete", {"room_id": room})
    await alice.expect("room.deleted", room_id=room)
    state = {"rev": 1}
    while state["rev"]:  # until the old timeline is removed
        await alice.create_room(type="direct", members=["bob"])
        state = (await alice.sync({room: None})).rooms[room].model_dump()
    await alice.send(room, "new")
    told = await bob.expect("reset", room_id=room)
    assert told.data["epoch"] == bob.positions[room].epoch != "0"
    if not told.data["messages"]:  # the reset was faster than the message
        await bob.said(room, "new")
    assert {"new"} == {item["content"] for item in told.data["messages"]} | {
        content for _, _, content in bob.changes(room)[1:]
    }


# ── repeating ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_lost_ack_is_asked_for_again_elsewhere(client: ClientOf, line: Line, stack: Stack) -> None:
    """The message was stored, its ack lost: the repetition through another gateway brings the same one."""
    alice, bob = await client("alice", url=[line.url, stack.gateway_urls[0]]), await client("bob")
    room = await room_with(alice, bob)
    line.swallowing = True
    line.swallowed.clear()
    sending = asyncio.ensure_future(alice.send(room, "once", client_id="key"))  # noqa: TID251 - awaited below
    await bob.said(room, "once")
    await line.swallowed.wait()
    assert not sending.done()
    line.cut()
    answer = await sending
    assert (answer.seq, answer.duplicate) == (1, True)
    await alice.said(room, "once")
    await alice.send(room, "twice")
    for person in (alice, bob):
        await person.said(room, "twice")
    assert bob.changes(room) == alice.changes(room) == [("message.created", 1, "once"), ("message.created", 2, "twice")]


async def test_the_same_message_through_two_gateways_at_once_is_one(client: ClientOf, stack: Stack) -> None:
    """Whoever is first, all get one answer, and exactly one of them is no duplicate."""
    devices = [await client("alice", url=url) for url in stack.gateway_urls * 2]
    room = (await devices[0].create_room()).id
    for number in range(10):
        answers = await asyncio.gather(*(device.send(room, "same", client_id=f"k{number}") for device in devices))
        assert len({(answer.message_id, answer.seq, answer.rev, answer.created_at) for answer in answers}) == 1
        assert sum(not answer.duplicate for answer in answers) == 1
    assert len((await devices[0].history(room)).messages) == 10


async def test_a_conflict_is_not_repeated(client: ClientOf) -> None:
    """An error that a repetition does not change reaches the caller."""
    alice = await client("alice")
    room = (await alice.create_room()).id
    await alice.send(room, "one", client_id="k")
    with pytest.raises(ChatError) as refused:
        await alice.send(room, "other", client_id="k")
    assert refused.value.code is ErrorCode.CONFLICT


async def test_a_full_minute_is_waited_out(gateway_with: Callable[..., Awaitable[Gateway]], client: ClientOf) -> None:
    """`rate_limited` is repeated when the server says so, until acked."""
    strict = await gateway_with(MESSAGES_PER_MINUTE=120)
    alice = await client("alice", url=strict.url)
    room = (await alice.create_room()).id
    answers = await asyncio.gather(*(alice.send(room, str(number)) for number in range(122)))
    assert sorted(answer.seq for answer in answers) == list(range(1, 123))


# ── gateways come and go ─────────────────────────────────────────────────────────────────────────────────────────


async def test_the_next_gateway_takes_over(
    gateway_with: Callable[..., Awaitable[Gateway]], client: ClientOf, stack: Stack
) -> None:
    """A gateway that stops loses its clients nothing, however much is on its way."""
    leaving = await gateway_with()
    alice, bob = await client("alice"), await client("bob", url=[leaving.url, *stack.gateway_urls])
    room = await room_with(alice, bob)
    sending = [asyncio.ensure_future(alice.send(room, str(number))) for number in range(50)]  # noqa: TID251
    await asyncio.gather(leaving.terminate(), *sending)
    assert (await bob.expect("disconnected")).data["code"] == CloseCode.RESTART
    assert (await bob.send(room, "still here")).seq == 51
    for person in (alice, bob):
        await person.said(room, "still here")
    assert bob.changes(room) == alice.changes(room)


async def test_an_expired_token_is_replaced(client: ClientOf, token: TokenOf, stack: Stack) -> None:
    """A token factory is asked again after 4401."""
    lifetimes = iter((2 - LEEWAY, 60))
    async with Person(stack.gateway_urls[0], lambda: token("alice", ttl=next(lifetimes))) as alice:
        await alice.expect("ready")
        room = (await alice.create_room()).id
        assert (await alice.expect("disconnected")).data["code"] == CloseCode.UNAUTHENTICATED
        assert (await alice.send(room, "again")).seq == 1


async def test_who_is_refused_gives_up(token: TokenOf, stack: Stack) -> None:
    """A token that is not accepted ends `connect`, and later iteration and requests too."""
    with pytest.raises(ChatError) as refused:
        await Client(stack.gateway_urls, "garbage").connect()
    assert refused.value.code is ErrorCode.UNAUTHENTICATED
    async with Client(stack.gateway_urls, token("alice", ttl=2 - LEEWAY)) as alice:
        with pytest.raises(ChatError) as ended:
            assert [event.type async for event in alice]
        assert ended.value.code is ErrorCode.UNAUTHENTICATED
        with pytest.raises(ChatError):
            await alice.request("ping", {})


async def test_nobody_there_is_said_in_time(token: TokenOf) -> None:
    """`patience` bounds the first connection."""
    with pytest.raises(ChatError) as refused:
        await Client("http://127.0.0.1:1", token("alice"), patience=0.5).connect()
    assert refused.value.code is ErrorCode.UNAVAILABLE


# ── the application ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_application_that_lags_misses_nothing(client: ClientOf, token: TokenOf, stack: Stack) -> None:
    """With room for ten events, a hundred that wait are fetched as they are read, and acks come meanwhile."""
    alice = await client("alice")
    async with Client(stack.gateway_urls[0], token("bob"), max_events=10) as bob:
        room = (await alice.create_room(members=["bob"])).id
        while (await anext(bob)).type != "room.subscribed":
            pass
        for number in range(1, 101):
            await alice.send(room, str(number))
        # Its answers are not kept waiting by what it does not read.
        assert (await bob.send(room, "101")).seq == 101
        events: list[Event] = []
        async with asyncio.timeout(PATIENCE):
            while not events or events[-1].seq < 101:
                events.append(await anext(bob))
    assert [event.data["content"] for event in events if event.is_change] == [str(n) for n in range(1, 102)]
    assert not any(event.type == "disconnected" for event in events)


async def test_iteration_ends_with_the_client(client: ClientOf, token: TokenOf, stack: Stack) -> None:
    """What was still waiting is given first."""
    bob = Client(stack.gateway_urls[0], token("bob"))
    await bob.connect()
    assert (await anext(bob)).type == "ready"
    await bob.close()
    assert [event.type async for event in bob] == ["disconnected"]
