"""The dead letters, for an operator: look at them, publish them anew, drop them. Decides for nobody which, or whether.

A look takes letters without acking them; when its channel closes, the broker puts what was not settled back, in order.
One consumer takes all of them, even to show three: the broker puts back behind what it had been given back before. So
nothing is lost when a look is cut short, and a letter is acked only after the broker has confirmed its copy: at worst
it is replayed twice, which every reader copes with.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aio_pika
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity, DeliveryError, PublishError

from shared.bus.link import CONNECT_TIMEOUT, LOST
from shared.bus.publisher import QUERY_EXPIRY
from shared.bus.topology import EXCHANGES, QUERIES
from shared.contracts.envelope import CONTENT_TYPE

DEAD_QUEUE = "dead"
PATIENCE = 10.0
"""Seconds the broker may take for an answer."""

GAP = 2.0
"""Seconds after which letters that were counted and do not come are taken to be in other hands."""

MOST = 10_000
"""Letters held at once; what lies behind them can be reached when they are settled."""


class Unreachable(Exception):  # noqa: N818 - a state of the broker, said as such
    """The broker, or its queue of dead letters, cannot be had; the message says why."""


class NotReplayed(Exception):  # noqa: N818 - what happened to a letter
    """A letter that stays where it is; the message says why."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter.

    Attributes:
        id: made of key and body, so it is the same at every look; letters that are alike share it.
        exchange: where it came from; None where that cannot be told.
        keys: by which routing keys it came; the first is the one to name it by.
        reason: why it lies here.
        died_at: when the broker gave it up; services do not say.
        queue: in which queue the broker gave it up.
        looks: how often it was looked at before.
    """

    id: str
    exchange: str | None
    keys: tuple[str, ...]
    body: bytes
    reason: str
    died_at: datetime | None
    queue: str | None
    looks: int
    message: AbstractIncomingMessage

    @property
    def key(self) -> str:
        """The original routing key."""
        return self.keys[0]


class DeadLetters:
    """The queue of dead letters on a working connection; made by `dead_letters`."""

    def __init__(self, connection: AbstractConnection, outgoing: AbstractChannel) -> None:
        self._connection = connection
        self._outgoing = outgoing

    async def count(self) -> int:
        """How many letters there are, without those that somebody else is looking at.

        Raises:
            Unreachable: where the broker has no such queue.
        """
        try:
            async with self._connection.channel() as channel:
                queue = await channel.declare_queue(DEAD_QUEUE, passive=True, timeout=PATIENCE)
        except ChannelNotFoundEntity:
            raise Unreachable(
                f"the broker has no queue '{DEAD_QUEUE}': no service has ever been connected to it"
            ) from None
        return queue.declaration_result.message_count or 0

    async def look(self, most: int = MOST) -> AsyncGenerator[Letter, None]:
        """The oldest `most` letters that are here now, oldest first; what was not settled is put back at the end.

        Letters that come meanwhile are not looked at, so replaying what dies again comes to an end. Close the iterator
        (`contextlib.aclosing`) where it is left early.
        """
        most = min(most, MOST, await self.count())
        if not most:
            return
        arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        async with self._connection.channel(publisher_confirms=False) as channel:
            await channel.set_qos(prefetch_count=MOST)  # not `most`, for the sake of the order
            queue = await channel.get_queue(DEAD_QUEUE, ensure=False)
            await queue.consume(arrived.put)
            for _ in range(most):
                try:
                    async with asyncio.timeout(GAP):
                        message = await arrived.get()
                except TimeoutError:
                    return
                yield letter_of(message)

    async def replay(self, letter: Letter) -> None:
        """Publish a letter as it first was, and drop it once a queue has taken it.

        Raises:
            NotReplayed: where nobody takes it; it stays.
        """
        if letter.exchange is None:
            raise NotReplayed(f"nothing says where it came from: no exchange is known for the key '{letter.key}'")
        exchange = await self._outgoing.get_exchange(letter.exchange, ensure=False)
        copy = Message(
            letter.body,
            content_type=CONTENT_TYPE,
            delivery_mode=DeliveryMode.PERSISTENT,
            # The rest of the keys of a batch that came by several, as shared.bus.publisher sends it.
            headers={"CC": list(letter.keys[1:])} if len(letter.keys) > 1 else {},
            expiration=int(QUERY_EXPIRY) / 1000 if letter.exchange == QUERIES else None,
        )
        try:
            await exchange.publish(copy, letter.key, mandatory=True, timeout=PATIENCE)
        except PublishError:
            raise NotReplayed(f"no queue takes '{letter.key}' from {letter.exchange}") from None
        except DeliveryError:
            raise NotReplayed(f"the queue of '{letter.key}' is full") from None
        await letter.message.ack()

    async def drop(self, letter: Letter) -> None:
        """Remove a letter for good."""
        await letter.message.ack()


@asynccontextmanager
async def dead_letters(url: str) -> AsyncIterator[DeadLetters]:
    """Connect to the broker at `url`.

    Raises:
        Unreachable: where that fails, then or later.
    """
    try:
        connection = await aio_pika.connect(url, timeout=CONNECT_TIMEOUT)
        async with connection:
            outgoing = await connection.channel(publisher_confirms=True, on_return_raises=True)
            yield DeadLetters(connection, outgoing)
    except LOST as error:
        raise Unreachable(f"the broker is away: {str(error) or type(error).__name__}") from error


def letter_of(message: AbstractIncomingMessage) -> Letter:
    """What a service (x-reason, x-original-exchange and -key) or the broker (x-death) has noted on a dead letter."""
    headers = message.headers
    death = _last_death(headers)
    given = headers.get("x-original-key")
    if given is None and death is not None:
        given = death.get("routing-keys")
        keys = tuple(map(_text, given if isinstance(given, list) else ())) or (message.routing_key or "",)
        exchange = _known(death.get("exchange"))
        queue = _text(death.get("queue"))
        reason = f"{_text(death.get('reason'))} in {queue}"
    else:
        keys = (_text(given if given is not None else message.routing_key),)
        exchange = _known(headers.get("x-original-exchange"))
        queue, reason = None, _text(headers.get("x-reason")) or "no reason is given"
    time = death.get("time") if death is not None else message.timestamp
    looks = headers.get("x-delivery-count")
    return Letter(
        id=hashlib.sha256(keys[0].encode() + b"\0" + message.body).hexdigest()[:16],
        exchange=exchange,
        keys=keys,
        body=message.body,
        reason=reason,
        died_at=time if isinstance(time, datetime) else None,
        queue=queue,
        looks=looks if isinstance(looks, int) else 0,
        message=message,
    )


def _last_death(headers: Mapping[str, Any]) -> dict[str, Any] | None:
    """The newest entry of x-death, which the broker puts first."""
    deaths = headers.get("x-death")
    return deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else None


def _known(exchange: object) -> str | None:
    return next((known.name for known in EXCHANGES if known.name == _text(exchange)), None)


def _text(value: object) -> str:
    """A header as text, whatever was put there."""
    if isinstance(value, bytes | bytearray):
        return value.decode(errors="replace")
    return "" if value is None else str(value)
