"""The eventchat dialect on the real stack, over sockets: messages, typing, receipts and presence."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from deploy.embedded.stack import Stack
from tests.conftest import TokenOf
from tests.harness.rest import Api
from tests.harness.sio import SioPerson

People = Callable[..., Awaitable[SioPerson]]
JSON = dict[str, Any]


@pytest.fixture
async def people(stack: Stack, token: TokenOf, closing: AsyncExitStack) -> People:
    async def connect(sub: str, **claims: Any) -> SioPerson:
        person = SioPerson(stack.gateway_urls[0], auth={"token": token(sub, **claims)})
        return await closing.enter_async_context(person)

    return connect


@pytest.fixture
async def chat(api: Callable[..., Api]) -> str:
    """A group of alice's, with bob."""
    answer = await api("alice")("POST", "/chat", {"name": "Trip", "participants": ["bob"]})
    chat_id: str = answer.body["id"]
    return chat_id


async def joined(person: SioPerson, chat: str) -> JSON:
    """Join a chat; what one is given then."""
    answer: JSON = await person.call("join_chat", {"chatId": chat})
    assert answer["chatId"] == chat, answer
    return answer


class TestMessages:
    async def test_they_are_told_to_who_has_joined(self, people: People, chat: str) -> None:
        """Written, changed, deleted; the sender is told, too."""
        alice, bob = await people("alice", name="Alice"), await people("bob")
        for person, name in ((alice, "alice"), (bob, "bob")):
            assert (await person.expect("connected"))["userId"] == name
            await joined(person, chat)
        sent = await alice.call("create_message", {"chatId": chat, "content": "Hello", "metadata": {"a": 1}})
        for person in (alice, bob):
            told = await person.expect("message_created")
            assert (told["id"], told["chatId"], told["seq"]) == (sent["id"], chat, sent["seq"])
            assert (told["content"], told["senderName"], told["metadata"]) == ("Hello", "Alice", {"a": 1})
        changed = await alice.call("edit_message", {"messageId": sent["id"], "content": "Hi"})
        assert await bob.expect("message_edited") == changed
        assert await alice.call("delete_message", sent["id"]) == {"success": True, "messageId": sent["id"]}
        assert await bob.expect("message_deleted") == {"messageId": sent["id"], "chatId": chat}

    async def test_what_was_written_before_comes_with_joining(self, people: People, chat: str) -> None:
        """The latest of it, the rest by pages; what is sent at once after joining waits for that."""
        alice = await people("alice")
        for number in range(4):
            await alice.call("create_message", {"chatId": chat, "content": str(number)})
        bob = await people("bob")
        await bob.emit("join_chat", {"chatId": chat, "limit": 2})
        await bob.emit("set_typing", {"chatId": chat, "isTyping": True})
        given = await bob.expect("chat_joined")
        assert [message["content"] for message in given["messages"]] == ["2", "3"]
        assert given["hasMore"]
        asked = {"chatId": chat, "before": given["messages"][0]["id"]}
        page = await bob.call("get_messages", asked)
        assert [message["content"] for message in page["messages"]] == ["0", "1"]
        assert [heard.data for heard in bob.log if heard.name == "error"] == []

    async def test_who_leaves_is_told_no_more(self, people: People, chat: str) -> None:
        """They stay in the chat, and may come back."""
        alice, bob = await people("alice"), await people("bob")
        for person in (alice, bob):
            await joined(person, chat)
        assert await bob.call("leave_chat", {"chatId": chat}) == {"chatId": chat}
        await alice.call("create_message", {"chatId": chat, "content": "unheard"})
        await joined(bob, chat)
        await alice.call("create_message", {"chatId": chat, "content": "heard"})
        assert (await bob.expect("message_created"))["content"] == "heard"


class TestWhoIsThere:
    async def test_typing(self, people: People, chat: str) -> None:
        """Told to the others."""
        alice, bob = await people("alice"), await people("bob")
        for person in (alice, bob):
            await joined(person, chat)
        for typing in (True, False):
            assert await bob.call("set_typing", {"chatId": chat, "isTyping": typing}) == {"success": True}
            assert await alice.expect("typing_changed") == {"chatId": chat, "userId": "bob", "isTyping": typing}
        assert not [heard for heard in bob.log if heard.name == "typing_changed"]

    async def test_receipts(self, people: People, chat: str) -> None:
        """A message is sent, delivered, read; by whom is told, and shown with the message."""
        alice, bob = await people("alice"), await people("bob")
        await joined(alice, chat)
        sent = await alice.call("create_message", {"chatId": chat, "content": "Read this"})
        assert (await alice.call("get_message_status", sent["id"]))["status"] == "sent"
        await bob.call("mark_delivered", {"messageId": sent["id"]})
        delivered = await alice.expect("receipt_updated", lambda it: it["userId"] == "bob")
        assert delivered == {"chatId": chat, "userId": "bob", "deliveredSeq": 1, "readSeq": 0}
        assert [it["status"] for it in (await joined(alice, chat))["messages"]] == ["delivered"]
        marked = await bob.call("mark_read", {"chatId": chat})
        assert marked == {"success": True, "chatId": chat, "deliveredSeq": 1, "readSeq": 1}
        await alice.expect("receipt_updated", lambda it: (it["userId"], it["readSeq"]) == ("bob", 1))
        given = await joined(alice, chat)
        assert [it["status"] for it in given["messages"]] == ["read"]
        assert {it["userId"]: it["readSeq"] for it in given["receipts"]} == {"alice": 1, "bob": 1}
        status = await alice.call("get_message_status", {"messageId": sent["id"]})
        assert status == {"messageId": sent["id"], "status": "read", "deliveredTo": ["bob"], "readBy": ["bob"]}

    async def test_online_status(self, people: People, chat: str) -> None:
        """Who comes is told to who has joined a chat with them; a choice, too."""
        alice = await people("alice")
        await joined(alice, chat)
        bob = await people("bob")
        assert (await alice.expect("user_status", lambda it: it["userId"] == "bob"))["status"] == "online"
        online = await alice.call("get_online", {"chatId": chat})
        assert ({it["userId"] for it in online["users"]}, online["count"]) == ({"alice", "bob"}, 2)
        assert (await bob.call("set_status", {"status": "AWAY"}))["status"] == "away"
        assert (await alice.expect("user_status", lambda it: it["userId"] == "bob"))["status"] == "away"

    async def test_who_is_in_it(self, people: People, api: Callable[..., Api], chat: str) -> None:
        """Who joined is told who comes and goes, and that the chat is no more."""
        alice, bob, owner = await people("alice"), await people("bob"), api("alice")
        for person in (alice, bob):
            await joined(person, chat)
        await owner("POST", f"/chat/{chat}/participants", {"userIds": ["carl"]})
        came = await bob.expect("participant_added")
        assert (came["chatId"], came["participant"]["userId"], came["participant"]["role"]) == (chat, "carl", "member")
        await owner("DELETE", f"/chat/{chat}/participants/carl")
        assert await bob.expect("participant_removed") == {"chatId": chat, "userId": "carl"}
        await owner("PATCH", f"/v1/rooms/{chat}", {"name": "Tour"})
        assert await bob.expect("chat_updated") == {"chatId": chat, "name": "Tour", "isActive": True}
        await owner("POST", "/chat/message", {"chatId": chat, "content": "soon gone"})
        await owner("POST", f"/v1/rooms/{chat}/clear")
        assert await bob.expect("chat_cleared") == {"chatId": chat}
        await owner("DELETE", f"/chat/{chat}")
        for person in (alice, bob):
            assert await person.expect("chat_deleted") == {"chatId": chat}


class TestRefusals:
    async def test_strangers_are_let_in_nowhere(self, people: People, api: Callable[..., Api], chat: str) -> None:
        """Neither to read nor to write, by whatever event; nor is somebody of another tenant."""
        message = (await api("alice")("POST", "/chat/message", {"chatId": chat, "content": "private"})).body
        wishes = {
            "join_chat": {"chatId": chat},
            "get_messages": {"chatId": chat},
            "create_message": {"chatId": chat, "content": "x"},
            "edit_message": {"messageId": message["id"], "content": "x"},
            "delete_message": {"messageId": message["id"]},
            "set_typing": {"chatId": chat, "isTyping": True},
            "mark_delivered": {"chatId": chat},
            "mark_read": {"messageId": message["id"]},
            "get_message_status": {"messageId": message["id"]},
            "get_online": {"chatId": chat},
        }
        for stranger in (await people("mallory"), await people("alice", tenant="elsewhere")):
            for name, wish in wishes.items():
                answer = await stranger.call(name, wish)
                assert answer["code"] in {"forbidden", "not_found"}, (name, answer)
                assert (await stranger.expect("error"))["event"] == name
        assert (await api("alice")("GET", f"/chat/{chat}/messages")).body["messages"][0]["content"] == "private"

    @pytest.mark.parametrize(
        ("name", "payload", "field"),
        [
            ("join_chat", {}, "chatId"),
            ("create_message", {"content": "x"}, "chatId"),
            ("edit_message", {"messageId": "0" * 24}, "content"),
            ("set_typing", {}, "chatId"),
            ("set_status", {"status": "asleep"}, "status"),
            ("mark_read", {}, "room_id"),
        ],
    )
    async def test_what_is_malformed_is_named(self, people: People, name: str, payload: JSON, field: str) -> None:
        """The field, and what is wrong with it."""
        answer = await (await people("alice")).call(name, payload)
        assert (answer["code"], answer["event"]) == ("invalid", name)
        assert field in answer["details"][0]["field"]
