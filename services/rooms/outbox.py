"""Events on their way from the database to the broker, none lost: written with what they tell, published after.

A process publishes its own at once. What a crash or a broker that was away left behind is published by whichever
process finds it: late and possibly twice, which the `version` in every room event lets readers cope with.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby

from services.rooms.records import Record
from services.rooms.repository import Repository
from shared import metrics
from shared.bus.publisher import Publisher
from shared.bus.topology import EVENTS
from shared.contracts.errors import ChatError
from shared.logging import get_logger
from shared.mongo import Document, PyMongoError
from shared.retry import until_done

log = get_logger(__name__)

LEFT_BEHIND = timedelta(seconds=2)
"""Age at which an event is taken for forgotten by its own process."""

LOOK_EVERY = 1.0
PAGE = 200

_aside = metrics.counter("outbox_set_aside", "Records that could never be published, moved to `outbox_aside`")


class Outbox:
    """The outbox as one process works on it."""

    def __init__(self, repository: Repository, publisher: Publisher) -> None:
        self._repository = repository
        self._publisher = publisher
        self._under_way: set[str] = set()
        self._published: set[str] = set()
        self._signal = asyncio.Event()

    def publish(self, records: Sequence[Record]) -> None:
        """Begin to publish what has just been committed; returns at once."""
        for _, some in groupby(records, _route):
            self._publish(list(some))

    def _publish(self, records: Sequence[Record]) -> None:
        """Publish what goes the same way, all or none."""
        identifiers = [record.id for record in records]

        def settled(outcome: asyncio.Future[None]) -> None:
            self._under_way.difference_update(identifiers)
            if outcome.exception() is None:
                self._published.update(identifiers)
                self._signal.set()

        try:
            future = self._submit(records)
        except ChatError as error:
            log.warning("events are left for later", error=error.message)
            return
        self._under_way.update(identifiers)
        future.add_done_callback(settled)

    async def clear(self) -> None:
        """Remove published events for ever, as many at once as there are."""
        while True:
            await self._signal.wait()
            await until_done(self.flush, _database, "clearing the outbox")

    async def flush(self) -> None:
        """Remove what is published by now."""
        self._signal.clear()
        published = set(self._published)
        if published:
            await self._repository.forget(published)
            self._published -= published

    async def relay(self) -> None:
        """Publish what was left behind, oldest first, for ever."""
        while True:
            if not await until_done(self._relay_page, _database, "looking for events left behind"):
                await asyncio.sleep(LOOK_EVERY)

    async def _relay_page(self) -> bool:
        """Publish one page; whether there may be more at once."""
        ours = self._under_way | self._published  # before they are removed, which may be while the page is read
        page = await self._repository.waiting(datetime.now(UTC) - LEFT_BEHIND, PAGE)
        ours |= self._under_way | self._published
        records, unreadable = _read(page)
        if unreadable:
            await self._set_aside(unreadable)
        records = [record for record in records if record.id not in ours]
        if not records:
            return len(page) == PAGE and bool(unreadable)
        log.info("publishing what was left behind", records=len(records))
        closed: set[tuple[str, str]] = set()
        for route, some in groupby(records, _route):
            if route in closed:
                continue  # what comes later must not overtake; another way may be open
            batch = list(some)
            try:
                await self._submit(batch)
            except ChatError as error:
                log.warning("records stay in the outbox", exchange=route[0], key=route[1], error=error.message)
                closed.add(route)
                continue
            await self._repository.forget([record.id for record in batch])
        return len(page) == PAGE and not closed

    async def _set_aside(self, unreadable: Sequence[tuple[Document, str]]) -> None:
        """Put what can never be published out of the way of what can."""
        await self._repository.set_aside(unreadable)
        _aside.inc(len(unreadable))
        for document, reason in unreadable:
            log.error("set aside what cannot be published", record=str(document["_id"])[:200], reason=reason)

    def _submit(self, records: Sequence[Record]) -> asyncio.Future[None]:
        return self._publisher.publish(records[0].exchange, [(record.key, record.body) for record in records])


def _read(documents: Iterable[Document]) -> tuple[list[Record], list[tuple[Document, str]]]:
    """The records that can be published, and what else there is, with the reasons."""
    records: list[Record] = []
    unreadable: list[tuple[Document, str]] = []
    for document in documents:
        try:
            records.append(Record.kept(document))
        except ValueError as error:
            unreadable.append((document, str(error)[:500]))
    return records, unreadable


def _route(record: Record) -> tuple[str, str]:
    """Events of all rooms go one way; each command goes to its own queue."""
    return record.exchange, "" if record.exchange == EVENTS else record.key


def _database(error: Exception) -> bool:
    return isinstance(error, PyMongoError)
