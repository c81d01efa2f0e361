"""`python -m services.rooms`: one rooms process. Constructs everything; decides nothing."""

from datetime import timedelta

from services.rooms.announcer import Announcer
from services.rooms.directory import Directory
from services.rooms.handlers import CommandTable, RoomCommands
from services.rooms.integration_handlers import Integration
from services.rooms.integration_intake import Intake, IntegrationQueue
from services.rooms.integration_rooms import Reconciler
from services.rooms.integration_store import FactsRepository
from services.rooms.notification_store import NotificationStore
from services.rooms.notifications import Notifications
from services.rooms.outbox import Outbox
from services.rooms.people import FavoriteNames, PeopleCommands, PeopleQueries
from services.rooms.people_store import PeopleStore
from services.rooms.presence import PresenceCommands, PresenceQueries, Presences
from services.rooms.presence_store import PresenceStore
from services.rooms.presence_sweep import PresenceSweep
from services.rooms.queries import QueryTable, RoomQueries
from services.rooms.repository import Repository
from shared.bus.consumer import Consumer
from shared.bus.link import Link
from shared.bus.publisher import Publisher
from shared.bus.requests import Responder
from shared.bus.topology import durable_queues
from shared.bus.worker import serve_commands, serve_queries
from shared.contracts.base import Command, Query, View
from shared.contracts.envelope import Actor, RequestEnvelope
from shared.contracts.rooms import COMMANDS, QUERIES
from shared.mongo import Mongo, is_transient
from shared.retry import until_done
from shared.service import Service, run

COMMAND_QUEUE = "commands.rooms"
QUERY_QUEUE = "queries.rooms"
INTEGRATION_QUEUE = "integration.rooms"
NOTES_QUEUE = "events.rooms"

PREFETCH = {COMMAND_QUEUE: 32, QUERY_QUEUE: 64, INTEGRATION_QUEUE: 64, NOTES_QUEUE: 128}
"""What is read, and how many unacked AMQP messages of each queue a process holds."""


async def main(service: Service) -> None:
    """Run until stopped."""
    settings = service.settings
    queues = {queue.name: queue for queue in durable_queues(settings.shards)}
    mongo = Mongo(settings.mongo_url, f"parley-{service.name}")
    repository = Repository(mongo, timedelta(days=settings.audit_retention_days))
    link = Link(settings.amqp_url, settings.name, list(queues.values()))
    publisher = Publisher(link, service.tasks, settings.command_timeout)
    responder = Responder(publisher, service.name)
    outbox = Outbox(repository, publisher)
    consumers = {name: Consumer(link, prefetch) for name, prefetch in PREFETCH.items()}
    grace, lease = timedelta(seconds=settings.presence_grace), timedelta(seconds=settings.presence_lease)
    presence_store = PresenceStore(mongo, grace)
    announcer = Announcer(presence_store, publisher)
    presences = Presences(presence_store, announcer)
    sweep = PresenceSweep(presence_store, presences, announcer, lambda: link.is_up, grace=grace, lease=lease)
    directory, people = Directory(mongo), PeopleStore(mongo)
    names = FavoriteNames(directory, people)
    notification_store = NotificationStore(mongo)
    notifications = Notifications(
        consumers[NOTES_QUEUE], repository, notification_store, outbox, presence_store.absent, settings.shards
    )
    room_commands = RoomCommands(repository, outbox, settings.shards).table
    facts = FactsRepository(mongo)
    reconciler = Reconciler(facts, repository, directory, room_commands)
    intake = Intake(facts, repository, reconciler)
    integration = Integration(facts, intake)
    commands_by: CommandTable = {
        **room_commands,
        **integration.commands,
        **PeopleCommands(repository, directory, people, names, outbox).table,
        **PresenceCommands(presences, presence_store, grace).table,
    }
    answers_by: QueryTable = {
        **RoomQueries(repository).table,
        **integration.queries,
        **PeopleQueries(directory, people, presence_store, names).table,
        **PresenceQueries(repository, presence_store).table,
    }

    async def carry_out(envelope: RequestEnvelope, command: Command) -> View:
        return await commands_by[type(command)](envelope, command)

    async def answer(actor: Actor, query: Query) -> View:
        return await answers_by[type(query)](actor, query)

    async def start() -> None:
        for store in (repository, facts, presence_store, notification_store):
            await until_done(store.prepare, is_transient, "creating indexes")
        for name, consumer in consumers.items():
            await consumer.add(queues[name])
        work = {
            "link": link.run(),
            "abandoned transactions": mongo.watch_abandoned(),
            "commands": serve_commands(
                consumers[COMMAND_QUEUE], COMMANDS, carry_out, responder, publisher=publisher, transient=is_transient
            ),
            "queries": serve_queries(
                consumers[QUERY_QUEUE], QUERIES, answer, responder, publisher=publisher, transient=is_transient
            ),
            "outbox clearing": outbox.clear(),
            "outbox relay": outbox.relay(),
            "integration": IntegrationQueue(consumers[INTEGRATION_QUEUE], publisher, intake).run(),
            "integration relay": reconciler.relay(),
            "notifications": notifications.run(),
            "presence news": announcer.run(),
            "presence sweep": sweep.run(),
        }
        for name, loop in work.items():
            service.tasks.spawn(loop, name, vital=True)

    async def finish() -> None:
        for name, consumer in consumers.items():
            await consumer.release(name)
        await publisher.flush()
        await outbox.flush()

    service.checks |= {"rabbitmq": link.check, "mongodb": mongo.check}
    service.on_drain.append(finish)
    await service.serve_ops()
    service.tasks.spawn(start(), "start", vital=True)
    await service.until_stopped()
    mongo.close()


if __name__ == "__main__":
    run("rooms", main)
