"""`GET /ws`: one client's native WebSocket, from the handshake to the last frame.

Every frame gets an answer: an ack, or an error that names what was wrong. Only a token that fails, a peer that sends
nothing but nonsense, or one of the limits ends a connection, each with its close code.
"""

import asyncio
import itertools
import secrets
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any

from aiohttp import WSMsgType, web

from services.gateway import native
from services.gateway.connection import Connection
from services.gateway.dispatch import Dispatcher
from services.gateway.edge import Edge, client_address, protocols_of, token_of
from services.gateway.frames import PONG, frame
from services.gateway.hub import Hub
from services.gateway.looking import Onlookers
from services.gateway.register import Register
from services.gateway.subscriptions import Subscriptions
from services.gateway.typing import Typists
from services.gateway.watching import Watching
from shared.auth import Identity
from shared.bus.codec import JSON
from shared.contracts.errors import ChatError, CloseCode, ErrorCode
from shared.logging import get_logger
from shared.service import Tasks
from shared.settings import Settings

log = get_logger(__name__)

MAX_MALFORMED = 20
"""Frames without a usable shape, in a row, after which a peer is no client of this protocol."""

BURST = 32
"""Frames of one connection handled in a row; then it is the others' turn."""

PENALTY = 0.02
"""Seconds a connection is not read for after a burst that was mostly refused: a flood backs up into its own socket."""

HARD_FRAME_LIMIT = 4 * 1024 * 1024
"""Bytes past which a frame is not even read to its end (close 1009); up to here it gets `too_large`."""


class NativeSocket:
    """The handler of native WebSockets."""

    def __init__(
        self, *, settings: Settings, edge: Edge, hub: Hub, dispatcher: Dispatcher, subscriptions: Subscriptions,
        typists: Typists, onlookers: Onlookers, watching: Watching, register: Register, tasks: Tasks,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._edge = edge
        self._hub = hub
        self._dispatcher = dispatcher
        self._subscriptions = subscriptions
        self._typists = typists
        self._onlookers = onlookers
        self._watching = watching
        self._register = register
        self._tasks = tasks

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve a connection until it ends."""
        self._edge.admit(client_address(request), self._hub.now())
        socket = web.WebSocketResponse(
            protocols=protocols_of(request),
            autoping=False,
            autoclose=False,
            compress=False,
            max_msg_size=HARD_FRAME_LIMIT,
            decode_text=False,
        )
        await socket.prepare(request)
        transport = request.transport
        if transport is None:
            return socket
        try:
            identity = await self._edge.identify(request, token_of(request))
            self._hub.check_room_for((identity.actor.tenant, identity.actor.id))
        except ChatError as error:
            transport.write(native.refusal(None, error))
            await socket.close(code=error.row.close, message=error.message.encode()[:120])
            return socket
        connection = Connection(
            secrets.token_hex(8),
            identity,
            transport,
            voice=native.NATIVE,
            limit=self._settings.write_buffer_limit,
            now=self._hub.now(),
        )
        self._hub.add(connection)
        try:
            await self._serve(socket, connection, follow=request.query.get("subscribe") != "none")
        finally:
            self._typists.forget(connection)
            self._watching.forget(connection)
            self._hub.remove(connection)
        return socket

    async def _serve(self, socket: web.WebSocketResponse, connection: Connection, *, follow: bool) -> None:
        self._register.introduce(connection, connection.identity)
        connection.follows_rooms = follow
        try:
            await self._welcome(connection)
        except ChatError as error:
            connection.greet([native.refusal(None, error)], self._hub.now())
            connection.close(error.row.close, error.message, self._hub.now())
        await self._read(socket, connection)

    async def _welcome(self, connection: Connection) -> None:
        rooms, late = await self._subscriptions.welcome(connection)
        actor = connection.identity.actor
        data = {
            "connection_id": connection.id,
            "user": actor.model_dump(mode="json", exclude_none=True),
            "rooms": rooms,
            "unread": sum(room["unread"] for room in rooms),
            "mentions": sum(room["mentions"] for room in rooms),
            "limits": {
                "max_message_length": self._settings.max_message_length,
                "max_frame_bytes": self._settings.max_frame_bytes,
                "max_in_flight": self._settings.max_in_flight,
                "messages_per_minute": self._settings.messages_per_minute,
                "heartbeat": self._settings.heartbeat,
            },
        }
        # What has been delivered while the states were on their way comes after them.
        connection.greet([native.ready(data), *late], self._hub.now())

    async def _read(self, socket: web.WebSocketResponse, connection: Connection) -> None:
        for number in itertools.count(1):
            if number % BURST == 0:
                # What has arrived is received without a pause otherwise, however much it is.
                await asyncio.sleep(PENALTY if connection.refused > BURST // 2 else 0)
                connection.refused = 0
            message = await socket.receive()
            connection.seen_at = self._hub.now()
            match message.type:
                case WSMsgType.TEXT:
                    if connection.open:
                        self._receive(connection, message.data)
                case WSMsgType.PING:
                    # By way of the hub, whose limit also ends a peer that pings and never reads.
                    self._hub.send(connection, frame(message.data, PONG))
                case WSMsgType.PONG:
                    pass
                case WSMsgType.BINARY:
                    text_only = ChatError(ErrorCode.INVALID, "Binary frames are not part of this protocol.")
                    self._misshapen(connection, native.Misshapen(text_only))
                case _:  # closed by the peer, cut, or too large to read
                    connection.close(_answer_to(message.data), "", self._hub.now())
                    connection.transport.close()
                    return

    # ── frames ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _receive(self, connection: Connection, text: bytes) -> None:
        try:
            incoming = native.read(text, self._settings.max_frame_bytes)
        except native.Misshapen as error:
            self._misshapen(connection, error)
            return
        connection.malformed = 0
        try:
            self._accept(connection, incoming)
        except ChatError as error:
            connection.refused += 1
            self._hub.send(connection, native.refusal(incoming.id, error))

    def _accept(self, connection: Connection, incoming: native.Incoming) -> None:
        self._dispatcher.check_in_flight(connection)
        row = native.ON.get(incoming.type)
        if row is not None:
            request = native.contract(row.contract, incoming)
            answered = partial(self._answer, connection, incoming.id)
            self._dispatcher.submit(connection, request, incoming.data, answered, counted=row.counted)
        elif incoming.type in native.LOCAL:
            wish = native.contract(native.LOCAL[incoming.type].wire, incoming)
            self._local(connection, incoming, wish)
        else:
            raise native.unknown(incoming.type)

    def _answer(
        self, connection: Connection, number: str | int | None, result: JSON | None, error: ChatError | None
    ) -> None:
        if connection.open:
            answer = native.ack(number, result) if error is None else native.refusal(number, error)
            self._hub.post(connection, answer)
            self._hub.flush_soon()  # a timeout or a failed publish comes with no batch whose end would do it

    def _misshapen(self, connection: Connection, error: native.Misshapen) -> None:
        connection.malformed += 1
        self._hub.send(connection, native.refusal(error.id, error.error))
        if connection.malformed >= MAX_MALFORMED:
            connection.close(CloseCode.PROTOCOL, "too many malformed frames", self._hub.now())

    # ── what the gateway answers itself ──────────────────────────────────────────────────────────────────────────

    def _local(self, connection: Connection, incoming: native.Incoming, wish: object) -> None:
        match wish:
            case native.Ping():
                self._done(connection, incoming, {"time": time.time()})
            case native.Typing(room_id=room_id):
                self._typists.typing(connection, room_id, started=incoming.type == "typing.start")
                self._done(connection, incoming, {})
            case native.Unsubscribe(room_id=room_id):
                self._hub.unsubscribe(connection, room_id)
                self._done(connection, incoming, {})
            case native.Subscribe():
                self._later(connection, incoming, self._follow(connection, wish))
            case native.Watch(user_ids=user_ids):
                self._later(connection, incoming, self._watching.watch(connection, user_ids))
            case native.Unwatch(user_ids=user_ids):
                self._watching.unwatch(connection, user_ids)
                self._done(connection, incoming, {})
            case native.Refresh(token=token):
                self._later(connection, incoming, self._refresh(connection, token))

    def _later(self, connection: Connection, incoming: native.Incoming, work: Coroutine[Any, Any, JSON]) -> None:
        connection.in_flight += 1
        self._tasks.spawn(self._finish(connection, incoming, work), incoming.type)

    async def _finish(self, connection: Connection, incoming: native.Incoming, work: Coroutine[Any, Any, JSON]) -> None:
        try:
            answer = native.ack(incoming.id, await work)
        except ChatError as error:
            answer = native.refusal(incoming.id, error)
        finally:
            connection.in_flight -= 1
        if connection.open:
            self._hub.send(connection, answer)

    def _done(self, connection: Connection, incoming: native.Incoming, result: JSON) -> None:
        self._hub.send(connection, native.ack(incoming.id, result))

    async def _follow(self, connection: Connection, wish: native.Subscribe) -> JSON:
        state = await self._subscriptions.follow(connection, wish.room_id)
        if wish.announce:
            self._onlookers.announce(connection, wish.room_id)
        return state

    async def _refresh(self, connection: Connection, token: str) -> JSON:
        identity: Identity = await self._edge.authenticate(token)
        if (identity.actor.tenant, identity.actor.id) != connection.user:
            raise ChatError(ErrorCode.FORBIDDEN, "The new token is another user's; open a new connection with it.")
        before = connection.identity.actor
        self._register.introduce(connection, identity)
        if set(before.roles) - set(identity.actor.roles):
            await self._subscriptions.reconcile(connection)
        return {"expires": identity.expires}


def _answer_to(data: object) -> int:
    """The code to answer a peer's close with (RFC 6455 section 5.5.1): its own where it may be sent at all."""
    return data if isinstance(data, int) and (1000 <= data <= 1003 or 3000 <= data <= 4999) else 1000
