"""The outing dialect on sockets: every event of its document, on the real stack with python-socketio's client."""

from typing import Any

import pytest

from tests.harness.sio import SioPerson
from tests.integration.dialect_outing import SORTIE, Outing, PeopleOf

pytest_plugins = ("tests.integration.integration_fixtures", "tests.integration.dialect_outing_fixtures")

NOBODY = "0" * 24
FIELDS = {
    "_id", "id", "chatId", "sortieId", "senderId", "sender", "type", "content", "mediaUrl", "thumbnailUrl",
    "mediaDuration", "fileSize", "fileName", "mimeType", "location", "readBy", "isDeleted", "replyTo", "createdAt",
    "updatedAt",
}  # fmt: skip


async def joined(person: SioPerson) -> SioPerson:
    """Somebody in the chat."""
    await person.emit("joinRoom", {"sortieId": SORTIE})
    await person.expect("joinedRoom")
    return person


async def test_who_joins_is_shown_the_latest_messages(outing: Outing, people: PeopleOf) -> None:
    """Fifty of them, in their order, and by all ways to name the chat."""
    ann = await people("ann")
    hello = await ann.expect("connected")
    assert (hello["userId"], hello["socketId"] != "") == ("ann", True)
    for number in range(55):
        answer = await ann.call("sendMessage", {"sortieId": SORTIE, "content": str(number), "type": "text"})
        assert (answer["success"], answer["chatId"]) == (True, outing.chat)
    for named in ({"sortieId": SORTIE}, {"chatId": outing.chat}, SORTIE):
        await ann.emit("joinRoom", named)
        room = await ann.expect("joinedRoom")
        assert (room["sortieId"], room["chatId"], room["name"]) == (SORTIE, outing.chat, "Plage")
        assert [message["content"] for message in room["messages"]] == [str(number) for number in range(5, 55)]
    assert await ann.call("joinRoom", {"sortieId": SORTIE}) == room
    last = room["messages"][-1]
    assert last.keys() >= FIELDS
    assert (last["_id"], last["senderId"], last["sender"]["_id"], last["readBy"]) == (last["id"], "ann", "ann", ["ann"])
    assert (last["sortieId"], last["chatId"], last["isDeleted"], last["replyTo"]) == (SORTIE, outing.chat, False, None)


async def test_a_message_reaches_everybody_in_the_chat(outing: Outing, people: PeopleOf) -> None:
    """The sender, too; on both gateways; nobody who has not joined or has left."""
    await outing.admit("bob", "carl")
    ann, bob, carl = await joined(await people("ann")), await joined(await people("bob", 1)), await people("carl")
    sent = await ann.call("sendMessage", {"sortieId": SORTIE, "content": "Sun cream!", "clientId": "c-1"})
    assert sent["clientId"] == "c-1"
    for person in (ann, bob):
        told = await person.expect("receiveMessage", lambda data: data["content"] == "Sun cream!")
        assert told.keys() >= FIELDS
        assert (told["_id"], told["sender"]["id"], told["type"], told["sortieId"]) == (
            sent["_id"],
            "ann",
            "text",
            SORTIE,
        )
        assert told["readBy"] == ["ann"]
    again = await ann.call("sendMessage", {"sortieId": SORTIE, "content": "Sun cream!", "clientId": "c-1"})
    assert again["messageId"] == sent["messageId"]
    left = await bob.call("leaveRoom", {"sortieId": SORTIE})
    assert (left["success"], left["chatId"]) == (True, outing.chat)
    answer = await bob.call("sendMessage", {"chatId": outing.chat, "content": "Towels!", "replyTo": sent["_id"]})
    told = await ann.expect("receiveMessage", lambda data: data["content"] == "Towels!")
    assert (told["_id"], told["replyTo"]) == (answer["_id"], sent["_id"])
    await bob.call("markAsRead", {"messageId": sent["_id"]})
    for person, name in ((bob, "Towels!"), (carl, "Sun cream!")):
        assert [heard for heard in person.log if heard.name == "receiveMessage" and heard.data["content"] == name] == []


@pytest.mark.parametrize(
    "message",
    [
        {"type": "image", "content": "", "mediaUrl": "https://cdn.example/i.jpg", "thumbnailUrl": "https://cdn.example/t"},
        {"type": "video", "mediaUrl": "https://cdn.example/v.mp4", "mediaDuration": 12.5, "mimeType": "video/mp4"},
        {"type": "audio", "mediaUrl": "https://cdn.example/a.ogg", "mediaDuration": 3, "fileSize": 4096},
        {"type": "file", "content": "the menu", "mediaUrl": "/files/menu.pdf", "fileName": "menu.pdf", "fileSize": 12},
        {"type": "LOCATION", "location": {"latitude": 36.8, "longitude": 10.18, "address": "Tunis", "name": "Port"}},
    ],
)  # fmt: skip
async def test_what_is_no_text(outing: Outing, people: PeopleOf, message: dict[str, Any]) -> None:
    """Images, videos, audio, files and places keep all their fields, live and in the history."""
    ann = await joined(await people("ann"))
    await ann.call("sendMessage", {"sortieId": SORTIE, **message})
    wanted = {"content": "", **message, "type": message["type"].lower()}
    told = await ann.expect("receiveMessage", lambda data: data["type"] == wanted["type"])
    page = (await outing.api("ann")("GET", f"/messages/sortie/{SORTIE}?limit=1")).body["messages"]
    for shown in (told, page[0]):
        assert {name: shown[name] for name in wanted} == wanted


async def test_typing_and_reading(outing: Outing, people: PeopleOf) -> None:
    """Typing is told to the others; every message that somebody has newly read is told by its id."""
    await outing.admit("bob")
    ann, bob = await joined(await people("ann")), await joined(await people("bob", 1))
    await bob.emit("typing", {"sortieId": SORTIE, "isTyping": True})
    typing = {"userId": "bob", "chatId": outing.chat, "sortieId": SORTIE}
    assert await ann.expect("userTyping") == {**typing, "isTyping": True}
    await bob.emit("typing", {"chatId": outing.chat, "isTyping": False})
    assert await ann.expect("userTyping") == {**typing, "isTyping": False}
    ids = [(await ann.call("sendMessage", {"sortieId": SORTIE, "content": text}))["_id"] for text in "abc"]
    assert await bob.call("markAsRead", {"messageId": ids[2]}) == {"success": True, "messageId": ids[2]}
    for message_id in ids:
        told = await ann.expect("messageRead", lambda data, it=message_id: data["messageId"] == it)  # type: ignore[misc]
        assert (told["userId"], told["chatId"], told["sortieId"]) == ("bob", outing.chat, SORTIE)
        one = (await outing.api("ann")("GET", f"/messages/{message_id}")).body
        assert set(one["readBy"]) == {"ann", "bob"}
    assert [heard.name for heard in bob.log if heard.name == "userTyping"] == []


async def test_old_messages_are_named_when_they_are_read(outing: Outing, people: PeopleOf) -> None:
    """Also those that were written while nobody was connected to the gateway that tells of it."""
    await outing.admit("bob")
    send = outing.api("ann")
    ids = [
        (await send("POST", f"/messages/sortie/{SORTIE}", {"content": str(number)})).body["_id"] for number in range(3)
    ]
    ann = await joined(await people("ann", 1))
    assert (await outing.api("bob")("POST", f"/messages/{ids[1]}/read")).body == {"success": True, "messageId": ids[1]}
    for message_id in ids[:2]:
        told = await ann.expect("messageRead", lambda data, it=message_id: data["messageId"] == it)  # type: ignore[misc]
        assert told["userId"] == "bob"
    assert [heard for heard in ann.log if heard.name == "messageRead" and heard.data["messageId"] == ids[2]] == []


async def test_who_opens_and_leaves_the_chat(outing: Outing, people: PeopleOf) -> None:
    """Is seen by the others, on both gateways: by word, and when the connection ends."""
    await outing.admit("bob", "carl")
    ann, carl = await joined(await people("ann")), await joined(await people("carl", 1))
    bob = await joined(await people("bob", 1))
    for person in (ann, carl):
        told = await person.expect("userJoinedRoom", lambda data: data["userId"] == "bob")
        assert (told["chatId"], told["sortieId"]) == (outing.chat, SORTIE)
    await bob.emit("leaveRoom", {"sortieId": SORTIE})
    for person in (ann, carl):
        assert (await person.expect("userLeftRoom"))["userId"] == "bob"
    await joined(bob)
    await ann.expect("userJoinedRoom", lambda data: data["userId"] == "bob")
    await bob.client.disconnect()
    for person in (ann, carl):
        assert (await person.expect("userLeftRoom"))["userId"] == "bob"
    assert [heard for heard in bob.log if heard.name.startswith("user")] == []


async def test_who_is_online(outing: Outing, people: PeopleOf) -> None:
    """Members who are connected anywhere, and how many; of the chat named or the one joined last."""
    await outing.admit("bob", "carl")
    ann = await joined(await people("ann"))
    await people("bob", 1)
    asked: list[Any] = [{"sortieId": SORTIE}, {"chatId": outing.chat}, SORTIE, None]
    for number in range(200):
        await ann.emit("getOnlineUsers", asked[number % len(asked)])
        told = await ann.expect("onlineUsers")
        if told["count"] == 2 and number >= len(asked):
            break
    assert (sorted(told["users"]), told["count"], told["chatId"]) == (["ann", "bob"], 2, outing.chat)


async def test_changes_of_a_message_are_told(outing: Outing, people: PeopleOf) -> None:
    """An edit by the message, a deletion by its id; its place stays, without what it said."""
    ann = await joined(await people("ann"))
    sent = await ann.call("sendMessage", {"sortieId": SORTIE, "content": "oops"})
    await outing.api("ann")("PATCH", f"/v1/messages/{sent['_id']}", {"content": "ooops"})
    told = await ann.expect("messageUpdated")
    assert (told["_id"], told["content"], told["updatedAt"] > told["createdAt"]) == (sent["_id"], "ooops", True)
    gone = await outing.api("ann")("DELETE", f"/messages/{sent['_id']}")
    assert gone.body.get("success"), gone
    told = await ann.expect("messageDeleted")
    assert told == {"messageId": sent["_id"], "chatId": outing.chat, "sortieId": SORTIE}
    room = await ann.call("joinRoom", SORTIE)
    assert [(message["isDeleted"], message["content"]) for message in room["messages"]][-1] == (True, "")


@pytest.mark.parametrize(
    ("name", "payload", "code"),
    [
        ("joinRoom", {"sortieId": SORTIE}, "forbidden"),
        ("joinRoom", {"sortieId": "none"}, "not_found"),
        ("joinRoom", {}, "invalid"),
        ("joinRoom", [1], "invalid"),
        ("sendMessage", {"sortieId": SORTIE, "content": "let me in"}, "forbidden"),
        ("sendMessage", {"content": "where?"}, "invalid"),
        ("typing", {"sortieId": SORTIE, "isTyping": True}, "forbidden"),
        ("markAsRead", {"messageId": NOBODY}, "not_found"),
        ("markAsRead", {"messageId": "x"}, "invalid"),
        ("getOnlineUsers", {"sortieId": SORTIE}, "forbidden"),
        ("getOnlineUsers", None, "invalid"),
        ("noSuchThing", {}, "invalid"),
    ],
)
async def test_strangers_are_refused(outing: Outing, people: PeopleOf, name: str, payload: Any, code: str) -> None:
    """By an `error` that says why, and which is also the answer to who wants one."""
    eve = await people("eve")
    answer = await eve.call(name, payload)
    told = await eve.expect("error")
    assert answer == told
    assert (told["event"], told["code"], told["message"] != "") == (name, code, True)


@pytest.mark.parametrize(
    "message",
    [
        {"content": ""},
        {"type": "image", "content": "no url"},
        {"type": "image", "mediaUrl": "javascript:alert(1)"},
        {"type": "location"},
        {"type": "location", "location": {"latitude": 91, "longitude": 0}},
        {"type": "system", "content": "I am the system"},
        {"type": "dance", "content": "x"},
        {"content": "x", "replyTo": "x"},
        {"content": {"not": "text"}},
    ],
)
async def test_what_is_no_message_is_refused(outing: Outing, people: PeopleOf, message: dict[str, Any]) -> None:
    """Nothing of it is kept, and the socket goes on."""
    ann = await joined(await people("ann"))
    await ann.call("sendMessage", {"sortieId": SORTIE, **message})
    assert (await ann.expect("error"))["event"] == "sendMessage"
    await ann.call("sendMessage", {"content": "in the chat joined last"})
    await ann.expect("receiveMessage", lambda data: data["content"] == "in the chat joined last")
    page = await outing.api("ann")("GET", f"/messages/sortie/{SORTIE}")
    assert [shown["content"] for shown in page.body["messages"]] == ["Welcome to Plage", "in the chat joined last"]
