"""The outing dialect over REST: every endpoint of its document, pages both ways, and who is refused."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.harness.rest import Api
from tests.integration.dialect_outing import SORTIE, Outing

pytest_plugins = ("tests.integration.integration_fixtures", "tests.integration.dialect_outing_fixtures")

ApiOf = Callable[..., Api]
NOBODY = "0" * 24
MESSAGES = f"/messages/sortie/{SORTIE}"


async def write(api: Api, *contents: str) -> list[str]:
    """Messages, one after the other; their ids."""
    ids = []
    for content in contents:
        answer = await api("POST", MESSAGES, {"content": content})
        assert answer.status == 201, answer
        ids.append(answer.body["_id"])
    return ids


async def contents(api: Api, path: str) -> list[str]:
    """What a page says."""
    answer = await api("GET", path)
    assert answer.status == 200, answer
    return [message["content"] for message in answer.body["messages"]]


async def test_chats_are_listed_and_shown(outing: Outing, api: ApiOf) -> None:
    """With their members, what was said last, and how much of it is unread."""
    await outing.admit("bob")
    ann, bob = api("ann"), api("bob")
    await outing.rooms.said(outing.chat, "bob joined")
    (last,) = await write(ann, "hello")
    answer = await bob("GET", "/chats")
    assert answer.status == 200
    (chat,) = answer.body
    assert (chat["_id"], chat["id"], chat["sortieId"], chat["name"]) == (outing.chat, outing.chat, SORTIE, "Plage")
    assert (sorted(chat["members"]), chat["memberCount"], chat["isActive"]) == (["ann", "bob"], 2, True)
    shown = chat["lastMessage"]
    assert (shown["_id"], shown["content"], shown["sortieId"], shown["readBy"]) == (last, "hello", SORTIE, ["ann"])
    assert chat["unreadCount"] == 3  # the welcome and the remark that bob joined are unread, too
    for path in (f"/chats/sortie/{SORTIE}", f"/chats/{outing.chat}"):
        assert (await bob("GET", path)).body == chat
    await bob("POST", f"/messages/{last}/read")
    (chat,) = (await bob("GET", "/chats")).body
    assert (chat["unreadCount"], chat["lastMessage"]["readBy"]) == (0, ["ann", "bob"])
    assert (await api("eve")("GET", "/chats")).body == []


async def test_only_chats_of_outings_are_shown(outing: Outing, api: ApiOf) -> None:
    """A user's other rooms are none of this API's."""
    ann = api("ann")
    made = await ann("POST", "/v1/rooms", {"name": "Tea"})
    assert [chat["_id"] for chat in (await ann("GET", "/chats")).body] == [outing.chat]
    assert (await ann("GET", f"/chats/{made.body['id']}")).status == 404


async def test_members_are_listed(outing: Outing, api: ApiOf) -> None:
    """With their names, their roles, and since when."""
    await outing.admit("bob")
    members = (await api("bob")("GET", f"/chats/sortie/{SORTIE}/members")).body
    assert [(member["_id"], member["userId"], member["role"]) for member in members] == [
        ("ann", "ann", "owner"), ("bob", "bob", "member"),
    ]  # fmt: skip
    assert all(member["joinedAt"].startswith("20") for member in members)
    (second,) = (await api("ann")("GET", f"/chats/sortie/{SORTIE}/members?after=ann&limit=1")).body
    assert second["id"] == "bob"


async def test_pages_by_number(outing: Outing, api: ApiOf) -> None:
    """The latest first, each in the order of writing."""
    ann = api("ann")
    await outing.rooms.said(outing.chat, "Welcome to Plage")
    await write(ann, *"abcdef")
    for base in (MESSAGES, f"/messages/chat/{outing.chat}"):
        assert await contents(ann, f"{base}?page=1&limit=3") == ["d", "e", "f"]
        assert await contents(ann, f"{base}?page=2&limit=3") == ["a", "b", "c"]
        page = (await ann("GET", f"{base}?page=3&limit=3")).body
        assert [message["content"] for message in page["messages"]] == ["Welcome to Plage"]
        facts = {name: page[name] for name in ("total", "page", "limit", "totalPages", "hasMore", "nextCursor")}
        assert facts == {"total": 7, "page": 3, "limit": 3, "totalPages": 3, "hasMore": False, "nextCursor": None}


async def test_pages_by_cursor(outing: Outing, api: ApiOf) -> None:
    """Before a message or a time, whatever is written meanwhile."""
    ann = api("ann")
    await outing.rooms.said(outing.chat, "Welcome to Plage")
    ids = await write(ann, *"abcde")
    page = (await ann("GET", f"{MESSAGES}?limit=2")).body
    assert (page["hasMore"], page["nextCursor"]) == (True, ids[3])
    await write(ann, "f")
    seen = [message["content"] for message in page["messages"]]
    while page["nextCursor"] is not None:
        page = (await ann("GET", f"{MESSAGES}?limit=2&before={page['nextCursor']}")).body
        seen = [message["content"] for message in page["messages"]] + seen
    assert seen == ["Welcome to Plage", *"abcde"]
    moment = (await ann("GET", f"/messages/{ids[2]}")).body["createdAt"]
    assert (await contents(ann, f"{MESSAGES}?limit=2&before={moment}"))[-1] == "b"


async def test_a_cursor_of_another_chat_is_refused(outing: Outing, api: ApiOf) -> None:
    """It would cut this one somewhere."""
    ann = api("ann")
    room = (await ann("POST", "/v1/rooms", {"name": "Tea"})).body["id"]
    sent = await ann("POST", f"/v1/rooms/{room}/messages", {"content": "elsewhere"})
    answer = await ann("GET", f"{MESSAGES}?before={sent.body['message_id']}")
    assert (answer.status, answer.body["message"]) == (400, "'before' is a message of another chat.")
    assert (await ann("GET", f"{MESSAGES}?before=yesterday")).status == 400


async def test_a_message_is_sent_shown_read_and_deleted(outing: Outing, api: ApiOf) -> None:
    """The same `clientId` sends it once; its place stays when it is gone."""
    await outing.admit("bob")
    ann, bob = api("ann"), api("bob")
    body = {
        "type": "file",
        "content": "menu",
        "mediaUrl": "https://cdn.example/m.pdf",
        "fileName": "m.pdf",
        "fileSize": 9,
    }
    sent = await ann("POST", MESSAGES, {**body, "clientId": "c-1"})
    assert sent.status == 201
    assert {name: sent.body[name] for name in body} == body
    assert (sent.body["readBy"], sent.body["clientId"], sent.body["sortieId"]) == (["ann"], "c-1", SORTIE)
    again = await ann("POST", MESSAGES, {**body, "clientId": "c-1"})
    assert (again.status, again.body["_id"]) == (200, sent.body["_id"])
    one = f"/messages/{sent.body['_id']}"
    assert (await bob("POST", f"{one}/read")).body == {"success": True, "messageId": sent.body["_id"]}
    shown = await bob("GET", one)
    assert (shown.status, sorted(shown.body["readBy"])) == (200, ["ann", "bob"])
    assert (await ann("DELETE", one)).body["success"] is True
    gone = (await bob("GET", one)).body
    assert (gone["isDeleted"], gone["content"], gone["mediaUrl"], gone["fileName"]) == (True, "", None, None)
    assert gone["updatedAt"] > gone["createdAt"]


@pytest.mark.parametrize("who", ["bob", "root"])
async def test_only_its_sender_deletes_a_message(outing: Outing, api: ApiOf, who: str) -> None:
    """Not the others, nor the outing's owner, nor an admin."""
    await outing.admit("bob", "carl")
    (mine,) = await write(api("carl"), "mine")
    roles = {"roles": ("admin",)} if who == "root" else {}
    for caller in (api(who, **roles), api("ann")):
        answer = await caller("DELETE", f"/messages/{mine}")
        assert (answer.status, answer.body["error"]) == (403, "Forbidden")
    assert (await api("carl")("GET", f"/messages/{mine}")).body["isDeleted"] is False


WAYS: list[tuple[str, str, Any]] = [
    ("GET", f"/chats/sortie/{SORTIE}", None),
    ("GET", "/chats/{chat}", None),
    ("GET", f"/chats/sortie/{SORTIE}/members", None),
    ("GET", MESSAGES, None),
    ("GET", "/messages/chat/{chat}", None),
    ("POST", MESSAGES, {"content": "let me in"}),
    ("GET", "/messages/{message}", None),
    ("DELETE", "/messages/{message}", None),
    ("POST", "/messages/{message}/read", None),
    ("PATCH", "/participations/p-bob/status", {"status": "ACCEPTEE"}),
]


async def test_strangers_are_refused(outing: Outing, api: ApiOf) -> None:
    """At every endpoint: no member, another tenant, no token, a bad one; in the shape of NestJS."""
    await outing.admit("bob")
    (message,) = await write(api("ann"), "secret")
    callers = [
        (api("eve"), 403, "Forbidden"),
        (api("ann", tenant="elsewhere"), 404, "Not Found"),
        (api(None), 401, "Unauthorized"),
        (api("ann", ttl=-60), 401, "Unauthorized"),
    ]
    for method, path, body in WAYS:
        for caller, status, reason in callers:
            answer = await caller(method, path.format(chat=outing.chat, message=message), body)
            assert (answer.status, answer.body["error"]) == (status, reason), (method, path, answer)
            assert (answer.body["statusCode"], answer.body["message"] != "") == (status, True)
            assert "secret" not in str(answer.body)
    assert (await api(None)("GET", "/chats")).status == 401
    assert (await api("ann", tenant="elsewhere")("GET", "/chats")).body == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", f"{MESSAGES}?limit=0", None, 400),
        ("GET", f"{MESSAGES}?limit=9999", None, 400),
        ("GET", f"{MESSAGES}?page=-1", None, 400),
        ("POST", MESSAGES, {}, 400),
        ("POST", MESSAGES, {"type": "image"}, 400),
        ("POST", MESSAGES, {"type": "system", "content": "x"}, 403),
        ("POST", MESSAGES, {"content": "x", "replyTo": NOBODY}, 400),
        ("GET", "/messages/none", None, 400),
        ("GET", f"/messages/{NOBODY}", None, 404),
        ("DELETE", f"/messages/{NOBODY}", None, 404),
        ("GET", "/chats/none", None, 404),
        ("GET", "/chats/sortie/none", None, 404),
        ("PATCH", "/participations/p-bob/status", {"status": "MAYBE"}, 400),
        ("PATCH", "/participations/p-bob/status", {}, 400),
        ("PATCH", "/participations/p-none/status", {"status": "ACCEPTEE"}, 404),
    ],
)
async def test_what_is_wrong_is_refused(
    outing: Outing, api: ApiOf, method: str, path: str, body: Any, status: int
) -> None:
    """With the reason, and in the shape of NestJS."""
    answer = await api("ann")(method, path, body)
    assert (answer.status, answer.body["statusCode"]) == (status, status), answer
    assert answer.body["message"] != ""


async def test_a_body_that_is_no_json(outing: Outing, api: ApiOf) -> None:
    """Is refused in the same shape."""
    answer = await api("ann")("POST", MESSAGES, raw=b"{")
    assert (answer.status, answer.body["error"]) == (400, "Bad Request")
