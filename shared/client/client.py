"""The client itself: stays connected, resumes where it was, and repeats what was not answered.

Everything it promises rests on two properties of the server: a cursor is answered with all that has changed since, and
a command with the same `client_id` takes effect once.
"""

import asyncio
import inspect
import itertools
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self
from uuid import uuid4

from aiohttp import ClientSession
from typing_extensions import override

from shared.client.commands import Commands
from shared.client.connection import JSON, Connection
from shared.client.files import Door, Files
from shared.client.inbox import Inbox
from shared.client.resume import Resumption
from shared.client.timeline import DISCONNECTED, READY, Event, Position, Timeline
from shared.contracts import messages, rooms
from shared.contracts.errors import ChatError, ErrorCode
from shared.service import Tasks

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
FATAL = frozenset({ErrorCode.UNAUTHENTICATED, ErrorCode.FORBIDDEN, ErrorCode.INVALID})
"""Refusals of a connection that another attempt does not change."""

IDEMPOTENT = messages.COMMANDS.keys() | rooms.COMMANDS.keys()
"""What takes a `client_id`."""

Token = str | Callable[[], str | Awaitable[str]]


class _TooSlow(Exception):  # noqa: N818 - a state of the application
    """The application reads more slowly than events come."""


class Client(Commands, Files):
    """A user's connection to Parley, for as long as the client is open.

    Iterating over it gives every event in order. Who reads slowly gets no answer later for it, and fills no memory:
    what happens in the rooms meanwhile is fetched when there is room for it.

    Args:
        urls: `http://host:port` of one or more gateways; after a lost connection the next one is tried.
        token: a JWT, or what gives a fresh one for every connection.
        positions: where to resume, as `positions` of an earlier client said.
        on_event: called with every event instead of iteration; must not block.
        follow: subscribe to all of the user's rooms.
        timeout: seconds a connection and a request may take.
        patience: seconds a command is repeated for, and a first connection tried for.
        heartbeat: seconds after which a silent connection is tested; half of it later it counts as lost.
        max_events: events that may wait for the iterating application; past twice as many that cannot be fetched
            again (of memberships, say) it is disconnected until it has caught up.
    """

    def __init__(
        self, urls: str | Sequence[str], token: Token, *, positions: Mapping[str, Position] | None = None,
        on_event: Callable[[Event], None] | None = None, follow: bool = True, timeout: float = 15.0,
        patience: float = 60.0, heartbeat: float = 20.0, max_events: int = 10_000,
    ) -> None:  # fmt: skip
        self._urls = itertools.cycle([urls] if isinstance(urls, str) else urls)
        self._token = token
        self._follow = follow
        self._timeout = timeout
        self._patience = patience
        self._heartbeat = heartbeat
        self._inbox = Inbox(max_events, on_event)
        self._timelines = {room_id: Timeline(room_id, position) for room_id, position in (positions or {}).items()}
        self._followed: set[str] = set()
        self._tasks = Tasks()
        self._session: ClientSession | None = None
        self._connection: Connection | None = None
        self._resumption: Resumption | None = None
        self._url = ""
        self._up = asyncio.Event()
        self._ended: ChatError | None = None
        self.ready: JSON = {}
        """The data of the latest `ready`: `connection_id`, `user`, `rooms`, `limits`."""

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self) -> None:
        """Connect, and stay connected until `close`.

        Raises:
            ChatError: where the server refuses, or cannot be reached within `patience`.
        """
        self._session = ClientSession()
        self._tasks.spawn(self._stay_connected(self._session), "client")
        try:
            async with asyncio.timeout(self._patience):
                await self._connected()
        except BaseException as error:
            await self.close()
            if isinstance(error, TimeoutError):
                raise ChatError(ErrorCode.UNAVAILABLE, "No gateway could be reached.") from error
            raise

    async def close(self) -> None:
        """Disconnect for good; iteration ends."""
        self._end(ChatError(ErrorCode.UNAVAILABLE, "The client is closed."))
        await self._tasks.close()
        if self._session is not None:
            await self._session.close()

    @property
    def positions(self) -> dict[str, Position]:
        """Where the client stands in each room: what another client needs to resume."""
        return {key: line.position for key, line in self._timelines.items() if line.position is not None}

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event. Raises ChatError where the client has ended otherwise than by `close`."""
        event = await self._inbox.get()
        if event is not None:
            return event
        if self._ended is not None and self._ended.code is not ErrorCode.UNAVAILABLE:
            raise self._ended
        raise StopAsyncIteration

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────

    @override
    async def request(self, type: str, data: JSON) -> JSON:
        """Send a frame once, when connected; the data of its ack.

        Raises:
            ChatError: the server's refusal; `timeout`, `unavailable`: it may or may not have taken effect.
        """
        try:
            async with asyncio.timeout(self._timeout):
                connection = await self._connected()
                return await connection.request(type, data)
        except TimeoutError as error:
            raise ChatError(ErrorCode.TIMEOUT, f"{type} was not answered within {self._timeout:g} s.") from error

    @override
    async def call(self, type: str, data: JSON, *, patience: float | None = None) -> JSON:
        """As `request`, and again with the same `client_id` while that can help, for `patience` seconds."""
        if type in IDEMPOTENT:
            data = {"client_id": uuid4().hex, **data}
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (self._patience if patience is None else patience)
        pause = FIRST_PAUSE
        while True:
            try:
                return await self.request(type, data)
            except ChatError as error:
                wait = pause if error.retry_after is None else error.retry_after
                if not error.row.retryable or self._ended is not None or loop.time() + wait >= deadline:
                    raise
            await asyncio.sleep(_jittered(wait))
            pause = min(pause * 2, LONGEST_PAUSE)

    @override
    async def door(self) -> Door:
        """The gateway one is connected to."""
        await self._connected()
        assert self._session is not None  # noqa: S101 - there is one as long as there is a connection
        return Door(self._session, self._url, await self._fresh_token())

    async def subscribe(self, room_id: str) -> None:
        """Follow a room that is not followed by itself, through every reconnection."""
        self._followed.add(room_id)
        timeline = self._timelines.setdefault(room_id, Timeline(room_id))
        timeline.hold()
        try:
            state = await self.call("room.subscribe", {"room_id": room_id})
        except ChatError:
            self._followed.discard(room_id)
            self._behind(timeline)  # had it been followed already, it goes on; else it is gone
            raise
        self._meet({**state, "id": room_id})

    async def _connected(self) -> Connection:
        while (connection := self._connection) is None:
            if self._ended is not None:
                raise self._ended
            await self._up.wait()
        return connection

    # ── staying connected ────────────────────────────────────────────────────────────────────────────────────────

    async def _stay_connected(self, session: ClientSession) -> None:
        try:
            await self._reconnect_for_ever(session)
        except ChatError as error:
            self._end(error)
        finally:
            self._end(ChatError(ErrorCode.INTERNAL, "The client has failed; its log says why."))

    async def _reconnect_for_ever(self, session: ClientSession) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                connection = await self._open(session)
            except ChatError as error:
                if error.code in FATAL:
                    raise
                pause = max(pause, error.retry_after or 0)
            else:
                pause = FIRST_PAUSE
                await self._live(connection)
            await asyncio.sleep(_jittered(pause))
            pause = min(pause * 2, LONGEST_PAUSE)
            if self._inbox.overfull:
                await self._inbox.wait_for_room()

    async def _open(self, session: ClientSession) -> Connection:
        token = await self._fresh_token()
        self._url = url = next(self._urls)
        try:
            async with asyncio.timeout(self._timeout):
                return await Connection.open(session, url, token, follow=self._follow, heartbeat=self._heartbeat)
        except TimeoutError as error:
            raise ChatError(ErrorCode.TIMEOUT, f"{url} was not ready within {self._timeout:g} s.") from error

    async def _fresh_token(self) -> str:
        token = self._token if isinstance(self._token, str) else self._token()
        return await token if inspect.isawaitable(token) else token

    async def _live(self, connection: Connection) -> None:
        """One connection, from its `ready` to its end."""
        self.ready = connection.ready
        self._resumption = Resumption(connection, self._timelines, self._inbox)
        self._inbox.put(Event(READY, connection.ready))
        for room in connection.ready["rooms"]:
            if "epoch" in room:  # else one has left it this moment
                self._meet(room)
        followed = self._followed - {room["id"] for room in connection.ready["rooms"]}
        self._connection = connection
        self._up.set()
        code, reason = 1006, "the application reads too slowly"
        try:
            async with asyncio.TaskGroup() as group:
                resuming = group.create_task(self._resumption.run(followed))
                with suppress(_TooSlow):
                    code, reason = await connection.read(self._receive)
                resuming.cancel()
        finally:
            self._connection = None
            self._up.clear()
            await connection.close()
            for timeline in self._timelines.values():
                timeline.drop_held()
            self._inbox.put(Event(DISCONNECTED, {"code": code, "reason": reason}))

    def _end(self, error: ChatError) -> None:
        if self._ended is None:
            self._ended = error
            self._up.set()
            self._inbox.end()

    # ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────

    def _receive(self, frame: JSON) -> None:
        kind, room_id = frame["type"], frame.get("room_id", "")
        event = Event(kind, frame["data"], room_id, frame.get("seq", 0), frame.get("rev", 0))
        timeline = self._timelines.get(room_id)
        if timeline is None or not event.is_change:
            if self._inbox.overfull:
                raise _TooSlow
            self._inbox.put(event)
        elif timeline.holding:
            timeline.keep(event)
        elif self._inbox.full:
            self._behind(timeline)
        elif (told := timeline.take(event)) is not None:
            self._inbox.put(told)
        if kind == "room.subscribed":
            self._meet({**event.data, "id": room_id})
        elif kind == "room.reset" and timeline is not None:
            self._behind(timeline)

    def _meet(self, room: JSON) -> None:
        """The server has said where a room stands."""
        timeline = self._timelines.setdefault(room["id"], Timeline(room["id"]))
        if not timeline.meet(Position(room["epoch"], room["seq"], room["rev"]), room.get("cleared_seq", 0)):
            self._behind(timeline)

    def _behind(self, timeline: Timeline) -> None:
        if self._resumption is not None:
            self._resumption.add(timeline)


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311 - so that many clients do not return as one
