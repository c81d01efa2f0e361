"""The hub: every connection, who they belong to, which feeds they are on, and what has yet to be flushed."""

import asyncio
from collections.abc import Callable, Iterable

from services.gateway.connection import CLOSE_GRACE, Connection
from services.gateway.feeds import Feed
from services.gateway.voices import RESET, Voice
from shared import metrics
from shared.contracts.errors import ChatError, CloseCode, ErrorCode
from shared.logging import get_logger

log = get_logger(__name__)

TICK = 1.0
_connections = metrics.gauge("connections", "Open client connections")
_feeds = metrics.gauge("feeds", "Rooms somebody here is subscribed to")
_frames = metrics.counter("frames_sent", "Frames handed to client connections")


class Hub:
    """Connections and feeds of one gateway.

    Args:
        per_user: connections a user may have; `in_total`: all together.
        heartbeat: seconds between pings; after two without a sign of life a connection is cut.
    """

    def __init__(self, *, per_user: float, in_total: float, heartbeat: float) -> None:
        self._per_user = per_user
        self._in_total = in_total
        self._heartbeat = heartbeat
        self._loop = asyncio.get_running_loop()
        self._dirty: dict[Connection, None] = {}
        self._flushing = False
        self.connections: dict[str, Connection] = {}
        self.users: dict[tuple[str, str], set[Connection]] = {}
        self.feeds: dict[str, Feed] = {}
        self.on_turn: Callable[[tuple[str, str]], None] = lambda _user: None
        """Called when a user's first connection has come or their last one gone."""
        self.on_unsubscribe: Callable[[Connection, str], None] = lambda _connection, _room_id: None
        """Called when a connection follows a room no more, for whatever reason."""
        self.empty = asyncio.Event()
        self.empty.set()

    def now(self) -> float:
        """The loop's clock, by which connections are judged."""
        return self._loop.time()

    # ── connections ──────────────────────────────────────────────────────────────────────────────────────────────

    def check_room_for(self, user: tuple[str, str]) -> None:
        """Raise ChatError where another connection would be too many."""
        if len(self.connections) >= self._in_total:
            raise ChatError(ErrorCode.OVERLOADED, "This gateway is full; try again later.", retry_after=5.0)
        if len(self.users.get(user, ())) >= self._per_user:
            raise ChatError(
                ErrorCode.RATE_LIMITED,
                f"You have {self._per_user:g} connections open, which is the limit; close one first.",
                retry_after=5.0,
            )

    def add(self, connection: Connection) -> None:
        """A client is here."""
        self.connections[connection.id] = connection
        self.empty.clear()
        devices = self.users.setdefault(connection.user, set())
        devices.add(connection)
        if len(devices) == 1:
            self.on_turn(connection.user)
        _connections.set(len(self.connections))

    def remove(self, connection: Connection) -> None:
        """A client is gone."""
        for room_id in [*connection.feeds, *connection.quiet]:
            self.unsubscribe(connection, room_id)
        self.connections.pop(connection.id, None)
        devices = self.users.get(connection.user)
        if devices is not None:
            devices.discard(connection)
            if not devices:
                del self.users[connection.user]
                self.on_turn(connection.user)
        self._dirty.pop(connection, None)
        if not self.connections:
            self.empty.set()
        _connections.set(len(self.connections))

    def connections_of(self, tenant: str, user_id: str) -> list[Connection]:
        """A user's connections here."""
        return list(self.users.get((tenant, user_id), ()))

    # ── feeds ────────────────────────────────────────────────────────────────────────────────────────────────────

    def join(self, connection: Connection, room_id: str) -> Feed:
        """Begin to subscribe a connection to a room; `Feed.start` completes it.

        Raises:
            ChatError: where the connection has gone meanwhile; nobody would ever end its subscription.
        """
        if connection.id not in self.connections:
            raise ChatError(ErrorCode.UNAVAILABLE, "The connection is gone.")
        feed = self.feeds.get(room_id)
        if feed is None:
            feed = self.feeds[room_id] = Feed(room_id, connection.user[0])
            _feeds.set(len(self.feeds))
        feed.join(connection)
        self._heed(connection, room_id)
        connection.feeds[room_id] = feed
        return feed

    def leave(self, connection: Connection, room_id: str) -> None:
        """End a subscription on the client's wish; the lists that it is shown go on changing with the room."""
        feed = connection.feeds.get(room_id)
        if feed is not None and RESET in connection.voice.stirs:
            feed.quiet.add(connection)
            connection.quiet[room_id] = feed
        self._end(connection, room_id)

    def unsubscribe(self, connection: Connection, room_id: str) -> None:
        """End a subscription, and the feed with its last one."""
        feed = self._heed(connection, room_id)
        self._end(connection, room_id)
        self._close(feed)

    def _heed(self, connection: Connection, room_id: str) -> Feed | None:
        """A connection that has left a room is in it again, or gone from it for good."""
        feed = connection.quiet.pop(room_id, None)
        if feed is not None:
            feed.quiet.discard(connection)
        return feed

    def _end(self, connection: Connection, room_id: str) -> None:
        connection.standing.pop(room_id, None)
        feed = connection.feeds.pop(room_id, None)
        if feed is None:
            return
        feed.leave(connection)
        self.on_unsubscribe(connection, room_id)
        self._close(feed)

    def _close(self, feed: Feed | None) -> None:
        if feed is not None and feed.unused and self.feeds.get(feed.room_id) is feed:
            del self.feeds[feed.room_id]
            _feeds.set(len(self.feeds))

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────

    def post(self, connection: Connection, data: bytes) -> None:
        """Buffer a frame for a connection until `flush`; nothing, where it is nothing."""
        if not data:
            return
        connection.out.append(data)
        self._dirty[connection] = None

    def post_all(self, connections: Iterable[Connection], data: bytes) -> None:
        """Buffer the same for many; nothing, where it is nothing."""
        if not data:
            return
        dirty = self._dirty
        for connection in connections:
            connection.out.append(data)
            dirty[connection] = None

    def tell(self, connections: Iterable[Connection], say: Callable[[Voice], bytes]) -> None:
        """Buffer for many what each one's voice says; each voice is asked once."""
        said: dict[Voice, bytes] = {}
        for connection in connections:
            voice = connection.voice
            data = said.get(voice)
            if data is None:
                data = said[voice] = say(voice)
            if data:
                self.post(connection, data)

    def stir(self, connections: Iterable[Connection], kind: str) -> None:
        """Let those ask for their lists again that show something of what has happened."""
        for connection in connections:
            if kind in connection.voice.stirs and connection.stirred is not None:
                connection.stirred(kind)

    def flush_soon(self) -> None:
        """Flush when all that has arrived by now is handled: acks and events of one batch leave in one write."""
        if self._dirty and not self._flushing:
            self._flushing = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """One write per connection that has something to be sent."""
        self._flushing = False
        now, dirty = self._loop.time(), self._dirty
        self._dirty = {}
        sent = 0
        for connection in dirty:
            sent += len(connection.out)
            connection.flush(now)
        _frames.inc(sent)

    def send(self, connection: Connection, data: bytes) -> None:
        """Send a frame at once."""
        self.post(connection, data)
        self.flush()

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def watch(self) -> None:
        """Ping, and cut who is silent, expired or does not answer a close. Ends only by cancellation."""
        next_ping = self.now() + self._heartbeat
        while True:
            await asyncio.sleep(TICK)
            now = self.now()
            ping = now >= next_ping
            if ping:
                next_ping = now + self._heartbeat
            for connection in list(self.connections.values()):
                self._judge(connection, now, ping=ping)

    def _judge(self, connection: Connection, now: float, *, ping: bool) -> None:
        if connection.closed_at is not None:
            if now - connection.closed_at > CLOSE_GRACE:
                connection.transport.abort()
        elif not connection.voice.ping:
            pass  # whoever serves the transport looks after it
        elif now - connection.seen_at > 2 * self._heartbeat + TICK:
            connection.transport.abort()
        elif ping and not connection.transport.is_closing():
            connection.transport.write(connection.voice.ping)

    def close_expired(self, wall: float) -> None:
        """Close connections whose token ended before `wall` (seconds since the epoch)."""
        now = self.now()
        for connection in list(self.connections.values()):
            if connection.open and connection.identity.expires < wall:
                connection.close(CloseCode.UNAUTHENTICATED, "the token has expired", now)

    def close_all(self, code: int, reason: str) -> None:
        """Say goodbye to everybody."""
        self.flush()
        now = self.now()
        for connection in list(self.connections.values()):
            connection.close(code, reason, now)
