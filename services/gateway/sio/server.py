"""The Socket.IO endpoint: who connects as whom, in which namespace and dialect; the rest is sessions' business."""

import asyncio
import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import orjson
import socketio
from aiohttp import hdrs, web
from engineio.async_socket import AsyncSocket
from engineio.exceptions import EngineIOError
from engineio.packet import MESSAGE, Packet
from socketio.exceptions import ConnectionRefusedError as Refused
from typing_extensions import override

from services.gateway.connection import Connection, Wire
from services.gateway.dialects.choice import ALL, DIALECTS
from services.gateway.dialects.rows import Dialect
from services.gateway.edge import Edge, client_address, token_of
from services.gateway.sio import packets
from services.gateway.sio.recall import Client, Departure, resumed
from services.gateway.sio.session import Serving, Session
from services.gateway.sio.wire import EngineSocket, EngineWire, Handover, feel_pulse, hand_over, translated
from services.gateway.socket import BURST, PENALTY
from shared import metrics
from shared.bus.requests import refusal_of
from shared.contracts.errors import ChatError, ErrorCode
from shared.settings import unlimited

CHAT = "/chat"
"""The namespace of most clients; another one may be served like it (`WEBSOCKET_NAMESPACE`)."""

ENGINE = "socket.io"
"""Engine.IO's path, unless a client is told another one."""

SCHEME = "Bearer "

MAX_ODD = 20
"""Things that make no sense, from one client, before it is cut."""

_upgraded = metrics.counter("sockets_upgraded", "Clients that began by polling and went over to their WebSocket")


class Server(socketio.AsyncServer):  # type: ignore[misc]  # python-socketio has no types
    """python-socketio, which sees only what it can read; events of clients are taken in by sessions."""

    def __init__(self, sessions: "Sessions", **options: Any) -> None:
        super().__init__(**options)
        self._sessions = sessions

    @override
    async def _handle_eio_connect(self, eio_sid: str, environ: Mapping[str, Any]) -> None:
        await super()._handle_eio_connect(eio_sid, environ)
        self._sessions.came(eio_sid)

    @override
    async def _handle_eio_message(self, eio_sid: str, data: Any) -> None:
        with suppress(EngineIOError):  # it is closed already
            await self._sessions.message(eio_sid, data)

    @override
    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        await super()._handle_eio_disconnect(eio_sid, reason)
        self._sessions.gone(eio_sid)
        if (engine := self.eio.sockets.get(eio_sid)) is not None:  # the library would leave a request waiting
            asyncio.get_running_loop().call_soon(engine.queue.put_nowait, None)

    async def connect(self, engine_id: str, text: str) -> None:
        """Take in a packet that connects to a namespace. Raises ValueError where it is none."""
        packet = self.packet_class(encoded_packet=text)
        namespace = packet.namespace or "/"
        if namespace not in self.namespaces:
            raise packets.Malformed(f"there is no namespace {namespace[:100]}")
        if self.manager.sid_from_eio_sid(engine_id, namespace) is not None:
            raise packets.Malformed(f"the client is connected to {namespace} already")
        await self._handle_connect(engine_id, namespace, packet.data)

    async def disconnect_from(self, engine_id: str, text: str) -> None:
        """Take in a packet that ends the connection to a namespace. Raises ValueError where it is none."""
        await self._handle_disconnect(engine_id, self.packet_class(encoded_packet=text).namespace)


class Sessions:
    """Every Socket.IO client of one listener.

    Args:
        dialect: the one that all clients here speak, or `auto`.
    """

    def __init__(self, serving: Serving, edge: Edge, *, dialect: str = "auto", path: str = ENGINE) -> None:
        self._serving = serving
        self._edge = edge
        self._dialect = dialect
        self._path = path
        self._sessions: dict[str, dict[str, Session]] = {}
        self._transports: WeakKeyDictionary[AsyncSocket, asyncio.Transport] = WeakKeyDictionary()
        self._waiting: dict[str, float] = {}
        """Clients that are connected to no namespace, and since when."""
        self._odd: dict[str, int] = {}
        self._attachments: dict[str, int] = {}
        """How many binary messages of a client belong to an event that was refused."""
        extra = serving.settings.websocket_namespace
        self._homes = {extra: CHAT}
        self._server = server = Server(
            self,
            async_mode="aiohttp",
            namespaces=sorted({extra, *(name for dialect in ALL.values() for name in dialect.namespaces)}),
            cors_allowed_origins=[],  # the application's own middleware sees to that
            ping_interval=serving.settings.heartbeat,
            ping_timeout=serving.settings.ping_timeout,
            max_http_buffer_size=serving.settings.max_frame_bytes,
            http_compression=False,
            async_handlers=False,
            json=_Json,
        )
        driver = {"websocket": partial(EngineSocket, taker=self), "translate_request": translated}
        server.eio._async = {**server.eio._async, **driver}  # noqa: SLF001 - the only way to choose this class
        for namespace in server.namespaces:
            server.on("connect", partial(self._connect, namespace), namespace=namespace)
            server.on("disconnect", partial(self._disconnect, namespace), namespace=namespace)

    def add_routes(self, app: web.Application) -> None:
        """Serve on an aiohttp application."""
        for method in (hdrs.METH_GET, hdrs.METH_POST):
            app.router.add_route(method, f"/{self._path}/", self._handle)
        self._serving.tasks.spawn(self._watch(), "engine.io", vital=True)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if "j" in request.query:
            # Any page may load a script, and browsers send cookies along: it would be shown what it must not see.
            raise ChatError(ErrorCode.INVALID, "Answers are not given as scripts (JSONP): use polling or WebSocket.")
        engine_id = next(filter(None, request.query.getall("sid", ())), None)  # as the library sees it
        if engine_id is None:
            self._edge.admit(client_address(request), self._serving.hub.now())
            if len(self._server.eio.sockets) >= unlimited(self._serving.settings.max_connections):
                raise ChatError(ErrorCode.OVERLOADED, "This gateway is full; try again later.", retry_after=5.0)
        elif (engine := self._server.eio.sockets.get(engine_id)) is not None and engine.closed:
            raise ChatError(ErrorCode.INVALID, "This Engine.IO connection has ended: connect again.")
        answer: web.StreamResponse = await self._server.handle_request(request)
        return answer

    async def _watch(self) -> None:
        """Cut clients that have connected to nothing. Ends only by cancellation."""
        while True:
            await asyncio.sleep(1.0)
            late = self._serving.hub.now() - self._serving.settings.namespace_timeout
            for engine_id in [engine_id for engine_id, since in self._waiting.items() if since < late]:
                self._cut(engine_id)

    async def close(self) -> None:
        """End what the library does by itself."""
        await self._server.shutdown()

    # ── coming and going ─────────────────────────────────────────────────────────────────────────────────────────

    async def _connect(self, namespace: str, sid: str, environ: Mapping[str, Any], auth: Any = None) -> None:
        engine_id = self._server.manager.eio_sid_from_sid(sid, namespace)
        try:
            session = await self._admit(namespace, engine_id, environ["aiohttp.request"], auth)
        except Exception as failure:
            error = refusal_of(failure, "connect")
            self._strike(engine_id)
            raise Refused(error.message, orjson.loads(error.view().model_dump_json(exclude_none=True))) from failure
        self._waiting.pop(engine_id, None)
        self._sessions.setdefault(engine_id, {})[namespace] = session
        self._serving.tasks.spawn(self._greet(engine_id, session), "greet")

    async def _admit(self, namespace: str, engine_id: str, request: web.Request, auth: Any) -> Session:
        serving = self._serving
        said = auth if isinstance(auth, dict) else {}
        identity = await self._edge.identify(request, _bare(said.get("token")) or token_of(request))
        claimed = said.get("userId")
        if claimed is not None and claimed != identity.actor.id:
            raise ChatError(ErrorCode.UNAUTHENTICATED, "The userId is not the token's.")
        serving.hub.check_room_for((identity.actor.tenant, identity.actor.id))
        client = Client(identity.actor.tenant, identity.actor.id, namespace)
        departure = serving.recall.find(client)
        dialect = ALL[self._dialect_of(namespace, request, said, departure)]
        if self._homes.get(namespace, namespace) not in dialect.namespaces:
            raise ChatError(ErrorCode.INVALID, f"{dialect.name} has no namespace {namespace}.")
        _check_credentials(dialect, said)
        engine: AsyncSocket | None = self._server.eio.sockets.get(engine_id)
        if engine is None or engine.closing or engine.closed:
            raise ChatError(ErrorCode.UNAVAILABLE, "The connection is gone.")
        transport = self._transports.get(engine)
        wire: Wire = EngineWire(engine, partial(self._end, engine)) if transport is None else Handover(transport)
        voice = serving.voices.of(dialect.name, namespace, framed=transport is not None)
        connection = Connection(
            secrets.token_hex(8),
            identity,
            wire,
            voice=voice,
            limit=serving.settings.write_buffer_limit,
            now=serving.hub.now(),
        )
        serving.hub.add(connection)
        serving.register.introduce(connection, identity)
        serving.recall.take(client)  # whoever is refused leaves it to the next attempt
        if departure is not None and departure.dialect != dialect.name:
            departure = None
        if isinstance(said.get("resume"), dict):  # none at all, too: such a client begins anew
            departure = Departure(dialect.name, resumed(said), {} if departure is None else departure.here)
        return Session(serving, connection, voice, departure)

    def _dialect_of(
        self, namespace: str, request: web.Request, auth: Mapping[str, Any], departure: Departure | None
    ) -> str:
        named = auth.get("dialect") or request.query.get("dialect")
        if named is not None:
            if str(named) not in DIALECTS:
                raise ChatError(ErrorCode.INVALID, f"There is no dialect '{str(named)[:50]}': {', '.join(DIALECTS)}.")
            return str(named)
        namespace = self._homes.get(namespace, namespace)
        if self._dialect != "auto":
            return self._dialect
        if departure is not None:
            return departure.dialect
        at_home = [dialect.name for dialect in DIALECTS.values() if namespace in dialect.namespaces]
        return at_home[0] if len(at_home) == 1 else self._dialect

    async def _greet(self, engine_id: str, session: Session) -> None:
        connection, engine = session.connection, self._server.eio.sockets.get(engine_id)
        if engine is not None and connection is not None and isinstance(connection.transport, Handover):
            hand_over(engine, connection, connection.transport)  # the client first learns that it is connected
        await session.greet()

    async def _disconnect(self, namespace: str, sid: str, reason: str = "") -> None:
        engine_id = self._server.manager.eio_sid_from_sid(sid, namespace)
        sessions = self._sessions.get(engine_id, {})
        session = sessions.pop(namespace, None)
        if not sessions:
            self._sessions.pop(engine_id, None)
            self._waiting[engine_id] = self._serving.hub.now()
        if session is not None:
            session.end()

    def came(self, engine_id: str) -> None:
        """A client is here, and has yet to connect to a namespace."""
        self._waiting[engine_id] = self._serving.hub.now()
        feel_pulse(self._server.eio.sockets[engine_id], partial(self._pulse, engine_id))

    def _pulse(self, engine_id: str, *, answered: bool) -> None:
        for session in self._sessions.get(engine_id, {}).values():
            if answered:
                session.trail.answered()
            else:
                session.trail.pinged()

    def gone(self, engine_id: str) -> None:
        """A client has left; one that was just connecting has been told to nobody else."""
        for session in self._sessions.pop(engine_id, {}).values():
            session.end()
        for known in (self._waiting, self._odd, self._attachments):
            known.pop(engine_id, None)

    def _cut(self, engine_id: str) -> None:
        self._waiting.pop(engine_id, None)
        engine = self._server.eio.sockets.get(engine_id)
        if engine is not None:
            EngineWire(engine, partial(self._end, engine)).close()

    def _end(self, engine: AsyncSocket) -> None:
        self._serving.tasks.spawn(engine.close(wait=False, abort=True), "end")

    # ── what arrives ─────────────────────────────────────────────────────────────────────────────────────────────

    async def message(self, engine_id: str, message: Any) -> None:
        """Take in a Socket.IO packet, as Engine.IO has read it."""
        try:
            match message[:1] if isinstance(message, str) else message:
                case "0":
                    await self._server.connect(engine_id, message)
                case "1":
                    await self._server.disconnect_from(engine_id, message)
                case "2":
                    self._receive(engine_id, packets.read(f"4{message}"))
                case "3":
                    pass  # nothing that is told wants an answer
                case packets.BINARY_EVENT:
                    self._refuse_binary(engine_id, *packets.read_binary(message))
                case bytes() if self._attachments.get(engine_id, 0) > 0:
                    self._attachments[engine_id] -= 1
                case _:
                    self.odd(engine_id, "this is no packet of Socket.IO's that clients send")
        except (packets.Malformed, ValueError) as error:
            self.odd(engine_id, str(error))

    def taken(self, engine_id: str, text: str) -> bool:
        """Take in an event of a client that is connected."""
        if engine_id not in self._sessions:
            return False
        try:
            self._receive(engine_id, packets.read(text))
        except packets.Malformed as error:
            self.odd(engine_id, str(error))
        return True

    def _receive(self, engine_id: str, incoming: packets.Incoming) -> None:
        session = self._sessions.get(engine_id, {}).get(incoming.namespace)
        if session is None:
            raise packets.Malformed(f"the client is not connected to {incoming.namespace[:100]}")
        try:
            session.receive(incoming)
        except Exception as error:  # noqa: BLE001 - an answer instead of a broken connection
            session.refuse(incoming, refusal_of(error, incoming.name[:100]))

    def _refuse_binary(self, engine_id: str, incoming: packets.Incoming, attachments: int) -> None:
        session = self._sessions.get(engine_id, {}).get(incoming.namespace)
        if session is None:
            raise packets.Malformed(f"the client is not connected to {incoming.namespace[:100]}")
        self._attachments[engine_id] = attachments
        session.refuse(
            incoming, ChatError(ErrorCode.INVALID, "Events take no binary data: send text, or upload files.")
        )

    def odd(self, engine_id: str, problem: str) -> None:
        """Answer what makes no sense; cut who goes on with it."""
        session = next(iter(self._sessions.get(engine_id, {}).values()), None)
        if session is not None:
            session.malformed(problem)
            return
        engine: AsyncSocket | None = self._server.eio.sockets.get(engine_id)
        if engine is None:
            return
        engine.queue.put_nowait(Packet(MESSAGE, packets.refusal("/", f"Malformed: {problem}.")))
        self._strike(engine_id)

    def _strike(self, engine_id: str) -> None:
        self._odd[engine_id] = self._odd.get(engine_id, 0) + 1
        if self._odd[engine_id] >= MAX_ODD:
            self._cut(engine_id)

    def toll(self, engine_id: str) -> float:
        """Seconds for which a client is not read after a burst that was mostly refused: its own socket backs up."""
        connections = [session.connection for session in self._sessions.get(engine_id, {}).values()]
        refused = sum(connection.refused for connection in connections if connection is not None)
        for connection in connections:
            if connection is not None:
                connection.refused = 0
        return PENALTY if refused > BURST // 2 else 0

    def upgraded(self, engine: AsyncSocket, transport: asyncio.Transport) -> None:
        """Let a client's sessions go over to its WebSocket."""
        self._transports[engine] = transport
        for session in self._sessions.get(engine.sid, {}).values():
            self._serving.tasks.spawn(self._go_over(engine, session, transport), "upgrade")

    async def _go_over(self, engine: AsyncSocket, session: Session, transport: asyncio.Transport) -> None:
        """Let what began by polling write to its WebSocket itself, once it is greeted."""
        connection = session.connection
        if connection is not None and await session.go_over():
            hand_over(engine, connection, Handover(transport))
            _upgraded.inc()


class _Json:
    """orjson, as python-socketio wants it."""

    @staticmethod
    def dumps(value: Any, **_options: Any) -> str:
        return orjson.dumps(value).decode()

    @staticmethod
    def loads(text: str | bytes, **_options: Any) -> Any:
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise json.JSONDecodeError(str(error), "", 0) from error


def _check_credentials(dialect: Dialect, auth: Mapping[str, Any]) -> None:
    """Raise ChatError where a connection's `auth` is not what its dialect demands."""
    for name in dialect.demands:
        if not auth.get(name):
            raise ChatError(ErrorCode.UNAUTHENTICATED, f"The connection's auth lacks {name}.")
    if dialect.bearer and not str(auth.get("token", SCHEME)).startswith(SCHEME):
        raise ChatError(ErrorCode.UNAUTHENTICATED, f"The token must begin with '{SCHEME}'.")


def _bare(token: Any) -> str | None:
    """A token as some clients put it into `auth`: with the scheme before it."""
    if not isinstance(token, str):
        return None
    return token[7:].strip() if token[:7].lower() == "bearer " else token
