"""From events to sockets: each batch parsed once, each event encoded once, each connection written to once.

A feed that is behind is healed by asking the messages service what has changed since; so is every feed after the
broker link was lost. What one event's failure breaks is that event only.
"""

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import groupby

from pydantic import ValidationError

from services.gateway import native
from services.gateway.changes import changes
from services.gateway.connection import Connection
from services.gateway.delivered import Delivered
from services.gateway.feeds import Feed
from services.gateway.hub import Hub
from services.gateway.linking import Linking
from services.gateway.naming import Naming
from services.gateway.voices import RESET, Voice
from services.gateway.watching import Watching
from shared import metrics
from shared.bus.codec import JSON, encode_actor, readable_events
from shared.bus.consumer import Consumer
from shared.bus.requests import Requests
from shared.contracts.answers import ANSWERS
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, CloseCode, ErrorCode
from shared.contracts.media import MediaReady
from shared.contracts.messages import (
    MAX_PAGE,
    MessageCreated,
    ReceiptsUpdated,
    Sync,
    TimelineCleared,
    TimelineEvent,
    TimelinePurged,
)
from shared.contracts.timeline import RoomSyncView
from shared.logging import get_logger

log = get_logger(__name__)

_HAPPENINGS = {
    name
    for name, row in native.EMIT.items()
    if row.in_room and not issubclass(row.event, TimelineEvent | TimelineCleared)
}
"""What is shown without a position in the timeline."""

MAX_HEALED_AT_ONCE = 100
MAX_HEALED_CHANGES = 10_000
"""Changes a healing collects before it delivers; past it, clients are told to start afresh."""

_events = metrics.counter("events_received", "Events from the bus")
_healed = metrics.counter("feeds_healed", "Rooms whose missed changes were fetched")


class Fanout:
    """Delivers timeline events to the feeds, and hands on those that are about no room."""

    def __init__(
        self,
        hub: Hub,
        consumer: Consumer,
        requests: Requests,
        watching: Watching,
        delivered: Delivered,
        naming: Naming,
        linking: Linking,
    ) -> None:
        self._watching = watching
        self._linking = linking
        self._deliveries = {**watching.deliveries, MediaReady.TYPE: self._file_ready}
        self._naming = naming
        self._hub = hub
        self._consumer = consumer
        self._delivered = delivered
        self._requests = requests
        self._behind: dict[Feed, None] = {}
        self._signal = asyncio.Event()

    async def run(self) -> None:
        """Apply event batches as they come. Ends only by cancellation."""
        while True:
            deliveries = await self._consumer.take(128)
            for delivery in deliveries:
                self.apply(delivery.body)
            self._hub.flush_soon()
            await self._consumer.settle(deliveries)

    def apply(self, body: bytes) -> None:
        """Deliver one batch, without flushing."""
        envelopes = readable_events(body)
        _events.inc(len(envelopes))
        for envelope in envelopes:
            if (cause := envelope.get("cause")) is not None:
                self._answer(cause, envelope)
            deliver = self._deliveries.get(envelope["type"])
            feed = self._hub.feeds.get(envelope["subject"]) if deliver is None else None
            try:
                if deliver is not None:
                    deliver(envelope)
                elif feed is not None:
                    self._show(feed, envelope)
            except (KeyError, TypeError, ValueError) as error:  # not what its type says, or nested too deep to write
                log.error("malformed event dropped", type=envelope["type"][:100], error=repr(error)[:200])

    def _answer(self, cause: str, envelope: JSON) -> None:
        """Tell who asked for this, here or at another gateway, that it has been done."""
        kind, data = envelope["type"], envelope["data"]
        try:
            self._requests.told(cause, lambda: ANSWERS[kind](data))
        except (KeyError, TypeError) as error:
            log.error("malformed event answers nothing", type=kind[:100], error=repr(error)[:200])

    def _show(self, feed: Feed, envelope: JSON) -> None:
        kind, rev = envelope["type"], envelope.get("roomrev")
        if rev is None:
            self._show_beside(feed, kind, envelope["data"])
            return
        # Before the feed moves on: what cannot be shown must not count as delivered.
        shown, cleared = envelope["data"], 0
        if kind == TimelineCleared.TYPE:
            cleared = int(shown["seq"])
        else:
            shown = shown["message"]
            if "attachment" in shown:
                self._linking.sign_message(shown)
        seq = envelope["roomseq"]
        frames = {voice: voice.timeline(kind, feed.about, seq, rev, shown) for voice in feed.voices}
        if kind == MessageCreated.TYPE:
            feed.name(seq, shown["id"])
        if feed.accept(seq, rev):
            feed.cleared = max(feed.cleared, cleared)
            self._post(feed, rev, frames)
            self._stir(feed, kind)
            if kind == MessageCreated.TYPE:
                self._delivered.moved(feed)
        elif feed.behind:
            self.heal(feed)

    def _show_beside(self, feed: Feed, kind: str, data: JSON) -> None:
        """Show what has no place in the timeline."""
        if kind == ReceiptsUpdated.TYPE and not data.get("everyone", True):
            self._show_alone(feed, data)
        elif kind == TimelinePurged.TYPE:
            self._begin_anew(feed)
        elif kind in _HAPPENINGS:
            self._tell(feed, kind, data)

    def _file_ready(self, envelope: JSON) -> None:
        self._linking.sign_file(envelope["data"]["media"])
        self._watching.personal(envelope)

    def _tell(self, feed: Feed, kind: str, data: JSON) -> None:
        for voice in feed.voices:
            missing = [seq for seq in voice.unnamed(kind, data) if seq not in feed.names]
            say = partial(self._say, voice, feed, kind, data)
            if missing:
                self._naming.find(feed, missing, say)
            else:
                say()
        if kind == ReceiptsUpdated.TYPE:
            self._stir_readers(feed, data)

    def _say(self, voice: Voice, feed: Feed, kind: str, data: JSON) -> None:
        """Tell those who are spoken to in one voice."""
        members = feed.voices.get(voice, {})
        told: Iterable[Connection] = members
        if (spared := voice.spares(kind, data)) is not None:
            told = [connection for connection in members if connection.user[1] != spared]
        names = {seq: feed.names[seq] for seq in voice.unnamed(kind, data) if seq in feed.names}
        self._hub.post_all(told, voice.happening(kind, feed.about, {**data, "names": names} if names else data))

    def _stir(self, feed: Feed, kind: str) -> None:
        """Let those who follow a room ask for their lists again, where these show what has happened there."""
        for voice, members in feed.voices.items():
            if kind in voice.stirs:
                self._hub.stir(members, kind)
        self._hub.stir(feed.quiet, kind)

    def _stir_readers(self, feed: Feed, data: JSON) -> None:
        """Likewise those whose own marks have moved: nobody's list shows others'."""
        if any(ReceiptsUpdated.TYPE in voice.stirs for voice in feed.voices):
            for receipt in data["receipts"]:
                self._hub.stir(self._hub.connections_of(feed.tenant, receipt["user_id"]), ReceiptsUpdated.TYPE)

    def _begin_anew(self, feed: Feed) -> None:
        """The timeline has another epoch now; where the feed stands in the one before, asking shows it."""
        feed.suspect = True
        if feed.behind:
            self.heal(feed)

    def _show_alone(self, feed: Feed, data: JSON) -> None:
        """Show each of the receipts to whose it is, where they follow the room."""
        self._stir_readers(feed, data)
        for receipt in data["receipts"]:
            devices = self._hub.connections_of(feed.tenant, receipt["user_id"])
            mine = {**data, "receipts": [receipt]}
            for device in devices:
                members = feed.voices.get(device.voice, {})
                if device in members:
                    self._hub.post(device, device.voice.happening(ReceiptsUpdated.TYPE, feed.about, mine))

    def _post(self, feed: Feed, rev: int, frames: Mapping[Voice, bytes]) -> None:
        """Hand out what each voice says of a change."""
        for voice, members in feed.voices.items():
            self._hub.post_all(members, frames[voice])
        if not feed.joining:
            return
        ready, full = feed.offer(rev, frames)
        for connection in ready:
            self._hub.post(connection, frames[connection.voice])
        feed.promote()
        for connection in full:
            connection.close(CloseCode.SLOW_CONSUMER, "too much happened while joining; try again", self._hub.now())

    # ── healing ──────────────────────────────────────────────────────────────────────────────────────────────────

    def heal(self, feed: Feed) -> None:
        """Fetch what the feed has missed, soon."""
        if not feed.healing:
            feed.healing = True
            feed.suspect = False
            self._behind[feed] = None
            self._signal.set()

    def heal_all(self) -> None:
        """Anything may have been missed: the broker link was lost."""
        self._watching.missed()
        self._signal.set()
        for feed in self._hub.feeds.values():
            feed.suspect = True
            if feed.behind:
                self.heal(feed)

    async def run_healing(self) -> None:
        """Heal feeds, many per query. Ends only by cancellation."""
        while True:
            await self._signal.wait()
            self._signal.clear()
            self._hub.flush_soon()
            while some := self._next():
                try:
                    for tenant, feeds in groupby(sorted(some, key=lambda feed: feed.tenant), lambda feed: feed.tenant):
                        await self._heal_together(tenant, list(feeds))
                except (ChatError, ValidationError) as error:
                    log.warning("healing did not succeed yet", rooms=len(some), error=str(error)[:200])
                    await asyncio.sleep(0.5)

    def _next(self) -> list[Feed]:
        """Some of the feeds that are behind. One that everybody has left is forgotten: its room may have another."""
        self._behind = {feed: None for feed in self._behind if not feed.unused}
        return list(self._behind)[:MAX_HEALED_AT_ONCE]

    async def _heal_together(self, tenant: str, feeds: list[Feed]) -> None:
        changes: dict[str, list[RoomSyncView]] = {feed.room_id: [] for feed in feeds}
        cursors: dict[str, str | None] = {feed.room_id: f"{feed.epoch}:{feed.rev}" for feed in feeds}
        actor = encode_actor(Actor(id="gateway", tenant=tenant, roles=("service",)))
        for feed in feeds:
            feed.ahead = feed.rev  # what was heard of so far is in the answer, or never happened
        while cursors:
            result = await self._requests.ask(Sync(cursors=cursors, limit=MAX_PAGE), actor, tenant)
            if "unavailable" in result.get("errors", {}).values():
                raise ChatError(ErrorCode.UNAVAILABLE, "the rooms' members cannot be looked up")
            pages = {room_id: RoomSyncView.model_validate(page) for room_id, page in result["rooms"].items()}
            for room_id, page in pages.items():
                changes[room_id].append(page)
            cursors = {
                room_id: page.cursor
                for room_id, page in pages.items()
                if page.has_more and len(changes[room_id]) * MAX_PAGE < MAX_HEALED_CHANGES
            }
        for feed in feeds:
            self._healed(feed, changes[feed.room_id])
        self._hub.flush()

    def _healed(self, feed: Feed, pages: list[RoomSyncView]) -> None:
        self._behind.pop(feed, None)
        feed.healing = False
        self._inject(feed, pages)
        if feed.behind:
            self.heal(feed)

    def _inject(self, feed: Feed, pages: list[RoomSyncView]) -> None:
        if not pages:
            feed.ahead = feed.rev  # the room is gone; its deletion is told by its own event
            return
        _healed.inc()
        last = pages[-1]
        if last.reset or last.has_more:
            feed.reset(last.epoch, last.seq, last.rev, last.cleared_seq)
            data = {"epoch": last.epoch, "seq": last.seq, "rev": last.rev}
            self._hub.tell(feed.connections, lambda voice: voice.happening(RESET, feed.about, data))
            self._stir(feed, RESET)
            return
        reached = int(last.cursor.split(":")[1])
        told = changes(feed.room_id, pages, seq=feed.seq, cleared=feed.cleared, reached=reached)
        # Until the last of these frames a client resumes from the rev before them, for they are not in its order.
        for number, (kind, seq, rev, data) in enumerate(told, start=1):
            after = reached if number == len(told) else feed.rev
            self._post(feed, rev, {voice: voice.timeline(kind, feed.about, seq, after, data) for voice in feed.voices})
        for kind in {change.kind for change in told}:
            self._stir(feed, kind)
        self._delivered.moved(feed)
        feed.seq = max(feed.seq, last.seq, *(change.seq for change in told))
        feed.rev = max(feed.rev, reached)
        feed.ahead = max(feed.ahead, feed.rev)
        feed.cleared = max(feed.cleared, last.cleared_seq)
        feed.promote()
