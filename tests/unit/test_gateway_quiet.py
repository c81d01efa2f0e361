"""A client that has left a room which its lists still show: the gateway hears of the room for as long as that lasts."""

import pytest

from services.gateway.connection import Connection
from services.gateway.dialects.choice import ALL
from services.gateway.hub import Hub
from services.gateway.sio.voice import Voices
from tests.unit.feeds_world import connection, gateway


async def left(dialect: str) -> tuple[Hub, Connection]:
    """A client that has followed a room and left it, by its own wish."""
    hub, _ = await gateway()
    one = connection(1)
    one.voice = Voices(ALL).of(dialect, "/", framed=True)
    hub.add(one)
    hub.join(one, "room").start(one, "0", 5, 7)
    hub.leave(one, "room")
    assert one.feeds == {}
    return hub, one


async def test_who_is_shown_no_lists_is_done_with_the_room() -> None:
    hub, one = await left("booking")
    assert (hub.feeds, one.quiet) == ({}, {})


@pytest.mark.parametrize("end", ["gone", "out of the room", "joined again and gone"])
async def test_the_feed_ends_with_the_last_that_needs_it(end: str) -> None:
    hub, one = await left("team")
    assert list(hub.feeds) == ["room"]
    if end == "joined again and gone":
        feed = hub.join(one, "room")
        assert feed.start(one, "0", 5, 7) == []
        assert (feed.quiet, one.quiet, list(feed.members)) == (set(), {}, [one])
    if end == "out of the room":
        hub.unsubscribe(one, "room")
    else:
        hub.remove(one)
    assert (hub.feeds, one.quiet) == ({}, {})
