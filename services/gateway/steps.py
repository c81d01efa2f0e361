"""Carries out the steps of dialects' rows: one after the other, without a task per message.

Each step reads what is known and adds to it; the first that fails ends it. What is known begins with `in` (what the
client sent), `me` (who it is) and, on sockets, `here` (what the socket remembers).
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, Protocol

from pydantic import ValidationError

from services.gateway.connection import Connection
from services.gateway.dialects.rows import (
    Announce,
    Ask,
    At,
    Each,
    Either,
    Follow,
    Keep,
    Make,
    Need,
    Step,
    Type,
    Unfollow,
    Watch,
)
from services.gateway.dispatch import Answered
from services.gateway.hub import Hub
from services.gateway.looking import Onlookers
from services.gateway.subscriptions import Subscriptions
from services.gateway.typing import Typists
from services.gateway.watching import Watching
from shared.bus.codec import JSON
from shared.bus.requests import refusal_of
from shared.contracts.base import Command, Query
from shared.contracts.errors import ChatError, ErrorCode, invalid
from shared.service import Tasks

Done = Callable[[ChatError | None], None]

MAX_GATHERED = 1000
"""Items of a list that comes in pages; what is past them is left out, as docs/dialects.md says."""

FOUND_NOTHING = frozenset({ErrorCode.NOT_FOUND, ErrorCode.FORBIDDEN})
"""What is answered of something that is not there for this caller."""


class Asker(Protocol):
    """On whose behalf steps are carried out."""

    connection: Connection | None
    here: dict[str, Any]

    def send(self, request: Command | Query, body: JSON, answered: Answered) -> None:
        """Send a command or query. Raises ChatError where that is refused at once."""


Run = tuple[Any, JSON, Asker, Done]
"""What is yet to be done, what is known by now, on whose behalf, and whom to tell how it ended."""


class Steps:
    """Carries out steps."""

    def __init__(
        self, hub: Hub, subscriptions: Subscriptions, typists: Typists, onlookers: Onlookers, watching: Watching,
        tasks: Tasks,
    ) -> None:  # fmt: skip
        self._hub = hub
        self._subscriptions = subscriptions
        self._typists = typists
        self._onlookers = onlookers
        self._watching = watching
        self._tasks = tasks

    def run(self, steps: Sequence[Step], known: JSON, asker: Asker, done: Done) -> None:
        """Carry steps out; `done` is called once, when all are, or with what one of them has failed by."""
        self._go(iter(steps), known, asker, done)

    async def carry_out(self, steps: Sequence[Step], known: JSON, asker: Asker) -> None:
        """Carry steps out, and return when all are. Raises ChatError."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: ChatError | None) -> None:
            if not ended.done():
                ended.set_result(None) if error is None else ended.set_exception(error)

        self.run(steps, known, asker, done)
        await ended

    def _go(self, rest: Any, known: JSON, asker: Asker, done: Done) -> None:
        try:
            while (step := next(rest, None)) is not None:
                match step:
                    case Make():
                        known[step.into] = step.how(known)
                    case Ask(given=None):
                        self._ask(step, resolved(step.fields, known), (), (rest, known, asker, done))
                        return
                    case Each():
                        rest = chain(_one_by_one(step, known), rest)
                    case Ask() | Either() | Follow() | Watch():
                        if self._begin(step, (rest, known, asker, done)):
                            return
                    case _:
                        self._at_once(step, known, asker)
        except Exception as error:  # noqa: BLE001 - whatever a step fails by, its client is answered
            done(refusal_of(error, "a step"))
            return
        done(None)

    def _begin(self, step: Ask | Either | Follow | Watch, run: Run) -> bool:
        """Begin what takes a while; False where it is left out."""
        _, known, _, _ = run
        match step:
            case Ask(given=At() as given) | Follow(given=At() as given) if not given.of(known):
                return False
            case Ask():
                self._ask(step, resolved(step.fields, known), (), run)
            case Either():
                self._ask_first(step.asks, step, run)
            case Follow():
                room_id = str(step.room.of(known))
                self._tasks.spawn(self._follow(room_id, self._told(run, room_id), run), "follow")
            case Watch():
                self._tasks.spawn(self._watch(step.users.of(known) or [], run), "watch")
        return True

    def _ask(self, step: Ask, fields: JSON, before: Sequence[Any], run: Run) -> None:
        """Send a request; `before` are the items of earlier pages. Raises ChatError."""
        _, _, asker, _ = run
        asker.send(_request(step, fields), fields, partial(self._answered, step, fields, before, run))

    def _ask_first(self, asks: Sequence[Ask], step: Either, run: Run) -> None:
        """Send the first of `asks`, and the next one where it finds nothing."""
        ask, *others = asks
        _, known, asker, done = run
        fields = resolved(ask.fields, known)

        def answered(result: JSON | None, error: ChatError | None) -> None:
            if error is None or error.code not in FOUND_NOTHING:
                self._answered(replace(ask, into=step.into), fields, (), run, result, error)
            elif others:
                try:
                    self._ask_first(others, step, run)
                except ChatError as refused:
                    done(refused)
            else:
                done(ChatError(ErrorCode.NOT_FOUND, step.missing))

        asker.send(_request(ask, fields), fields, answered)

    def _answered(
        self, step: Ask, fields: JSON, before: Sequence[Any], run: Run, result: JSON | None, error: ChatError | None
    ) -> None:
        rest, known, asker, done = run
        if step.every and result is not None:
            result[step.every] = items = [*before, *result[step.every]][:MAX_GATHERED]
            if (after := result.get("next")) is not None and len(items) < MAX_GATHERED:
                try:
                    self._ask(step, {**fields, "after": after}, items, run)
                except ChatError as refused:
                    done(refused)
                return
        if error is not None:
            done(error)
            return
        known[step.into] = result
        self._go(rest, known, asker, done)

    def _told(self, run: Run, room_id: str) -> int | None:
        """Up to which message the socket has been told already of a room that it follows."""
        _, _, asker, _ = run
        connection = _socket(asker)
        feed = connection.feeds.get(room_id)
        return None if feed is None or connection not in feed.voices.get(connection.voice, {}) else feed.seq

    async def _follow(self, room_id: str, told: int | None, run: Run) -> None:
        rest, known, asker, done = run
        try:
            connection = _socket(asker)
            state = await self._subscriptions.follow(connection, room_id)
            standing = connection.standing.get(room_id)
            seq = state["seq"] if told is None else min(told, state["seq"])  # what is later comes by itself
            known["state"] = {**state, "seq": seq, "role": None if standing is None else standing.role}
        except Exception as error:  # noqa: BLE001 - whatever it fails by, its client is answered
            done(_failure(error, "following a room"))
        else:
            self._go(rest, known, asker, done)
        self._hub.flush_soon()

    async def _watch(self, user_ids: list[str], run: Run) -> None:
        rest, known, asker, done = run
        try:
            connection = _socket(asker)
            try:
                known["watched"] = await self._watching.watch_only(connection, user_ids)
            finally:
                if connection.id not in self._hub.connections:
                    self._watching.forget(connection)
        except Exception as error:  # noqa: BLE001 - whatever it fails by, its client is answered
            done(_failure(error, "watching users"))
        else:
            self._go(rest, known, asker, done)
        self._hub.flush_soon()

    def _at_once(self, step: Need | Keep | Unfollow | Type | Announce, known: JSON, asker: Asker) -> None:
        match step:
            case Need():
                if step.value.of(known) is None:
                    raise ChatError(ErrorCode.INVALID, step.missing)
            case Keep():
                keep(asker.here, step, known)
            case Announce():
                self._onlookers.announce(_socket(asker), str(step.room.of(known)))
            case Unfollow():
                self._hub.leave(_socket(asker), str(step.room.of(known)))
            case Type():
                started = step.started.of(known) if isinstance(step.started, At) else step.started
                room_id = str(step.room.of(known))
                self._typists.typing(_socket(asker), room_id, started=bool(started))


def resolved(fields: Mapping[str, Any], known: JSON) -> JSON:
    """The fields of a request, those left out of which nothing is known."""
    values = {}
    for name, value in fields.items():
        found = value.of(known) if isinstance(value, At) else value
        if found is not None:
            values[name] = found
    return values


def _one_by_one(step: Each, known: JSON) -> Iterator[Step]:
    for item in step.over.of(known) or ():
        yield replace(step.ask, fields=resolved(step.ask.fields, {**known, "item": item}))


def keep(here: dict[str, Any], step: Keep, known: JSON) -> None:
    """Let a socket remember something, or forget it."""
    value = None if step.value is None else step.value.of(known)
    if value is None:
        here.pop(step.name, None)
    else:
        here[step.name] = value


def _failure(error: Exception, what: str) -> ChatError:
    """What a step has failed by, to be answered; ids that cannot be ids are the client's mistake."""
    return invalid(error, what) if isinstance(error, ValidationError) else refusal_of(error, what)


def _request(step: Ask, fields: JSON) -> Command | Query:
    try:
        return step.contract.model_validate(fields)
    except ValidationError as error:
        raise invalid(error, step.contract.TYPE) from error


def _socket(asker: Asker) -> Connection:
    if asker.connection is None:
        raise ChatError(ErrorCode.INVALID, "This is for sockets only.")
    return asker.connection
