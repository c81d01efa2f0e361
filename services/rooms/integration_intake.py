"""Takes in what other systems tell: from the queue `integration.rooms`, or from a request. Knows no type of event.

All that is told about one object is applied in the order it came, by one at a time; different objects go side by side.
Every event ends in exactly one way: applied, or set aside with the reason; none of them stops the others.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from services.rooms.handlers import against_rivals
from services.rooms.integration_facts import Facts, Statement, hear
from services.rooms.integration_rooms import Reconciler
from services.rooms.integration_store import FactsRepository
from services.rooms.integrations import About, Object, Telling, envelope_of, microseconds, read
from services.rooms.repository import Repository
from shared import metrics
from shared.bus.codec import Malformed, batch_of_one, split_batch
from shared.bus.consumer import Consumer, Delivery
from shared.bus.publisher import Publisher
from shared.bus.topology import INTEGRATION
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.membership import AuditEntry
from shared.logging import get_logger
from shared.mongo import is_transient
from shared.retry import until_done

log = get_logger(__name__)

MAX_TAKEN = 64
"""AMQP messages handled as one batch; the prefetch bounds them too."""

CONCURRENCY = 16
"""Objects handled at the same time: half as many as the database driver has connections."""

LEFT_BEHIND = timedelta(seconds=3)
"""After which an object whose room is not in line is taken to be forgotten by its own process."""

DEFAULT_TENANT = "default"

Outcome = bool | Exception
"""Whether an event told something new, or why it could not be applied: ChatError, or an error nobody foresaw."""

Statements = Callable[[Facts], Sequence[Statement]]
"""What is said of an object, given what holds. May raise ChatError, and then nothing is said."""

_applied = metrics.counter("integration_events", "Events of other systems taken in", "type", "outcome")


@dataclass(frozen=True, slots=True)
class _Job:
    """An event that can be applied, and where it came from."""

    telling: Telling
    type: str
    item: Any
    key: str


class _Heard(NamedTuple):
    """What came of statements about an object, and whether its room may not be in line now."""

    object: Object
    outcomes: list[Outcome]
    due: bool


class Intake:
    """Applies events."""

    def __init__(self, facts: FactsRepository, repository: Repository, reconciler: Reconciler) -> None:
        self._facts = facts
        self._repository = repository
        self._reconciler = reconciler

    async def apply(self, tellings: Sequence[Telling], *, patient: bool) -> list[Outcome]:
        """Apply what is told; one outcome each, in their order.

        Args:
            patient: wait for rooms that are in other hands, instead of leaving them to those.
        """
        outcomes: list[Outcome] = [False] * len(tellings)
        lanes: dict[Object, list[int]] = {}
        for number, telling in enumerate(tellings):
            lanes.setdefault(telling.object, []).append(number)
        waiting = iter(lanes.items())

        async def apply_lanes() -> None:
            for about, numbers in waiting:  # shared: each lane is taken by one of us
                found = await self._apply_lane(
                    about, [tellings[number].statement for number in numbers], patient=patient
                )
                for number, outcome in zip(numbers, found, strict=True):
                    outcomes[number] = outcome

        await asyncio.gather(*(apply_lanes() for _ in range(min(CONCURRENCY, len(lanes)))))
        return outcomes

    async def _apply_lane(self, about: Object, statements: list[Statement], *, patient: bool) -> list[Outcome]:
        try:
            heard = await until_done(lambda: self._store(about, lambda _: statements), _passes, about.key)
            if heard.due:
                key = heard.object.key
                await until_done(lambda: self._reconciler.settle(key, patient=patient), is_transient, key)
        except Exception as error:  # noqa: BLE001 - one object must not stop the others
            return [error] * len(statements)
        return heard.outcomes

    async def say(self, about: Object, statements: Statements, entry: AuditEntry) -> None:
        """Store what is said of an object, then bring its room in line.

        Args:
            entry: who says it, for the audit; written if it is news.

        Raises:
            ChatError: where the object's room cannot be, or nothing may be said.
        """
        heard = await self._store(about, statements, entry)
        for outcome in heard.outcomes:
            if isinstance(outcome, Exception):
                raise outcome
        if heard.due:
            await self._reconciler.settle(heard.object.key, patient=True)

    async def _store(self, about: Object, statements: Statements, entry: AuditEntry | None = None) -> _Heard:
        about = await self._resolved(about)

        async def attempt() -> _Heard:
            stored, moment = await self._facts.load(about), datetime.now(UTC)
            facts, outcomes = _all_heard(stored.facts, statements(stored.facts), microseconds(moment))
            if facts == stored.facts:
                return _Heard(about, outcomes, stored.due)
            await self._facts.save(stored, facts, moment + LEFT_BEHIND, entry)
            return _Heard(about, outcomes, due=True)

        return await against_rivals(attempt)

    async def _resolved(self, about: Object) -> Object:
        """A room by its id is its object, where it belongs to one: there is one place for what is said of it."""
        if about.about is not About.ROOM:
            return about
        room = await self._repository.room(about.tenant, about.id)
        if room is None or room.deleted_at is not None:
            raise ChatError(ErrorCode.NOT_FOUND, f"There is no room '{about.id}'.")
        if room.external is None:
            return about
        return Object(about.tenant, About.EXTERNAL, room.external.kind, room.external.id)


class IntegrationQueue:
    """Reads the queue of events from outside."""

    def __init__(self, consumer: Consumer, publisher: Publisher, intake: Intake) -> None:
        self._consumer = consumer
        self._publisher = publisher
        self._intake = intake

    async def run(self) -> None:
        """Apply what comes, for ever. To stop, release the queue from the consumer, then cancel."""
        while True:
            deliveries = await self._consumer.take(MAX_TAKEN)
            jobs = [job for delivery in deliveries for job in await self._open(delivery)]
            outcomes = await self._intake.apply([job.telling for job in jobs], patient=False)
            for job, outcome in zip(jobs, outcomes, strict=True):
                await self._note(job, outcome)
            await self._consumer.settle(deliveries)

    async def _open(self, delivery: Delivery) -> list[_Job]:
        """The events in a delivery; what is none is set aside, alone."""
        try:
            items = split_batch(delivery.body, lone=True)
        except Malformed as error:
            _applied.labels("unknown", ErrorCode.INVALID).inc()
            await self._set_aside(delivery.key, delivery.body, str(error))
            return []
        jobs, arrived = [], datetime.now(UTC)
        for item in items:
            try:
                envelope = envelope_of(item)
                telling = read(envelope, envelope.tenant or DEFAULT_TENANT, arrived)
            except ChatError as error:
                _applied.labels("unknown", error.code).inc()
                await self._set_aside(delivery.key, batch_of_one(item), error.message)
            else:
                jobs.append(_Job(telling, envelope.type, item, delivery.key))
        return jobs

    async def _note(self, job: _Job, outcome: Outcome) -> None:
        if not isinstance(outcome, Exception):
            _applied.labels(job.type, "ok").inc()
            return
        known = isinstance(outcome, ChatError)
        _applied.labels(job.type, outcome.code if isinstance(outcome, ChatError) else ErrorCode.INTERNAL).inc()
        if isinstance(outcome, ChatError) and outcome.row.retryable:
            log.warning("a room follows later", error=outcome.message)  # the facts are stored, and due
            return
        reason = str(outcome) if known else f"{type(outcome).__name__}: {outcome}"
        await self._set_aside(job.key, batch_of_one(job.item), reason)

    async def _set_aside(self, key: str, body: bytes, reason: str) -> None:
        """Dead-letter, however long the broker is away: only then may the original be acked."""
        await until_done(
            lambda: self._publisher.dead_letter(INTEGRATION, key, body, reason),
            lambda error: isinstance(error, ChatError),
            "dead-lettering",
        )


def _all_heard(facts: Facts, statements: Sequence[Statement], now: int) -> tuple[Facts, list[Outcome]]:
    """The facts after all statements, and what came of each."""
    outcomes: list[Outcome] = []
    for statement in statements:
        try:
            after = hear(facts, statement, now)
        except ChatError as error:
            outcomes.append(error)
        else:
            outcomes.append(after.registers != facts.registers)
            facts = after
    return facts, outcomes


def _passes(error: Exception) -> bool:
    """Whether what is not stored may be later: the database is away, or rivals were faster all the time."""
    return is_transient(error) or (isinstance(error, ChatError) and error.code is ErrorCode.UNAVAILABLE)
