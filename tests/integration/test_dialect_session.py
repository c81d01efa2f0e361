"""The session dialect on the real stack, over sockets: what its document shows, and what it leaves open."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from socketio.exceptions import ConnectionError as SioError

from deploy.embedded.stack import Stack
from tests.conftest import ClientOf, TokenOf
from tests.harness.rest import Api
from tests.harness.sio import SioPerson
from tests.integration.integration_client import Outside

People = Callable[..., Awaitable[SioPerson]]
JSON = dict[str, Any]


@pytest.fixture
async def people(stack: Stack, token: TokenOf, closing: AsyncExitStack) -> People:
    async def connect(name: str, *, roles: tuple[str, ...] = (), **options: Any) -> SioPerson:
        person = SioPerson(stack.gateway_urls[0], auth={"token": token(name, roles=roles)}, **options)
        return await closing.enter_async_context(person)

    return connect


@pytest.fixture
async def session(api: Callable[..., Api], tenant: str) -> str:
    """A session of alice's, as another system has told of it."""
    service, outside = api("backend", roles=("service",)), Outside(tenant)
    told = outside.event("session.created", session_id="s-1", user_id="alice")
    assert (await service("POST", "/v1/integration/events", told)).body["results"][0]["applied"]
    return "s-1"


def data(kind: str, said: JSON) -> JSON:
    """What is in an envelope of this type."""
    assert set(said) == {"type", "data", "timestamp"}, said
    assert said["type"] == kind, said
    assert said["timestamp"].endswith("Z")
    inside: JSON = said["data"]
    return inside


async def joined(person: SioPerson, session: str) -> JSON:
    """Join a session; what one is given then."""
    return data("system", await person.call("join_session", {"sessionId": session}))


class TestTheDocument:
    @pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]], ids="-".join)
    async def test_its_sample_runs_as_it_stands(self, people: People, session: str, transports: list[str]) -> None:
        """Nothing waits for an answer there: what is sent after joining goes to the session joined."""
        alice = await people("alice", transports=transports)
        await alice.emit("join_session", {"sessionId": session})
        await alice.emit("send_message", {"content": "Hello, world!", "metadata": {"source": "web"}})
        await alice.emit("typing", {"isTyping": True})
        await alice.emit("get_session_info")
        await alice.emit("leave_session")
        greeting = await alice.expect("connected")
        assert (greeting["type"], greeting["data"]["userId"]) == ("system", "alice")
        assert data("system", await alice.expect("session_joined"))["sessionId"] == session
        info = data("system", await alice.expect("session_info"))
        assert (info["sessionId"], info["userId"], info["isActive"]) == (session, "alice", True)
        assert [heard.data for heard in alice.log if heard.name == "error"] == []

    async def test_a_conversation_with_an_assistant(self, people: People, session: str) -> None:
        """Both get every message with the role it was written in, in the envelope."""
        alice, bot = await people("alice"), await people("bot", roles=("assistant",))
        assert (await joined(alice, session))["recentMessages"] == []
        sent = data("message", await alice.call("send_message", {"content": "Hi", "metadata": {"source": "web"}}))
        given = (await joined(bot, session))["recentMessages"]
        assert [(it["id"], it["role"], it["metadata"]) for it in given] == [(sent["id"], "USER", {"source": "web"})]
        await bot.emit("typing", {"isTyping": True})
        typing = data("typing", await alice.expect("typing_indicator"))
        assert typing == {"sessionId": session, "userId": "bot", "isTyping": True}
        await bot.emit("send_message", {"content": "How can I help?"})
        for person in (alice, bot):
            got = data("message", await person.expect("message_received", lambda it: it["data"]["role"] != "USER"))
            assert got | {"id": "", "timestamp": ""} == {
                "id": "",
                "sessionId": session,
                "role": "ASSISTANT",
                "content": "How can I help?",
                "timestamp": "",
                "senderId": "bot",
            }
        assert not [heard for heard in bot.log if heard.name == "typing_indicator"]

    async def test_the_session_that_is_joined_is_the_one(self, people: People, client: ClientOf, session: str) -> None:
        """Joining another session leaves the first; without any there is nothing to write to."""
        other = await (await client("alice")).create_room(type="session")
        alice, phone = await people("alice"), await people("alice")
        await joined(phone, session)
        await joined(alice, session)
        assert (await joined(alice, other.id))["sessionId"] == other.id
        await phone.call("send_message", {"content": "over here"})
        await alice.call("send_message", {"content": "over there"})
        assert data("message", await alice.expect("message_received"))["content"] == "over there"
        assert data("message", await phone.expect("message_received"))["content"] == "over here"
        assert data("system", await alice.call("leave_session"))["sessionId"] == other.id
        assert "join_session" in data("error", await alice.call("send_message", {"content": "?"}))["message"]
        info = data("system", await alice.call("get_session_info"))
        assert (info["sessionId"], info["userId"]) == (None, "alice")

    async def test_what_is_wrong_is_said(self, people: People, session: str) -> None:
        """Sessions that are not there, or not one's own; payloads that are malformed, with what is wrong."""
        alice, mallory = await people("alice"), await people("mallory")
        for person, name in ((alice, "nowhere"), (mallory, session)):
            await person.emit("join_session", {"sessionId": name})
            error = data("error", await person.expect("error"))
            assert (error["code"], error["event"], error["statusCode"]) == ("not_found", "join_session", 404)
            assert error["message"].startswith("Session not found")
        await joined(alice, session)
        refused = data("error", await alice.call("send_message", {"content": ""}))
        assert (refused["code"], refused["details"][0]["field"]) == ("invalid", "content")
        assert data("error", await alice.call("typing", {}))["details"][0]["field"] == "isTyping"
        assert data("error", await alice.call("send_message", {"content": "x" * 10_001}))["code"] == "too_large"

    async def test_another_tenants_session_is_not_there(
        self, stack: Stack, token: TokenOf, closing: AsyncExitStack, session: str
    ) -> None:
        """Nor is it for somebody of the same name."""
        auth = {"token": token("alice", tenant="elsewhere")}
        twin = await closing.enter_async_context(SioPerson(stack.gateway_urls[0], auth=auth))
        assert data("error", await twin.call("join_session", {"sessionId": session}))["code"] == "not_found"


class TestWhatItLeavesOpen:
    async def test_changes_are_told(self, people: People, api: Callable[..., Api], session: str) -> None:
        """Edits, deletions, clearing and the end of a session."""
        alice, caller = await people("alice"), api("alice")
        await joined(alice, session)
        first = data("message", await alice.call("send_message", {"content": "one"}))["id"]
        await caller("PUT", f"/chat/messages/{first}", {"content": "two", "metadata": {"edited": True}})
        updated = data("message", await alice.expect("message_updated"))
        assert (updated["id"], updated["content"], updated["metadata"]) == (first, "two", {"edited": True})
        await caller("DELETE", f"/chat/messages/{first}")
        gone = data("message", await alice.expect("message_deleted"))
        assert gone == {"messageId": first, "sessionId": session}
        await caller("DELETE", f"/chat/sessions/{session}/messages")
        cleared = data("system", await alice.expect("conversation_cleared"))
        assert cleared == {"sessionId": session, "clearedBy": "alice"}

    async def test_the_end_is_told(self, people: People, client: ClientOf) -> None:
        """A session that is closed can be read, and not written."""
        owner = await client("alice")
        room = await owner.create_room(type="session")
        alice = await people("alice")
        await joined(alice, room.id)
        await owner.call("room.close", {"room_id": room.id})
        assert data("system", await alice.expect("session_ended")) == {"sessionId": room.id}
        assert data("system", await alice.call("get_session_info"))["isActive"] is False

    async def test_who_has_read_is_told(self, people: People, client: ClientOf, session: str, tenant: str) -> None:
        """By clients that say so."""
        alice, owner = await people("alice"), await client("alice")
        await joined(alice, session)
        bot = await people("bot", roles=("assistant",))
        await joined(bot, session)
        await bot.call("send_message", {"content": "read this"})
        await owner.call("read.mark", {"room_id": Outside(tenant).room("session", session), "seq": 1})
        read = data("system", await alice.expect("messages_read", lambda it: it["data"]["userId"] == "alice"))
        assert read == {"sessionId": session, "userId": "alice", "seq": 1}


class TestTheConnection:
    async def test_a_cookie_will_do(self, stack: Stack, token: TokenOf, closing: AsyncExitStack) -> None:
        """As the document has it: a browser sends it by itself."""
        headers = {"Cookie": f"jwt={token('alice')}", "Origin": stack.gateway_urls[0]}
        alice = await closing.enter_async_context(SioPerson(stack.gateway_urls[0], headers=headers))
        assert (await alice.expect("connected"))["data"]["userId"] == "alice"

    @pytest.mark.parametrize("auth", [None, {"token": "no token"}], ids=["without a token", "with a bad one"])
    async def test_strangers_are_refused(self, stack: Stack, auth: JSON | None) -> None:
        """Before anything is told."""
        person = SioPerson(stack.gateway_urls[0], auth=auth)
        with pytest.raises(SioError):
            await person.client.connect(
                stack.gateway_urls[0], namespaces=["/chat"], auth=auth, transports=["websocket"], wait_timeout=15
            )
        assert person.log == []


class TestTheChoice:
    async def test_who_says_what_they_speak_is_greeted_in_it(
        self, stack: Stack, token: TokenOf, closing: AsyncExitStack
    ) -> None:
        """With an envelope, and nothing else."""
        auth = {"token": token("alice"), "dialect": "session"}
        alice = await closing.enter_async_context(SioPerson(stack.gateway_urls[0], auth=auth))
        assert data("system", await alice.expect("connected"))["userId"] == "alice"

    async def test_a_payload_tells_two_dialects_apart(self, people: People, client: ClientOf) -> None:
        """`send_message` is booking's with a room, this one's without."""
        owner = await client("alice")
        room = await owner.create_room(type="session")
        one, two = await people("alice"), await people("alice")
        sent = await one.call("send_message", {"chat_room_id": room.id, "content": "with a room"})
        assert sent["chat_room_id"] == room.id
        refused = await two.call("send_message", {"content": "without"})
        assert "join_session" in data("error", refused)["message"]
        assert (await joined(two, room.id))["recentMessages"][0]["content"] == "with a room"

    async def test_one_who_speaks_this_takes_no_other_room(self, people: People, client: ClientOf) -> None:
        """A room in the payload would otherwise be passed over, and the message go elsewhere."""
        room = await (await client("alice")).create_room(type="session")
        alice = await people("alice")
        await joined(alice, room.id)
        refused = await alice.call("send_message", {"chat_room_id": "another", "content": "?"})
        assert data("error", refused)["details"][0]["field"] == "chat_room_id"
