"""A deleted room's timeline goes with it; what is written after a direct room was made again stays."""

import asyncio
from collections.abc import Callable

import pytest

from deploy.embedded.stack import Stack
from shared.contracts.errors import ChatError, ErrorCode
from tests.conftest import ClientOf
from tests.harness.person import Person
from tests.harness.rest import Api


async def until_epoch_changes(person: Person, room_id: str, epoch: str) -> None:
    """Return once the room's history has been reset."""
    async with asyncio.timeout(20):
        # The purge happens behind the scenes: only asking shows it.
        while (await person.request("sync", {"cursors": {room_id: None}}))["rooms"][room_id]["epoch"] == epoch:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_direct_room_made_again_begins_anew(client: ClientOf, api: Callable[..., Api]) -> None:
    """The old messages are purged, the new ones stay, and an old cursor gets a reset instead of a gap."""
    alice = await client("alice")
    room = (await alice.create_room(type="direct", members=["bob"])).id
    for number in range(3):
        await alice.send(room, f"old {number}")
    before = (await alice.request("sync", {"cursors": {room: None}}))["rooms"][room]

    assert (await api("root", roles=("admin",))("DELETE", f"/v1/rooms/{room}")).status == 200
    again = await alice.create_room(type="direct", members=["bob"])
    assert again.id == room
    await alice.send(room, "new")

    await until_epoch_changes(alice, room, before["epoch"])
    page = await alice.history(room)
    assert [message.content for message in page.messages] == ["new"]
    answer = (await alice.request("sync", {"cursors": {room: before["cursor"]}}))["rooms"][room]
    assert answer["reset"] is True
    assert [message["content"] for message in answer["messages"]] == ["new"]


async def test_who_follows_a_room_that_is_made_again_hears_what_is_said_there(
    stack: Stack, client: ClientOf, api: Callable[..., Api]
) -> None:
    """However soon it is made again: whether or not the old messages were still there to be told of."""
    alice, root = await client("alice"), api("root", roles=("admin",))
    for number in range(5):
        other = f"bob-{number}"
        bob = await client(other, url=stack.gateway_urls[1])
        room = (await alice.create_room(type="direct", members=[other])).id
        await bob.expect("room.subscribed", room_id=room)
        for old in range(3):
            await alice.send(room, f"old {old}")
        await bob.said(room, "old 2")
        before = (await alice.request("sync", {"cursors": {room: None}}))["rooms"][room]
        assert (await root("DELETE", f"/v1/rooms/{room}")).status == 200
        await alice.create_room(type="direct", members=[other])
        await until_epoch_changes(alice, room, before["epoch"])
        await alice.send(room, "new")
        after = (await alice.request("sync", {"cursors": {room: None}}))["rooms"][room]
        async with asyncio.timeout(10):
            while bob.positions[room] != (after["epoch"], 1, 1):  # noqa: ASYNC110 - live, or by reading up
                await asyncio.sleep(0.02)


async def test_a_deleted_group_is_gone_for_everybody(client: ClientOf) -> None:
    """Nobody reads a deleted room any more, its owner included."""
    alice = await client("alice")
    room = (await alice.create_room(members=["bob"])).id
    await alice.send(room, "secret")
    await alice.request("room.delete", {"room_id": room})
    for ask in (alice.history(room), alice.send(room, "more")):
        with pytest.raises(ChatError) as refused:
            await ask
        assert refused.value.code is ErrorCode.NOT_FOUND
