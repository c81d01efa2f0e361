"""The sample code of the session document, character by character but for address, token and session."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from playwright.async_api import Browser

from deploy.embedded.stack import Stack
from tests.conftest import TokenOf
from tests.e2e import runtimes
from tests.e2e.conftest import Begin
from tests.e2e.runtimes import PROGRAM
from tests.e2e.samples import sample
from tests.e2e.talkers import DrivenTalker
from tests.e2e.typescript import schema_of
from tests.harness.rest import Api
from tests.harness.sio import SioPerson

SERVER = "http://localhost:3000"
JOIN, SEND, TYPE, LEAVE, ASK = sample("session/send.js").split("\n\n")
ENVELOPE, MESSAGE = (schema_of(sample(f"session/{name}.ts")) for name in ("WebSocketMessage", "ConversationMessage"))


@pytest.fixture
async def session(api: Callable[..., Api], tenant: str) -> str:
    """A session of alice's, as another system has told of it."""
    data = {"session_id": "s-1", "user_id": "alice"}
    told = {"specversion": "1.0", "id": "e-1", "source": "/sample", "type": "session.created", "tenant": tenant}
    answer = await api("backend", roles=("service",))("POST", "/v1/integration/events", {**told, "data": data})
    assert answer.body["results"][0]["applied"], answer
    return "s-1"


@pytest.fixture
async def bot(stack: Stack, token: TokenOf, session: str) -> AsyncIterator[SioPerson]:
    """Whom alice talks to, at the other gateway, by python-socketio."""
    auth = {"token": token("bot", roles=("assistant",))}
    async with SioPerson(stack.gateway_urls[1], auth=auth) as person:
        assert (await person.call("join_session", {"sessionId": session}))["data"]["sessionId"] == session
        yield person


def logged(*beginning: Any) -> Callable[[list[Any]], bool]:
    """Whether a program has logged something that begins so."""
    return lambda line: line[: len(beginning)] == list(beginning)


async def greeted(alice: DrivenTalker) -> None:
    assert await alice.expect("@log", logged("Connected:")) == ["Connected:", "alice"]


async def joined(alice: DrivenTalker, session: str) -> list[dict[str, Any]]:
    """Join; the recent messages that are logged then."""
    await alice.run(JOIN.replace("session-id", session))
    assert await alice.expect("@log", logged("Joined session:")) == ["Joined session:", session]
    _, recent = await alice.expect("@log", logged("Recent messages:"))
    return list(recent)


def check_what_is_told(alice: DrivenTalker) -> None:
    """All that it was told is as the document's types have it."""
    told = [heard for heard in alice.log if not heard.name.startswith("@")]
    assert told
    for heard in told:
        Draft202012Validator(ENVELOPE).validate(heard.data)
        if heard.data["type"] == "message":
            Draft202012Validator(MESSAGE).validate(heard.data["data"])


@pytest.fixture
async def alice(begin: Begin, home: str, transports: dict[str, Any], token: TokenOf) -> DrivenTalker:
    """The program, as far as connecting and listening."""
    program = await begin(**transports)
    connecting = sample("session/connect.js", {SERVER: home, "your-jwt-token": token("alice")})
    await program.run(connecting + sample("session/listen.js"))
    return program


async def test_everything_at_once(alice: DrivenTalker, bot: SioPerson, session: str) -> None:
    """What it sends right after joining goes to the session; when it asks, it has left."""
    await alice.run(sample("session/send.js", {"session-id": session}))
    await greeted(alice)
    assert await alice.expect("@log", logged("Joined session:")) == ["Joined session:", session]
    said = (await bot.expect("message_received"))["data"]
    assert (said["role"], said["content"], said["metadata"]) == ("USER", "Hello, world!", {"source": "web"})
    typing = (await bot.expect("typing_indicator"))["data"]
    assert typing == {"sessionId": session, "userId": "alice", "isTyping": True}
    _, info = await alice.expect("@log", logged("Session info:"))
    assert (info["sessionId"], info["userId"]) == (None, "alice")
    assert alice.all("@error") == []
    check_what_is_told(alice)


async def test_piece_by_piece(alice: DrivenTalker, bot: SioPerson, session: str) -> None:
    """Every line that the program can log is logged: messages, typing, the session, and what is refused."""
    await greeted(alice)
    assert await joined(alice, session) == []
    await alice.run(SEND)
    _, said = await alice.expect("@log", logged("New message:"))
    assert (said["role"], said["content"], said["metadata"]) == ("USER", "Hello, world!", {"source": "web"})
    assert [message["id"] for message in await joined(alice, session)] == [said["id"]]
    await bot.emit("typing", {"isTyping": True})
    assert await alice.expect("@log", logged("User typing:")) == ["User typing:", "bot", True]
    await bot.emit("send_message", {"content": "How can I help?"})
    _, answer = await alice.expect("@log", logged("New message:"))
    assert (answer["role"], answer["content"]) == ("ASSISTANT", "How can I help?")
    await alice.run(TYPE)
    assert (await bot.expect("typing_indicator"))["data"]["isTyping"] is True
    await alice.run(ASK)
    _, info = await alice.expect("@log", logged("Session info:"))
    assert (info["sessionId"], info["userId"], info["messageCount"]) == (session, "alice", 2)
    await alice.run(LEAVE)
    await alice.run(SEND)
    _, why = await alice.expect("@error")
    assert "join_session" in why
    check_what_is_told(alice)


@pytest.mark.parametrize("cookie", [True, False], ids=["cookie", "none"])
async def test_by_a_cookie(
    browser: Browser, home: str, modules: Path, token: TokenOf, closing: AsyncExitStack, cookie: bool
) -> None:
    """Of a page that comes from the gateway; without one it is refused."""
    page = await closing.enter_async_context(runtimes.page(browser, f"{home}/program.html", modules, PROGRAM))
    if cookie:
        await page.page.context.add_cookies([{"name": "token", "value": token("alice"), "url": home}])
    alice = page.talker()
    await alice.host()
    await alice.run(sample("session/connect-cookie.js", {SERVER: home}) + sample("session/listen.js"))
    if cookie:
        await greeted(alice)
    else:
        assert "token" in (await alice.expect("@connect_error")).lower()
        assert alice.all("@log") == []
