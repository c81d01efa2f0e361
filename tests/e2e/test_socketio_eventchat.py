"""Every make of client, by every transport, as clients of eventchat talk; its document prints no program."""

from collections.abc import Callable
from typing import Any

from tests.e2e.conftest import Meet
from tests.harness.rest import Api


async def test_two_talk(transports: dict[str, Any], meet: Meet, api: Callable[..., Api]) -> None:
    """In a chat made by REST: what they write, change and have read, that they type, who is here."""
    chat = (await api("alice")("POST", "/chat", {"type": "group", "name": "Plans", "participants": ["bob"]})).body["id"]
    alice, bob = await meet("alice", **transports), await meet("bob", **transports)
    for person, name in ((alice, "alice"), (bob, "bob")):
        assert (await person.expect("connected"))["userId"] == name
        joined = await person.call("join_chat", {"chatId": chat})
        assert await person.expect("chat_joined") == joined
        assert joined["chatId"] == chat
    sent = await alice.call("create_message", {"chatId": chat, "content": "Hello!"})
    for person in (alice, bob):
        told = await person.expect("message_created")
        assert (told["id"], told["content"], told["senderId"]) == (sent["id"], "Hello!", "alice")
    await bob.emit("set_typing", {"chatId": chat, "isTyping": True})
    typing = await alice.expect("typing_changed")
    assert (typing["userId"], typing["isTyping"]) == ("bob", True)
    await bob.emit("mark_read", {"messageId": sent["id"]})
    read = await alice.expect("receipt_updated", lambda told: (told["userId"], told["readSeq"]) == ("bob", 1))
    assert read["chatId"] == chat
    assert (await alice.call("get_message_status", {"messageId": sent["id"]}))["status"] == "read"
    await alice.emit("edit_message", {"messageId": sent["id"], "content": "Hello, Bob!"})
    assert (await bob.expect("message_edited"))["content"] == "Hello, Bob!"
    await alice.emit("delete_message", {"messageId": sent["id"]})
    assert (await bob.expect("message_deleted"))["messageId"] == sent["id"]
    refused = await bob.call("edit_message", {"messageId": sent["id"], "content": "?"})
    assert (refused["event"], await bob.expect("error")) == ("edit_message", refused)
