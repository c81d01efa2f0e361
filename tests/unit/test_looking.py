"""Who looks at a room is told when it changes, at most once a second, and never wrong for longer than that."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from services.gateway.connection import Connection
from services.gateway.hub import Hub
from services.gateway.looking import PAUSE, Onlookers
from shared.bus.link import Link
from shared.bus.publisher import Publisher
from shared.bus.signals import Signals
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.messages import ReceiptsUpdated
from shared.contracts.presence import Looking, Typing
from shared.service import Tasks
from tests.unit.feeds_world import connection

ROOM = "room"


class Heard(Signals):
    """Keeps what is told, with its time."""

    def __init__(self, hub: "Clock") -> None:
        super().__init__(Publisher(Link("amqp://nowhere/", "test", []), Tasks(), 1.0), source="/test", shards=1)
        self.events: list[tuple[float, bool]] = []
        self._hub = hub

    @override
    def publish(self, event: Typing | Looking | ReceiptsUpdated, tenant: str) -> None:
        """Keep it."""
        assert isinstance(event, Looking)
        self.events.append((self._hub.time, event.looking))


class Clock(Hub):
    """A hub whose time is set."""

    time = 0.0

    @override
    def now(self) -> float:
        """The time set."""
        return self.time


def world() -> tuple[Clock, Heard, Onlookers, Connection]:
    """A gateway with one connection."""
    hub = Clock(per_user=10, in_total=10, heartbeat=25.0)
    heard = Heard(hub)
    someone = connection(1)
    hub.add(someone)
    return hub, heard, Onlookers(hub, heard), someone


DEEDS = st.lists(
    st.tuples(st.sampled_from(["look", "leave", "wait"]), st.sampled_from([0.0, 0.25, 0.75, 1.0, 1.5])), max_size=30
)


@given(DEEDS)
def test_what_is_told_is_true_and_seldom(deeds: list[tuple[str, float]]) -> None:
    """Beginnings and ends take turns, a second apart; in the end others know how it is, and nothing is kept."""
    asyncio.run(_live(deeds))


async def _live(deeds: list[tuple[str, float]]) -> None:
    hub, heard, onlookers, someone = world()
    looking = False
    for deed, seconds in deeds:
        hub.time += seconds
        onlookers.catch_up()
        if deed == "look":
            hub.join(someone, ROOM)
            onlookers.announce(someone, ROOM)
            looking = True
        elif deed == "leave":
            hub.unsubscribe(someone, ROOM)
            looking = False
    for _ in range(3):
        hub.time += PAUSE
        onlookers.catch_up()
    assert [state for _, state in heard.events] == [number % 2 == 0 for number in range(len(heard.events))]
    assert all(later - earlier >= PAUSE for (earlier, _), (later, _) in pairwise(heard.events))
    assert (heard.events[-1][1] if heard.events else False) is looking
    assert len(onlookers) == looking
    hub.remove(someone)
    hub.time += PAUSE
    onlookers.catch_up()
    assert not heard.events or not heard.events[-1][1]


async def test_at_once_where_it_was_quiet_and_at_the_end() -> None:
    """Nobody waits for a round; who has just come is told to have gone when the process ends."""
    hub, heard, onlookers, someone = world()
    hub.join(someone, ROOM)
    onlookers.announce(someone, ROOM)
    onlookers.announce(someone, ROOM)
    assert heard.events == [(0.0, True)]
    hub.remove(someone)
    assert heard.events == [(0.0, True)]
    onlookers.end()
    assert heard.events == [(0.0, True), (0.0, False)]


async def test_only_who_follows_a_room_looks_at_it() -> None:
    """Others are refused."""
    _, heard, onlookers, someone = world()
    with pytest.raises(ChatError) as refused:
        onlookers.announce(someone, ROOM)
    assert (refused.value.code, heard.events) == (ErrorCode.FORBIDDEN, [])
