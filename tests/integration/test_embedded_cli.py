"""`make up`, `make status`, `make down`, `make token`: the command line on a whole stack, as a developer calls it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.embedded import probes
from deploy.embedded.config import REPOSITORY
from deploy.embedded.home import Home
from deploy.embedded.ports import Ports, find_free
from shared.auth import Authenticator
from shared.settings import Settings

Environment = dict[str, str]


@pytest.fixture
async def environment(tmp_path: Path) -> AsyncIterator[Environment]:
    """Where and on which port; whatever runs there at the end is stopped."""
    environment = {"PARLEY_DIR": str(tmp_path), "PORT": str(find_free(gateways=2)), "GATEWAYS": "2"}
    yield environment
    await call("down", environment)


async def call(command: str, environment: Environment) -> tuple[int, str]:
    """Run one command to its end; its exit code and all it printed."""
    child = await begin(command, environment)
    output, _ = await child.communicate()
    assert child.returncode is not None
    return child.returncode, output.decode()


async def begin(command: str, environment: Environment) -> asyncio.subprocess.Process:
    """Start one command."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.embedded", command),
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


async def test_up_status_down(environment: Environment, tmp_path: Path) -> None:
    """One life of a stack, with the questions one asks in between."""
    home, port = Home(tmp_path), int(environment["PORT"])
    assert await call("status", environment) == (3, "not running\n")

    code, said = await call("up", environment)
    assert code == 0, said
    assert f"http://127.0.0.1:{port}" in said
    assert "ws?token=ey" in said
    for index in range(2):
        assert await probes.readyz("127.0.0.1", Ports(port, 2).gateway(index))() is None

    code, said = await call("up", environment)
    assert (code, said.split(" (")[0]) == (0, "already running")

    code, said = await call("status", {**environment, "GATEWAYS": "1"})
    assert code == 0, said
    names = [line.split()[0] for line in said.splitlines()]
    assert names == [
        *("supervisor", "epmd", "rabbitmq", "mongod", "rooms-0", "media-0", "messages-0", "gateway-0", "gateway-1")
    ]
    assert [str(home.read_pid(line.split()[0])) for line in said.splitlines()] == [
        line.split()[1] for line in said.splitlines()
    ]

    code, said = await call("down", environment)
    assert (code, said.splitlines()[0]) == (0, "stopping")
    assert await call("down", environment) == (0, "not running\n")


async def test_down_ends_what_a_killed_supervisor_left(environment: Environment, tmp_path: Path) -> None:
    """Nothing of the stack survives, whichever way its processes learn of it."""
    code, said = await call("up", environment)
    assert code == 0, said
    home = Home(tmp_path)
    os.kill(home.read_pid("supervisor") or 0, signal.SIGKILL)
    code, said = await call("down", environment)
    assert code == 0
    assert home.leftovers() == []
    assert await call("status", environment) == (3, "not running\n")


async def test_an_interrupted_up_leaves_nothing(environment: Environment, tmp_path: Path) -> None:
    """Ctrl-C while it starts: the command fails, and what it had begun is gone when it returns."""
    child = await begin("up", environment)
    assert child.stdout is not None
    assert b"ready" in await child.stdout.readline()
    child.send_signal(signal.SIGINT)
    await child.communicate()
    assert child.returncode != 0
    assert Home(tmp_path).supervisor() is None
    assert Home(tmp_path).leftovers() == []


async def test_a_failed_up_names_the_cause(environment: Environment) -> None:
    """A setting that the services refuse: exit code 1 and the last words of the service."""
    code, said = await call("up", {**environment, "SHARDS": "many"})
    assert code == 1
    assert "SHARDS" in said
    assert await call("status", environment) == (3, "not running\n")


async def test_nonsense_is_refused_before_anything_starts(environment: Environment) -> None:
    """One line on what is wrong."""
    assert await call("up", {**environment, "WORKERS": "few"}) == (1, "parley: WORKERS='few' is not a whole number\n")


async def test_a_token_carries_what_was_asked(environment: Environment) -> None:
    """And is accepted by a gateway of the same stack."""
    asked = {"SUB": "alice", "NAME": "Alice A.", "ROLES": "admin, service", "TENANT": "acme", "TTL": "60"}
    code, token = await call("token", {**environment, **asked})
    assert code == 0, token
    identity = await Authenticator(Settings(embedded=True)).authenticate(token.strip())
    actor = identity.actor
    assert (actor.id, actor.name, sorted(actor.roles), actor.tenant) == (
        "alice",
        "Alice A.",
        ["admin", "service"],
        "acme",
    )


async def test_a_token_needs_a_subject(environment: Environment) -> None:
    """The message shows how to call it."""
    code, said = await call("token", environment)
    assert code == 1
    assert "make token SUB=alice" in said
