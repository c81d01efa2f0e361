"""The sample clients of the booking document, character by character but for address, token and room."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from deploy.embedded.stack import Stack
from tests.conftest import ClientOf, TokenOf
from tests.e2e.runtimes import node_process
from tests.e2e.samples import sample
from tests.harness.person import Person

CDN = "https://cdn.socket.io/4.7.2/socket.io.min.js"
PATIENCE = 20.0


@pytest.fixture
async def bob(client: ClientOf, stack: Stack) -> Person:
    """Whom the sample client talks to, at the other gateway."""
    return await client("bob", url=stack.gateway_urls[1])


@pytest.fixture
async def room(bob: Person) -> str:
    """Where they talk."""
    return (await bob.create_room(members=["alice"])).id


def program(name: str, stack: Stack, token: str, room: str) -> str:
    """A sample with its placeholders filled in."""
    places = {"http://localhost:3000": stack.gateway_urls[0], "YOUR_JWT_TOKEN": token, "YOUR_ROOM_ID": room}
    return sample(name, places)


@pytest.fixture
async def page(
    browser: Browser, stack: Stack, modules: Path, token: TokenOf, room: str, closing: AsyncExitStack
) -> Page:
    """The page, open; `logged` of the window has what it has written to the console."""
    context = await browser.new_context()
    closing.push_async_callback(context.close)
    page = await context.new_page()
    url = f"{stack.gateway_urls[0]}/chat-test.html"
    html = program("booking.html", stack, token("alice", name="Alice Ames"), room)
    await page.route(url, lambda route: route.fulfill(body=html, content_type="text/html"))
    await page.route(CDN, lambda route: route.fulfill(path=modules / "socket.io-client/dist/socket.io.min.js"))
    async with page.expect_console_message(lambda message: message.text == f"Joined room: {room}"):
        await page.goto(url)
    return page


async def test_the_page(page: Page, bob: Person, room: str) -> None:
    """Shows what is said, by whom; tells that its user types and that they have stopped; sends what is typed."""
    await bob.send(room, "Hello, page!")
    messages = page.locator("#messages > div")
    await expect(messages).to_have_text(["bob: Hello, page!"], timeout=PATIENCE * 1000)
    await page.locator("#messageInput").press_sequentially("Hello, Bob!")
    assert (await bob.expect("typing", room_id=room)).data["typing"] is True
    await page.get_by_role("button", name="Send").click()
    await bob.said(room, "Hello, Bob!")
    await expect(messages).to_have_text(["bob: Hello, page!", "Alice Ames: Hello, Bob!"], timeout=PATIENCE * 1000)
    assert (await bob.expect("typing", room_id=room, that=lambda event: not event.data["typing"])).data["user_id"]


async def test_the_page_shows_who_types(page: Page, bob: Person, room: str) -> None:
    """And what is refused is logged."""
    async with page.expect_console_message(lambda message: message.text == "User bob is typing"):
        await bob.typing(room)
    async with page.expect_console_message(lambda message: message.text.startswith("Chat error: ")):
        await page.evaluate("socket.emit('join_room', { roomId: 'nowhere' })")


async def test_the_node_program(
    stack: Stack, modules: Path, token: TokenOf, bob: Person, room: str, tmp_path: Path
) -> None:
    """Greets after two seconds, and prints what is said."""
    script = tmp_path / "client.js"
    script.write_text(program("booking.js", stack, token("alice", name="Alice Ames"), room))
    async with node_process(script, modules) as process, asyncio.timeout(PATIENCE):
        assert process.stdout is not None
        shown: list[str] = []
        while not any(line.startswith("Connection confirmed: ") for line in shown):
            shown.append((await process.stdout.readline()).decode().strip())
        assert shown[0] == "Connected to chat server"
        await bob.said(room, "Hello from Node.js client!")
        await bob.send(room, "Hello, program!")
        while shown[-1] != "New message from bob: Hello, program!":
            shown.append((await process.stdout.readline()).decode().strip())
        assert "New message from Alice Ames: Hello from Node.js client!" in shown
