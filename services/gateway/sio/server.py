"""The Socket.IO endpoint: who connects as whom, in which namespace and dialect; the rest is sessions' business."""

import asyncio
import json
import secrets
from collections.abc import Mapping
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import orjson
import socketio
from aiohttp import web
from engineio.async_socket import AsyncSocket
from engineio.payload import Payload
from socketio.exceptions import ConnectionRefusedError as Refused
from typing_extensions import override

from services.gateway.connection import Connection, Wire
from services.gateway.dialects.choice import ALL, DIALECTS
from services.gateway.edge import Edge, client_address, token_of
from services.gateway.sio import packets
from services.gateway.sio.session import Serving, Session
from services.gateway.sio.wire import EngineSocket, EngineWire, Handover, hand_over
from shared import metrics
from shared.contracts.errors import ChatError, ErrorCode
from shared.logging import get_logger

log = get_logger(__name__)

ENGINE = "socket.io"
"""Engine.IO's path, unless a client is told another one."""

PING_TIMEOUT = 20.0

_upgraded = metrics.counter("sockets_upgraded", "Clients that began by polling and went over to their WebSocket")


class Server(socketio.AsyncServer):  # type: ignore[misc]  # python-socketio has no types
    """python-socketio, with the events of clients taken in by sessions."""

    def __init__(self, sessions: "Sessions", **options: Any) -> None:
        super().__init__(**options)
        self._sessions = sessions

    @override
    async def _handle_eio_message(self, eio_sid: str, data: Any) -> None:
        """Take in what has come by polling, or by WebSocket and is no event."""
        text = packets.MESSAGE + data if isinstance(data, str) else ""
        if text.startswith(packets.EVENT) and self._sessions.taken(eio_sid, text):
            return
        if text.startswith(packets.BINARY) or not text:
            self._sessions.malformed(eio_sid, "binary data is not part of this API")
            return
        try:
            await super()._handle_eio_message(eio_sid, data)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            self._sessions.malformed(eio_sid, str(error))

    @override
    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        """End it for a request that waits for packets, too: the library would leave it waiting."""
        await super()._handle_eio_disconnect(eio_sid, reason)
        if (engine := self.eio.sockets.get(eio_sid)) is not None:
            asyncio.get_running_loop().call_soon(engine.queue.put_nowait, None)


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
        self._server = server = Server(
            self,
            async_mode="aiohttp",
            namespaces=sorted({name for dialect in ALL.values() for name in dialect.namespaces}),
            cors_allowed_origins=[],  # the application's own middleware sees to that
            ping_interval=serving.settings.heartbeat,
            ping_timeout=PING_TIMEOUT,
            max_http_buffer_size=serving.settings.max_frame_bytes,
            http_compression=False,
            async_handlers=False,
            json=_Json,
        )
        # What does not fit is dropped unseen by the library; how many there can be is limited by their size already.
        Payload.max_decode_packets = serving.settings.max_frame_bytes
        driver = {"websocket": partial(EngineSocket, taken=self.taken, pause=self._pause, upgraded=self._upgraded)}
        server.eio._async = {**server.eio._async, **driver}  # noqa: SLF001 - the only way to choose this class
        for namespace in server.namespaces:
            server.on("connect", partial(self._connect, namespace), namespace=namespace)
            server.on("disconnect", partial(self._disconnect, namespace), namespace=namespace)

    def add_routes(self, app: web.Application) -> None:
        """Serve on an aiohttp application."""
        self._server.attach(app, self._path)

    async def close(self) -> None:
        """End what the library does by itself."""
        await self._server.shutdown()

    # ── coming and going ─────────────────────────────────────────────────────────────────────────────────────────

    async def _connect(self, namespace: str, sid: str, environ: Mapping[str, Any], auth: Any = None) -> None:
        engine_id = self._server.manager.eio_sid_from_sid(sid, namespace)
        try:
            session = await self._admit(namespace, engine_id, environ["aiohttp.request"], auth)
        except ChatError as error:
            raise Refused(error.message, orjson.loads(error.view().model_dump_json(exclude_none=True))) from error
        self._sessions.setdefault(engine_id, {})[namespace] = session
        self._serving.tasks.spawn(self._greet(engine_id, session), "greet")

    async def _admit(self, namespace: str, engine_id: str, request: web.Request, auth: Any) -> Session:
        serving = self._serving
        said = auth if isinstance(auth, dict) else {}
        self._edge.admit(client_address(request), serving.hub.now())
        identity = await self._edge.identify(request, _bare(said.get("token")) or token_of(request))
        claimed = said.get("userId")
        if claimed is not None and claimed != identity.actor.id:
            raise ChatError(ErrorCode.UNAUTHENTICATED, "The userId is not the token's.")
        serving.hub.check_room_for((identity.actor.tenant, identity.actor.id))
        dialect = ALL[self._dialect_of(namespace, request, said)]
        if namespace not in dialect.namespaces:
            raise ChatError(ErrorCode.INVALID, f"{dialect.name} has no namespace {namespace}.")
        for name in dialect.demands:
            if name not in said:
                raise ChatError(ErrorCode.UNAUTHENTICATED, f"The connection's auth lacks {name}.")
        engine = self._server.eio.sockets.get(engine_id)
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
        return Session(serving, connection, voice)

    def _dialect_of(self, namespace: str, request: web.Request, auth: Mapping[str, Any]) -> str:
        named = auth.get("dialect") or request.query.get("dialect")
        if named is not None:
            if named not in DIALECTS:
                raise ChatError(ErrorCode.INVALID, f"There is no dialect '{str(named)[:50]}': {', '.join(DIALECTS)}.")
            return str(named)
        if self._dialect != "auto":
            return self._dialect
        at_home = [dialect.name for dialect in DIALECTS.values() if namespace in dialect.namespaces]
        return at_home[0] if len(at_home) == 1 else self._dialect

    async def _greet(self, engine_id: str, session: Session) -> None:
        connection, engine = session.connection, self._server.eio.sockets.get(engine_id)
        if engine is not None and isinstance(connection.transport, Handover):
            hand_over(engine, connection, connection.transport)  # the client first learns that it is connected
        await session.greet()

    async def _disconnect(self, namespace: str, sid: str, reason: str = "") -> None:
        engine_id = self._server.manager.eio_sid_from_sid(sid, namespace)
        sessions = self._sessions.get(engine_id, {})
        session = sessions.pop(namespace, None)
        if not sessions:
            self._sessions.pop(engine_id, None)
        if session is not None:
            session.end()

    def _end(self, engine: AsyncSocket) -> None:
        self._serving.tasks.spawn(engine.close(wait=False, abort=True), "end")

    # ── what arrives ─────────────────────────────────────────────────────────────────────────────────────────────

    def receive(self, engine_id: str, incoming: packets.Incoming) -> None:
        """Hand an event to its session; one of a namespace that is not connected is nobody's."""
        session = self._sessions.get(engine_id, {}).get(incoming.namespace)
        if session is not None:
            session.receive(incoming)

    def taken(self, engine_id: str, text: str) -> bool:
        """Take in a message that may be an event; False where nobody is connected who could have sent one."""
        sessions = self._sessions.get(engine_id)
        if not sessions:
            return False
        try:
            incoming = packets.read(text)
        except packets.Malformed as error:
            self.malformed(engine_id, str(error))
        else:
            self.receive(engine_id, incoming)
        return True

    def malformed(self, engine_id: str, problem: str) -> None:
        """Answer something that is no packet; where nobody is connected yet, nobody is answered."""
        for session in list(self._sessions.get(engine_id, {}).values())[:1]:
            session.malformed(problem)

    def _pause(self, engine_id: str) -> float:
        pauses = [session.pause() for session in self._sessions.get(engine_id, {}).values()]
        return max(pauses, default=0.0)

    def _upgraded(self, engine: AsyncSocket, transport: asyncio.Transport) -> None:
        self._transports[engine] = transport
        for session in self._sessions.get(engine.sid, {}).values():
            self._serving.tasks.spawn(self._go_over(engine, session, transport), "upgrade")

    async def _go_over(self, engine: AsyncSocket, session: Session, transport: asyncio.Transport) -> None:
        """Let what began by polling write to its WebSocket itself."""
        await session.greeted.wait()
        if session.connection.open:
            session.go_over()
            hand_over(engine, session.connection, Handover(transport))
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


def _bare(token: Any) -> str | None:
    """A token as some clients put it into `auth`: with the scheme before it."""
    if not isinstance(token, str):
        return None
    return token[7:].strip() if token[:7].lower() == "bearer " else token
