"""Fixtures for clients of Socket.IO: where they run, and how they connect to the stack."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from deploy.embedded.stack import Stack
from tests.conftest import TokenOf
from tests.e2e import runtimes
from tests.e2e.python_talkers import AsyncTalker, ThreadTalker
from tests.e2e.runtimes import Node, OnPage, Runtime
from tests.e2e.talkers import DrivenTalker, Talker
from tests.harness import npm
from tests.harness.own_task import in_own_task

Connect = Callable[..., Awaitable[DrivenTalker]]
Meet = Callable[..., Awaitable[Talker]]
Begin = Callable[..., Awaitable[DrivenTalker]]

TRANSPORTS: dict[str, dict[str, Any]] = {
    "upgrading": {},
    "websocket": {"transports": ["websocket"]},
    "polling": {"transports": ["polling"]},
}
"""How clients connect: by polling and then by WebSocket, as they do where they are not told; by one of the two."""


@pytest.fixture(scope="session")
def modules() -> Path:
    """Npm's packages."""
    return npm.installed()


@pytest.fixture(scope="session")
async def node(modules: Path) -> AsyncIterator[Node]:
    """socket.io-client in Node; one process for all tests."""
    async with in_own_task(runtimes.node(modules)) as running:
        yield running


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A browser; one for all tests."""
    async with in_own_task(runtimes.browser()) as running:
        yield running


@pytest.fixture(scope="session")
def home(stack: Stack) -> str:
    """The gateway that clients connect to: the first one, unless a module has another one."""
    return stack.gateway_urls[0]


@pytest.fixture
async def page(browser: Browser, home: str, modules: Path, closing: AsyncExitStack) -> OnPage:
    """socket.io-client in a page of this test's own, at the gateway's address."""
    return await closing.enter_async_context(runtimes.page(browser, f"{home}/page.html", modules))


@pytest.fixture(params=["node", "page"])
def runtime(request: pytest.FixtureRequest) -> Runtime:
    """socket.io-client, both where it runs in Node and in a page."""
    running: Runtime = request.getfixturevalue(request.param)
    return running


@pytest.fixture(params=TRANSPORTS)
def transports(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The options by which a client chooses its transports."""
    return TRANSPORTS[request.param]


@pytest.fixture
async def connect(home: str, token: TokenOf, closing: AsyncExitStack) -> Connect:
    """Connects a user by socket.io-client, to the gateway's `/chat`."""

    async def as_user(runtime: Runtime, sub: str, **options: Any) -> DrivenTalker:
        talker = runtime.talker()
        closing.push_async_callback(talker.disconnect)
        await talker.connect(f"{home}/chat", {"auth": {"token": token(sub)}, **options})
        return talker

    return as_user


Make = Callable[[], Talker]

MAKES: dict[str, Callable[[pytest.FixtureRequest], Make]] = {
    "node": lambda request: request.getfixturevalue("node").talker,
    "page": lambda request: request.getfixturevalue("page").talker,
    "asyncio": lambda _request: AsyncTalker,
    "threads": lambda _request: ThreadTalker,
}
"""Every make of client."""


@pytest.fixture(params=MAKES)
def make(request: pytest.FixtureRequest) -> Make:
    """Makes clients, of each make."""
    return MAKES[request.param](request)


@pytest.fixture
def meet(make: Make, home: str, token: TokenOf, closing: AsyncExitStack) -> Meet:
    """Connects a user by each make of client, to the gateway's `/chat`."""

    async def as_user(sub: str, **options: Any) -> Talker:
        talker = make()
        closing.push_async_callback(talker.disconnect)
        await talker.connect(f"{home}/chat", {"auth": {"token": token(sub)}, **options})
        return talker

    return as_user


@pytest.fixture(params=["node", "page"])
def begin(request: pytest.FixtureRequest, home: str, modules: Path, closing: AsyncExitStack) -> Begin:
    """Begins a program that is run piece by piece; its sockets have `options`, where it gives none."""
    browser = request.getfixturevalue("browser") if request.param == "page" else None

    async def as_program(**options: Any) -> DrivenTalker:
        running: Runtime
        if browser is None:
            running = await closing.enter_async_context(in_own_task(runtimes.node(modules, runtimes.PROGRAM)))
        else:
            opened = runtimes.page(browser, f"{home}/program.html", modules, runtimes.PROGRAM)
            running = await closing.enter_async_context(opened)
        program = running.talker()
        await program.host(**options)
        return program

    return as_program
