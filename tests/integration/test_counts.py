"""What is unread and what of it mentions one, against a recount from the whole history and the marks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.embedded.stack import Stack
from shared.contracts.envelope import Actor
from shared.contracts.messages import (
    DeleteMessage,
    GetHistory,
    GetReceipts,
    GetRoomStates,
    MarkDelivered,
    MarkRead,
    MarkUnread,
    MessageCommand,
    SendMessage,
)
from shared.contracts.rooms import CreateRoom
from shared.ids import message_id
from tests.harness.own_task import in_own_task
from tests.integration.rooms_client import Caller

JSON = dict[str, Any]
USERS = ("ann", "ben", "cas")
MAX_SEQ = 12


@pytest.fixture(scope="module")
async def caller(stack: Stack) -> AsyncIterator[Caller]:
    """Who asks the services in everybody's name, past the gateways."""
    async with in_own_task(Caller(stack.amqp_url)) as connected:
        yield connected


@dataclass(frozen=True)
class Wish:
    """Something a user does in one of two rooms; `number` is a place or the number of a message sent."""

    kind: str
    user: str
    room: int
    number: int
    mentions: tuple[str, ...] = ()


sends = st.builds(
    Wish,
    st.just("send"),
    st.sampled_from(USERS),
    st.sampled_from((0, 1)),
    st.just(0),
    st.lists(st.sampled_from(USERS), max_size=2, unique=True).map(tuple),
)
others = st.builds(
    Wish,
    st.sampled_from(("read", "delivered", "unread", "delete")),
    st.sampled_from(USERS),
    st.sampled_from((0, 1)),
    st.integers(0, MAX_SEQ),
)
# In runs that are sent at once, so that some are decided in one batch; then the counts are looked at.
runs = st.lists(st.lists(st.one_of(sends, sends, others), min_size=1, max_size=10), min_size=1, max_size=4)


@dataclass
class World:
    """Two rooms, and what was sent there and by whom, in order; the pointers of who has marked them as unread."""

    caller: Caller
    tenant: str
    rooms: list[str] = field(default_factory=list)
    sent: list[tuple[str, str]] = field(default_factory=list)
    unread_from: dict[tuple[str, str], int] = field(default_factory=dict)

    def ask(self, user: str, request: Any) -> Awaitable[JSON]:
        """In a user's name."""
        return self.caller.ask(Actor(id=user, tenant=self.tenant), request)

    def command(self, wish: Wish) -> tuple[str, MessageCommand]:
        """Who sends what for a wish; who deletes is who has written."""
        room_id = self.rooms[wish.room]
        match wish.kind:
            case "send":
                key = f"c-{len(self.sent)}"
                self.sent.append((wish.user, message_id(room_id, wish.user, key)))
                send = SendMessage(room_id=room_id, content="hi", client_id=key, mentions=wish.mentions)
                return wish.user, send
            case "read":
                self.unread_from.pop((room_id, wish.user), None)
                return wish.user, MarkRead(room_id=room_id, seq=wish.number)
            case "unread":
                self.unread_from[room_id, wish.user] = wish.number
                return wish.user, MarkUnread(room_id=room_id, seq=wish.number)
            case "delete" if self.sent:
                author, target = self.sent[wish.number % len(self.sent)]
                return author, DeleteMessage(message_id=target)
        return wish.user, MarkDelivered(room_id=room_id, seq=wish.number)

    async def recount(self, user: str, room_id: str) -> tuple[int, int]:
        """`unread` and `mentions`, one message after the other."""
        history = await self.ask(user, GetHistory(room_id=room_id, limit=200))
        receipts = (await self.ask(user, GetReceipts(room_id=room_id)))["receipts"]
        read = next((item["read_seq"] for item in receipts if item["user_id"] == user), 0)
        pointer = self.unread_from.get((room_id, user), 2**53)
        unread = [message for message in history["messages"] if message["seq"] > read or message["seq"] >= pointer]
        named = [item for item in unread if user in item.get("mentions", ()) and item.get("deleted_at") is None]
        return len(unread), len(named)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(runs)
async def test_counts_are_what_a_recount_says(caller: Caller, wanted: list[list[Wish]]) -> None:
    """Of every user in every room, after every run; and the sums over the rooms."""
    world = World(caller, f"t-{uuid4().hex[:12]}")
    for _ in range(2):
        made = await world.ask(USERS[0], CreateRoom(members=list(USERS[1:])))
        world.rooms.append(made["room"]["id"])
    for run in wanted:
        await asyncio.gather(*(world.ask(*world.command(wish)) for wish in run))
        for user in USERS:
            view = await world.ask(user, GetRoomStates(room_ids=world.rooms))
            counted = [(state["unread"], state["mentions"]) for state in view["states"]]
            assert counted == [await world.recount(user, room_id) for room_id in world.rooms]
            assert (view["unread"], view["mentions"]) == tuple(sum(column) for column in zip(*counted, strict=True))


async def test_mentions_are_counted_until_they_are_read_or_gone(caller: Caller) -> None:
    """One's own, later than the pointer, of messages that still say something."""
    world = World(caller, f"t-{uuid4().hex[:12]}")
    room_id = (await world.ask("ann", CreateRoom(members=["ben", "cas"])))["room"]["id"]

    async def counts(user: str) -> tuple[int, int]:
        view = await world.ask(user, GetRoomStates(room_ids=[room_id]))
        return view["unread"], view["mentions"]

    sent = [
        await world.ask("ann", SendMessage(room_id=room_id, content="hi", mentions=mentions))
        for mentions in (("ben",), ("ben", "cas"), (), ("ben",))
    ]
    assert (await counts("ann"), await counts("ben"), await counts("cas")) == ((0, 0), (4, 3), (4, 1))
    await world.ask("ben", MarkRead(room_id=room_id, seq=1))
    assert await counts("ben") == (3, 2)
    await world.ask("ann", DeleteMessage(message_id=sent[3]["message_id"]))
    assert await counts("ben") == (3, 1)
    await world.ask("ben", MarkRead(room_id=room_id, seq=4))
    assert await counts("ben") == (0, 0)
    await world.ask("ben", MarkUnread(room_id=room_id, seq=1))
    assert await counts("ben") == (4, 2)
