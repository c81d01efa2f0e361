"""The session dialect on the real stack, over REST: every endpoint of its document, and every refusal."""

from collections.abc import Callable
from typing import Any

import pytest

from shared.auth import issue_token
from tests.harness.rest import Answer, Api
from tests.integration.integration_client import Outside

ApiOf = Callable[..., Api]
JSON = dict[str, Any]

S1 = "/chat/sessions/s-1/messages"
NOWHERE = "/chat/sessions/nowhere/messages"
NO_MESSAGE = f"/chat/messages/{'0' * 24}"


@pytest.fixture
async def alice(api: ApiOf, tenant: str) -> Api:
    """The user of session s-1, of which another system has told."""
    service, outside = api("backend", roles=("service",)), Outside(tenant)
    told = outside.event("session.created", session_id="s-1", user_id="alice")
    assert (await service("POST", "/v1/integration/events", told)).body["results"][0]["applied"]
    return api("alice")


async def wrote(caller: Api, content: str, path: str = S1) -> JSON:
    """Write a message; what it is then."""
    answer = await caller("POST", path, {"content": content})
    assert answer.status == 201, answer.body
    message: JSON = answer.body
    return message


def refused(answer: Answer, status: int, error: str) -> str:
    """The message of a refusal, in NestJS's shape."""
    assert (answer.status, answer.body["statusCode"], answer.body["error"]) == (status, status, error), answer.body
    message: str = answer.body["message"]
    return message


class TestMessages:
    async def test_one_is_written_changed_and_deleted(self, alice: Api) -> None:
        """Each answer is the message as it is then (`ConversationMessage`)."""
        answer = await alice("POST", S1, {"content": "Hello, world!", "metadata": {"source": "api"}})
        written = answer.body
        assert answer.status == 201
        assert {name: value for name, value in written.items() if name not in {"id", "timestamp"}} == {
            "sessionId": "s-1",
            "role": "USER",
            "content": "Hello, world!",
            "metadata": {"source": "api"},
            "senderId": "alice",
        }
        path = f"/chat/messages/{written['id']}"
        answer = await alice("PUT", path, {"content": "Updated", "metadata": {"edited": True}})
        changed = answer.body
        assert (answer.status, changed["id"], changed["timestamp"]) == (200, written["id"], written["timestamp"])
        assert (changed["sessionId"], changed["content"], changed["metadata"]) == ("s-1", "Updated", {"edited": True})
        answer = await alice("DELETE", path)
        assert (answer.status, answer.body) == (200, {"success": True, "messageId": written["id"]})
        [left] = (await alice("GET", S1)).body
        assert left["content"] == ""
        assert left["deletedAt"]
        assert (await alice("GET", f"{S1}/recent")).body == []

    async def test_roles(self, alice: Api, api: ApiOf) -> None:
        """Users and assistants are told apart."""
        bot = api("bot", roles=("assistant",))
        await wrote(alice, "Hi")
        assert (await wrote(bot, "Hello"))["role"] == "ASSISTANT"
        assert [message["role"] for message in (await alice("GET", S1)).body] == ["USER", "ASSISTANT"]

    async def test_a_retry_is_the_same_message(self, alice: Api) -> None:
        """With a `client_id` beside what is documented."""
        first = await alice("POST", S1, {"content": "once", "client_id": "c1"})
        again = await alice("POST", S1, {"content": "once", "client_id": "c1"})
        assert (first.status, again.status) == (201, 200)
        assert first.body["id"] == again.body["id"]

    async def test_pages_count_from_the_latest(self, alice: Api) -> None:
        """Each page in the order of writing; what is cleared is on none."""
        for number in range(5):
            await wrote(alice, str(number))

        async def contents(path: str) -> list[str]:
            answer = await alice("GET", path)
            assert answer.status == 200
            return [message["content"] for message in answer.body]

        assert await contents(S1) == ["0", "1", "2", "3", "4"]
        assert await contents(f"{S1}?limit=2&offset=0") == ["3", "4"]
        assert await contents(f"{S1}?limit=2&offset=2") == ["1", "2"]
        assert await contents(f"{S1}?limit=2&offset=4") == ["0"]
        assert await contents(f"{S1}/recent?limit=3") == ["2", "3", "4"]
        assert (await alice("GET", f"{S1}/count")).body == {"sessionId": "s-1", "count": 5}
        answer = await alice("DELETE", S1)
        assert (answer.status, answer.body) == (200, {"success": True, "sessionId": "s-1"})
        assert await contents(S1) == []
        assert (await alice("GET", f"{S1}/count")).body["count"] == 0

    async def test_pages_and_the_count_agree_on_what_was_deleted(self, alice: Api) -> None:
        """It keeps its place: who turns pages by `offset` sees as many messages as are counted, each once."""
        written = [(await wrote(alice, str(number)))["id"] for number in range(5)]
        for number in (1, 3, 4):
            assert (await alice("DELETE", f"/chat/messages/{written[number]}")).status == 200
        count = (await alice("GET", f"{S1}/count")).body["count"]
        pages = [(await alice("GET", f"{S1}?limit=2&offset={offset}")).body for offset in range(0, count, 2)]
        assert [message["id"] for page in reversed(pages) for message in page] == written
        assert count == len(written)
        assert [bool(message.get("deletedAt")) for page in reversed(pages) for message in page] == [
            False, True, False, True, True,
        ]  # fmt: skip
        assert [message["content"] for message in (await alice("GET", f"{S1}/recent")).body] == ["0", "2"]

    async def test_a_session_has_two_names(self, alice: Api, tenant: str) -> None:
        """That of the other system, which is shown, and its room's; one made here has its room's only."""
        room_id = Outside(tenant).room("session", "s-1")
        message = await wrote(alice, "by its room", f"/chat/sessions/{room_id}/messages")
        assert message["sessionId"] == "s-1"
        assert [it["id"] for it in (await alice("GET", S1)).body] == [message["id"]]
        made = (await alice("POST", "/v1/rooms", {"type": "session"})).body["id"]
        assert (await wrote(alice, "here", f"/chat/sessions/{made}/messages"))["sessionId"] == made


class TestRefusals:
    async def test_without_a_token(self, alice: Api, api: ApiOf) -> None:
        """Nor with one that has expired, or that somebody else has signed."""
        nobody = api(None)
        for method, path, body in (
            ("POST", S1, {"content": "x"}),
            ("GET", S1, None),
            ("GET", f"{S1}/recent", None),
            ("GET", f"{S1}/count", None),
            ("PUT", NO_MESSAGE, {"content": "x"}),
            ("DELETE", NO_MESSAGE, None),
            ("DELETE", S1, None),
        ):
            refused(await nobody(method, path, body), 401, "Unauthorized")
        forged = issue_token("another secret, which is long enough", sub="alice")
        refused(await nobody("GET", S1, Authorization=f"Bearer {forged}"), 401, "Unauthorized")

    @pytest.mark.parametrize(
        ("sub", "claims"),
        [
            ("mallory", {}),
            ("alice", {"tenant": "elsewhere"}),
            ("bot", {"tenant": "elsewhere", "roles": ("assistant",)}),
        ],
        ids=["not theirs", "another tenant", "another tenant's assistant"],
    )
    async def test_sessions_of_others_are_not_there(
        self, alice: Api, api: ApiOf, sub: str, claims: JSON, tenant: str
    ) -> None:
        """By neither of their names; and neither are their messages to be changed."""
        message = await wrote(alice, "mine")
        other = api(sub, **claims)
        for name in ("s-1", Outside(tenant).room("session", "s-1"), "nowhere"):
            path = f"/chat/sessions/{name}/messages"
            for method, at, body in (
                ("POST", path, {"content": "x"}),
                ("GET", path, None),
                ("GET", f"{path}/recent", None),
                ("GET", f"{path}/count", None),
                ("DELETE", path, None),
            ):
                assert "Session not found" in refused(await other(method, at, body), 404, "Not Found")
        for method, body in (("PUT", {"content": "theirs"}), ("DELETE", None)):
            answer = await other(method, f"/chat/messages/{message['id']}", body)
            assert answer.status in {403, 404}, answer.body
        assert [it["content"] for it in (await alice("GET", S1)).body] == ["mine"]

    async def test_what_is_not_there(self, alice: Api) -> None:
        """A session, a message."""
        assert "Session not found" in refused(await alice("GET", NOWHERE), 404, "Not Found")
        refused(await alice("PUT", NO_MESSAGE, {"content": "x"}), 404, "Not Found")
        refused(await alice("DELETE", NO_MESSAGE), 404, "Not Found")

    async def test_what_is_malformed(self, alice: Api) -> None:
        """The field is named."""
        for body, field in (
            ({}, "content"),
            ({"content": ""}, "content"),
            ({"content": "x", "metadata": 1}, "metadata"),
        ):
            assert field in refused(await alice("POST", S1, body), 400, "Bad Request")
        assert "not JSON" in refused(await alice("POST", S1, raw=b"{"), 400, "Bad Request")
        for query in ("limit=0", "limit=x", "offset=-1"):
            assert query.split("=")[0] in refused(await alice("GET", f"{S1}?{query}"), 400, "Bad Request")
        refused(await alice("PUT", "/chat/messages/no-message", {"content": "x"}), 400, "Bad Request")
