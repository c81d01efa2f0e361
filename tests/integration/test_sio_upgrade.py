"""From polling to WebSocket, step by step: nothing is lost, doubled or out of order, whatever happens in between."""

import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from aiohttp import ClientSession

from deploy.embedded.stack import Stack
from tests.conftest import ClientOf, TokenOf
from tests.harness.person import Person
from tests.harness.polling import Polling

Open = Callable[[], Awaitable[Polling]]


@pytest.fixture
async def engine(stack: Stack, http: ClientSession, closing: AsyncExitStack) -> Open:
    """Begins sessions at the first gateway."""

    async def begin() -> Polling:
        engine = await Polling(http, stack.gateway_urls[0]).open()

        async def end() -> None:
            if engine.socket is not None:
                await engine.socket.close()

        closing.push_async_callback(end)
        return engine

    return begin


async def upgraded(stack: Stack, http: ClientSession) -> float:
    """How many clients have gone over to their WebSockets, as the first gateway counts."""
    async with http.get(f"{stack.gateway_urls[0]}/metrics", headers={"Accept": "text/plain"}) as response:
        found = re.search(r"^parley_sockets_upgraded_total (\S+)$", await response.text(), re.MULTILINE)
    return float(found[1]) if found else 0.0


async def say(person: Person, room: str, texts: list[str]) -> None:
    for text in texts:
        await person.send(room, text)


async def test_what_is_said_at_every_stage_arrives_once_and_in_order(
    stack: Stack, http: ClientSession, engine: Open, client: ClientOf, token: TokenOf
) -> None:
    """Before the WebSocket is tried, while it is, before and after it is used; and it is written to directly."""
    bob = await client("bob")
    room = (await bob.create_room(members=["alice"])).id
    alice, before = await engine(), await upgraded(stack, http)
    await alice.connect("/chat", token("alice"))
    await alice.post(f'42/chat,["join_room",{{"roomId":"{room}"}}]')
    await alice.until('42/chat,["joined_room"')
    texts = [f"message {number}" for number in range(200)]
    await say(bob, room, texts[:50])
    await alice.until('42/chat,["new_message"', 20)
    opened = await alice.probe()
    await say(bob, room, texts[50:100])
    await alice.upgrade(opened)
    await say(bob, room, texts[100:])
    await alice.until('42/chat,["new_message"', 200)
    await alice.send(f'42/chat,7["send_message",{{"chat_room_id":"{room}","content":"last"}}]')
    await alice.until("43/chat,7")
    await alice.until('42/chat,["new_message"', 201)
    assert [message["content"] for message in alice.told("new_message")] == [*texts, "last"]
    assert await upgraded(stack, http) == before + 1


async def test_a_client_may_upgrade_while_it_joins(engine: Open, client: ClientOf, token: TokenOf) -> None:
    """What is answered then, and what is said in the room, comes as frames that it can read."""
    bob = await client("bob")
    room = (await bob.create_room(members=["alice"])).id
    for number in range(10):
        alice = await engine()
        await alice.post(f'40/chat,{{"token":"{token("alice")}"}}')
        await alice.poll()
        opened = await alice.probe()
        await alice.post(f'42/chat,1["join_room",{{"roomId":"{room}"}}]')
        alice.socket = opened
        await opened.send_str("5")
        await say(bob, room, [f"{number}.0"])
        await alice.until("43/chat,1")
        await say(bob, room, [f"{number}.1"])
        await alice.until('42/chat,["new_message"')
        while alice.told("new_message")[-1]["content"] != f"{number}.1":
            await alice.until('42/chat,["new_message"', 2)
        assert len(alice.told("connected")) == 1


async def test_a_client_may_upgrade_before_it_is_greeted(engine: Open, token: TokenOf) -> None:
    """It learns that it is connected, then it is greeted, once."""
    for _ in range(10):
        alice = await engine()
        opened = await alice.probe()
        await alice.post(f'40/chat,{{"token":"{token("alice")}"}}')
        alice.socket = opened
        await opened.send_str("5")
        await alice.until('42/chat,["connected"')
        assert alice.heard[0].startswith("40/chat,")
        assert len(alice.heard) == 2


async def test_another_namespace_after_the_upgrade(engine: Open, client: ClientOf, token: TokenOf) -> None:
    """Is served by the same WebSocket."""
    alice = await engine()
    await alice.connect("/chat", token("alice"))
    await alice.upgrade(await alice.probe())
    await alice.send(f'40{{"token":"{token("alice")}"}}')
    await alice.until('42["connected"')
    room = (await (await client("bob")).create_room(members=["alice"])).id
    await alice.send(f'421["join_room",{{"roomId":"{room}"}}]')
    await alice.until("431[")
    assert [packet[:2] for packet in alice.heard[2:]] == ["40", "42", "42", "43"]


async def test_a_websocket_that_is_given_up_leaves_the_client_polling(
    stack: Stack, http: ClientSession, engine: Open, client: ClientOf, token: TokenOf
) -> None:
    """As behind a proxy that lets no WebSocket through."""
    bob = await client("bob")
    room = (await bob.create_room(members=["alice"])).id
    alice = await engine()
    await alice.connect("/chat", token("alice"))
    await alice.post(f'42/chat,["join_room",{{"roomId":"{room}"}}]')
    await alice.until('42/chat,["joined_room"')
    await (await alice.probe()).close()
    tried = await http.ws_connect(f"{stack.gateway_urls[0]}/socket.io/?EIO=4&transport=websocket&sid={alice.sid}")
    await tried.close()
    await say(bob, room, ["still there?"])
    await alice.until('42/chat,["new_message"')


async def test_many_packets_in_one_request(engine: Open, client: ClientOf, token: TokenOf) -> None:
    """Are all taken in, as the library sends everything that has gathered at once."""
    bob = await client("bob")
    room = (await bob.create_room(members=["alice"])).id
    alice = await engine()
    await alice.connect("/chat", token("alice"))
    sends = [f'42/chat,{n}["send_message",{{"chat_room_id":"{room}","content":"{n}"}}]' for n in range(60)]
    await alice.post(*sends)
    await alice.until("43/chat,", 60)
    assert not alice.told("error")


@pytest.mark.parametrize("way", ["polling", "websocket"])
async def test_everything_that_wants_an_answer_gets_one(
    engine: Open, client: ClientOf, token: TokenOf, way: str
) -> None:
    """Of more than may be unanswered at once, too: it is kept, or refused as too much."""
    bob = await client("bob")
    room = (await bob.create_room(members=["alice"])).id
    alice = await engine()
    await alice.connect("/chat", token("alice"))
    sends = [f'42/chat,{n}["send_message",{{"chat_room_id":"{room}","content":"{n}"}}]' for n in range(500)]
    if way == "websocket":
        await alice.upgrade(await alice.probe())
        for send in sends:
            await alice.send(send)
    else:
        await alice.post(*sends)
    await alice.until("43/chat,", 500)
    kept = [packet for packet in alice.heard if packet.startswith("43/chat,") and '"id"' in packet]
    refused = alice.told("error")
    assert len(kept) + len(refused) == 500
    assert {error["code"] for error in refused} <= {"overloaded"}
    if kept:
        while len(bob.changes(room)) < len(kept):
            await bob.expect("message.created")


@pytest.mark.parametrize("way", ["polling", "websocket"])
@pytest.mark.parametrize(
    "packets",
    [
        pytest.param(['42/chat,["send_message"'], id="no JSON"),
        pytest.param(["42/chat"], id="no arguments"),
        pytest.param(["42/chat,[]"], id="no name"),
        pytest.param(["42/chat,[{}]"], id="name is no string"),
        pytest.param(["42/chat,x[]"], id="bad ack"),
        pytest.param(["49/chat,[]"], id="unknown type"),
        pytest.param(['451-/chat,["send_message",{"_placeholder":true,"num":0}]', "bAAAA"], id="binary"),
    ],
)
async def test_what_is_malformed_is_answered(engine: Open, token: TokenOf, way: str, packets: list[str]) -> None:
    """And what comes after it is understood."""
    alice = await engine()
    await alice.connect("/chat", token("alice"))
    if way == "websocket":
        await alice.upgrade(await alice.probe())
        for packet in packets:
            await alice.send(packet)
    else:
        await alice.post(*packets)
    await alice.until('42/chat,["error"')
    assert alice.told("error")[0]["code"] == "invalid"
    again = '42/chat,9["join_room",{"roomId":"nowhere"}]'
    await (alice.send(again) if way == "websocket" else alice.post(again))
    await alice.until("43/chat,9")
