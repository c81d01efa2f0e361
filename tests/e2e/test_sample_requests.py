"""The requests that the documents print, as they print them but for address, token and ids; and what they are answered.

Booking's are lines of curl, and run as they are. Session's and team's are requests, the latter with types of answers.
"""

import asyncio
import json
import re
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import ClientSession
from jsonschema import Draft202012Validator

from deploy.embedded.stack import Stack
from tests.conftest import ClientOf, TokenOf
from tests.e2e.samples import sample
from tests.e2e.typescript import schema_of
from tests.harness.npm import program

Answer = tuple[int, Any]

PATIENCE = 30.0
SEPARATOR = "\n###\n"
MESSAGE = schema_of(sample("session/ConversationMessage.ts"))


def check(schema: dict[str, Any], value: Any) -> None:
    """A value is of a printed type."""
    Draft202012Validator(schema).validate(value)


class TestBooking:
    """Lines of curl."""

    @pytest.fixture
    def curl(self, stack: Stack, token: TokenOf, tmp_path: Path) -> Callable[..., Awaitable[Answer]]:
        """Runs a line. The status comes below the body, as a configuration file asks for."""
        (tmp_path / ".curlrc").write_text('silent\nwrite-out = "\\n%{http_code}"\n')
        program("curl", "curl")
        lines = sample("booking.sh").split("\n\n")

        async def run(number: int, *, sub: str = "alice", **places: str) -> Answer:
            text = lines[number].replace("http://localhost:3000", stack.gateway_urls[0])
            for placeholder, value in {"YOUR_JWT_TOKEN": token(sub, roles=("customer",)), **places}.items():
                text = text.replace(placeholder.replace("__", "-"), value)
            process = await asyncio.create_subprocess_exec("sh", "-c", text, stdout=PIPE, env={"HOME": str(tmp_path)})
            async with asyncio.timeout(PATIENCE):
                shown, _ = await process.communicate()
            body, _, status = shown.decode().rpartition("\n")
            return int(status), json.loads(body)

        return run

    async def test_curl(self, curl: Callable[..., Awaitable[Answer]], client: ClientOf) -> None:
        """Each in the document's order, for a customer and a hotel owner."""
        await client("bob", roles=("hotel_owner",))
        users = {"customer__user__id": "alice", "hotel__owner__id": "bob"}
        status, room = await curl(0, **users)
        assert (status, room["type"], room["hotel_id"]) == (201, "customer_hotel_owner", "hotel-id")
        assert (await curl(0, **users))[0] == 200
        status, page = await curl(1)
        assert (status, page["total"], page["page"], page["limit"]) == (200, 1, 1, 20)
        assert [shown["id"] for shown in page["rooms"]] == [room["id"]]
        status, first = await curl(2, room__uuid=room["id"])
        assert (status, first["content"], first["type"]) == (201, "Hello, how can I help you?", "text")
        status, page = await curl(3, sub="bob", ROOM_ID=room["id"])
        assert (status, page["total"], page["page"], page["limit"]) == (200, 1, 1, 50)
        assert [shown["id"] for shown in page["messages"]] == [first["id"]]
        assert (await curl(4, sub="bob", ROOM_ID=room["id"])) == (200, {"success": True, "roomId": room["id"]})
        status, file = await curl(5, room__uuid=room["id"])
        assert (status, file["file_url"], file["file_size"]) == (201, "https://example.com/file.pdf", 1024000)

    async def test_health(self, curl: Callable[..., Awaitable[Answer]]) -> None:
        """The answer is printed, with a time."""
        status, body = await curl(6)
        assert (status, body.pop("status")) == (200, "healthy")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body.pop("timestamp"))
        assert body == {}


class TestSession:
    """Requests with headers and body."""

    @pytest.fixture
    def ask(self, stack: Stack, token: TokenOf, http: ClientSession) -> Callable[..., Awaitable[Answer]]:
        """Sends the request of a number."""
        printed = sample("session/requests.http").split(SEPARATOR)

        async def send(number: int, **places: str) -> Answer:
            text = printed[number]
            for name, value in places.items():
                text = text.replace(f":{name}", value)
            head, _, body = text.partition("\n\n")
            line, *fields = head.splitlines()
            method, path = line.split()
            headers = {"Authorization": f"Bearer {token('alice')}", **dict(field.split(": ") for field in fields)}
            url = f"{stack.gateway_urls[0]}{path}"
            async with http.request(method, url, data=body or None, headers=headers) as response:
                return response.status, await response.json()

        return send

    async def test_requests(self, ask: Callable[..., Awaitable[Answer]], client: ClientOf) -> None:
        """Each in the document's order, in a session of alice's."""
        room = await (await client("alice")).create_room(type="session")
        status, sent = await ask(0, sessionId=room.id)
        check(MESSAGE, sent)
        assert (status, sent["content"], sent["metadata"]) == (201, "Hello, world!", {"source": "api"})
        for number in (1, 2):
            status, page = await ask(number, sessionId=room.id)
            check({"type": "array", "items": MESSAGE}, page)
            assert (status, [message["id"] for message in page]) == (200, [sent["id"]])
        assert await ask(3, sessionId=room.id) == (200, {"sessionId": room.id, "count": 1})
        status, updated = await ask(4, messageId=sent["id"])
        check(MESSAGE, updated)
        assert (status, updated["content"]) == (200, "Updated message content")
        assert updated["metadata"] == {"edited": True}
        assert (await ask(5, messageId=sent["id"]))[0] == 200
        assert (await ask(6, sessionId=room.id))[0] == 200
        assert await ask(1, sessionId=room.id) == (200, [])


class Printed(NamedTuple):
    """A request of the team document."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    """The type of the request's body."""
    answer: dict[str, Any]
    """The type of the response's."""


def read(text: str) -> Printed:
    """A request, and below its titles what belongs to it."""
    titles = dict(re.findall(r"^(\w+):(.*?)(?=^\w+:|\Z)", text, re.MULTILINE | re.DOTALL))
    headers = dict(re.findall(r"- ([\w-]+): (.*?)(?: +//.*)?$", titles.get("Headers", ""), re.MULTILINE))
    method, path = text.splitlines()[0].split()
    body = schema_of(titles["Request"]) if "Request" in titles else {}
    return Printed(method, path, headers, body, schema_of(titles["Response"]))


class TestTeam:
    """Requests with the types of what is answered."""

    @pytest.fixture
    def ask(self, stack: Stack, token: TokenOf, tenant: str, http: ClientSession) -> Callable[..., Awaitable[Answer]]:
        """Sends the request of a number, to the team's port; and looks at the answer's shape."""
        printed = [read(text) for text in sample("team/requests.txt").split(SEPARATOR)]

        async def send(number: int, body: Any = None, **places: str) -> Answer:
            asked = printed[number]
            check(asked.body, body)
            known = {"<token>": token("alice", name="Alice"), "<tenant>": tenant}
            headers = {name: known.get(value, value) for name, value in asked.headers.items()}
            if "Authorization" in headers:
                headers["Authorization"] = f"Bearer {known['<token>']}"
            path = asked.path
            for name, value in places.items():
                path = re.sub(rf"<{name}>|:{name}\b", value, path)
            url = f"http://127.0.0.1:{stack.ports.team}{path}"
            async with http.request(asked.method, url, json=body, headers=headers) as response:
                answer = await response.json()
                check(asked.answer if response.ok else schema_of(sample("team/error.ts")), answer)
                return response.status, answer

        return send

    async def test_service(self, ask: Callable[..., Awaitable[Answer]]) -> None:
        """Health and figures."""
        status, health = await ask(0)
        assert (status, health["status"]) == (200, "ok")
        status, figures = await ask(1)
        assert (status, figures["uptime"] > 0) == (200, True)

    async def test_requests(self, ask: Callable[..., Awaitable[Answer]], client: ClientOf) -> None:
        """Each in the document's order, in a group and in a room of two."""
        bob = await client("bob")
        status, made = await ask(2, {"name": "Plans", "participants": ["bob"]})
        assert (status, made["name"], made["type"]) == (201, "Plans", "GROUP")
        direct = await bob.create_room(type="direct", members=["alice"])
        for room in (made["id"], direct.id):
            await bob.send(room, "Hello")
        for number in (3, 4):
            status, listed = await ask(number)
            assert status == 200
            assert {room["id"]: room["type"] for room in listed["rooms"]} == {made["id"]: "GROUP", direct.id: "DIRECT"}
            assert {room["lastMessage"]["content"] for room in listed["rooms"]} == {"Hello"}
        status, history = await ask(6, room_id=direct.id)
        assert (status, [message["content"] for message in history["messages"]]) == (200, ["Hello"])
        status, history = await ask(5, room_id=made["id"])
        assert (status, [message["content"] for message in history["messages"]]) == (200, ["Hello"])
        message = history["messages"][0]["id"]
        status, reaction = await ask(7, {"messageId": message, "emoji": "👍"})
        assert (status, reaction["userId"], reaction["messageId"]) == (201, "alice", message)
        _, history = await ask(5, room_id=made["id"])
        assert history["messages"][0]["reactions"] == [{"emoji": "👍", "users": [{"id": "alice", "name": "Alice"}]}]
        assert await ask(8, reactionId=reaction["id"]) == (200, {"success": True})

    async def test_refusals(self, ask: Callable[..., Awaitable[Answer]], client: ClientOf) -> None:
        """Have their documented shape and codes."""
        foreign = await (await client("bob")).create_room()
        for known, (status, answer) in {
            403: await ask(5, room_id=foreign.id),
            404: await ask(7, {"messageId": "0" * 24, "emoji": "👍"}),
            400: await ask(7, {"messageId": "0" * 24, "emoji": ""}),
        }.items():
            assert (status, answer["code"]) == (known, known)
