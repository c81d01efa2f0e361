"""`python -m services.messages`: one messages worker. Constructs everything; decides nothing."""

from functools import partial

from services.messages.archive import Archive
from services.messages.events import SERVICE_ACTOR, Purges, RoomEvents, beat
from services.messages.files import Files, ask_files
from services.messages.handlers import CommandHandler
from services.messages.queries import QueryHandler
from services.messages.receipts import Receipts
from services.messages.repository import Repository
from services.messages.shards import Shards
from services.messages.state import Limits
from services.messages.summaries import Summaries
from shared.access import AccessCache
from shared.bus.access import ask_access
from shared.bus.consumer import Consumer
from shared.bus.link import Link
from shared.bus.overflow import watch_overflows
from shared.bus.publisher import Publisher
from shared.bus.requests import Requests, Responder
from shared.bus.signals import Signals
from shared.bus.topology import durable_queues, events_queue, message_key
from shared.bus.worker import serve_queries
from shared.contracts.messages import QUERIES
from shared.mongo import Mongo, is_transient
from shared.retry import until_done
from shared.service import Service, run
from shared.settings import unlimited

COMMAND_PREFETCH = 64
QUERY_PREFETCH = 128
EVENT_PREFETCH = 256
LOOKUP_TIMEOUT = 5.0
MAX_LOOKUPS = 10_000


async def main(service: Service) -> None:
    """Run until stopped."""
    settings, name = service.settings, service.settings.name
    queues = {queue.name: queue for queue in durable_queues(settings.shards)}
    mongo = Mongo(settings.mongo_url, name)
    repository, archive = Repository(mongo), Archive(mongo)
    link = Link(settings.amqp_url, name, list(queues.values()))
    publisher = Publisher(link, service.tasks, settings.command_timeout)
    commands, queries = Consumer(link, COMMAND_PREFETCH), Consumer(link, QUERY_PREFETCH)
    replies, room_events = (Consumer(link, EVENT_PREFETCH, lazy=True) for _ in range(2))
    durable, overflows = Consumer(link, EVENT_PREFETCH), Consumer(link, prefetch=1)
    requests = Requests(
        replies, publisher, name=name, shards=settings.shards, timeout=LOOKUP_TIMEOUT, max_pending=MAX_LOOKUPS
    )
    access = AccessCache(partial(ask_access, requests, SERVICE_ACTOR))
    summaries = Summaries(repository)
    responder = Responder(publisher, name)
    receipts = Receipts(
        repository=repository,
        access=access,
        summaries=summaries,
        signals=Signals(publisher, source=f"/{name}", shards=settings.shards),
        max_members=settings.receipts_max_members,
    )
    handler = CommandHandler(
        consumer=commands,
        publisher=publisher,
        responder=responder,
        repository=repository,
        archive=archive,
        access=access,
        files=Files(partial(ask_files, requests)),
        summaries=summaries,
        receipts=receipts,
        source=f"/{name}",
        shards=settings.shards,
        limits=Limits(
            length=unlimited(settings.max_message_length),
            session=unlimited(settings.max_messages_per_session),
            receipts=settings.receipts_max_members,
        ),
    )

    async def acquire(shard: int) -> None:
        handler.forget()
        await commands.add(queues[f"commands.{message_key(shard)}"])

    async def release(shard: int) -> None:
        await commands.release(f"commands.{message_key(shard)}")
        await receipts.flush()

    def lost() -> None:
        # Other workers may write these rooms now, and events about rights pass by unheard.
        handler.lost()
        access.clear()

    async def restored(_connection: object) -> None:
        handler.forget()
        access.clear()

    shards = Shards(name, settings.shards, acquire, release, partial(beat, publisher, name))
    link.on_change(restored, lost)
    service.checks |= {"rabbitmq": link.check, "mongodb": mongo.check}
    await service.serve_ops()

    await until_done(repository.prepare, is_transient, "creating indexes")
    await until_done(archive.prepare, is_transient, "creating indexes")
    await requests.start()
    await room_events.add(events_queue(name, "room.#", "worker.messages"))
    await durable.add(queues["events.messages"])
    await queries.add(queues["queries.messages"])
    answers = QueryHandler(repository, archive, access).handle
    work = {
        "link": link.run(),
        "replies": requests.run(lambda: None),
        "timeouts": requests.sweep(),
        "room events": RoomEvents(room_events, access).run(shards),
        "overflows": watch_overflows(overflows, {name: access.clear}),
        "purges": Purges(durable, requests).run(),
        "queries": serve_queries(queries, QUERIES, answers, responder, publisher=publisher, transient=is_transient),
        "commands": handler.run(),
        "settle": handler.settle(),
        "summaries": summaries.run(),
        "receipts": receipts.run(),
        "sweeps": archive.run(),
        "shards": shards.run(),
    }
    for name_of_work, loop in work.items():
        service.tasks.spawn(loop, name_of_work, vital=True)

    service.on_drain += [shards.leave, receipts.flush, publisher.flush, summaries.flush]
    await service.until_stopped()
    mongo.close()


if __name__ == "__main__":
    run("messages", main)
