"""Who may see a file: its owner, and whoever may read a room of its tenant in which a message shows it.

One rule for all who may not, members of other rooms, former members and other tenants alike: the file is not there
(`not_found`). What rooms say is remembered (shared.access), but a refusal is never answered from memory. Services see
all files of their tenant; admins and assistants what they may read, as everybody.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping

from services.media.records import Media
from services.media.reference_store import ReferenceStore
from shared.access import AccessCache
from shared.bus.access import forget_changed
from shared.bus.codec import readable_events
from shared.bus.consumer import Consumer
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.membership import Action, RoomAccess
from shared.permissions import GlobalRole, allowed

SERVICE_ACTOR = Actor(id="media", roles=(GlobalRole.SERVICE.value,))
"""Who asks the rooms service."""

PAUSES = (0.05, 0.1, 0.25, 0.5)
"""Seconds between looks for messages that show a file."""


class Access:
    """Judges for one process."""

    def __init__(self, references: ReferenceStore, rooms: AccessCache) -> None:
        self._references = references
        self._rooms = rooms

    async def require(self, actor: Actor, media_id: str, media: Media | None) -> Media:
        """The file, where there is one that the actor may see. Raises ChatError `not_found`, `unavailable`."""
        if media is None or media.id not in await self.visible(actor, [media]):
            raise no_file(media_id)
        return media

    async def require_soon(self, actor: Actor, media_id: str, media: Media | None) -> Media:
        """As `require`; one that no message shows, as far as is known, is looked for again for a moment.

        A reader may have had the first message that shows it before the media service was told.
        """
        if media is not None and media.tenant == actor.tenant and media.unused_since is not None:
            for pause in PAUSES:
                if media.id in await self.visible(actor, [media]):
                    return media
                await asyncio.sleep(pause)
        return await self.require(actor, media_id, media)

    async def visible(self, actor: Actor, files: Iterable[Media]) -> set[str]:
        """Those of the files that the actor may see.

        Raises:
            ChatError: `unavailable`, where that depends on rooms that cannot be looked up.
        """
        within = [media for media in files if media.tenant == actor.tenant]
        seen = {media.id for media in within if media.owner == actor.id or GlobalRole.SERVICE in actor.roles}
        others = {media.id for media in within} - seen
        if not others:
            return seen
        shown = await self._references.rooms_of(others)
        rooms = set().union(*shown.values())
        known = self._rooms.known(rooms)
        found = await self._rooms.get(rooms)
        readable = _readable(actor, found)
        doubtful = set().union(*(shown[media_id] for media_id in _unseen(shown, readable))) & known
        if doubtful:
            # Refused from memory: the actor may have been let in a moment ago.
            fresh = await self._rooms.get(doubtful, fresh=True)
            found = {room_id: access for room_id, access in found.items() if room_id not in doubtful} | fresh
            readable = _readable(actor, found)
        unseen = _unseen(shown, readable)
        if any(shown[media_id] - found.keys() for media_id in unseen):
            raise ChatError(
                ErrorCode.UNAVAILABLE, "Who may see the file cannot be looked up; try again.", retry_after=1.0
            )
        return seen | (shown.keys() - unseen)


def no_file(media_id: str) -> ChatError:
    """The error for a file that is not there, or not for the caller to know of."""
    return ChatError(ErrorCode.NOT_FOUND, f"There is no file '{media_id}'.")


class RoomNews:
    """This process's own queue of room events: what is remembered of a room that has changed is forgotten."""

    def __init__(self, consumer: Consumer, rooms: AccessCache) -> None:
        self._consumer = consumer
        self._rooms = rooms

    async def run(self) -> None:
        """Apply what arrives. Ends only by cancellation."""
        while True:
            deliveries = await self._consumer.take(64)
            for delivery in deliveries:
                for envelope in readable_events(delivery.body):
                    forget_changed(self._rooms, envelope)
            await self._consumer.settle(deliveries)


def _readable(actor: Actor, rooms: Mapping[str, RoomAccess | None]) -> set[str]:
    return {room_id for room_id, access in rooms.items() if access is not None and _may_read(actor, access)}


def _may_read(actor: Actor, access: RoomAccess) -> bool:
    """Whether the actor may read a room. Neither being muted nor a room's end takes that away."""
    role = access.members.get(actor.id)
    return access.tenant == actor.tenant and allowed(Action.READ, access.type, role, actor.roles)


def _unseen(shown: Mapping[str, Collection[str]], readable: set[str]) -> set[str]:
    """The files of which no room can be read."""
    return {media_id for media_id, rooms in shown.items() if readable.isdisjoint(rooms)}
