"""The media service on the bus: what one process asks, answers and follows there. Constructs it; decides nothing."""

from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any

from services.media.access import SERVICE_ACTOR, Access, RoomNews
from services.media.handlers import CommandTable, MediaCommands, MediaQueries
from services.media.reference_store import ReferenceStore
from services.media.references import References
from services.media.repository import Repository
from services.media.storage.store import Store
from shared.access import AccessCache
from shared.bus.access import ask_access
from shared.bus.consumer import Consumer
from shared.bus.link import Link
from shared.bus.overflow import watch_overflows
from shared.bus.publisher import Publisher
from shared.bus.requests import Requests, Responder
from shared.bus.topology import Queue, durable_queues, events_queue
from shared.bus.worker import serve_commands, serve_queries
from shared.contracts.base import Command, Query, View
from shared.contracts.envelope import Actor, RequestEnvelope
from shared.contracts.media import COMMANDS, QUERIES
from shared.mongo import Mongo, is_transient
from shared.settings import Settings

COMMAND_QUEUE = "commands.media"
QUERY_QUEUE = "queries.media"
TOLD_QUEUE = "events.media"

PREFETCH = {COMMAND_QUEUE: 64, QUERY_QUEUE: 64, TOLD_QUEUE: 256}
"""What is read, and how many unacked AMQP messages of each queue a process holds."""

OWN_PREFETCH = 256
LOOKUP_TIMEOUT = 5.0
MAX_LOOKUPS = 1000


class Answering:
    """The bus side of one process, and who may see what by what it hears there.

    Args:
        commands: what is carried out beside the removal of files.
    """

    def __init__(
        self, settings: Settings, link: Link, publisher: Publisher, mongo: Mongo, repository: Repository, store: Store,
        commands: CommandTable,
    ) -> None:  # fmt: skip
        self._name = settings.name
        self._queues: Mapping[str, Queue] = {queue.name: queue for queue in durable_queues(settings.shards)}
        self._publisher = publisher
        self._responder = Responder(publisher, settings.name)
        self._consumers = {name: Consumer(link, prefetch) for name, prefetch in PREFETCH.items()}
        self._replies, self._room_events = (Consumer(link, OWN_PREFETCH, lazy=True) for _ in range(2))
        self._overflows = Consumer(link, prefetch=1)
        self._requests = Requests(
            self._replies,
            publisher,
            name=self._name,
            shards=settings.shards,
            timeout=LOOKUP_TIMEOUT,
            max_pending=MAX_LOOKUPS,
        )
        self._references = ReferenceStore(mongo)
        self._rooms = AccessCache(partial(ask_access, self._requests, SERVICE_ACTOR))
        self.access = Access(self._references, self._rooms)
        self._answers = MediaQueries(repository, self.access, settings.media_keep_unused).table
        self._commands = {**commands, **MediaCommands(repository, self._references, self.access, store).table}
        link.on_change(self._restored, self._rooms.clear)  # without a link events about rights pass by unheard

    async def prepare(self) -> None:
        """Create the indexes that are missing."""
        await self._references.prepare()

    async def begin(self) -> dict[str, Coroutine[Any, Any, Any]]:
        """Consume; the loops to run, by name."""
        await self._requests.start()
        rooms = f"{self._name}.rooms"
        await self._room_events.add(events_queue(rooms, "room.#"))
        for name, consumer in self._consumers.items():
            await consumer.add(self._queues[name])
        return {
            "replies": self._requests.run(lambda: None),
            "timeouts": self._requests.sweep(),
            "room events": RoomNews(self._room_events, self._rooms).run(),
            "overflows": watch_overflows(self._overflows, {rooms: self._rooms.clear}),
            "references": References(self._consumers[TOLD_QUEUE], self._publisher, self._references).run(),
            "commands": serve_commands(
                self._consumers[COMMAND_QUEUE],
                COMMANDS,
                self._carry_out,
                self._responder,
                publisher=self._publisher,
                transient=is_transient,
            ),
            "queries": serve_queries(
                self._consumers[QUERY_QUEUE],
                QUERIES,
                self._answer,
                self._responder,
                publisher=self._publisher,
                transient=is_transient,
            ),
        }

    async def finish(self) -> None:
        """End what was taken, and leave the rest to others."""
        for name, consumer in self._consumers.items():
            await consumer.release(name)

    async def _carry_out(self, envelope: RequestEnvelope, command: Command) -> View:
        return await self._commands[type(command)](envelope, command)

    async def _answer(self, actor: Actor, query: Query) -> View:
        return await self._answers[type(query)](actor, query)

    async def _restored(self, _connection: object) -> None:
        self._rooms.clear()
