"""What has been written to clients, gathered and reported: one command per room and round, carrying many users.

Nothing happens here per message and connection: a feed that has moved is noted as such, and who is on it is looked at
when its round comes. A report that is lost is covered by the next one.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any

from services.gateway.connection import Connection
from services.gateway.feeds import Feed
from services.gateway.hub import Hub
from shared.bus.codec import JSON, encode_actor
from shared.bus.requests import Requests
from shared.contracts.base import Command, Query
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError
from shared.contracts.messages import MAX_REPORTED, GetHistory, ReportDelivered, Sync

ROUND = 5.0
"""Seconds between reports about a room."""

PAUSE = 60.0
"""Seconds during which nothing is reported of a room that records no deliveries."""

MAX_BROUGHT = 50_000
"""Users and rooms of whom answers have brought something, until the next round."""

MAX_ROOMS = 2_000
"""Rooms reported in a round; the others wait for the next."""

MAX_UNANSWERED = 500
"""Reports whose answer is still due; past it a round is left out, for the messages service has enough to do."""

IN_A_ROW = 50
"""Rooms reported at once; then it is the turn of everything else."""

Room = tuple[str, str]
"""(tenant, room id)."""


class Delivered:
    """Gathers how far each user's connections have been written to, room by room.

    Args:
        max_members: users of a room past which it is left out; 0 records nothing at all.
    """

    def __init__(self, hub: Hub, requests: Requests, *, max_members: int) -> None:
        self._hub = hub
        self._requests = requests
        self._max_members = max_members
        self._moved: dict[Feed, None] = {}
        self._brought: dict[Room, dict[str, int]] = {}
        self._count = 0
        self._paused: dict[Room, float] = {}
        self._unanswered = 0

    def moved(self, feed: Feed) -> None:
        """A feed's members have been sent something."""
        if self._max_members:
            self._moved[feed] = None

    def brought(self, user: tuple[str, str], request: Command | Query, result: JSON) -> None:
        """An answer has been sent to a user: what it says of messages has arrived."""
        find = BRINGS.get(type(request))
        if find is None or not self._max_members:
            return
        tenant, user_id = user
        for room_id, seq in find(result):
            self._bring((tenant, room_id), user_id, seq)

    def _bring(self, room: Room, user_id: str, seq: int) -> None:
        known = self._brought.get(room, {}).get(user_id)
        if known is None:
            if self._count >= MAX_BROUGHT:
                return
            self._count += 1
        self._brought.setdefault(room, {})[user_id] = max(seq, known or 0)

    async def run(self) -> None:
        """Report, round by round. Ends only by cancellation."""
        while True:
            await asyncio.sleep(ROUND)
            if self._unanswered < MAX_UNANSWERED:
                await self.report()

    async def report(self) -> None:
        """Report what has gathered, some rooms at a time."""
        now = self._hub.now()
        self._paused = {room: until for room, until in self._paused.items() if until > now}
        for number, (room, seqs) in enumerate(self._take(), start=1):
            if room not in self._paused:
                self._send(room, seqs)
            if number % IN_A_ROW == 0:
                await asyncio.sleep(0)

    def _take(self) -> Iterator[tuple[Room, dict[str, int]]]:
        """The rooms of this round, each with how far its users have got here."""
        feeds = {(feed.tenant, feed.room_id): feed for feed in self._moved}
        for room in list(dict.fromkeys([*self._brought, *feeds]))[:MAX_ROOMS]:
            seqs = self._brought.pop(room, {})
            self._count -= len(seqs)
            feed = feeds.get(room)
            if feed is not None:
                self._moved.pop(feed, None)
                reached = reached_on(feed)
                seqs = {user_id: max(seqs.get(user_id, 0), reached.get(user_id, 0)) for user_id in {**seqs, **reached}}
            if len(seqs) <= self._max_members:
                yield room, seqs

    def _send(self, room: Room, seqs: dict[str, int]) -> None:
        tenant, room_id = room
        actor = encode_actor(Actor(id="gateway", tenant=tenant, roles=("service",)))
        for start in range(0, len(seqs), MAX_REPORTED):
            some = dict(islice(seqs.items(), start, start + MAX_REPORTED))
            with suppress(ChatError):  # overloaded: a later report covers this one
                report = ReportDelivered(room_id=room_id, delivered=some)
                self._requests.send(report, actor, tenant, partial(self._answered, room, some))
                self._unanswered += 1

    def _answered(self, room: Room, seqs: dict[str, int], result: JSON | None, error: ChatError | None) -> None:
        self._unanswered -= 1
        if error is not None and error.row.retryable:  # again with the next round, as the room may be at rest
            for user_id, seq in seqs.items():
                self._bring(room, user_id, seq)
        if result is not None and not result.get("recorded"):
            self._paused[room] = self._hub.now() + PAUSE


def reached_on(feed: Feed) -> dict[str, int]:
    """How far the users of a feed have been written to.

    Those with a connection that still reads, and that has been sent something since it knew where the room stood.
    """
    return {
        connection.user[1]: feed.seq
        for connection, since in feed.members.items()
        if feed.seq > since.seq and _reads(connection)
    }


def _reads(connection: Connection) -> bool:
    return connection.open and connection.greeted and not connection.transport.is_closing()


def _in_sync(result: JSON) -> Iterator[tuple[str, int]]:
    for room_id, page in result["rooms"].items():
        if page["messages"]:
            yield room_id, max(message["seq"] for message in page["messages"])


def _in_history(result: JSON) -> Iterator[tuple[str, int]]:
    if result["messages"]:
        last = result["messages"][-1]
        yield last["room_id"], last["seq"]


BRINGS: dict[type[Any], Callable[[JSON], Iterator[tuple[str, int]]]] = {Sync: _in_sync, GetHistory: _in_history}
"""Answers that bring messages: how to find which rooms' they are, and how far they go."""
