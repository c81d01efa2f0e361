"""A deleted room's timeline goes with it; what is written after a direct room was made again stays."""

import asyncio
from collections.abc import Callable

import pytest

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
