"""The people of a model-based test on the real stack: how they ask, by whichever way, and what they are told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import aiohttp
from aiohttp import ClientSession

from deploy.embedded.stack import Stack
from shared.auth import issue_token
from shared.contracts.errors import ChatError, ErrorCode
from shared.service import Tasks
from tests.harness.person import Person
from tests.harness.rawsocket import RawSocket
from tests.harness.rest import Api
from tests.integration.model_world import User

JSON = dict[str, Any]

SOCKET = "socket"
WAYS = (SOCKET, "first gateway", "second gateway")
"""One's connection, or REST at a gateway."""

REST: dict[str, tuple[str, str, str | None]] = {
    "room.create": ("POST", "/v1/rooms", "room"),
    "room.get": ("GET", "/v1/rooms/{room_id}", None),
    "room.update": ("PATCH", "/v1/rooms/{room_id}", "room"),
    "room.delete": ("DELETE", "/v1/rooms/{room_id}", None),
    "room.leave": ("POST", "/v1/rooms/{room_id}/leave", None),
    "room.close": ("POST", "/v1/rooms/{room_id}/close", "room"),
    "members.list": ("GET", "/v1/rooms/{room_id}/members", None),
    "members.set": ("PUT", "/v1/rooms/{room_id}/members", None),
    "member.add": ("POST", "/v1/rooms/{room_id}/members", "member"),
    "member.remove": ("DELETE", "/v1/rooms/{room_id}/members/{user_id}", None),
    "member.set_role": ("PATCH", "/v1/rooms/{room_id}/members/{user_id}", "member"),
    "member.mute": ("PUT", "/v1/rooms/{room_id}/members/{user_id}/mute", "member"),
    "message.send": ("POST", "/v1/rooms/{room_id}/messages", None),
    "message.edit": ("PATCH", "/v1/messages/{message_id}", None),
    "message.delete": ("DELETE", "/v1/messages/{message_id}", None),
    "message.react": ("PUT", "/v1/messages/{message_id}/reactions/{emoji}", None),
    "message.unreact": ("DELETE", "/v1/messages/{message_id}/reactions/{emoji}", None),
    "message.status": ("GET", "/v1/messages/{message_id}/status", None),
    "revisions.get": ("GET", "/v1/messages/{message_id}/revisions", None),
    "timeline.clear": ("POST", "/v1/rooms/{room_id}/clear", None),
    "history.get": ("GET", "/v1/rooms/{room_id}/messages", None),
    "read.mark": ("POST", "/v1/rooms/{room_id}/read", None),
    "delivered.mark": ("POST", "/v1/rooms/{room_id}/delivered", None),
    "unread.mark": ("POST", "/v1/rooms/{room_id}/unread", None),
    "receipts.get": ("GET", "/v1/rooms/{room_id}/receipts", None),
    "sync": ("POST", "/v1/sync", None),
    "rooms.states": ("POST", "/v1/rooms/states", None),
}
"""As docs/protocol.md says it: method, path, and which part of the answer is the body."""

BODILESS = {"GET", "DELETE"}


class Answer(NamedTuple):
    """What somebody was answered: an error code, or data."""

    code: ErrorCode | None
    data: JSON


class Follower:
    """A connection that only listens. `frames` are all it was told of rooms, as they came."""

    def __init__(self, socket: RawSocket) -> None:
        self._socket = socket
        self.frames: list[JSON] = []
        self._changed = asyncio.Event()

    async def listen(self) -> None:
        """Until the connection ends."""
        with suppress(TypeError, ConnectionError):
            while True:
                frame = await self._socket.socket.receive_json()
                if "room_id" in frame:
                    self.frames.append(frame)
                    self._changed.set()

    async def heard(self) -> None:
        """Return when there is something new."""
        self._changed.clear()
        await self._changed.wait()


class Company:
    """Everybody, connected."""

    def __init__(self, people: dict[str, Person], apis: dict[tuple[str, str], Api]) -> None:
        self._people = people
        self._apis = apis
        self.followers: dict[str, Follower] = {}

    async def ask(self, name: str, way: str, type: str, data: JSON) -> Answer:
        """Send a command or query once."""
        if way != SOCKET or type == "rooms.states":
            return await self._by_rest(self._apis[name, WAYS[1] if way == SOCKET else way], type, data)
        try:
            return Answer(None, await self._people[name].request(type, data))
        except ChatError as error:
            return Answer(error.code, {})

    async def _by_rest(self, api: Api, type: str, data: JSON) -> Answer:
        method, path, part = REST[type]
        rest = dict(data)
        headers = {"Idempotency_Key": key} if (key := rest.pop("client_id", None)) is not None else {}
        fields = {
            name: rest.pop(name) for name in ("room_id", "user_id", "message_id", "emoji") if f"{{{name}}}" in path
        }
        target = path.format(**{name: quote(value, safe="") for name, value in fields.items()})
        if method in BODILESS and rest:
            target += f"?{urlencode(rest)}"
        answer = await api(method, target, None if method in BODILESS else rest, **headers)
        if answer.status >= 400:
            return Answer(ErrorCode(answer.error), {})
        return Answer(None, answer.body if part is None else {part: answer.body, "created": answer.status == 201})


@asynccontextmanager
async def company(stack: Stack, users: dict[str, User], following: tuple[str, ...]) -> AsyncIterator[Company]:
    """Connect everybody, every other one to the second gateway; those `following` once more, to the other one."""
    async with AsyncExitStack() as held:
        http = await held.enter_async_context(ClientSession())
        tasks = Tasks()
        held.push_async_callback(tasks.close)
        tokens = {
            name: issue_token(
                stack.jwt_secret, sub=user.id, tenant=user.tenant, roles=(user.office,) if user.office else ()
            )
            for name, user in users.items()
        }
        at = {name: number % 2 for number, name in enumerate(users)}
        people = {
            name: await held.enter_async_context(Person(stack.gateway_urls[at[name]], tokens[name])) for name in users
        }
        apis = {
            (name, way): Api(http, url, tokens[name])
            for name in users
            for way, url in zip(WAYS[1:], stack.gateway_urls, strict=True)
        }
        result = Company(people, apis)
        for name in following:
            url = stack.gateway_urls[1 - at[name]]
            socket: aiohttp.ClientWebSocketResponse = await held.enter_async_context(
                http.ws_connect(f"{url}/ws", headers={"Authorization": f"Bearer {tokens[name]}"})
            )
            raw = RawSocket(socket)
            await raw.ready()
            result.followers[name] = Follower(raw)
            tasks.spawn(result.followers[name].listen(), f"{name} follows")
        yield result
