"""Which message stands where in a room, for clients that are told of messages by id and not by `seq`.

Nearly always it is among the latest, whose ids the room's feed remembers; else the messages service is asked.
"""

from collections.abc import Callable, Collection

from services.gateway.feeds import Feed
from services.gateway.hub import Hub
from shared import metrics
from shared.bus.codec import encode_actor
from shared.bus.requests import Requests
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError
from shared.contracts.messages import MAX_PAGE, GetHistory
from shared.logging import get_logger
from shared.service import Tasks

log = get_logger(__name__)

MAX_AT_ONCE = 100
"""Look-ups under way; what comes on top is not told: it would say how things stand, and be outdated soon."""

_dropped = metrics.counter("messages_unnamed", "Events not told as the messages they are about could not be named")


class Naming:
    """Finds the ids of messages."""

    def __init__(self, hub: Hub, requests: Requests, tasks: Tasks) -> None:
        self._hub = hub
        self._requests = requests
        self._tasks = tasks
        self._under_way = 0

    def find(self, feed: Feed, seqs: Collection[int], then: Callable[[], None]) -> None:
        """Let a feed know the messages at these places, at most a page; `then` is called when it does."""
        if self._under_way >= MAX_AT_ONCE:
            _dropped.inc()
            return
        self._under_way += 1
        self._tasks.spawn(self._find(feed, max(seqs), max(seqs) - min(seqs) + 1, then), "name messages")

    async def _find(self, feed: Feed, last: int, number: int, then: Callable[[], None]) -> None:
        actor = encode_actor(Actor(id="gateway", tenant=feed.tenant, roles=("service",)))
        query = GetHistory(room_id=feed.room_id, before=last + 1, limit=min(number, MAX_PAGE))
        try:
            page = await self._requests.ask(query, actor, feed.tenant)
        except ChatError as error:
            _dropped.inc()
            log.debug("messages not named", room=feed.room_id, error=error.message[:200])
            return
        finally:
            self._under_way -= 1
        for message in page["messages"]:
            feed.name(message["seq"], message["id"])
        then()
        self._hub.flush_soon()
