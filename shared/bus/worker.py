"""The loop of a service that answers commands or queries one by one. Knows neither which, nor the database.

All that has arrived is taken as one batch. Its requests are handled concurrently, except that those about the same
subject (a room) keep their order. Every request ends in exactly one of three ways: answered, answered with an error,
or set aside in the dead-letter queue; none of them stops the others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from structlog.contextvars import bound_contextvars

from shared import metrics
from shared.bus.codec import Malformed, batch_of_one, split_batch
from shared.bus.consumer import Consumer, Delivery
from shared.bus.publisher import Publisher
from shared.bus.requests import Responder, refusal_of
from shared.bus.topology import COMMANDS, QUERIES
from shared.contracts.base import Command, Model, Query, View
from shared.contracts.envelope import Actor, RequestEnvelope
from shared.contracts.errors import ChatError, ErrorCode, invalid
from shared.logging import get_logger
from shared.retry import Transient, until_done

log = get_logger(__name__)

MAX_TAKEN = 64
"""AMQP messages handled as one batch; the prefetch bounds them too."""

CONCURRENCY = 32
"""Subjects handled at the same time: as many as the database driver has connections."""

_handled = metrics.counter("requests_handled", "Commands and queries answered", "type", "outcome")

C = TypeVar("C", bound=Command)
Q = TypeVar("Q", bound=Query)
R = TypeVar("R", bound=Model)


@dataclass(frozen=True, slots=True)
class _Job:
    """A request that can be answered, and where it came from."""

    envelope: RequestEnvelope
    item: Any
    delivery: Delivery


async def serve_commands(
    consumer: Consumer,
    contracts: Mapping[str, type[C]],
    handle: Callable[[RequestEnvelope, C], Awaitable[View]],
    responder: Responder,
    *,
    publisher: Publisher,
    transient: Transient,
    concurrency: int = CONCURRENCY,
) -> None:
    """Carry out commands for ever. To stop, release the queues from the consumer, then cancel.

    A transient failure is tried again until it works; a command that fails for an unknown reason is dead-lettered.

    Args:
        contracts: the class of each command type.
        handle: carries one out; what it raises as ChatError is answered.
        transient: whether an error of `handle` means that the database is away.
        concurrency: rooms handled at the same time.
    """
    worker = _Worker(consumer, publisher, responder, contracts, handle, transient, lasting=True)
    await worker.run(concurrency)


async def serve_queries(
    consumer: Consumer,
    contracts: Mapping[str, type[Q]],
    handle: Callable[[Actor, Q], Awaitable[View]],
    responder: Responder,
    *,
    publisher: Publisher,
    transient: Transient,
    concurrency: int = CONCURRENCY,
) -> None:
    """Answer queries for ever; as `serve_commands`, but a failure is only answered: the asker can ask again."""

    async def answer(envelope: RequestEnvelope, query: Q) -> View:
        return await handle(envelope.data.actor, query)

    worker = _Worker(consumer, publisher, responder, contracts, answer, transient, lasting=False)
    await worker.run(concurrency)


class _Worker(Generic[R]):
    """The loop itself; `lasting` is what tells commands from queries."""

    def __init__(
        self,
        consumer: Consumer,
        publisher: Publisher,
        responder: Responder,
        contracts: Mapping[str, type[R]],
        handle: Callable[[RequestEnvelope, R], Awaitable[View]],
        transient: Transient,
        *,
        lasting: bool,
    ) -> None:
        self._consumer = consumer
        self._publisher = publisher
        self._responder = responder
        self._contracts = contracts
        self._handle = handle
        self._transient = transient
        self._lasting = lasting

    async def run(self, concurrency: int) -> None:
        while True:
            deliveries = await self._consumer.take(MAX_TAKEN)
            jobs = [job for delivery in deliveries for job in await self._open(delivery)]
            await self._answer_all(jobs, concurrency)
            await self._consumer.settle(deliveries)

    async def _open(self, delivery: Delivery) -> list[_Job]:
        """The requests in a delivery; what is none is set aside, alone."""
        try:
            items = split_batch(delivery.body)
        except Malformed as error:
            await self._set_aside(delivery.key, delivery.body, str(error))
            return []
        jobs = []
        for item in items:
            try:
                jobs.append(_Job(RequestEnvelope.model_validate(item), item, delivery))
            except ValidationError as error:
                await self._set_aside_alone(item, delivery, invalid(error, "the envelope").message)
        return jobs

    async def _answer_all(self, jobs: list[_Job], concurrency: int) -> None:
        lanes: dict[str, list[_Job]] = {}
        for job in jobs:
            lanes.setdefault(job.envelope.subject or f" {len(lanes)}", []).append(job)
        waiting = iter(lanes.values())

        async def answer_lanes() -> None:
            for lane in waiting:  # shared: each lane is taken by one of us
                for job in lane:
                    await self._answer(job)

        await asyncio.gather(*(answer_lanes() for _ in range(min(concurrency, len(lanes)))))

    async def _answer(self, job: _Job) -> None:
        envelope = job.envelope
        with bound_contextvars(request=envelope.id, traceparent=envelope.traceparent):
            outcome = await self._outcome(job)
            try:
                self._responder.answer(envelope.replyto, envelope.id, outcome)
            except Exception as error:  # noqa: BLE001 - an answer that cannot be written must not stop the others
                outcome = refusal_of(error, envelope.id)
                self._responder.answer(envelope.replyto, envelope.id, outcome)
        known = envelope.type if envelope.type in self._contracts else "unknown"
        _handled.labels(known, outcome.code if isinstance(outcome, ChatError) else "ok").inc()

    async def _outcome(self, job: _Job) -> View | ChatError:
        try:
            request = self._parse(job.envelope)
        except ChatError as error:
            if job.envelope.replyto is None:  # nobody would hear of it
                await self._set_aside_alone(job.item, job.delivery, error.message)
            return error
        try:
            return await self._attempt(job.envelope, request)
        except Exception as error:  # noqa: BLE001 - one request must not stop the others
            refusal = refusal_of(error, job.envelope.id)
            if self._lasting and refusal is not error:
                await self._set_aside_alone(job.item, job.delivery, f"{type(error).__name__}: {error}")
            return refusal

    def _parse(self, envelope: RequestEnvelope) -> R:
        contract = self._contracts.get(envelope.type)
        if contract is None:
            known = sorted(self._contracts)
            raise ChatError(
                ErrorCode.INVALID, f"'{envelope.type}' is not known here; known are {', '.join(known)}.", details=known
            )
        try:
            return contract.model_validate(envelope.data.body)
        except ValidationError as error:
            raise invalid(error, envelope.type) from error

    async def _attempt(self, envelope: RequestEnvelope, request: R) -> View:
        if self._lasting:
            return await until_done(lambda: self._handle(envelope, request), self._transient, envelope.type)
        try:
            return await self._handle(envelope, request)
        except Exception as error:
            if not self._transient(error):
                raise
            log.warning("query not answered", error=f"{type(error).__name__}: {error}"[:500])
            raise ChatError(ErrorCode.UNAVAILABLE, "The database is away; try again.", retry_after=1.0) from error

    async def _set_aside_alone(self, item: Any, delivery: Delivery, reason: str) -> None:
        await self._set_aside(delivery.key, batch_of_one(item), reason)

    async def _set_aside(self, key: str, body: bytes, reason: str) -> None:
        """Dead-letter, however long the broker is away: only then may the original be acked."""
        await until_done(
            lambda: self._publisher.dead_letter(COMMANDS if self._lasting else QUERIES, key, body, reason),
            lambda error: isinstance(error, ChatError),
            "dead-lettering",
        )
