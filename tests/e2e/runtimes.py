"""Where socket.io-client runs: in Node, and in a page of a headless browser."""

import asyncio
import json
from abc import ABC, abstractmethod
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright
from typing_extensions import override

from shared.service import Tasks
from tests.e2e.talkers import DrivenTalker
from tests.harness.npm import PACKAGES, program

DRIVER = PACKAGES / "driver.js"
PROGRAM = PACKAGES / "program.js"
MAX_LINE = 2**22

# The sandbox wants rights that a container has not. Pages that a test answers for come from no address, and a page that
# does not come from this machine needs its user's leave to connect to it.
SWITCHES = ["--no-sandbox", "--disable-features=LocalNetworkAccessChecks"]


class Runtime(ABC):
    """Runs socket.io-client."""

    def __init__(self) -> None:
        self._talkers: dict[int, DrivenTalker] = {}

    def talker(self) -> DrivenTalker:
        """Another client."""
        number = len(self._talkers) + 1
        talker = self._talkers[number] = DrivenTalker(self.act, number)
        return talker

    @abstractmethod
    async def act(self, action: str, number: int, *arguments: Any) -> None:
        """Have the driver do something."""

    def told(self, number: int, name: str, arguments: list[Any]) -> None:
        """What the driver tells."""
        self._talkers[number].heard(name, arguments)


class Node(Runtime):
    """A Node process."""

    def __init__(self, process: Process) -> None:
        super().__init__()
        self._process = process

    @override
    async def act(self, action: str, number: int, *arguments: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([action, number, *arguments]).encode() + b"\n")
        await self._process.stdin.drain()

    async def listen(self) -> None:
        """Take in what it tells, until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.told(*json.loads(line))


@asynccontextmanager
async def node_process(script: Path, modules: Path, *arguments: str) -> AsyncIterator[Process]:
    """A program in Node, which finds the packages."""
    process = await asyncio.create_subprocess_exec(
        program("node", "nodejs"), str(script), *arguments,
        stdin=PIPE, stdout=PIPE, env={"NODE_PATH": str(modules)}, limit=MAX_LINE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def node(modules: Path, driver: Path = DRIVER) -> AsyncIterator[Node]:
    """A driver in Node."""
    async with node_process(PACKAGES / "main.js", modules, str(driver)) as process:
        runtime = Node(process)
        listening = Tasks().spawn(runtime.listen(), "node")
        try:
            yield runtime
        finally:
            listening.cancel()


class OnPage(Runtime):
    """A page."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page = page

    @override
    async def act(self, action: str, number: int, *arguments: Any) -> None:
        await self.page.evaluate("told => act(...told)", [action, number, *arguments])


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium, without a window."""
    path = program("chromium", "chromium")
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=path, args=SWITCHES)
        try:
            yield running
        finally:
            await running.close()


@asynccontextmanager
async def page(browser: Browser, url: str, modules: Path, driver: Path = DRIVER) -> AsyncIterator[OnPage]:
    """A page with a driver, at an address that need not exist."""
    context = await browser.new_context()
    opened = await context.new_page()
    await opened.route(url, lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    runtime = OnPage(opened)
    await opened.expose_function("tell", runtime.told)
    await opened.goto(url)
    await opened.add_script_tag(path=modules / "socket.io-client/dist/socket.io.min.js")
    await opened.add_script_tag(path=driver)
    await opened.evaluate("() => { window.act = driver(io, tell); }")
    try:
        yield runtime
    finally:
        await context.close()
