"""Who is told of whose presence: those who watch a user, and those who follow a room with them. Each once.

The rooms service says in which rooms a change is told; who follows these here has been let in by it. Watching stays
within the tenant. Nothing is kept here but who watches whom, and the latest changes.
"""

from services.gateway.connection import Connection
from services.gateway.hub import Hub
from services.gateway.voices import MISSED
from shared.bus.codec import JSON
from shared.bus.requests import Requests
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.media import MediaFailed, MediaProgressed, MediaReady
from shared.contracts.people import FavoritesUpdated
from shared.contracts.presence import MAX_WATCHED, GetPresence, PresenceChanged

MAX_REMEMBERED = 5000
"""Users whose latest change is remembered, of those whom somebody here is told of."""

User = tuple[str, str]


class Watching:
    """Everybody who watches somebody at this gateway."""

    def __init__(self, hub: Hub, requests: Requests) -> None:
        self._hub = hub
        self._requests = requests
        self._watchers: dict[User, dict[Connection, None]] = {}
        self._watched: dict[Connection, set[str]] = {}
        self._latest: dict[User, JSON] = {}
        self.deliveries = {
            PresenceChanged.TYPE: self.changed,
            **dict.fromkeys(
                (FavoritesUpdated.TYPE, MediaProgressed.TYPE, MediaReady.TYPE, MediaFailed.TYPE), self.personal
            ),
        }
        """Who delivers which event: all those that are about a user."""

    # ── what clients ask ─────────────────────────────────────────────────────────────────────────────────────────

    async def watch(self, connection: Connection, user_ids: list[str]) -> JSON:
        """Tell a connection of changes from now on; how things stand now.

        Raises:
            ChatError: `conflict` past the limit, or why it cannot be looked up: then none of them is newly watched.
        """
        watched = self._watched.get(connection, set())
        new = [user_id for user_id in dict.fromkeys(user_ids) if user_id not in watched]
        if len(watched) + len(new) > MAX_WATCHED:
            raise ChatError(ErrorCode.CONFLICT, f"A connection watches at most {MAX_WATCHED} users; unwatch some.")
        tenant = connection.user[0]
        for user_id in new:
            self._watchers.setdefault((tenant, user_id), {})[connection] = None
        if new:
            self._watched.setdefault(connection, set()).update(new)
        try:
            answer = await self._requests.ask(GetPresence(user_ids=user_ids), connection.actor, tenant)
        except ChatError:
            self.unwatch(connection, new)
            raise
        return {"users": [self._newer(tenant, view) for view in answer["users"]]}

    async def watch_only(self, connection: Connection, user_ids: list[str]) -> JSON:
        """Tell a connection of these from now on, and of nobody else; how things stand now. Raises ChatError."""
        self.unwatch(connection, list(self._watched.get(connection, set()).difference(user_ids)))
        return await self.watch(connection, user_ids) if user_ids else {"users": []}

    def unwatch(self, connection: Connection, user_ids: list[str]) -> None:
        """Tell a connection no more of these."""
        watched = self._watched.get(connection, set())
        for user_id in watched.intersection(user_ids):
            user = (connection.user[0], user_id)
            watchers = self._watchers[user]
            del watchers[connection]
            if not watchers:
                del self._watchers[user]
            watched.discard(user_id)
        if not watched:
            self._watched.pop(connection, None)

    def forget(self, connection: Connection) -> None:
        """A connection is gone."""
        self.unwatch(connection, list(self._watched.get(connection, ())))

    # ── what happens ─────────────────────────────────────────────────────────────────────────────────────────────

    def changed(self, envelope: JSON) -> None:
        """Deliver a change of presence; one that is not newer than the last is known. Raises KeyError or TypeError."""
        tenant, data = envelope["tenant"], dict(envelope["data"])
        rooms = data.pop("rooms", ())
        user = (tenant, data["user_id"])
        told = dict(self._watchers.get(user, ()))
        for room_id in rooms:
            feed = self._hub.feeds.get(room_id)
            if feed is not None and feed.tenant == tenant:
                told |= dict.fromkeys(feed.members)
        if told and self._is_news(user, data):
            self._hub.tell(told, lambda voice: voice.personal(PresenceChanged.TYPE, data))
            self._hub.stir(self._watchers.get(user, ()), PresenceChanged.TYPE)

    def personal(self, envelope: JSON) -> None:
        """Deliver what concerns one user alone to all their connections. Raises KeyError or TypeError."""
        data = dict(envelope["data"])
        connections = self._hub.connections_of(envelope["tenant"], data.pop("user_id"))
        if connections:
            self._hub.tell(connections, lambda voice: voice.personal(envelope["type"], data))
            self._hub.stir(connections, envelope["type"])

    def missed(self) -> None:
        """Changes may have passed unheard, and no number shows it: everybody is to ask again for what they show."""
        self._hub.tell(self._hub.connections.values(), lambda voice: voice.personal(MISSED, {}))
        self._hub.stir(self._hub.connections.values(), MISSED)

    def _is_news(self, user: User, data: JSON) -> bool:
        """Whether a change is newer than the last one told; then it is the last one."""
        known = self._latest.get(user)
        if known is not None and data["number"] <= known["number"]:
            return False
        self._latest.pop(user, None)
        if len(self._latest) >= MAX_REMEMBERED:
            del self._latest[next(iter(self._latest))]
        self._latest[user] = data
        return True

    def _newer(self, tenant: str, view: JSON) -> JSON:
        """What is known of a user by now: an event may have overtaken the answer."""
        known = self._latest.get((tenant, view["user_id"]))
        return known if known is not None and known["number"] > view["number"] else view
