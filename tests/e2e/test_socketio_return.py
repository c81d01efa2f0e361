"""When the connection ends: who comes back by themselves, and who is told that they are not wanted."""

import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from deploy.embedded.stack import Stack
from tests.conftest import ClientOf
from tests.e2e.conftest import MAKES, Connect, Meet
from tests.e2e.runtimes import Runtime
from tests.harness.gateway import START, Gateway, gateway
from tests.harness.own_task import in_own_task


@pytest.fixture(scope="module")
async def mortal(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A gateway that is started again when it dies."""
    root = tmp_path_factory.mktemp("mortal")
    async with in_own_task(gateway(stack, root, {}, restart=True)) as running:
        yield running


@pytest.fixture(scope="module")
def home(mortal: Gateway) -> str:
    """Clients connect to it."""
    return mortal.url


@pytest.mark.parametrize(
    ("make", "transports", "number"),
    [
        *((make, "upgrading", signal.SIGKILL) for make in MAKES),
        ("node", "websocket", signal.SIGTERM),
        ("node", "polling", signal.SIGTERM),
        ("page", "upgrading", signal.SIGTERM),
        ("asyncio", "websocket", signal.SIGTERM),
        ("asyncio", "polling", signal.SIGTERM),
        ("threads", "polling", signal.SIGTERM),
    ],
    indirect=["make", "transports"],
)
async def test_clients_come_back_to_a_gateway(
    meet: Meet, mortal: Gateway, client: ClientOf, transports: dict[str, Any], number: signal.Signals
) -> None:
    """By themselves; and hear what is said once they have joined again, as they do whenever they have connected."""
    bob = await client("bob")
    room = (await bob.create_room(members=["alice"])).id
    await mortal.process.wait_ready(START)
    alice = await meet("alice", **transports)
    await alice.expect("@connect")
    assert await alice.call("join_room", {"roomId": room}) == {"roomId": room}
    await bob.send(room, "before")
    await alice.expect("new_message")
    await mortal.process.kill(number)
    await alice.expect("@disconnect")
    await mortal.process.wait_ready(START)
    await alice.expect("@connect")
    await alice.expect("connected")
    assert await alice.call("join_room", {"roomId": room}) == {"roomId": room}
    await bob.send(room, "after")
    await alice.expect("new_message", lambda message: message["content"] == "after")
    assert [message["content"] for message in alice.all("new_message")] == ["before", "after"]


async def test_a_client_that_is_sent_away_stays_away(
    runtime: Runtime, transports: dict[str, Any], connect: Connect
) -> None:
    """It is told why by the events before, and `disconnect` has the library's word for it."""
    alice = await connect(runtime, "alice", **transports)
    await alice.expect("connected")
    for _ in range(20):
        await alice.raw("2/chat,x[]")
    assert await alice.expect("@disconnect") == "io server disconnect"
    errors = alice.all("error")
    assert len(errors) == 20
    assert errors[0]["code"] == "invalid"
