"""What tests of the rooms service stand on: the real process, and a caller that speaks to it as a gateway does."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import aio_pika
import aiohttp

from shared.bus.codec import encode_actor, encode_request, split_batch, unique_id
from shared.bus.consumer import Consumer
from shared.bus.link import Link
from shared.bus.publisher import Publisher
from shared.bus.requests import Requests
from shared.bus.topology import COMMANDS, durable_queues, events_queue
from shared.contracts.base import Command, Query
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError
from shared.service import Tasks

REPOSITORY = Path(__file__).parents[2]
SHARDS = 4
READY_TIMEOUT = 30.0
ANSWER_TIMEOUT = 20.0
EVENT_TIMEOUT = 15.0

Json = dict[str, Any]


class RoomsProcess:
    """`python -m services.rooms` as an operator runs it."""

    def __init__(self, amqp_url: str, mongo_url: str, log: Path, *, name: str = "rooms-0", **env: str) -> None:
        self.port = free_port()
        self._log = log
        self._env = {
            "PATH": os.environ["PATH"],
            "AMQP_URL": amqp_url,
            "MONGO_URL": mongo_url,
            "OPS_PORT": str(self.port),
            "INSTANCE": name,
            "SHARDS": str(SHARDS),
            **env,
        }
        self._child: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the process; returns at once."""
        with self._log.open("ab") as log:
            self._child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "services.rooms", cwd=REPOSITORY, env=self._env, stderr=log
            )

    async def ready(self) -> None:
        """Return when the process says that it is ready."""
        async with asyncio.timeout(READY_TIMEOUT):
            while (await self.health("readyz"))[0] != 200:  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.05)

    async def health(self, path: str) -> tuple[int, Json]:
        """Status and body of a health request; 0 where nobody listens."""
        with suppress(aiohttp.ClientConnectionError):
            async with aiohttp.request("GET", f"http://127.0.0.1:{self.port}/{path}") as response:
                return response.status, await response.json()
        return 0, {}

    async def metrics(self) -> str:
        """The metrics page."""
        async with aiohttp.request("GET", f"http://127.0.0.1:{self.port}/metrics") as response:
            return await response.text()

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal to die of; the exit status, that of its death where it is dead already."""
        if self._child is None:
            return 0
        with suppress(ProcessLookupError):
            self._child.send_signal(number)
        async with asyncio.timeout(READY_TIMEOUT):
            return await self._child.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        await self.ready()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()


class Caller:
    """Sends commands and queries, hears replies, room events and changes of presence.

    Everything heard stands in `events`: the event envelopes, in the order of arrival.
    """

    def __init__(self, amqp_url: str) -> None:
        self.name = f"caller-{unique_id()[:8]}"
        self.events: list[Json] = []
        self.publisher: Publisher
        self._url = amqp_url
        self._requests: Requests
        self._tasks = Tasks()
        self._heard = asyncio.Condition()

    async def __aenter__(self) -> Self:
        link = Link(self._url, self.name, durable_queues(SHARDS))
        self.publisher = Publisher(link, self._tasks, ANSWER_TIMEOUT)
        replies, events = Consumer(link, 256), Consumer(link, 256)
        self._requests = Requests(
            replies, self.publisher, name=self.name, shards=SHARDS, timeout=ANSWER_TIMEOUT, max_pending=10_000
        )
        await self._requests.start()
        await events.add(events_queue(self.name, "room.#", "presence.#"))
        for work in (link.run(), self._requests.run(lambda: None), self._requests.sweep(), self._listen(events)):
            self._tasks.spawn(work, "caller")
        await link.wait_up()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tasks.close()

    async def ask(self, who: Actor | str, request: Command | Query) -> Json:
        """Send a request and wait for its result. Raises ChatError."""
        actor = Actor(id=who) if isinstance(who, str) else who
        return await self._requests.ask(request, encode_actor(actor), actor.tenant)

    async def refusal(self, who: Actor | str, request: Command | Query) -> str:
        """The code of the error that a request gets, or "ok"."""
        try:
            await self.ask(who, request)
        except ChatError as error:
            return error.code.value
        return "ok"

    def envelope(self, who: str, command: Command, number: str) -> bytes:
        """A command's envelope with an id of one's choice, as the broker delivers it again."""
        return encode_request(
            id=number,
            source=f"/{self.name}",
            type=command.TYPE,
            subject=command.room,
            actor=encode_actor(Actor(id=who)),
            tenant="default",
            body=command.model_dump(mode="json", exclude_none=True),
            replyto=self.name,
            traceparent="",
        )

    async def publish(self, *envelopes: bytes) -> None:
        """Put envelopes into the queue of room commands; returns when the broker has them."""
        await self.publisher.publish(COMMANDS, [("rooms", envelope) for envelope in envelopes])

    async def events_of(self, subject: str, until: Callable[[list[Json]], bool]) -> list[Json]:
        """The events of a room or user, as soon as `until` says that they are enough."""

        def found() -> list[Json]:
            return [event for event in self.events if event["subject"] == subject]

        async with asyncio.timeout(EVENT_TIMEOUT), self._heard:
            await self._heard.wait_for(lambda: until(found()))
        return found()

    async def _listen(self, events: Consumer) -> None:
        while True:
            deliveries = await events.take(64)
            async with self._heard:
                self.events += [item for delivery in deliveries for item in split_batch(delivery.body)]
                self._heard.notify_all()
            await events.settle(deliveries)


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def publish_raw(amqp_url: str, *bodies: bytes) -> None:
    """Put AMQP bodies of any kind into the queue of room commands."""
    async with await aio_pika.connect(amqp_url) as connection, connection.channel() as channel:
        exchange = await channel.get_exchange(COMMANDS, ensure=False)
        for body in bodies:
            await exchange.publish(aio_pika.Message(body), "rooms")


async def next_dead(amqp_url: str) -> tuple[str, bytes]:
    """Take the oldest dead letter: why it is there, and its body."""
    async with await aio_pika.connect(amqp_url) as connection, connection.channel() as channel:
        await channel.set_qos(prefetch_count=1)
        queue = await channel.get_queue("dead", ensure=False)
        async with asyncio.timeout(EVENT_TIMEOUT), queue.iterator() as messages:
            message = await anext(messages)
            await message.ack()
            return str(message.headers["x-reason"]), message.body
