"""Command sides of the messages service that all believe to be the only writer: each consumes a queue of its own.

Real broker, real database; only who may enter a room is said here instead of being asked.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import uuid4

from services.messages.archive import Archive
from services.messages.files import Files
from services.messages.handlers import CommandHandler
from services.messages.receipts import Receipts
from services.messages.repository import Repository
from services.messages.state import Limits
from services.messages.summaries import Summaries
from shared.access import AccessCache
from shared.bus.codec import encode_actor, encode_request, split_batch
from shared.bus.consumer import Consumer
from shared.bus.link import Link
from shared.bus.publisher import Publisher
from shared.bus.requests import Responder
from shared.bus.signals import Signals
from shared.bus.topology import COMMANDS, Binding, Queue, replies_queue
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.media import MediaView
from shared.contracts.membership import Role, RoomAccess, RoomType
from shared.contracts.messages import MessageCommand
from shared.mongo import Mongo
from shared.service import Tasks

SHARDS = 4
PATIENCE = 10.0
ANSWER_TIMEOUT = 60.0


class Writers:
    """Sends commands to writers by their names, and waits for all answers."""

    def __init__(self, name: str, publisher: Publisher) -> None:
        self._name = name
        self._publisher = publisher
        self._answers: dict[str, asyncio.Future[Mapping[str, Any]]] = {}

    async def ask(self, writer: str, actor: str, command: MessageCommand) -> Mapping[str, Any]:
        """Have a command carried out; `{"ok": …}` or `{"error": …}`, as the gateway gets it."""
        number = uuid4().hex
        answer: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        body = encode_request(
            id=number, source="/tests", type=command.TYPE, subject=command.room, actor=encode_actor(Actor(id=actor)),
            tenant="default", body=command.model_dump(mode="json", exclude_none=True), replyto=self._name,
            traceparent=f"00-{number}-{number[:16]}-00",
        )  # fmt: skip
        self._publisher.submit(COMMANDS, writer, body)
        async with asyncio.timeout(ANSWER_TIMEOUT):
            return await answer

    def tell(self, writer: str, actor: Actor, command: MessageCommand, number: str) -> None:
        """Have a command carried out, of which nobody waits to hear."""
        body = encode_request(
            id=number, source="/tests", type=command.TYPE, subject=command.room, actor=encode_actor(actor),
            tenant="default", body=command.model_dump(mode="json", exclude_none=True), replyto=None,
            traceparent=f"00-{uuid4().hex}-{uuid4().hex[:16]}-00",
        )  # fmt: skip
        self._publisher.submit(COMMANDS, writer, body)

    async def listen(self, replies: Consumer) -> None:
        """Hand answers to those who wait. Ends only by cancellation."""
        while True:
            deliveries = await replies.take(100)
            for delivery in deliveries:
                for reply in split_batch(delivery.body):
                    answer = self._answers[reply["id"]]
                    if not answer.done():  # a command may be answered twice
                        answer.set_result(reply["data"])
            await replies.settle(deliveries)


@asynccontextmanager
async def writers(
    amqp_url: str, mongo: Mongo, names: Sequence[str], members: Sequence[str],
    reachable: Callable[[], bool] = lambda: True,
) -> AsyncIterator[Writers]:  # fmt: skip
    """Run one writer per name, side by side, in rooms where everybody of `members` may do everything.

    Args:
        reachable: whether anybody can say at the moment who may do what.
    """
    tasks = Tasks()
    name = f"tests-{uuid4().hex[:8]}"
    link = Link(amqp_url, name, [_queue(writer) for writer in names])
    publisher, replies = Publisher(link, tasks, PATIENCE), Consumer(link, prefetch=100, lazy=True)
    await replies.add(replies_queue(name))
    asked = Writers(name, publisher)
    try:
        tasks.spawn(link.run(), "link")
        tasks.spawn(asked.listen(replies), "replies")
        for writer in names:
            await _begin(writer, amqp_url, mongo, members, reachable, tasks)
        await link.wait_up()
        yield asked
    finally:
        await tasks.close()


async def _begin(
    name: str, amqp_url: str, mongo: Mongo, members: Sequence[str], reachable: Callable[[], bool], tasks: Tasks
) -> None:
    link, repository = Link(amqp_url, name, [_queue(name)]), Repository(mongo)
    publisher, consumer = Publisher(link, tasks, PATIENCE), Consumer(link, prefetch=64)

    async def everybody(room_ids: list[str]) -> list[RoomAccess]:
        if not reachable():
            raise ChatError(ErrorCode.TIMEOUT, "the rooms service is away")
        roles = dict.fromkeys(members, Role.MEMBER)
        return [
            RoomAccess(room_id=room_id, tenant="default", type=RoomType.GROUP, version=1, members=roles)
            for room_id in room_ids
        ]

    async def nobodys(_actor: Actor, _media_ids: list[str]) -> list[MediaView]:
        return []

    access, summaries, source = AccessCache(everybody), Summaries(repository), f"/{name}"
    receipts = Receipts(
        repository=repository, access=access, summaries=summaries,
        signals=Signals(publisher, source=source, shards=SHARDS), max_members=100,
    )  # fmt: skip
    handler = CommandHandler(
        consumer=consumer, publisher=publisher, responder=Responder(publisher, name), repository=repository,
        access=access, summaries=summaries, receipts=receipts, source=source, shards=SHARDS,
        limits=Limits(1000, 1000, 100), archive=Archive(mongo), files=Files(nobodys),
    )  # fmt: skip
    await consumer.add(_queue(name))
    for loop in (link.run(), handler.run(), handler.settle()):
        tasks.spawn(loop, name)
    await link.wait_up()


def _queue(name: str) -> Queue:
    return Queue(f"tests.{name}", (Binding(COMMANDS, name),), durable=False, exclusive=False, arguments={})


def moment(text: str) -> str:
    """A time on the wire, as the database's is written down."""
    return datetime.fromisoformat(text).isoformat()
