"""Two terminals talk to each other: what `make chat` starts, as processes with pipes for terminals."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from deploy.embedded import ports
from deploy.embedded.config import REPOSITORY
from deploy.embedded.stack import Stack

PATIENCE = 20.0


class Terminal:
    def __init__(self, process: Process) -> None:
        self.process = process
        self.shown: list[str] = []

    async def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        await self.process.stdin.drain()

    async def shows(self, text: str) -> str:
        """Read on until a line contains `text`; that line."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while line := (await self.process.stdout.readline()).decode():
                self.shown.append(line.rstrip("\n"))
                if text in line:
                    return self.shown[-1]
        raise AssertionError(f"ended without showing {text!r}: {self.shown}")

    async def end_of_input(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


@asynccontextmanager
async def terminal(port: int, sub: str, room: str, **env: str) -> AsyncIterator[Terminal]:
    """A chat process for a user and room."""
    # Ctrl-C works in every terminal, but an ignored SIGINT is inherited: a shell ignores it for what runs behind.
    process = await asyncio.create_subprocess_exec(
        "/usr/bin/env", "--default-signal=INT", sys.executable, "-m", "deploy.embedded", "chat",
        cwd=REPOSITORY, stdin=PIPE, stdout=PIPE, stderr=PIPE,
        env={"PORT": str(port), "SUB": sub, "ROOM": room, "TZ": "UTC", **env},
    )  # fmt: skip
    try:
        yield Terminal(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture
def room() -> str:
    """A room of this test's own; with what is not allowed in ids."""
    return f"test room é {uuid4().hex[:8]}"


async def test_two_terminals_talk_to_each_other(stack: Stack, room: str) -> None:
    """With the speaker's name and the time; empty lines are not sent."""
    async with terminal(stack.config.port, "alice", room) as alice, terminal(stack.config.port, "bob", room) as bob:
        await alice.shows(f"You are Alice in '{room}'")
        await bob.shows("You are Bob")
        await alice.type("hello, is anybody there?")
        line = await bob.shows("hello")
        assert line.endswith(" Alice: hello, is anybody there?")
        assert line[2] == ":"
        await bob.type("  ")
        await bob.type("I am")
        assert (await alice.shows("I am")).endswith(" Bob: I am")
        assert await alice.end_of_input() == 0
        assert await bob.end_of_input() == 0


async def test_lines_from_a_pipe_are_sent_before_it_leaves_and_are_there_for_the_next(stack: Stack, room: str) -> None:
    """Whoever comes later sees the last twenty."""
    async with terminal(stack.config.port, "alice", room, NAME="Alice A.") as alice:
        await alice.type("\n".join(f"line {number}" for number in range(30)))
        assert await alice.end_of_input() == 0
        await alice.shows("Alice A.: line 29")
    async with terminal(stack.config.port, "bob", room) as bob:
        await bob.shows("Alice A.: line 29")
        said = [line.split(": ")[1] for line in bob.shown if "line" in line]
        assert said == [f"line {number}" for number in range(10, 30)]


async def test_ctrl_c_leaves_without_a_trace(stack: Stack, room: str) -> None:
    """Exit code 0, no traceback."""
    async with terminal(stack.config.port, "alice", room) as alice:
        await alice.shows("You are")
        alice.process.send_signal(signal.SIGINT)
        output, errors = await alice.process.communicate()
        assert (alice.process.returncode, output.strip(), errors) == (0, b"", b"")


@pytest.mark.parametrize(
    ("env", "said"),
    [
        (lambda: {"PORT": str(ports.find_free())}, "no gateway answers on port"),
        (lambda: {"SUB": "not an id"}, "in field 'user_id'"),
    ],
    ids=["nothing runs", "unusable name"],
)
async def test_what_hinders_is_said_in_one_line(
    stack: Stack, room: str, env: Callable[[], dict[str, str]], said: str
) -> None:
    """What is wrong and what to do, exit code 1."""
    async with terminal(stack.config.port, "alice", room, **env()) as alice:
        _, errors = await alice.process.communicate()
        assert alice.process.returncode == 1
        assert said in errors.decode()
        assert errors.count(b"\n") == 1
