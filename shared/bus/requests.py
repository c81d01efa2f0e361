"""Request and reply: `Requests` asks and keeps what is unanswered, `Responder` answers.

One process has one queue of replies. Every request has a deadline and the table of unanswered ones is bounded, so a
service that is away costs its callers an error, never memory.
"""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson
from pydantic import ValidationError

from shared import metrics
from shared.bus.codec import (
    JSON,
    Malformed,
    encode_refusal,
    encode_reply,
    encode_request,
    split_batch,
    to_json,
    unique_id,
)
from shared.bus.consumer import Consumer
from shared.bus.publisher import Publisher
from shared.bus.topology import COMMANDS, QUERIES, REPLIES, command_key, replies_queue
from shared.contracts.base import Command, Query, View
from shared.contracts.errors import ChatError, ErrorCode, ErrorView
from shared.logging import get_logger
from shared.tracing import new_traceparent

log = get_logger(__name__)

SWEEP = 0.25
"""Seconds between looks for requests whose deadline has passed."""

Answered = Callable[[JSON | None, ChatError | None], None]
"""Called once with the result or the error of a request."""

Refine = Callable[[JSON], None]
"""Changes a result in its place."""

_unanswered = metrics.gauge("requests_unanswered", "Commands and queries waiting for their reply")
_timeouts = metrics.counter("requests_timeout", "Commands and queries whose reply did not come in time")


class Jobs:
    """What has become of the requests of one type since this process began."""

    __slots__ = ("completed", "failed", "unanswered", "unconfirmed")

    def __init__(self) -> None:
        self.unconfirmed = 0
        """Not taken by the broker yet."""
        self.unanswered = 0
        self.completed = 0
        self.failed = 0
        """Refused, or not answered in time."""


class _Pending(NamedTuple):
    deadline: float
    answered: Answered
    jobs: Jobs
    refine: Refine | None


class Requests:
    """Sends commands and queries to their owners and hands the replies back.

    Args:
        name: of this process; its reply queue bears it.
        timeout: seconds until a request is answered with `timeout`.
        max_pending: unanswered requests; past it `send` raises `overloaded`.
        echo: this process reads the events, and hands in (`told`) those that answer.
        refine: by type of request, what is done to its results before anybody gets them.
    """

    def __init__(
        self,
        consumer: Consumer,
        publisher: Publisher,
        *,
        name: str,
        shards: int,
        timeout: float,
        max_pending: int,
        echo: bool = False,
        refine: Mapping[str, Refine] | None = None,
    ) -> None:
        self._consumer = consumer
        self._publisher = publisher
        self._name = name
        self._source = f"/{name}"
        self._shards = shards
        self._timeout = timeout
        self._max_pending = max_pending
        self._echo = echo
        self._refine = refine or {}
        self._pending: dict[str, _Pending] = {}
        self.jobs: defaultdict[str, Jobs] = defaultdict(Jobs)
        """By type of request."""
        self.quiet = asyncio.Event()
        self.quiet.set()
        # Owners know a repeated command by its id, so a restarted process of the same name must not count from 1 again.
        self._numbers = (f"{name}.{run}.{number}" for run in (unique_id()[:8],) for number in itertools.count(1))
        self._loop = asyncio.get_running_loop()

    async def start(self) -> None:
        """Begin to listen for replies."""
        await self._consumer.add(replies_queue(self._name))

    def send(
        self, request: Command | Query, actor: orjson.Fragment, tenant: str, answered: Answered,
        *, traceparent: str | None = None, body: JSON | None = None,
    ) -> None:  # fmt: skip
        """Send a request; `answered` is called once, later.

        Args:
            body: the request's JSON object, where the caller has it at hand already.

        Raises:
            ChatError: `overloaded` at once, where too many requests are unanswered.
        """
        if len(self._pending) >= self._max_pending:
            raise ChatError(ErrorCode.OVERLOADED, "Too many unanswered requests; try later.", retry_after=1.0)
        number = next(self._numbers)
        envelope = encode_request(
            id=number,
            source=self._source,
            type=request.TYPE,
            subject=request.room or request.message,
            actor=actor,
            tenant=tenant,
            body=body if body is not None else request.model_dump(mode="json", exclude_none=True),
            replyto=self._name,
            echo=self._echo,
            traceparent=traceparent or new_traceparent(),
        )
        if isinstance(request, Command):
            exchange, key = COMMANDS, command_key(request.OWNER, request.room, request.message, self._shards)
        else:
            exchange, key = QUERIES, str(request.OWNER)

        jobs = self.jobs[request.TYPE]

        def settled(error: ChatError | None) -> None:
            jobs.unconfirmed -= 1
            if error is not None:
                self._answer(number, None, error)

        self._publisher.submit(exchange, key, envelope, settled)
        self.quiet.clear()
        self._pending[number] = _Pending(
            self._loop.time() + self._timeout, answered, jobs, self._refine.get(request.TYPE)
        )
        jobs.unconfirmed += 1
        jobs.unanswered += 1

    async def ask(
        self, request: Command | Query, actor: orjson.Fragment, tenant: str, *, traceparent: str | None = None
    ) -> JSON:
        """Send a request and wait for its result.

        Raises:
            ChatError: the owner's refusal, or `timeout`, `unavailable`, `overloaded`.
        """
        future: asyncio.Future[JSON] = self._loop.create_future()

        def answered(result: JSON | None, error: ChatError | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result or {})

        self.send(request, actor, tenant, answered, traceparent=traceparent)
        return await future

    async def run(self, after_batch: Callable[[], None]) -> None:
        """Hand replies to their askers, and call `after_batch` when all that had arrived are handed over."""
        while True:
            deliveries = await self._consumer.take(64)
            for delivery in deliveries:
                self._receive(delivery.body)
            after_batch()
            await self._consumer.settle(deliveries)
            _unanswered.set(len(self._pending))

    def told(self, number: str, answer: Callable[[], JSON]) -> None:
        """An event that answers a request, if it is one of this process."""
        if number in self._pending:
            self._answer(number, answer(), None)

    async def sweep(self) -> None:
        """Answer `timeout` where the deadline has passed. All requests wait equally long, so the oldest is first."""
        while True:
            await asyncio.sleep(SWEEP)
            now = self._loop.time()
            for number in self._expired(now):
                _timeouts.inc()
                error = ChatError(
                    ErrorCode.TIMEOUT,
                    "No answer in time. The command may still take effect: retry with the same client_id.",
                    retry_after=1.0,
                )
                self._answer(number, None, error)

    def _expired(self, now: float) -> list[str]:
        late = itertools.takewhile(lambda item: item[1].deadline <= now, self._pending.items())
        return [number for number, _ in late]

    def _receive(self, body: bytes) -> None:
        try:
            replies = split_batch(body)
        except Malformed as error:
            log.error("malformed replies dropped", error=str(error)[:500])
            return
        for reply in replies:
            try:
                self._answer(*_outcome_of(reply))
            except (KeyError, TypeError, ValidationError) as error:
                log.error("malformed reply dropped", error=str(error)[:500])

    def _answer(self, number: str, result: JSON | None, error: ChatError | None) -> None:
        pending = self._pending.pop(number, None)
        if pending is not None:
            if not self._pending:
                self.quiet.set()
            jobs = pending.jobs
            jobs.unanswered -= 1
            if error is None:
                jobs.completed += 1
            else:
                jobs.failed += 1
            try:
                if pending.refine is not None and result is not None:
                    pending.refine(result)
                pending.answered(result, error)
            except Exception as failure:
                log.error("an answer was not taken", number=number, exc_info=failure)


def _outcome_of(reply: JSON) -> tuple[str, JSON | None, ChatError | None]:
    """Which request a reply answers, and its result or error. Raises KeyError, TypeError or ValidationError."""
    number, data = reply["id"], reply["data"]
    if not isinstance(number, str) or not isinstance(data, dict):
        raise TypeError("'id' is no text or 'data' no object")
    result = data.get("ok")
    if isinstance(result, dict):
        return number, result, None
    return number, None, ChatError.from_view(ErrorView.model_validate(data["error"]))


class Responder:
    """Answers requests in the name of a service."""

    def __init__(self, publisher: Publisher, name: str) -> None:
        self._publisher = publisher
        self._source = f"/{name}"

    def answer(self, replyto: str | None, request_id: str, outcome: View | ChatError) -> None:
        """Send the result or the error. Where nobody listens any more, or replies back up, the asker times out."""
        if replyto is None:
            return
        if isinstance(outcome, ChatError):
            body = encode_refusal(request_id, self._source, outcome.view())
        else:
            body = encode_reply(request_id, self._source, to_json(outcome))
        try:
            self._publisher.submit(REPLIES, replyto, body)
        except ChatError as error:
            log.warning("reply dropped", replyto=replyto, error=error.message)


def refusal_of(error: Exception, correlation: Any) -> ChatError:
    """The error a caller may see for an unexpected exception: nothing of it but an id to look up in the logs."""
    if isinstance(error, ChatError):
        return error
    log.error("unexpected error", correlation=correlation, exc_info=error)
    return ChatError(
        ErrorCode.INTERNAL, "Something went wrong here; the id in the details finds it in the logs.",
        details={"correlation_id": str(correlation)},
    )  # fmt: skip
