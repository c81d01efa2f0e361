"""From AMQP messages to requests: what comes in is parsed, what cannot be parsed or handled is put aside.

Decides nothing about rooms.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from pydantic import ValidationError

from services.messages.state import Request
from shared import metrics
from shared.bus import topology
from shared.bus.codec import JSON, Malformed, batch_of_one, join_batch, split_batch
from shared.bus.consumer import Delivery
from shared.bus.publisher import Publisher
from shared.bus.requests import Responder, refusal_of
from shared.contracts.base import View
from shared.contracts.envelope import RequestEnvelope
from shared.contracts.errors import ChatError, ErrorCode, invalid
from shared.contracts.messages import COMMANDS, MessageCommand, ReportDelivered
from shared.logging import get_logger

log = get_logger(__name__)

_put_off = metrics.counter("messages_put_off", "Commands nobody waits for that could not be decided yet")


class Origin(NamedTuple):
    """Where a request came from, and where its answer goes."""

    key: str
    item: JSON
    replyto: str | None


@dataclass(slots=True)
class Batch:
    """Requests with where their answers go."""

    deliveries: list[Delivery] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    origins: dict[str, Origin] = field(default_factory=dict)

    def add(self, other: "Batch") -> None:
        """Go on with what has arrived after this."""
        self.deliveries += other.deliveries
        self.requests += other.requests
        self.origins |= other.origins

    @property
    def redelivered(self) -> bool:
        """Whether any of it may have been handled before."""
        return any(delivery.redelivered for delivery in self.deliveries)


class Intake:
    """Reads batches, and buries what nobody can handle."""

    def __init__(self, publisher: Publisher, responder: Responder) -> None:
        self._publisher = publisher
        self._responder = responder

    async def read(self, delivery: Delivery) -> Batch:
        """The requests in an AMQP message; what is none is refused or dead-lettered."""
        batch = Batch([delivery])
        try:
            items = split_batch(delivery.body)
        except Malformed as error:
            await self._dead_letter(delivery.key, delivery.body, str(error))
            return batch
        for item in items:
            await self._read_item(delivery.key, item, batch)
        return batch

    async def _read_item(self, key: str, item: Any, batch: Batch) -> None:
        try:
            envelope = RequestEnvelope.model_validate(item)
        except ValidationError as error:
            await self._dead_letter(key, batch_of_one(item), invalid(error, "the envelope").message)
            return
        try:
            command = _command_in(envelope)
        except ChatError as error:
            if envelope.replyto is None:  # nobody would hear of it
                await self._dead_letter(key, batch_of_one(item), error.message)
            self._responder.answer(envelope.replyto, envelope.id, error)
        else:
            batch.origins[envelope.id] = Origin(key, item, envelope.replyto)
            batch.requests.append(
                Request(envelope.id, envelope.data.actor, command, envelope.traceparent, envelope.echo)
            )

    async def bury(self, batch: Batch, request: Request, error: Exception) -> None:
        """Put a request aside that fails by itself, with the reason, and refuse it."""
        refusal = refusal_of(error, request.id)
        key, item, replyto = batch.origins[request.id]
        await self._dead_letter(key, batch_of_one(item), f"{type(error).__name__}: {error}")
        self._responder.answer(replyto, request.id, refusal)

    async def answer(self, batch: Batch, answers: Mapping[str, View | ChatError]) -> None:
        """Answer requests; those that nobody waits for and that may succeed later come back by themselves.

        What it is about may be looked up then (a room's members, while the rooms service is away). Reports of what has
        been delivered are not worth that: the next one covers them.
        """
        put_off: dict[str, list[Origin]] = {}
        for request_id, answer in answers.items():
            origin = batch.origins[request_id]
            if origin.replyto is None and _passes(origin, answer):
                put_off.setdefault(origin.key, []).append(origin)
            self._responder.answer(origin.replyto, request_id, answer)
        for key, origins in put_off.items():
            await self._put_off(key, [orjson.dumps(origin.item) for origin in origins])

    async def _put_off(self, key: str, envelopes: list[bytes]) -> None:
        """Return once the broker has them: only then the originals may be acked."""
        while True:
            try:
                await self._publisher.publish(topology.LATER, [(key, envelope) for envelope in envelopes])
            except ChatError as error:
                if error.code is ErrorCode.OVERLOADED:  # enough waits already; an operator may replay these
                    for envelope in envelopes:
                        await self._dead_letter(key, join_batch([envelope]), f"cannot be put off: {error.message}")
                    return
                await asyncio.sleep(0.5)
            else:
                _put_off.inc(len(envelopes))
                log.info("put off", key=key, commands=len(envelopes))
                return

    async def _dead_letter(self, key: str, body: bytes, reason: str) -> None:
        while True:
            with suppress(ChatError):  # the broker is away; nothing can be acked before this is put aside
                return await self._publisher.dead_letter(topology.COMMANDS, key, body, reason)
            await asyncio.sleep(0.5)


def _passes(origin: Origin, answer: View | ChatError) -> bool:
    """Whether a request is refused for a reason that passes, and is worth asking again."""
    refused = isinstance(answer, ChatError) and answer.row.retryable
    return refused and origin.item["type"] != ReportDelivered.TYPE


def _command_in(envelope: RequestEnvelope) -> MessageCommand:
    """The command of an envelope. Raises ChatError `invalid`."""
    contract = COMMANDS.get(envelope.type)
    if contract is None:
        raise ChatError(ErrorCode.INVALID, f"The messages service has no command '{envelope.type}'.")
    try:
        return contract.model_validate(envelope.data.body)
    except ValidationError as error:
        raise invalid(error, envelope.type) from error
