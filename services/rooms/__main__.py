"""`python -m services.rooms`: one rooms process. Constructs everything; decides nothing."""

from services.rooms.handlers import CommandTable, RoomCommands
from services.rooms.integration_handlers import Integration
from services.rooms.integration_intake import Intake, IntegrationQueue
from services.rooms.integration_rooms import Reconciler
from services.rooms.integration_store import FactsRepository
from services.rooms.outbox import Outbox
from services.rooms.people import PeopleCommands
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
COMMAND_PREFETCH = 32
QUERY_PREFETCH = 64
INTEGRATION_PREFETCH = 64


async def main(service: Service) -> None:
    """Run until stopped."""
    settings = service.settings
    queues = {queue.name: queue for queue in durable_queues(settings.shards)}
    mongo = Mongo(settings.mongo_url, f"parley-{service.name}")
    repository = Repository(mongo)
    link = Link(settings.amqp_url, settings.name, list(queues.values()))
    publisher = Publisher(link, service.tasks, settings.command_timeout)
    responder = Responder(publisher, service.name)
    outbox = Outbox(repository, publisher)
    commands, queries = Consumer(link, COMMAND_PREFETCH), Consumer(link, QUERY_PREFETCH)
    events = Consumer(link, INTEGRATION_PREFETCH)
    room_commands = RoomCommands(repository, outbox, settings.shards).table
    facts = FactsRepository(mongo)
    reconciler = Reconciler(facts, repository, room_commands)
    intake = Intake(facts, repository, reconciler)
    integration = Integration(facts, intake)
    commands_by: CommandTable = {
        **room_commands,
        **integration.commands,
        **PeopleCommands(repository).table,
    }
    answers_by: QueryTable = {**RoomQueries(repository).table, **integration.queries}

    async def carry_out(envelope: RequestEnvelope, command: Command) -> View:
        return await commands_by[type(command)](envelope, command)

    async def answer(actor: Actor, query: Query) -> View:
        return await answers_by[type(query)](actor, query)

    async def start() -> None:
        await until_done(repository.prepare, is_transient, "creating indexes")
        await until_done(facts.prepare, is_transient, "creating indexes")
        await commands.add(queues[COMMAND_QUEUE])
        await queries.add(queues[QUERY_QUEUE])
        await events.add(queues[INTEGRATION_QUEUE])
        work = {
            "link": link.run(),
            "commands": serve_commands(
                commands, COMMANDS, carry_out, responder, publisher=publisher, transient=is_transient
            ),
            "queries": serve_queries(queries, QUERIES, answer, responder, publisher=publisher, transient=is_transient),
            "outbox clearing": outbox.clear(),
            "outbox relay": outbox.relay(),
            "integration": IntegrationQueue(events, publisher, intake).run(),
            "integration relay": reconciler.relay(),
        }
        for name, loop in work.items():
            service.tasks.spawn(loop, name, vital=True)

    async def finish() -> None:
        await commands.release(COMMAND_QUEUE)
        await queries.release(QUERY_QUEUE)
        await events.release(INTEGRATION_QUEUE)
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
