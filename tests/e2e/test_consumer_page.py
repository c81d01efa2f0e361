"""The programs of docs/consumer.md, run as they are printed, against a real broker."""

import asyncio
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from deploy.embedded.config import REPOSITORY
from deploy.embedded.stack import Stack
from tests.conftest import ClientOf
from tests.harness.wire import Wire

PATIENCE = 20.0
LOGGER, PUSHER = re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs/consumer.md").read_text(), re.DOTALL)


def program(part: str) -> str:
    """The page's program with other names and another `handle`."""
    imports, _, _ = LOGGER.partition("QUEUE, KEY")
    _, main, rest = LOGGER.partition("async def main()")
    return f"{imports}{part}\n\n{main}{rest}"


class Shown:
    """What a program prints."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def line(self, start: str) -> str:
        """Read on until a line begins so; what follows."""
        async with asyncio.timeout(PATIENCE):
            async for line in self._reader:
                if line.decode().startswith(start):
                    return line.decode().removeprefix(start).strip()
        raise AssertionError(f"ended without a line that begins with {start!r}")


@asynccontextmanager
async def running(text: str, stack: Stack) -> AsyncIterator[Shown]:
    """A program that listens."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", text, stdout=PIPE, env={"AMQP_URL": stack.amqp_url}
    )
    assert process.stdout is not None
    shown = Shown(process.stdout)
    try:
        await shown.line("listening")
        yield shown
    finally:
        process.kill()
        await process.wait()


@pytest.fixture(autouse=True)
async def nothing_left_behind(bus: Wire) -> AsyncIterator[None]:
    """The programs' queues last: without them the broker would keep all that other tests say."""
    yield
    for queue in re.findall(r'QUEUE, KEY = "([^"]+)"', LOGGER + PUSHER):
        await bus.delete_queue(queue)


async def test_a_consumer_logs_what_is_written(stack: Stack, client: ClientOf, tenant: str) -> None:
    """While it listens, and afterwards what was written in between."""
    alice = await client("alice", url=stack.gateway_urls[1])
    room = (await alice.create_room(members=["bob"])).id
    async with running(LOGGER, stack) as shown:
        await alice.send(room, "hello, consumer")
        assert await shown.line(f"{tenant} ") == f"{room} alice hello, consumer"
    await alice.send(room, "while you were away")
    async with running(LOGGER, stack) as shown:
        while not (said := await shown.line(f"{tenant} ")).endswith("while you were away"):
            assert said.endswith("hello, consumer")  # unacked when the program was killed, so it comes again


async def test_a_push_service_tells_the_absent(stack: Stack, client: ClientOf) -> None:
    """Until they have read it."""
    alice = await client("alice")
    room = (await alice.create_room(type="direct", members=["bob"])).id
    async with running(program(PUSHER), stack) as shown:
        sent = await alice.send(room, "are you there?")
        key = f"{sent.message_id}:bob"
        assert await shown.line(f"push bob {key}") == "are you there?"
        bob = await client("bob")
        await bob.mark_read(room, 1)
        assert await shown.line(f"withdraw bob {key}") == ""
