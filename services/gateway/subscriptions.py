"""Which connection follows which room: at the start, as memberships change, and after room events were missed.

The order is always: join the feeds first, then ask where the rooms stand. So nothing happens in between unseen. And
whoever is told to have left a room while it is looked up does not join it on the strength of an older answer.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from services.gateway.connection import Connection, Standing
from services.gateway.fanout import Fanout
from services.gateway.feeds import Feed
from services.gateway.hub import Hub
from services.gateway.news import EVER, news
from services.gateway.voices import SUBSCRIBED, About, about
from shared.bus.codec import JSON, readable_events
from shared.bus.consumer import Consumer
from shared.bus.requests import Requests
from shared.contracts.base import Query
from shared.contracts.errors import ChatError, CloseCode, ErrorCode
from shared.contracts.membership import Role, RoomType
from shared.contracts.messages import MAX_PAGE, GetRoomStates, Sync
from shared.contracts.rooms import (
    EVENTS,
    GetRoom,
    ListRooms,
    MemberAdded,
    MemberRemoved,
    MemberUpdated,
    RoomCreated,
    RoomDeleted,
    RoomUpdated,
)
from shared.contracts.timeline import RoomStateView, RoomSyncView
from shared.logging import get_logger
from shared.service import Tasks

log = get_logger(__name__)

PAGE = 500
MAX_PAGES = 25
"""Pages of changes that one who comes back is told; with more, they read the room afresh."""

MAX_AT_ONCE = 50
"""Users whose subscriptions are looked up at once after the link was lost."""


class Subscriptions:
    """Keeps connections on the feeds of the rooms their user is in.

    Args:
        max_rooms: rooms one connection follows at most.
    """

    def __init__(
        self, hub: Hub, fanout: Fanout, requests: Requests, consumer: Consumer, tasks: Tasks, *, max_rooms: int
    ) -> None:
        self._hub = hub
        self._fanout = fanout
        self._requests = requests
        self._consumer = consumer
        self._tasks = tasks
        self._max_rooms = max_rooms
        self._gate = asyncio.Semaphore(MAX_AT_ONCE)
        self._watching: dict[Connection, dict[int, set[str]]] = {}

    # ── joining ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def welcome(self, connection: Connection) -> tuple[list[JSON], list[bytes]]:
        """Subscribe a new connection to its user's rooms, if it wants that.

        Returns:
            The rooms as `ready` shows them, each with where its timeline stands, and the frames that have to follow.

        Raises:
            ChatError: where they cannot be looked up.
        """
        if not connection.follows_rooms:
            return [], []
        with self._watch(connection) as left:
            rooms = [room for room in await self._rooms_of(connection) if room["id"] not in left]
            states, late = await self.join(connection, rooms)
        return [_summary(room, states[room["id"]]) for room in rooms if room["id"] in states], late

    async def _rooms_of(self, connection: Connection) -> list[JSON]:
        """The rooms the connection's user is in, up to the limit. Raises ChatError."""
        rooms: list[JSON] = []
        after: str | None = None
        while len(rooms) < self._max_rooms:
            page = await self._ask(connection, ListRooms(after=after, limit=min(PAGE, self._max_rooms)))
            rooms += page["rooms"]
            after = page.get("next")
            if after is None:
                break
        return rooms[: self._max_rooms]

    async def join(self, connection: Connection, rooms: list[JSON]) -> tuple[dict[str, RoomStateView], list[bytes]]:
        """Subscribe to rooms; their states, and the frames that have to follow once the client knows the states.

        Raises:
            ChatError: where the states cannot be had; what was not subscribed to before is not now.
        """
        for room in rooms:
            self._join(connection, room)
        return await self._complete(connection, [room["id"] for room in rooms])

    def _join(self, connection: Connection, room: JSON) -> None:
        _learn(connection, room)
        self._hub.join(connection, room["id"]).about = about(room)

    async def _complete(
        self, connection: Connection, room_ids: list[str], since: datetime | None = None
    ) -> tuple[dict[str, RoomStateView], list[bytes]]:
        states: dict[str, RoomStateView] = {}
        late: list[bytes] = []
        told: list[bytes] = []
        missing = room_ids
        while missing:
            try:
                states |= await self._states(connection, missing)
                told = await news(self._requests, connection, states, since)
            except ChatError:
                for room_id in room_ids:
                    feed = connection.feeds.get(room_id)
                    if feed is not None and connection not in feed.voices[connection.voice]:
                        self._hub.unsubscribe(connection, room_id)
                raise
            missing = [room_id for room_id in missing if not self._start(connection, room_id, states, late)]
        return states, [*told, *late]

    def _start(self, connection: Connection, room_id: str, states: dict[str, RoomStateView], late: list[bytes]) -> bool:
        """Complete a subscription, or end it where the user is out of the room; False where it takes a newer state."""
        state, feed = states.get(room_id), connection.feeds.get(room_id)
        if state is None or feed is None:
            self._hub.unsubscribe(connection, room_id)
            states.pop(room_id, None)
            return True
        frames = feed.start(connection, state.epoch, state.seq, state.rev, state.cleared_seq)
        if feed.behind:
            self._fanout.heal(feed)
        if frames is None:
            del states[room_id]
            return False
        late += frames
        return True

    async def follow(self, connection: Connection, room_id: str) -> JSON:
        """Subscribe to one room on the client's wish; its state. Raises ChatError where it may not be read."""
        if room_id not in connection.feeds and len(connection.feeds) >= self._max_rooms:
            raise ChatError(ErrorCode.CONFLICT, f"This connection follows {self._max_rooms} rooms, which is the limit.")
        states, late = await self._join_as_allowed(connection, room_id)
        for data in late:
            self._hub.post(connection, data)
        if room_id not in states:
            raise ChatError(ErrorCode.NOT_FOUND, f"There is no room '{room_id}'.")
        return states[room_id].model_dump(mode="json", exclude_none=True)

    async def changed(self, connection: Connection, room_id: str, cursor: str) -> list[RoomSyncView]:
        """What has changed in a room since a cursor; nothing where that is too much. Raises ChatError."""
        pages: list[RoomSyncView] = []
        while len(pages) < MAX_PAGES:
            answer = await self._ask(connection, Sync(cursors={room_id: cursor}, limit=MAX_PAGE))
            if room_id not in answer["rooms"]:
                return []
            pages.append(RoomSyncView.model_validate(answer["rooms"][room_id]))
            if pages[-1].reset:
                return []
            if not pages[-1].has_more:
                return pages
            cursor = pages[-1].cursor
        return []

    async def _join_as_allowed(
        self, connection: Connection, room_id: str
    ) -> tuple[dict[str, RoomStateView], list[bytes]]:
        with self._watch(connection) as left:
            room = await self._ask(connection, GetRoom(room_id=room_id))
            if room_id in left:
                return {}, []
            return await self.join(connection, [room])

    @contextmanager
    def _watch(self, connection: Connection) -> Iterator[set[str]]:
        """The rooms a connection's user is told to have left from now on."""
        left: set[str] = set()
        watching = self._watching.setdefault(connection, {})
        watching[id(left)] = left
        try:
            yield left
        finally:
            del watching[id(left)]
            if not watching:
                del self._watching[connection]

    async def _states(self, connection: Connection, room_ids: list[str]) -> dict[str, RoomStateView]:
        states: dict[str, RoomStateView] = {}
        for start in range(0, len(room_ids), PAGE):
            page = await self._ask(connection, GetRoomStates(room_ids=room_ids[start : start + PAGE]))
            states |= {item["room_id"]: RoomStateView.model_validate(item) for item in page["states"]}
        return states

    async def _ask(self, connection: Connection, query: Query) -> JSON:
        return await self._requests.ask(query, connection.actor, connection.user[0])

    # ── as memberships change ────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Apply room events as they come. Ends only by cancellation."""
        while True:
            deliveries = await self._consumer.take(128)
            for delivery in deliveries:
                for envelope in readable_events(delivery.body):
                    if envelope["type"] not in EVENTS:
                        continue
                    try:
                        self._apply(envelope)
                    except (KeyError, TypeError, ValueError) as error:  # not what its type says
                        log.error("malformed event dropped", type=envelope["type"][:100], error=repr(error)[:200])
            self._hub.flush()
            await self._consumer.settle(deliveries)

    def _apply(self, envelope: JSON) -> None:
        kind, room_id, tenant, data = (
            envelope["type"],
            envelope["subject"],
            envelope.get("tenant", ""),
            envelope["data"],
        )
        feed = self._hub.feeds.get(room_id)
        room = _room_of(data, feed, room_id)
        reached, quiet = self._readers(room_id), [] if feed is None else list(feed.quiet)
        if kind == RoomCreated.TYPE:
            for member in data.get("members", ()):
                reached |= self._enter(tenant, member, data["room"], EVER)
        elif kind == MemberAdded.TYPE:
            since = datetime.fromisoformat(data["member"]["joined_at"])
            reached |= self._enter(tenant, data["member"], data["room"], since)
            reached |= self._concerned(kind, tenant, data["member"]["user_id"], data)
            room = about(data["room"])
        elif kind == MemberUpdated.TYPE:
            member = data["member"]
            connections = self._hub.connections_of(tenant, member["user_id"])
            _restand(connections, room_id, role=Role(member["role"]), muted=member.get("muted", False))
        elif kind == RoomUpdated.TYPE:
            if feed is not None:
                feed.about = room
            _restand(reached, room_id, closed=data["room"].get("closed", False))
        elif kind == MemberRemoved.TYPE:
            removed = self._hub.connections_of(tenant, data["user_id"])
            reached |= self._leave(removed, room_id)
            for connection in removed:
                self._tasks.spawn(self._return(connection, room_id), f"return {room_id}")
        elif kind == RoomDeleted.TYPE:
            reached |= self._leave([*reached, *quiet], room_id)
        told = [other for other in reached if other.voice.only(kind, data) in (None, other.user[1])]
        self._hub.tell(told, lambda voice: voice.happening(kind, room, data))
        self._hub.stir({**reached, **dict.fromkeys(quiet)}, kind)

    def _concerned(self, kind: str, tenant: str, user_id: str, data: JSON) -> dict[Connection, None]:
        """The connections of a user that are told what concerns them, whatever room they follow."""
        connections = self._hub.connections_of(tenant, user_id)
        return dict.fromkeys(other for other in connections if other.voice.only(kind, data) == user_id)

    def _readers(self, room_id: str) -> dict[Connection, None]:
        feed = self._hub.feeds.get(room_id)
        return dict.fromkeys(feed.connections) if feed is not None else {}

    def _enter(self, tenant: str, member: JSON, room: JSON, since: datetime) -> dict[Connection, None]:
        connections = [
            connection for connection in self._hub.connections_of(tenant, member["user_id"]) if connection.follows_rooms
        ]
        for connection in connections:
            self._begin(connection, {**room, "role": member["role"], "muted": member.get("muted", False)}, since)
        return dict.fromkeys(connections)

    def _begin(self, connection: Connection, room: JSON, since: datetime | None = None) -> None:
        """Join a room at once, so that a removal told next finds the subscription; the rest takes its time.

        Args:
            since: when its user came into the room, where that has just happened.
        """
        room_id = room["id"]
        if room_id in connection.feeds:
            _learn(connection, room)
        elif len(connection.feeds) < self._max_rooms:
            self._join(connection, room)
            self._tasks.spawn(self._enter_later(connection, room_id, since), f"enter {room_id}")

    async def _enter_later(self, connection: Connection, room_id: str, since: datetime | None) -> None:
        async with self._gate:
            try:
                states, late = await self._complete(connection, [room_id], since)
            except ChatError as error:
                self._give_up(connection, error)
                return
        if connection.open and (state := states.get(room_id)) is not None:
            shown = state.model_dump(mode="json", exclude_none=True)
            room = connection.feeds[room_id].about
            self._hub.post(connection, connection.voice.happening(SUBSCRIBED, room, shown))
            self._hub.post(connection, b"".join(late))
            self._hub.stir([connection], SUBSCRIBED)
            self._hub.flush()

    async def _return(self, connection: Connection, room_id: str) -> None:
        """Let a member back in whose removal was told late, after they had been added again."""
        with self._watch(connection) as left, suppress(ChatError):
            room = await self._ask(connection, GetRoom(room_id=room_id))
            if room.get("role") is not None and room_id not in left and connection.follows_rooms:
                self._begin(connection, room)

    def _leave(self, connections: list[Connection], room_id: str) -> dict[Connection, None]:
        for connection in connections:
            self._hub.unsubscribe(connection, room_id)
            for left in self._watching.get(connection, {}).values():
                left.add(room_id)
        return dict.fromkeys(connections)

    # ── after room events were missed ────────────────────────────────────────────────────────────────────────────

    def reconcile_all(self) -> None:
        """Look every connection's rooms up again: memberships may have changed unheard."""
        for connection in list(self._hub.connections.values()):
            self._tasks.spawn(self.reconcile(connection), "reconcile")

    async def reconcile(self, connection: Connection) -> None:
        """Let a connection follow what its user may follow now, and nothing else."""
        async with self._gate:
            try:
                with self._watch(connection) as left:
                    rooms = {room["id"]: room for room in await self._rooms_of(connection)}
                    await self._check_others(connection, rooms)
                    if connection.follows_rooms:
                        for room in (room for room_id, room in rooms.items() if room_id not in left):
                            self._begin(connection, room)
            except ChatError as error:
                self._give_up(connection, error)

    async def _check_others(self, connection: Connection, member_of: Mapping[str, JSON]) -> None:
        for room_id in connection.feeds.keys() - member_of.keys():
            # Followed without a membership in the list: still allowed for some (moderators), else over.
            try:
                _learn(connection, await self._ask(connection, GetRoom(room_id=room_id)))
            except ChatError as error:
                if error.row.retryable:
                    raise
                self._hub.unsubscribe(connection, room_id)

    def _give_up(self, connection: Connection, error: ChatError) -> None:
        log.warning("subscriptions cannot be looked up", connection=connection.id, error=error.message)
        connection.close(CloseCode.RESTART, "subscriptions cannot be looked up; reconnect", self._hub.now())


def _learn(connection: Connection, room: JSON) -> None:
    role = room.get("role")
    connection.standing[room["id"]] = Standing(
        RoomType(room["type"]),
        None if role is None else Role(role),
        muted=room.get("muted") or False,
        closed=room.get("closed", False),
    )


def _room_of(data: JSON, feed: Feed | None, room_id: str) -> About:
    """What is known of the room that an event is about."""
    if "room" in data:
        return about(data["room"])
    return feed.about if feed is not None else About(room_id)


def _restand(connections: Iterable[Connection], room_id: str, **changes: Any) -> None:
    """Something about how these stand in a room has changed."""
    for connection in connections:
        if (standing := connection.standing.get(room_id)) is not None:
            connection.standing[room_id] = standing._replace(**changes)


def _summary(room: JSON, state: RoomStateView) -> JSON:
    """A room as `ready` shows it: the room and where its timeline stands."""
    return {**room, **state.model_dump(mode="json", exclude={"room_id"}, exclude_none=True)}
