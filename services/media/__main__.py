"""`python -m services.media`: one media process. Constructs everything; decides nothing."""

import os
from datetime import timedelta
from functools import partial

from services.media.announcing import Announcer
from services.media.answering import PREFETCH, Answering, Ears
from services.media.bodies import Bodies
from services.media.collecting import Collector
from services.media.ending import Ending
from services.media.http import Port
from services.media.intake import Intake, Rules
from services.media.kinds import limits
from services.media.processing.parent import process
from services.media.processing.product import Bounds
from services.media.reference_store import ReferenceStore
from services.media.references import CaughtUp
from services.media.repository import Quota, Repository
from services.media.scanning import Scanner
from services.media.serving import Serving
from services.media.storage.choosing import store_of
from services.media.sweeping import Sweep
from services.media.tus import Tus
from services.media.uploading import Uploading
from services.media.waiting import Waiting
from services.media.work import Work
from shared.auth import Vouchers, media_secret
from shared.bus.consumer import Consumer
from shared.bus.link import Link
from shared.bus.publisher import Publisher
from shared.bus.requests import Requests, Responder
from shared.bus.topology import durable_queues, events_queue
from shared.contracts.errors import ChatError
from shared.contracts.media import MediaEvent, ProcessMedia
from shared.links import Links
from shared.mongo import Mongo, is_transient
from shared.retry import until_done
from shared.service import Service, run
from shared.settings import Settings, unlimited

EVENTS_PREFETCH = 256
LOOKUP_TIMEOUT = 5.0
MAX_LOOKUPS = 1000

NICENESS = 10
"""Files give way to messages, where both share a machine."""

FAREWELL = 2.0
"""Seconds of DRAIN_TIMEOUT for clearing away what was cut off."""


async def main(service: Service) -> None:
    """Run until stopped."""
    settings, tasks = service.settings, service.tasks
    os.nice(NICENESS)
    secret = media_secret(settings)
    links = Links(secret, settings.media_link_seconds, settings.public_url.rstrip("/"))
    mongo = Mongo(settings.mongo_url, f"parley-{service.name}")
    store = store_of(settings, mongo)
    repository = Repository(mongo)
    link = Link(settings.amqp_url, settings.name, durable_queues(settings.shards))
    publisher = Publisher(link, tasks, settings.command_timeout)
    events = Consumer(link, EVENTS_PREFETCH, lazy=True)
    waiting = Waiting(repository, events)
    bodies = Bodies()
    announcer = Announcer(publisher)
    intake = Intake(store, repository, announcer, tasks, rules_of(settings))
    ending = Ending(repository, store, announcer)
    collector = Collector(repository, store, timedelta(seconds=settings.media_keep_unused), CaughtUp(link.waiting))
    sweep = Sweep(repository, announcer, ending, collector)
    bounds = Bounds(settings.media_process_memory, settings.media_process_seconds, settings.max_image_pixels)
    work = Work(
        repository,
        store,
        ending,
        partial(process, bounds=bounds),
        tasks,
        name=settings.name,
        at_once=settings.media_processes,
        scanner=Scanner(settings.clamav_url) if settings.clamav_url else None,
    )
    replies, room_events = (Consumer(link, EVENTS_PREFETCH, lazy=True) for _ in range(2))
    requests = Requests(
        replies, publisher, name=settings.name, shards=settings.shards, timeout=LOOKUP_TIMEOUT, max_pending=MAX_LOOKUPS
    )
    answering = Answering(
        settings,
        link,
        publisher,
        requests,
        Responder(publisher, settings.name),
        {name: Consumer(link, prefetch) for name, prefetch in PREFETCH.items()},
        Ears(room_events, Consumer(link, prefetch=1)),
        ReferenceStore(mongo),
        repository,
        store,
        {ProcessMedia: work.handle},
    )
    port = Port(
        Vouchers(secret),
        Uploading(intake, bodies, waiting, links).add_routes,
        Tus(intake, repository, store, bodies).add_routes,
        Serving(repository, answering.access, store, links).add_routes,
    )

    async def start() -> None:
        await until_done(repository.prepare, is_transient, "creating indexes")
        await until_done(answering.prepare, is_transient, "creating indexes")
        await until_done(store.prepare, is_away, "preparing the store")
        await events.add(events_queue(settings.name, f"{MediaEvent.TOPIC}.#"))
        loops = {
            "link": link.run(),
            "abandoned transactions": mongo.watch_abandoned(),
            "events": waiting.run(),
            "work": work.run(),
            "sweep": sweep.run(),
            **await answering.begin(),
        }
        for name, loop in loops.items():
            tasks.spawn(loop, name, vital=True)
        await port.open(settings.host, settings.media_port)

    async def finish_bodies() -> None:
        """Let what is coming come to its end, as long as there is time; cut off the rest."""
        await port.stop()
        waiting.leave()
        await port.quiet(max(settings.drain_timeout - FAREWELL, 0.0))
        bodies.cut()
        await port.quiet(FAREWELL / 2)
        await port.close()
        await intake.settle()

    service.checks |= {"rabbitmq": link.check, "mongodb": mongo.check, "store": store.check, "files": port.check}
    service.on_drain += [finish_bodies, answering.finish, publisher.flush]
    await service.serve_ops()
    tasks.spawn(start(), "start", vital=True)
    await service.until_stopped()
    await store.close()
    mongo.close()


def is_away(error: Exception) -> bool:
    """Whether the store, or what it lies on, may be there later."""
    return isinstance(error, ChatError) or is_transient(error)


def rules_of(settings: Settings) -> Rules:
    """What the settings say about what is taken."""
    return Rules(
        sizes=limits(settings.max_upload_size, settings.upload_sizes),
        quota=Quota(
            files_a_day=unlimited(settings.uploads_per_day),
            bytes_a_day=unlimited(settings.upload_bytes_per_day),
            tenant_bytes=unlimited(settings.tenant_media_bytes),
        ),
        at_once=unlimited(settings.uploads_at_once),
        extra=frozenset(filter(None, settings.media_types.split(","))),
        patience=timedelta(seconds=settings.media_upload_patience),
    )


if __name__ == "__main__":
    run("media", main)
