"""The part of a media process that works on files, put together as the service does, without its HTTP port.

Run as a program it is such a process: `python -m tests.integration.media_site AMQP_URL MONGO_URL LEASE [stall]`. With
`stall` it stands still when it has kept all forms of a file but the last, and says so.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from services.media.announcing import Announcer
from services.media.collecting import Collector
from services.media.ending import Ending
from services.media.processing.parent import process
from services.media.processing.product import Bounds, Product
from services.media.records import Media, Piece
from services.media.repository import Quota, Repository
from services.media.storage.gridfs import GridFSStore
from services.media.sweeping import Sweep
from services.media.times import now
from services.media.work import Work
from shared.bus.codec import split_batch
from shared.bus.consumer import Consumer
from shared.bus.link import Link
from shared.bus.publisher import Publisher
from shared.bus.requests import Responder
from shared.bus.topology import durable_queues, events_queue
from shared.bus.worker import serve_commands
from shared.contracts.media import COMMANDS, ProcessMedia
from shared.contracts.media_terms import MediaKind, MediaState, VariantName
from shared.logging import configure_logging
from shared.mongo import Mongo, is_transient
from shared.service import Tasks
from tests.integration.media_stores import pieces

SHARDS = 4
PATIENCE = 30.0
BOUNDS = Bounds(memory=1 << 30, seconds=30.0, pixels=50_000_000)
FREELY = Quota(float("inf"), float("inf"), float("inf"))
KEEP = timedelta(hours=1)
LEASE = timedelta(seconds=30)

Json = dict[str, Any]


class Site:
    """What a process has. Everything heard of files stands in `events`, in the order of arrival."""

    def __init__(self, amqp_url: str, mongo_url: str) -> None:
        self.name = f"site-{uuid4().hex[:8]}"
        self.tasks = Tasks()
        self.events: list[Json] = []
        self.mongo = Mongo(mongo_url, self.name)
        self.media = self.mongo.collection("media")
        self.repository = Repository(self.mongo)
        self.store = GridFSStore(self.mongo)
        self.link = Link(amqp_url, self.name, durable_queues(SHARDS))
        self.commands = Consumer(self.link, 16)
        self.publisher = Publisher(self.link, self.tasks, PATIENCE)
        self.announcer = Announcer(self.publisher)
        self.ending = Ending(self.repository, self.store, self.announcer)
        self.collector = Collector(self.repository, self.store, KEEP)
        self._heard = asyncio.Condition()

    def work(self, process: Any = None, *, bounds: Bounds = BOUNDS, **options: Any) -> Work:
        """A worker, with the real processing by default."""
        return Work(
            self.repository,
            self.store,
            self.ending,
            process or partial(_real, bounds=bounds),
            self.tasks,
            **{"name": self.name, "at_once": 2, "lease": LEASE, **options},
        )

    def sweep(self) -> Sweep:
        """A sweep that looks often."""
        return Sweep(self.repository, self.announcer, self.ending, self.collector, look_every=0.1, collect_every=0.2)

    async def serve(self, work: Work) -> None:
        """Work on what is asked for, from now on."""
        await self.commands.add(next(queue for queue in durable_queues(SHARDS) if queue.name == "commands.media"))

        async def handle(envelope: Any, command: Any) -> Any:
            assert isinstance(command, ProcessMedia)
            return await work.handle(envelope, command)

        responder = Responder(self.publisher, "media")
        serving = serve_commands(
            self.commands, COMMANDS, handle, responder, publisher=self.publisher, transient=is_transient
        )
        self.tasks.spawn(serving, "commands")
        self.tasks.spawn(work.run(), "work")

    async def taken_in(self, data: bytes, kind: MediaKind, mime_type: str, **particulars: Any) -> Media:
        """A file of which all has come, in two pieces, and nobody was asked to look at."""
        media = await self.coming(kind, mime_type, **particulars)
        kept = []
        for number, part in enumerate((data[: len(data) // 2], data[len(data) // 2 :])):
            key = f"{media.id}/upload{number}"
            kept.append(Piece(key, await self.store.write(key, pieces(part))))
        done = await self.repository.complete(replace(media, pieces=tuple(kept)), FREELY, now())
        assert done is not None
        return done

    async def coming(self, kind: MediaKind, mime_type: str, **particulars: Any) -> Media:
        """A file that is written down, and has no bytes yet."""
        fields: Json = {
            "id": uuid4().hex,
            "tenant": "acme",
            "owner": "alice",
            "kind": kind,
            "name": "file",
            "mime_type": mime_type,
            "state": MediaState.UPLOADING,
            "created_at": now(),
            "alive_until": now() + timedelta(minutes=1),
            "changed_at": now(),
        }
        media = Media(**{**fields, **particulars})
        await self.repository.begin(media, FREELY)
        return media

    async def change(self, media: Media, **fields: Any) -> None:
        """Change a record behind everybody's back."""
        await self.media.update_one({"_id": media.id}, {"$set": fields})

    async def now_is(self, media: Media) -> Media:
        """A file as it is written down now."""
        found = await self.repository.get(media.id)
        assert found is not None
        return found

    async def bytes_of(self, media: Media, name: VariantName = VariantName.ORIGINAL) -> bytes:
        """A form of a file as it would be served."""
        return await self._all_of(media.variants[name].pieces)

    async def bytes_of_upload(self, media: Media) -> bytes:
        """A file as it came."""
        return await self._all_of(media.pieces)

    async def _all_of(self, kept: Iterable[Piece]) -> bytes:
        return b"".join([chunk for piece in kept for chunk in [chunk async for chunk in self.store.read(piece.key)]])

    async def objects(self, media: Media) -> set[str]:
        """The names of all objects of a file, finished or not."""
        found = await self.mongo.collection("media.chunks").distinct(
            "files_id", {"files_id": {"$regex": f"^{media.id}/"}}
        )
        found += await self.mongo.collection("media.files").distinct("_id", {"_id": {"$regex": f"^{media.id}/"}})
        return {key.split("/")[1] for key in found}

    async def heard(self, media: Media, until: Callable[[list[Json]], bool] = bool) -> list[Json]:
        """What was told about a file, as soon as that is enough."""

        def found() -> list[Json]:
            return [event for event in self.events if event["data"].get("media", {}).get("id") == media.id]

        async with asyncio.timeout(PATIENCE), self._heard:
            await self._heard.wait_for(lambda: until(found()))
        return found()

    async def until(self, question: Callable[[], Awaitable[bool]]) -> None:
        """Wait until something in the database is so."""
        async with asyncio.timeout(PATIENCE):
            while not await question():  # noqa: ASYNC110 - the state of the database
                await asyncio.sleep(0.02)

    async def listen(self, events: Consumer) -> None:
        """Hear what is told, for ever."""
        while True:
            deliveries = await events.take(64)
            async with self._heard:
                self.events += [item for delivery in deliveries for item in split_batch(delivery.body)]
                self._heard.notify_all()
            await events.settle(deliveries)


@asynccontextmanager
async def opened(amqp_url: str, mongo_url: str) -> AsyncIterator[Site]:
    """A site, connected and listening."""
    site = Site(amqp_url, mongo_url)
    events = Consumer(site.link, 256)
    await events.add(events_queue(site.name, "media.#"))
    site.tasks.spawn(site.link.run(), "link")
    site.tasks.spawn(site.listen(events), "events")
    try:
        await site.repository.prepare()
        await site.store.prepare()
        await site.link.wait_up()
        yield site
    finally:
        await site.tasks.close()
        site.mongo.close()


async def _real(source: Path, room: Path, kind: MediaKind, mime_type: str, *, bounds: Bounds) -> Product:
    return await process(source, room, kind, mime_type, bounds)


async def _stalling(source: Path, room: Path, kind: MediaKind, mime_type: str) -> Product:
    """The real product, but its last form can only be read when somebody writes it, and nobody does."""
    product = await process(source, room, kind, mime_type, BOUNDS)
    name, made = list(product.made.items())[-1]
    os.mkfifo(room / "nothing")
    print("working", flush=True)  # noqa: T201 - to the test
    return replace(product, made={**product.made, name: replace(made, path=room / "nothing")})


async def _main(amqp_url: str, mongo_url: str, lease: float, how: str = "") -> None:
    configure_logging("info", "media", "site")
    async with opened(amqp_url, mongo_url) as site:
        work = site.work(_stalling if how else None, lease=timedelta(seconds=lease))
        await site.serve(work)
        site.tasks.spawn(site.sweep().run(), "sweep")
        print("ready", flush=True)  # noqa: T201 - to the test
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], float(sys.argv[3]), *sys.argv[4:]))
