"""socket.io-client as it connects where it is not told how: by polling, and by WebSocket as soon as it can."""

import asyncio

from tests.conftest import ClientOf
from tests.e2e.conftest import Connect
from tests.e2e.runtimes import Runtime

MESSAGES = 200
ROUNDS = 3


async def test_nothing_is_lost_doubled_or_swapped_meanwhile(
    runtime: Runtime, connect: Connect, client: ClientOf
) -> None:
    """Two hundred messages of its own and two hundred of somebody else's, from the moment it connects."""
    bob = await client("bob")
    room = (await bob.create_room(members=["alice"])).id
    told = 0
    for number in range(ROUNDS):
        hers = [f"alice {number} {index}" for index in range(MESSAGES)]
        his = [f"bob {number} {index}" for index in range(MESSAGES)]
        alice = await connect(runtime, "alice")
        await alice.emit("join_room", {"roomId": room})
        await alice.flood(room, hers, window=20)
        async with asyncio.TaskGroup() as group:
            for start in range(0, MESSAGES, 20):
                sends = [group.create_task(bob.send(room, text)) for text in his[start : start + 20]]
                await asyncio.wait(sends)
        answers = await alice.expect_many("@sent", MESSAGES)
        assert len({answer["id"] for answer in answers}) == MESSAGES
        await bob.send(room, f"last {number}")
        await alice.expect("new_message")
        while alice.all("new_message")[-1]["content"] != f"last {number}":
            await alice.expect("new_message")
        heard = [message["content"] for message in alice.all("new_message")]
        # From when it has joined the room on, all.
        for written in (hers, his):
            of_one = [text for text in heard if text in set(written)]
            told += len(of_one)
            assert of_one == written[MESSAGES - len(of_one) :]
        assert await alice.expect("@upgrade") == "websocket"
        assert not alice.all("error")
        assert not alice.all("@disconnect")
        await alice.disconnect()
    assert told > MESSAGES
    contents = [
        event.data["content"]
        for event in bob.log
        if event.type == "message.created" and event.data["content"].startswith("alice ")
    ]
    assert contents == [f"alice {number} {index}" for number in range(ROUNDS) for index in range(MESSAGES)]
