"""The eventchat dialect on the real stack, over REST: every endpoint of its document, and every refusal."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.harness.rest import Answer, Api
from tests.integration.integration_client import Outside

ApiOf = Callable[..., Api]
JSON = dict[str, Any]

NO_MESSAGE = "0" * 24


async def made(caller: Api, **chat: Any) -> JSON:
    """Make a chat; what it is then."""
    answer = await caller("POST", "/chat", chat)
    assert answer.status == 201, answer.body
    body: JSON = answer.body
    return body


async def wrote(caller: Api, chat: str, content: str = "Hi") -> JSON:
    """Write a message; what it is then."""
    answer = await caller("POST", "/chat/message", {"chatId": chat, "content": content})
    assert answer.status == 201, answer.body
    body: JSON = answer.body
    return body


def people(chat: JSON) -> dict[str, str]:
    """The role of each participant."""
    return {it["userId"]: it["role"] for it in chat["participants"]}


def refused(answer: Answer, status: int, error: str) -> str:
    """The message of a refusal."""
    assert (answer.status, answer.body["statusCode"], answer.body["error"]) == (status, status, error), answer.body
    message: str = answer.body["message"]
    return message


class TestChats:
    async def test_a_direct_one_is_one(self, api: ApiOf) -> None:
        """Whoever begins, whatever the other is named by."""
        alice, bob = api("alice"), api("bob", name="Bob B")
        chat = await made(alice, participantIds=["bob"])
        assert (chat["type"], people(chat)) == ("direct", {"alice": "member", "bob": "member"})
        for body in ({"userId": "alice"}, {"type": "DIRECT", "participants": [{"id": "alice"}, {"id": "bob"}]}):
            again = await bob("POST", "/chat", body)
            assert (again.status, again.body["id"]) == (200, chat["id"])
        assert (await wrote(bob, chat["id"]))["senderName"] == "Bob B"

    async def test_a_group_has_a_name_or_several(self, api: ApiOf) -> None:
        """Its maker owns it."""
        alice = api("alice")
        named = await made(alice, name="Trip", participants=["bob"], metadata={"colour": "red"})
        assert (named["type"], named["name"], named["metadata"]) == ("group", "Trip", {"colour": "red"})
        several = await made(alice, participants=["bob", "carl"])
        assert (several["type"], people(several)) == ("group", {"alice": "owner", "bob": "member", "carl": "member"})

    async def test_events_have_theirs(self, api: ApiOf, tenant: str) -> None:
        """They are made and filled by what the event's system tells, and by nobody inside."""
        service, outside, ann = api("backend", roles=("service",)), Outside(tenant), api("ann")
        told = outside.event("event.created", event_id="7", title="Jazz", creator_id="ann", participants=["bob"])
        assert (await service("POST", "/v1/integration/events", told)).body["results"][0]["applied"]
        [chat] = (await ann("GET", "/chat")).body
        assert (chat["type"], chat["name"], chat["eventId"]) == ("event", "Jazz", "7")
        assert people(chat) == {"ann": "owner", "bob": "member"}
        path = f"/chat/{chat['id']}"
        refused(await ann("POST", f"{path}/participants", {"userIds": ["carl"]}), 403, "Forbidden")
        refused(await ann("DELETE", path), 403, "Forbidden")
        refused(await ann("POST", "/chat", {"type": "event", "eventId": "8", "name": "Mine"}), 403, "Forbidden")

    async def test_the_list_shows_where_they_stand(self, api: ApiOf) -> None:
        """The chat with the latest message first, a page of them where that is asked for."""
        alice, bob = api("alice"), api("bob")
        first, second = [await made(alice, name=name, participants=["bob"]) for name in ("one", "two")]
        await wrote(alice, second["id"], "earlier")
        message = await wrote(alice, first["id"], "later")
        listed = (await bob("GET", "/chat")).body
        assert [chat["id"] for chat in listed] == [first["id"], second["id"]]
        assert (listed[0]["lastMessage"]["id"], listed[0]["unreadCount"]) == (message["id"], 1)
        page = (await bob("GET", "/chat?page=2&limit=1")).body
        assert [chat["id"] for chat in page] == [second["id"]]

    async def test_other_dialects_paths_stay_theirs(self, api: ApiOf) -> None:
        """`/chat/{id}` would take them for chats."""
        alice = api("alice")
        assert set((await alice("GET", "/chat/rooms")).body) == {"rooms", "total", "page", "limit"}
        assert (await api(None)("GET", "/chat/health")).body["status"] == "healthy"
        chat = await made(alice, name="Trip")
        sent = await alice("POST", "/chat/messages", {"chat_room_id": chat["id"], "content": "booking's"})
        assert sent.body["chat_room_id"] == chat["id"]
        assert (await alice("GET", f"/chat/sessions/{chat['id']}/messages/count")).body["count"] == 1


class TestLeaving:
    async def test_the_owner_deletes(self, api: ApiOf) -> None:
        """It is gone for everybody."""
        alice, bob = api("alice"), api("bob")
        chat = await made(alice, name="Trip", participants=["bob"])
        answer = await alice("DELETE", f"/chat/{chat['id']}")
        assert (answer.status, answer.body) == (200, {"success": True, "id": chat["id"], "deleted": True})
        refused(await bob("GET", f"/chat/{chat['id']}"), 404, "Not Found")

    @pytest.mark.parametrize("roles", [(), ("admin",)], ids=["member", "member who is an admin elsewhere"])
    async def test_others_leave(self, api: ApiOf, roles: tuple[str, ...]) -> None:
        """Even who might delete: they are in it, and it is another's."""
        alice, bob = api("alice"), api("bob", roles=roles)
        chat = await made(alice, name="Trip", participants=["bob"])
        answer = await bob("DELETE", f"/chat/{chat['id']}")
        assert (answer.status, answer.body["deleted"]) == (200, False)
        assert people((await alice("GET", f"/chat/{chat['id']}")).body) == {"alice": "owner"}

    async def test_an_admin_deletes_what_is_not_theirs(self, api: ApiOf) -> None:
        """They are not in it, so there is nothing to leave."""
        chat = await made(api("alice"), name="Trip", participants=["bob"])
        answer = await api("root", roles=("admin",))("DELETE", f"/chat/{chat['id']}")
        assert (answer.status, answer.body["deleted"]) == (200, True)

    async def test_nobody_leaves_a_direct_chat(self, api: ApiOf) -> None:
        """Its two are in it for ever."""
        alice = api("alice")
        chat = await made(alice, participants=["bob"])
        refused(await alice("DELETE", f"/chat/{chat['id']}"), 403, "Forbidden")


class TestParticipants:
    async def test_they_come_and_go(self, api: ApiOf) -> None:
        """Several at once; a member goes by their own wish, or the owner's."""
        alice, bob = api("alice"), api("bob")
        chat = await made(alice, name="Trip", participants=["bob"])
        path = f"/chat/{chat['id']}/participants"
        answer = await alice("POST", path, {"userIds": ["carl", "dora", "bob"]})
        assert answer.status == 201
        assert set(people(answer.body)) == {"alice", "bob", "carl", "dora"}
        answer = await alice("DELETE", f"{path}/carl")
        assert (answer.status, answer.body) == (200, {"success": True, "chatId": chat["id"], "userId": "carl"})
        assert (await bob("DELETE", f"{path}/bob")).status == 200
        assert set(people((await alice("GET", f"/chat/{chat['id']}")).body)) == {"alice", "dora"}

    async def test_not_by_everybody(self, api: ApiOf) -> None:
        """Members neither add nor remove, strangers are told nothing."""
        alice, bob, mallory = api("alice"), api("bob"), api("mallory")
        chat = await made(alice, name="Trip", participants=["bob", "carl"])
        path = f"/chat/{chat['id']}/participants"
        for somebody in (bob, mallory):
            refused(await somebody("POST", path, {"userId": "dora"}), 403, "Forbidden")
            refused(await somebody("DELETE", f"{path}/carl"), 403, "Forbidden")
        refused(await mallory("GET", f"/chat/{chat['id']}"), 403, "Forbidden")
        refused(await alice("POST", path, {"userIds": []}), 400, "Bad Request")


class TestMessages:
    @pytest.mark.parametrize(
        ("sent", "shown"),
        [
            ({"content": "Hi", "metadata": {"a": 1}}, {"type": "text", "metadata": {"a": 1}}),
            ({"imageUrl": "https://x.org/a.png"}, {"type": "image", "mediaUrl": "https://x.org/a.png"}),
            ({"mediaUrl": "/m/1", "mimeType": "video/mp4"}, {"type": "video", "mimeType": "video/mp4"}),
            ({"fileUrl": "/m/2", "mimeType": "text/plain", "fileName": "a"}, {"type": "file", "fileName": "a"}),
            (
                {"type": "LOCATION", "location": {"lat": 48.1, "lng": 11.5, "name": "Here"}},
                {"type": "location", "location": {"latitude": 48.1, "longitude": 11.5, "name": "Here"}},
            ),
        ],
        ids=["text", "image", "video", "file", "location"],
    )
    async def test_every_kind_is_kept(self, api: ApiOf, sent: JSON, shown: JSON) -> None:
        """Its kind is what it is made of, where it does not say."""
        alice = api("alice")
        chat = await made(alice, participants=["bob"])
        answer = await alice("POST", "/chat/message", {"chatId": chat["id"], **sent})
        assert answer.status == 201
        assert {name: answer.body[name] for name in shown} == shown
        assert (answer.body["chatId"], answer.body["senderId"]) == (chat["id"], "alice")

    async def test_they_are_changed_and_deleted(self, api: ApiOf) -> None:
        """By who wrote them."""
        alice, bob = api("alice"), api("bob")
        chat = await made(alice, participants=["bob"])
        message = await wrote(alice, chat["id"])
        refused(await bob("PATCH", "/chat/message", {"messageId": message["id"], "content": "x"}), 403, "Forbidden")
        refused(await bob("DELETE", f"/chat/message/{message['id']}"), 403, "Forbidden")
        answer = await alice("PATCH", "/chat/message", {"messageId": message["id"], "content": "Hello"})
        assert (answer.status, answer.body["content"]) == (200, "Hello")
        assert answer.body["editedAt"]
        answer = await alice("DELETE", f"/chat/message/{message['id']}")
        assert (answer.status, answer.body) == (200, {"success": True, "messageId": message["id"]})

    async def test_history_goes_back(self, api: ApiOf) -> None:
        """From the latest, before the first that one has."""
        alice, bob = api("alice"), api("bob")
        chat = await made(alice, participants=["bob"])
        for number in range(5):
            await wrote(alice, chat["id"], str(number))
        path = f"/chat/{chat['id']}/messages?limit=3"
        latest = (await bob("GET", path)).body
        assert ([it["content"] for it in latest["messages"]], latest["hasMore"]) == (["2", "3", "4"], True)
        earlier = (await bob("GET", f"{path}&before={latest['messages'][0]['id']}")).body
        assert ([it["content"] for it in earlier["messages"]], earlier["hasMore"]) == (["0", "1"], False)

    async def test_what_is_wrong_is_said(self, api: ApiOf) -> None:
        """In NestJS's shape, naming the field."""
        alice, chat = api("alice"), await made(api("alice"), participants=["bob"])
        assert "chatId" in refused(await alice("POST", "/chat/message", {"content": "x"}), 400, "Bad Request")
        refused(await alice("POST", "/chat/message", {"chatId": chat["id"]}), 400, "Bad Request")
        refused(await alice("PATCH", "/chat/message", {"messageId": NO_MESSAGE, "content": "x"}), 404, "Not Found")
        refused(await alice("DELETE", f"/chat/message/{NO_MESSAGE}"), 404, "Not Found")
        refused(await alice("GET", "/chat/nowhere"), 404, "Not Found")
        stranger = {"chatId": chat["id"], "content": "x"}
        refused(await api("mallory")("POST", "/chat/message", stranger), 403, "Forbidden")
        refused(await api("bob", tenant="elsewhere")("POST", "/chat/message", stranger), 404, "Not Found")

    async def test_a_token_is_needed(self, api: ApiOf) -> None:
        """For everything."""
        nobody = api(None)
        for method, path, body in (
            ("POST", "/chat", {"participants": ["bob"]}),
            ("GET", "/chat", None),
            ("GET", "/chat/x", None),
            ("DELETE", "/chat/x", None),
            ("GET", "/chat/x/messages", None),
            ("POST", "/chat/x/participants", {"userId": "bob"}),
            ("DELETE", "/chat/x/participants/bob", None),
            ("POST", "/chat/message", {"chatId": "x", "content": "x"}),
            ("PATCH", "/chat/message", {"messageId": NO_MESSAGE, "content": "x"}),
            ("DELETE", f"/chat/message/{NO_MESSAGE}", None),
        ):
            refused(await nobody(method, path, body), 401, "Unauthorized")
