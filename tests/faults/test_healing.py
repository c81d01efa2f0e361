"""A gateway without its broker link heals its clients by itself: they miss nothing, and do not notice."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from shared.bus.topology import EVENT_BACKLOG, EVENTS
from tests.faults import report
from tests.faults.campaign import Round
from tests.faults.faults import ALL, Strike
from tests.faults.people import Hall
from tests.faults.site import Site
from tests.harness.wire import Wire, wire

AT_ONCE = 500
PREFETCH = 256
"""Of a gateway's queues: so many events wait in its socket, and more in the queue."""


@pytest.mark.parametrize("lost", ["a message", "an edit", "a deletion", "a reaction"])
async def test_what_was_missed_is_told_though_nothing_else_happens(site: Site, hall: Hall, lost: str) -> None:
    """No later event shows the gap: the gateway asks by itself."""
    alice, bob = await hall.enter("alice", 1), await hall.enter("bob", 0)
    room = await hall.room(alice, "bob")
    sent = await alice.send(room, "hello")
    await bob.said(room, "hello")
    with site.proxy.deaf("gateway-0"):
        match lost:
            case "a message":
                await alice.send(room, "are you there?")
            case "an edit":
                await alice.edit(sent.message_id, "hello!")
            case "a deletion":
                await alice.delete(sent.message_id)
            case _:
                await alice.react(sent.message_id, "+")
        await site.proxy.holding("gateway-0")
        site.proxy.cut("gateway-0")
    kind = (
        "message.created" if lost == "a message" else "message.deleted" if lost == "a deletion" else "message.updated"
    )
    event = await bob.expect(kind, room_id=room)
    assert event.rev == 2
    assert [event.type for event in bob.log].count("disconnected") == 0


async def test_a_client_that_connects_while_its_gateway_has_no_link(site: Site, hall: Hall) -> None:
    """It waits for the link, and is complete: it is told where the rooms stand, and all that comes after."""
    alice = await hall.enter("alice", 1)
    room = await hall.room(alice, "bob")
    with site.proxy.deaf("gateway-0"):
        connecting = hall.entering("bob", 0)
        await site.proxy.holding("gateway-0")
        await alice.send(room, "before")
        site.proxy.cut("gateway-0")
    bob = await connecting
    await alice.send(room, "after")
    await bob.said(room, "after")
    [state] = [state for state in bob.ready["rooms"] if state["id"] == room]
    assert state["seq"] + len(bob.changes(room)) == 2


async def test_under_load(site: Site, faults_root: Path, tell: Callable[[str], None]) -> None:
    """Whichever gateway loses its link, and however: nobody reconnects, nobody misses anything."""
    strikes: list[tuple[str, Strike]] = [
        (name, ALL[name].strike)
        for name in ("gateway's link cut", "gateway deaf", "gateway's connection closed", "gateway mute")
    ]
    outcome = await Round(site, "healing", Random(1), faults_root / "clients").run(strikes)
    tell(report.of_round("healing", outcome))
    assert outcome.broken == []
    assert outcome.reconnections == 0


async def test_while_the_rooms_service_is_away(site: Site, hall: Hall) -> None:
    """Who is known goes on talking, a gateway that loses its link in that time heals; who comes just then waits."""
    alice, bob = await hall.enter("alice", 1), await hall.enter("bob", 0)
    room = await hall.room(alice, "bob", "carol")
    await alice.send(room, "who may write here is known now")
    await site.send_signal("rooms-0", signal.SIGSTOP)
    site.proxy.cut("gateway-0")
    await alice.send(room, "hello")
    await bob.said(room, "hello")
    connecting = hall.entering("carol", 0)
    await site.send_signal("rooms-0", signal.SIGCONT)
    carol = await connecting
    assert [state["seq"] for state in carol.ready["rooms"]] == [2]
    assert "disconnected" not in [event.type for event in bob.log]


async def test_what_a_full_queue_has_dropped(site: Site, hall: Hall) -> None:
    """A gateway that does not keep up loses the oldest events; in a room where nothing else happens, no later one."""
    alice, bob = await hall.enter("alice", 1), await hall.enter("bob", 0)
    room = await hall.room(alice, "bob")
    await alice.send(room, "hello")
    await bob.said(room, "hello")
    await site.send_signal("gateway-0", signal.SIGSTOP)
    try:
        async with wire(site.servers.amqp_url) as stranger:
            await _fill(stranger, 2 * PREFETCH)
            await alice.send(room, "are you there?")
            await _fill(stranger, EVENT_BACKLOG)
    finally:
        await site.send_signal("gateway-0", signal.SIGCONT)
    await bob.said(room, "are you there?")
    assert "disconnected" not in [event.type for event in bob.log]


async def _fill(stranger: Wire, count: int) -> None:
    """Events of a room that nobody is in."""
    for _ in range(0, count, AT_ONCE):
        await asyncio.gather(*(stranger.publish(EVENTS, "message.0", b"[]") for _ in range(AT_ONCE)))
