"""The command side: everything that has arrived, on all shards, is one batch: decide, store, announce, answer, ack.

Acks of commands leave in the order the batches were taken, after the broker has the announcements. So whatever
dies in between, the commands come back, find their effect in place, and are announced and answered again.
"""

import asyncio
from bisect import bisect_right
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import groupby

from services.messages.announcing import Keyed, encoded, purged
from services.messages.archive import Archive
from services.messages.domain import plan
from services.messages.files import Files
from services.messages.intake import Batch, Intake
from services.messages.marks import NEEDS_MARKS
from services.messages.receipts import Receipts
from services.messages.repository import Fenced, Repository, together
from services.messages.state import (
    Clearing,
    Limits,
    Marks,
    Plan,
    Request,
    Snapshot,
    Timeline,
)
from services.messages.summaries import Summaries
from services.messages.touched import ids_of, quoted_in, revisions_of
from shared import metrics
from shared.access import AccessCache
from shared.bus.codec import unique_id
from shared.bus.consumer import Consumer, Delivery
from shared.bus.publisher import Publisher
from shared.bus.requests import Responder
from shared.bus.topology import EVENTS
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.messages import ClearTimeline, PurgeRoom
from shared.contracts.timeline import PurgedView
from shared.logging import get_logger
from shared.mongo import is_duplicate, is_transient
from shared.permissions import GlobalRole
from shared.retry import until_done

log = get_logger(__name__)

MAX_DELIVERIES = 16
"""AMQP messages per batch; each holds up to 96 KiB of commands."""

MAX_REQUESTS = 4096
"""Commands past which a batch takes in no more."""

MAX_UNSETTLED = 8
"""Batches that may wait for the broker's confirm while the next is being decided."""

ACK_PAUSE = 0.2
"""Seconds within which acks are gathered."""

MAX_TIMELINES = 100_000
MAX_REDO = 20

_batch_size = metrics.histogram("messages_batch_commands", "Commands per batch")
_commands = metrics.counter("messages_commands", "Commands handled")
_redone = metrics.counter("messages_batches_redone", "Batches decided again after a conflict with another writer")


class CommandHandler:
    """Handles message commands in batches. One per process, one batch at a time."""

    def __init__(
        self, *, consumer: Consumer, publisher: Publisher, responder: Responder, repository: Repository,
        archive: Archive, access: AccessCache, files: Files, summaries: Summaries, receipts: Receipts, source: str,
        shards: int, limits: Limits,
    ) -> None:  # fmt: skip
        self._consumer = consumer
        self._intake = Intake(publisher, responder)
        self._publisher = publisher
        self._responder = responder
        self._repository = repository
        self._archive = archive
        self._access = access
        self._files = files
        self._summaries = summaries
        self._receipts = receipts
        self._source = source
        self._shards = shards
        self._limits = limits
        self._timelines: dict[str, Timeline] = {}
        self._generation = 0
        self._parsed: asyncio.Queue[Batch] = asyncio.Queue(MAX_DELIVERIES)
        self._unsettled: asyncio.Queue[tuple[list[Delivery], asyncio.Future[None]]] = asyncio.Queue(MAX_UNSETTLED)

    def forget(self) -> None:
        """Drop all counters: this process may no longer be the only writer of what it wrote before."""
        self._timelines.clear()
        self._generation += 1

    def lost(self) -> None:
        """The broker link is gone: what was only parsed comes again, to whoever consumes it then."""
        self.forget()
        while not self._parsed.empty():
            self._parsed.get_nowait()

    async def run(self) -> None:
        """Handle what arrives, and hand it over to `settle`. Ends only by cancellation."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read())
            group.create_task(self._work())

    async def _read(self) -> None:
        """Take and parse while the batch before is being stored."""
        while True:
            for delivery in await self._consumer.take(1):
                await self._parsed.put(await self._intake.read(delivery))

    async def _work(self) -> None:
        """Handle all that is parsed by now, as one batch."""
        while True:
            batch = await self._parsed.get()
            while not self._parsed.empty() and len(batch.requests) < MAX_REQUESTS:
                batch.add(self._parsed.get_nowait())
            events = await self._handle(batch)
            await self._summaries.relieve()
            try:
                published = self._publisher.publish(EVENTS, events)
            except ChatError:
                # Overloaded: let what waits drain first; order is kept because nothing of this batch has left.
                await self._publisher.flush()
                published = self._publisher.publish(EVENTS, events)
            await self._unsettled.put((batch.deliveries, published))

    async def settle(self) -> None:
        """Ack commands once their announcements are with the broker, in order. Ends only by cancellation.

        Some batches at a time: in a quorum queue an ack is an entry in its log, as a command is. Should this process
        die before, the commands come again and change nothing.
        """
        while True:
            batches = [await self._unsettled.get()]
            with suppress(TimeoutError):
                async with asyncio.timeout(ACK_PAUSE):
                    while sum(len(deliveries) for deliveries, _ in batches) < MAX_DELIVERIES:
                        batches.append(await self._unsettled.get())
            announced: list[Delivery] = []
            for deliveries, published in batches:
                try:
                    await published
                except ChatError as error:
                    # Not announced, so not done: the commands shall come again.
                    self._consumer.abandon(deliveries, error.message)
                else:
                    announced += deliveries
            await self._consumer.settle(announced)

    # ── one batch ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _handle(self, batch: Batch) -> list[Keyed]:
        """Handle a batch; what to announce of it."""
        _batch_size.observe(len(batch.requests))
        _commands.inc(len(batch.requests))
        events: list[Keyed] = []
        for purging, some in groupby(batch.requests, lambda request: isinstance(request.command, PurgeRoom)):
            if purging:
                for request in some:
                    events += await self._purge(batch, request)
            else:
                events += await self._store(batch, list(some), again=batch.redelivered)
        return events

    async def _store(self, batch: Batch, requests: list[Request], *, again: bool) -> list[Keyed]:
        """Decide, store and answer; where that fails beyond repair, halve until the request that fails stands alone.

        Args:
            again: they may have been handled before.

        Returns:
            What to announce.
        """
        events: list[Keyed] = []
        while requests:
            try:
                decided, announced = await self._until_stored(requests, again=again)
            except Exception as error:  # noqa: BLE001 - one command must not stop all others
                self.forget()
                if len(requests) == 1:
                    await self._intake.bury(batch, requests[0], error)
                    return events
                half = len(requests) // 2
                events += await self._store(batch, requests[:half], again=True)
                return events + await self._store(batch, requests[half:], again=True)
            await self._intake.answer(batch, decided.answers)
            events += announced
            requests, again = requests[len(decided.ends) :], True
        return events

    async def _until_stored(self, requests: list[Request], *, again: bool) -> tuple[Plan, list[Keyed]]:
        """Decide and store, again after every conflict and every absence of the database.

        Returns:
            What has been stored, and how to announce it: of all requests, or of the first of them, where the database
            has refused the next.
        """
        pause, conflicts = 0.05, 0
        while True:
            generation = self._generation
            try:
                snapshot, now, decided = await self._decide(requests, again=again)
                # Before anything is stored: what cannot be announced must not happen.
                events = self._events(decided, now)
                await self._archive.keep(revisions_of(decided, snapshot, stored=True))
                made = await self._write(decided, snapshot)
                if made < len(requests):
                    decided = plan(requests[:made], snapshot, now, self._limits)
                    events = self._events(decided, now)
                await self._repository.mark(decided.marks, decided.pointed)
                await self._leave_behind(decided, snapshot)
            except Exception as error:
                again = True
                if isinstance(error, Fenced) or is_duplicate(error):
                    conflicts += 1
                    if conflicts > MAX_REDO:
                        raise
                    continue
                self.forget()
                if not is_transient(error):
                    raise
                log.warning("database away, batch waits", error=str(error)[:200])
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)
            else:
                if made == len(requests):
                    self._remember(decided, generation)
                self._summaries.note(decided)
                self._receipts.note(decided)
                return decided, events

    async def _write(self, decided: Plan, snapshot: Snapshot) -> int:
        """Store a plan; how many requests that has served, counted from the first.

        Raises:
            Fenced: where it has served none.
        """
        try:
            await self._repository.write(decided.writes)
        except Fenced as fenced:
            _redone.inc()
            for room_id in snapshot.timelines:
                self._timelines.pop(room_id, None)
            if made := bisect_right(decided.ends, fenced.stored):
                return made
            raise
        return len(decided.ends)

    async def _leave_behind(self, decided: Plan, snapshot: Snapshot) -> None:
        """What follows from a plan that is stored."""
        # Should this process die here, what is lost is what nobody was ever told of.
        await self._archive.keep(revisions_of(decided, snapshot, stored=False))
        await self._archive.forget(decided.forgotten)
        if any(isinstance(state, Clearing) for state, _ in decided.writes):
            self._archive.sweep_soon()

    async def _decide(self, requests: list[Request], *, again: bool) -> tuple[Snapshot, datetime, Plan]:
        snapshot = await self._snapshot(requests, again=again)
        now = datetime.now(UTC)
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # what the database keeps of it
        known = self._access.known(snapshot.access)
        decided = plan(requests, snapshot, now, self._limits)
        doubtful = decided.refused_by_access & known
        if doubtful:
            # Refused from memory: the caller may have been let in a moment ago.
            snapshot.access = {**snapshot.access, **await self._access.get(doubtful, fresh=True)}
            decided = plan(requests, snapshot, now, self._limits)
        if decided.unsure and not again:
            # Refused without having looked: it may have been written, and this be its retry.
            return await self._decide(requests, again=True)
        return snapshot, now, decided

    async def _snapshot(self, requests: list[Request], *, again: bool) -> Snapshot:
        rooms = {request.command.room for request in requests if request.command.room is not None}
        ids = ids_of(requests, again=again)
        cleared = {request.command.room_id for request in requests if isinstance(request.command, ClearTimeline)}
        # Counters first: with ones that are newer than the messages, a `rev` could be left out and taken by another
        # writer later, when readers are past it.
        timelines = await self._timelines_of(rooms)
        # Read before the marks they may not be among yet.
        own = {
            (room_id, request.actor.id): self._summaries.own(room_id, request.actor.id)
            for request in requests
            if type(request.command) in NEEDS_MARKS and (room_id := request.command.room) is not None
        }
        messages, access, known, files = await together(
            self._repository.messages(ids),
            self._access.get(rooms),
            self._repository.marks(own.keys()),
            self._files.look_up(requests),
        )
        clearings = await self._repository.clearings(cleared)
        others = {message.view.room_id for message in messages.values()} - rooms
        if others:
            unknown = others - self._timelines.keys()
            timelines |= await self._timelines_of(others)
            access |= await self._access.get(others)
            if unknown:
                messages = await self._repository.messages(ids)
        for message in messages.values():
            view = message.view
            epoch, seq, rev, up_to = timelines[view.room_id]
            timelines[view.room_id] = Timeline(epoch, max(seq, view.seq), max(rev, view.rev), up_to)
        for clearing in clearings.values():
            epoch, seq, rev, _ = timelines[clearing.room_id]
            timelines[clearing.room_id] = Timeline(epoch, max(seq, clearing.seq), max(rev, clearing.rev), clearing.seq)
        messages |= await self._repository.messages(quoted_in(messages) - messages.keys())
        # Writing is reading.
        marks = {key: known.get(key, Marks()).reached(seq) for key, seq in own.items()}
        return Snapshot(access, timelines, messages, marks, clearings, files)

    async def _timelines_of(self, room_ids: set[str]) -> dict[str, Timeline]:
        found = {room_id: self._timelines[room_id] for room_id in room_ids if room_id in self._timelines}
        heads = await self._repository.heads(room_ids - found.keys())
        self._summaries.adopt(heads)
        return found | {room_id: head.timeline for room_id, head in heads.items()}

    def _remember(self, decided: Plan, generation: int) -> None:
        if generation == self._generation:
            self._timelines.update(decided.timelines)
            if len(self._timelines) > MAX_TIMELINES:
                self.forget()

    async def _purge(self, batch: Batch, request: Request) -> list[Keyed]:
        """Remove what was written in a room that is no more; what to announce of it."""
        answer: PurgedView | ChatError
        if isinstance(request.command, PurgeRoom) and GlobalRole.SERVICE in request.actor.roles:
            room_id, until = request.command.room_id, request.command.until
            await self._summaries.drop(room_id)
            await self._receipts.drop(room_id)
            purge = partial(self._repository.purge, room_id, until, unique_id()[:8])
            try:
                answer = PurgedView(removed=await until_done(purge, is_transient, "purging a room"))
                await until_done(partial(self._archive.purge, room_id, until), is_transient, "purging revisions")
            except Exception as error:  # noqa: BLE001 - one command must not stop all others
                await self._intake.bury(batch, request, error)
                return []
            finally:
                self._timelines.pop(room_id, None)
            events = [encoded(purged(room_id, request), datetime.now(UTC), source=self._source, shards=self._shards)]
        else:
            events = []
            answer = ChatError(ErrorCode.FORBIDDEN, f"{PurgeRoom.TYPE} is for services only.")
        self._responder.answer(batch.origins[request.id].replyto, request.id, answer)
        return events

    def _events(self, decided: Plan, now: datetime) -> list[Keyed]:
        return [
            encoded(item, now, source=self._source, shards=self._shards)
            for item in (*decided.announcements, *decided.notes)
        ]
