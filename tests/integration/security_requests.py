"""What each request of the tables says, and the three ways it takes: socket, REST, and past the gateway on the bus."""

from collections.abc import Callable
from typing import Any, Protocol

from aiohttp import ClientSession

from services.gateway import native
from services.gateway.rows import Route
from services.gateway.v1 import ROUTES
from shared.contracts import messages, rooms
from shared.contracts.base import Command, Query
from tests.harness.rawsocket import RawSocket
from tests.harness.rest import Api
from tests.integration.security_bus import Insider
from tests.integration.security_expectations import PAIRS
from tests.integration.security_scene import Scene, message_key, room_key, slug

JSON = dict[str, Any]

CONTRACTS: dict[str, type[Command] | type[Query]] = {
    **messages.COMMANDS, **messages.QUERIES, **rooms.COMMANDS, **rooms.QUERIES,
}  # fmt: skip

Body = Callable[[Scene, str], JSON]


def _room(**more: Any) -> Body:
    return lambda scene, caller: {"room_id": scene.room(caller), **more}


def _own(store: str, **more: Any) -> Body:
    """About a message of the caller's; for those abroad, who are others with the same names, of their namesake's."""

    def body(scene: Scene, caller: str) -> JSON:
        namesake = "service" if caller == "service abroad" else "owner"
        mine: dict[str, str] = getattr(scene, store)
        return {"message_id": mine.get(caller) or mine[namesake], **more}

    return body


def _other(**more: Any) -> Body:
    return lambda scene, caller: {"message_id": scene.others[caller], **more}


def _about(purpose: str, **more: Any) -> Body:
    return lambda scene, caller: {"room_id": scene.room(caller), "user_id": f"{purpose}-{slug(caller)}", **more}


def _member(purpose: str, **more: Any) -> Body:
    """About another member: in a direct room there is only one."""

    def body(scene: Scene, caller: str) -> JSON:
        user_id = f"{purpose}-{slug(caller)}" if scene.kind not in PAIRS else "peer"
        return {"room_id": scene.room(caller), "user_id": user_id, **more}

    return body


BODIES: dict[str, Body] = {
    "message.send": _room(content="hi"),
    "message.send for the system": _room(content="hi", type="system"),
    "message.edit one's own": _own("own", content="changed"),
    "message.edit another's": _other(content="changed"),
    "message.delete one's own": _own("doomed"),
    "message.delete another's": _other(),
    "message.react": _own("own", emoji="x"),
    "message.unreact": _own("own", emoji="x"),
    "message.get": _other(),
    "history.get": _room(),
    "sync": lambda scene, caller: {"cursors": {scene.room(caller): "0:0"}},
    "rooms.states": lambda scene, caller: {"room_ids": [scene.room(caller)]},
    "receipts.get": _room(),
    "read.mark": _room(seq=1),
    "delivered.mark": _room(seq=1),
    "room.get": _room(),
    "members.list": _room(),
    "rooms.list": lambda _scene, _caller: {"limit": 500},
    "presence.room": _room(),
    "favorite.toggle": lambda scene, caller: {"kind": "room", "id": scene.room(caller), "favorite": True},
    "room.subscribe": _room(),
    "typing.start": _room(),
    "typing.stop": _room(),
    "room.update": _room(name="renamed"),
    "member.add": _about("new"),
    "member.add as an admin": _about("new-admin", role="admin"),
    "member.remove": _member("victim"),
    "member.remove an admin": _member("deputy"),
    "member.set_role": _member("pupil", role="read_only"),
    "member.mute": _member("loud"),
    "members.set": _room(members=[{"user_id": "owner", "role": "owner"}]),
    "room.leave": _room(),
    "room.close": _room(),
    "room.delete": _room(),
}


class Channel(Protocol):
    """A way for a caller's request to its owner."""

    def takes(self, request: str) -> bool:
        """Whether a request can go this way at all."""

    async def ask(self, caller: str, request: str, body: JSON) -> JSON:
        """The answer: `{"ok": …}` or `{"error": …}`."""


class Sockets:
    """The native protocol: one socket per caller. A socket is asked one thing at a time."""

    def __init__(self, sockets: dict[str, RawSocket]) -> None:
        self._sockets = sockets

    def takes(self, request: str) -> bool:
        """What is a row of the native protocol."""
        return type_of(request) in native.ON.keys() | native.LOCAL.keys()

    async def ask(self, caller: str, request: str, body: JSON) -> JSON:
        """Send a frame; its ack or error."""
        kind = type_of(request)
        if kind.startswith("typing."):  # only who follows a room gets as far as to be judged
            await self._sockets[caller].ask("room.subscribe", body)
        frame = await self._sockets[caller].ask(kind, body)
        return {"ok": frame["data"]} if frame["type"] == "ack" else {"error": frame["error"]}


class Rest:
    """`/v1`: every route of the request's contract."""

    def __init__(self, http: ClientSession, url: str, token: Callable[[str], str]) -> None:
        self._http = http
        self._url = url
        self._token = token

    def takes(self, request: str) -> bool:
        """What has a route."""
        return type_of(request) in {route.contract.TYPE for route in ROUTES}

    async def ask(self, caller: str, request: str, body: JSON) -> JSON:
        """Call every route of the contract; the last one's body, as all of them must come to the same."""
        answers: list[JSON] = []
        for route in (route for route in ROUTES if type_of(request) == route.contract.TYPE):
            api = Api(self._http, self._url, self._token(caller))
            answer = await api(*call_of(route, body))
            answers.append({"ok": answer.body} if answer.status < 400 else {"error": answer.body["error"]})
        assert len({"ok" in answer or answer["error"]["code"] for answer in answers}) == 1, (request, answers)
        return answers[-1]


class Bus:
    """Past the gateway: an envelope straight to the owner of the command or query."""

    def __init__(self, bus: Insider, actor: Callable[[str], JSON]) -> None:
        self._bus = bus
        self._actor = actor

    def takes(self, request: str) -> bool:
        """What is a command or query."""
        return type_of(request) in CONTRACTS

    async def ask(self, caller: str, request: str, body: JSON) -> JSON:
        """Publish the envelope; what is replied."""
        kind = type_of(request)
        contract = CONTRACTS[kind]
        if issubclass(contract, Query):
            exchange, key = "chat.queries", str(contract.OWNER)
        elif contract.OWNER != "messages":
            exchange, key = "chat.commands", str(contract.OWNER)
        else:
            exchange, key = "chat.commands", _shard_of(body)
        return await self._bus.ask(exchange, key, self._bus.envelope(kind, body, self._actor(caller)))


def _shard_of(body: JSON) -> str:
    return room_key(body["room_id"]) if "room_id" in body else message_key(body["message_id"])


def call_of(route: Route, body: JSON) -> tuple[str, str, JSON | None]:
    """Method, path and JSON body of a call; what is in the path is not in the body."""
    rest, path = dict(body), route.path
    for name in list(rest):
        if f"{{{name}}}" in path:
            path = path.replace(f"{{{name}}}", str(rest.pop(name)))
    if route.method in {"GET", "DELETE"}:
        query = "&".join(f"{name}={value}" for name, value in rest.items())
        return route.method, f"{path}?{query}" if query else path, None
    return route.method, path, rest


def type_of(request: str) -> str:
    """A request's type: the first word of its name."""
    return request.split(maxsplit=1)[0]


def outcome_of(request: str, body: JSON, answer: JSON) -> str:
    """What an answer comes to, in the words of the tables."""
    if "error" in answer:
        return str(answer["error"]["code"])
    result = answer["ok"]
    match type_of(request):
        case "sync":
            [room_id] = body["cursors"]
            return str(result["errors"].get(room_id, "ok")) if room_id not in result["rooms"] else "ok"
        case "rooms.states":
            return "ok" if [state["room_id"] for state in result["states"]] == body["room_ids"] else "unseen"
        case "rooms.list":
            return "ok" if result["rooms"] else "unseen"
    return "ok"
