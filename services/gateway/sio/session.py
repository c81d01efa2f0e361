"""One client in one namespace: what it sends becomes steps, and what comes of them is said to it."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic import ValidationError

from services.gateway.changes import changes
from services.gateway.connection import Connection
from services.gateway.dialects import errors
from services.gateway.dialects.choice import choose
from services.gateway.dialects.rows import On
from services.gateway.dispatch import Answered, Dispatcher
from services.gateway.hub import Hub
from services.gateway.register import Register
from services.gateway.sio.lists import MAX_AT_ONCE, Lists
from services.gateway.sio.packets import Incoming
from services.gateway.sio.recall import Client, Departure, Place, Recall, Trail
from services.gateway.sio.voice import DialectVoice, Voices, now, reframed, said
from services.gateway.steps import Steps
from services.gateway.subscriptions import Subscriptions
from services.gateway.typing import Typists
from services.gateway.watching import Watching
from shared.bus.codec import JSON
from shared.bus.requests import refusal_of
from shared.contracts.base import Command, Query
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, CloseCode, ErrorCode, invalid
from shared.contracts.messages import MessageCreated
from shared.logging import get_logger
from shared.service import Tasks
from shared.settings import Settings

log = get_logger(__name__)

MAX_MALFORMED = 20
"""Malformed packets in a row before the connection is closed."""

BARE = b"{}"


@dataclass(frozen=True, slots=True)
class Serving:
    """What sessions need of the gateway."""

    settings: Settings
    hub: Hub
    dispatcher: Dispatcher
    subscriptions: Subscriptions
    steps: Steps
    typists: Typists
    watching: Watching
    register: Register
    tasks: Tasks
    voices: Voices
    recall: Recall
    lists_gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_AT_ONCE))


class Session:
    """A client's connection to a namespace. It asks on behalf of itself (`services.gateway.steps.Asker`)."""

    def __init__(
        self, serving: Serving, connection: Connection, voice: DialectVoice, departure: Departure | None = None
    ) -> None:
        self._serving = serving
        self.connection: Connection | None = connection
        self._connection = connection
        self.voice = voice
        self.here: dict[str, Any] = {} if departure is None else departure.here
        self._me: tuple[Actor | None, JSON] = (None, {})
        self._places = {} if departure is None else departure.places
        self.trail = Trail(connection, self._places)
        self._settling = True
        """Whether what is sent next waits; at first for the greeting, which lets the client follow its rooms."""
        self._chosen = False
        """Whether its dialect was found out when it had been greeted already."""
        self._resuming = False
        self._waiting: deque[Incoming] = deque()
        self.greeted = asyncio.Event()
        """Set when the client has been greeted, or will not be any more."""
        self._lists = Lists(serving, self)

    @property
    def alive(self) -> bool:
        """Whether anything can still be told."""
        return self._connection.open and self._connection.id in self._serving.hub.connections

    @property
    def client(self) -> Client:
        """Who this is, when it comes back."""
        return Client(*self._connection.user, self.voice.namespace)

    # ── the beginning and the end ────────────────────────────────────────────────────────────────────────────────

    async def greet(self) -> None:
        """Say what a client gets when it has connected, and let it follow its rooms where its dialect says so."""
        connection, dialect = self._connection, self.voice.dialect
        known = self.known({})
        late: list[bytes] = []
        missed: list[bytes] = []
        connection.follows_rooms = dialect.follows
        connection.stirred = self._lists.stirred
        try:
            rooms, late = await self._serving.subscriptions.welcome(connection)
            known["rooms"] = rooms
            rows = dialect.greet if dialect.follows or not self._chosen else ()
            for row in rows:
                await self._serving.steps.carry_out(row.steps, known, self)
            followed = {room["id"]: room for room in rooms}
            for room_id, place in () if dialect.undecided else self._places.items():
                missed += await self._missed(room_id, place, followed.get(room_id))
        except ChatError as error:
            connection.greet([self._refusal("connect", error)], self._serving.hub.now())
            connection.close(error.row.close, error.message, self._serving.hub.now())
        else:
            self._lists.told(known)
            greetings = [self.voice.say(row.say, known) for row in rows]
            connection.greet([b"".join([*greetings, *missed, *late])], self._serving.hub.now())
        finally:
            if not self.greeted.is_set():
                self.greeted.set()
                self._settling = False
                self._resume()

    async def _missed(self, room_id: str, place: Place, state: JSON | None) -> list[bytes]:
        """Let the client hear of a room again; what it has missed there. Nothing, where it may not read it any more."""
        subscriptions, connection = self._serving.subscriptions, self._connection
        try:
            state = state or await subscriptions.follow(connection, room_id)
        except ChatError as error:
            if error.row.retryable:
                raise
            return []
        if state["epoch"] != place.epoch or state["rev"] <= place.rev:
            return []
        pages = await subscriptions.changed(connection, room_id, f"{place.epoch}:{place.rev}")
        found = changes(room_id, pages, seq=place.seq, cleared=0, reached=state["rev"]) if pages else []
        room = connection.feeds[room_id].about
        # What has changed since the room was joined comes live; a new message of before it must not come as a change.
        return [
            self.voice.timeline(kind, room, seq, rev, data)
            for kind, seq, rev, data in found
            if (place.seq < seq <= state["seq"] if kind == MessageCreated.TYPE else rev <= state["rev"])
        ]

    async def go_over(self) -> bool:
        """Speak in frames, once the client is greeted: what began by polling has got a WebSocket.

        Returns:
            Whether anything will be said.
        """
        while not self.greeted.is_set():  # a greeting that has begun is in the voice in which it began
            await self.greeted.wait()
        connection = self._connection
        if not connection.open:
            return False
        voice = self._serving.voices.of(self.voice.dialect.name, self.voice.namespace, framed=True)
        waiting, connection.out = connection.out, []
        for feed in connection.feeds.values():
            feed.revoice(connection, voice, reframed)
        self.voice = connection.voice = voice
        connection.out = [reframed(data) for data in waiting]
        return True

    def end(self) -> None:
        """The client is gone, maybe for a short while."""
        self.greeted.set()
        connection = self._connection
        if self.voice.dialect.follows or connection.feeds or self._places:
            left = self.trail.left() if connection.greeted else self._places
            departure = Departure(self.voice.dialect.name, left, dict(self.here))
            self._serving.recall.keep(self.client, departure)
        self._serving.typists.forget(self._connection)
        self._serving.watching.forget(self._connection)
        self._serving.hub.remove(self._connection)

    # ── what it sends ────────────────────────────────────────────────────────────────────────────────────────────

    def receive(self, incoming: Incoming) -> None:
        """Take in an event; it waits while what it may rest on is under way (`On.settles`)."""
        connection = self._connection
        connection.seen_at = self._serving.hub.now()
        if not self._settling:
            self._take(incoming)
        elif len(self._waiting) < self._serving.settings.max_in_flight:
            self._waiting.append(incoming)
        else:
            self._fail(
                incoming, ChatError(ErrorCode.OVERLOADED, "Too much waits for what you sent before.", retry_after=0.1)
            )

    def _take(self, incoming: Incoming) -> None:
        connection = self._connection
        if not connection.open:
            return
        payload = incoming.arguments[0] if incoming.arguments else None
        try:
            self._serving.dispatcher.check_in_flight(connection)
            row = self._row(incoming.name, payload)
            if self._settling:  # the event has shown a dialect which greets its clients first
                self._waiting.appendleft(incoming)
                return
            self._carry_out(row, incoming, payload)
        except ChatError as error:
            connection.refused += 1
            self._fail(incoming, error)
        else:
            connection.malformed = 0

    def refuse(self, incoming: Incoming, error: ChatError) -> None:
        """Answer an event that cannot be taken in."""
        self._connection.refused += 1
        self._fail(incoming, error)

    def malformed(self, problem: str) -> None:
        """Take in something that is no event."""
        connection = self._connection
        connection.malformed += 1
        self.post(self._refusal("", ChatError(ErrorCode.INVALID, f"Malformed: {problem}.")))
        if connection.malformed >= MAX_MALFORMED:
            connection.close(CloseCode.PROTOCOL, "too many malformed packets", self._serving.hub.now())

    def _row(self, name: str, payload: Any) -> On:
        row = self.voice.dialect.on.get(name)
        if row is None and self.voice.dialect.undecided:
            self._speak(choose(name, payload).name)
            row = self.voice.dialect.on.get(name)
        if row is None:
            raise ChatError(ErrorCode.INVALID, f"There is no event '{name[:100]}'.")
        return row

    def _speak(self, dialect: str) -> None:
        """Go on in the dialect that the client has turned out to speak; until now it has followed no room."""
        connection = self._connection
        self.voice = connection.voice = self._serving.voices.of(dialect, self.voice.namespace, framed=self.voice.framed)
        log.debug("dialect chosen", dialect=dialect, connection=connection.id)
        if self.voice.dialect.follows or self._places:
            self._settling = self._chosen = True
            self.greeted.clear()
            connection.regreet(self._serving.hub.now())
            self._serving.tasks.spawn(self.greet(), "greet")

    def _carry_out(self, row: On, incoming: Incoming, payload: Any) -> None:
        try:
            wire = row.wire.read(payload)
        except ValidationError as error:
            raise invalid(error, incoming.name) from error
        if row.counted:
            self._serving.dispatcher.count(self._connection.identity)
        known = self.known(wire.given())
        self._settling = row.settles
        if row.leads:
            self._connection.hold(self._serving.hub.now())

        def done(error: ChatError | None) -> None:
            try:
                self._answer(row, incoming, known, error)
            except ValidationError as misshapen:  # the row does not fit what it was answered
                self._fail(incoming, refusal_of(misshapen, incoming.name[:100]))
            finally:
                if row.settles:
                    self._settling = False
                    self._resume()

        self._serving.steps.run(row.steps, known, self, done)

    def _resume(self) -> None:
        """Take in what has waited, up to the next that others may rest on."""
        if self._resuming:
            return
        self._resuming = True
        try:
            while self._waiting and not self._settling:
                self._take(self._waiting.popleft())
        finally:
            self._resuming = False

    def _answer(self, row: On, incoming: Incoming, known: JSON, error: ChatError | None) -> None:
        answers: list[bytes] = []
        try:
            answers = [] if error is not None else self._answers(row, incoming, known)
        finally:
            if row.leads:
                self._connection.release(answers, self._serving.hub.now())
        if error is not None:
            self._fail(incoming, error)
        elif not row.leads:
            self.post(b"".join(answers))

    def _answers(self, row: On, incoming: Incoming, known: JSON) -> list[bytes]:
        answers = [self.voice.say(say, known) for say in row.says if say.given is None or say.given.of(known)]
        if incoming.ack is not None:
            answer = row.acknowledges
            payload = BARE if answer is None else self.voice.payload(answer.kind, said(answer, known))
            answers.append(self.voice.ack(incoming.ack, payload))
        return answers

    def send(self, request: Command | Query, body: JSON, answered: Answered) -> None:
        """Send a command or query of this client's. Raises ChatError."""
        self._serving.dispatcher.submit(self._connection, request, body, answered, counted=False)

    # ── what is said to it ───────────────────────────────────────────────────────────────────────────────────────

    def _fail(self, incoming: Incoming, error: ChatError) -> None:
        failure = self.voice.dialect.failure
        payload = self.voice.payload(failure.kind, said(failure, _problem(incoming.name, error)))
        self.post(self.voice.event(failure.name, payload))
        if incoming.ack is not None:
            self.post(self.voice.ack(incoming.ack, payload))

    def _refusal(self, name: str, error: ChatError) -> bytes:
        return self.voice.say(self.voice.dialect.failure, _problem(name, error))

    def post(self, data: bytes) -> None:
        """Tell the client, with whatever else is told now."""
        if self._connection.open:
            self._serving.hub.post(self._connection, data)
            self._serving.hub.flush_soon()

    def known(self, sent: JSON) -> JSON:
        """What is known before the first step of something that this client has `sent`."""
        actor = self._connection.identity.actor
        if self._me[0] is not actor:
            self._me = (actor, actor.model_dump(mode="json", exclude_none=True))
        return {
            "in": sent,
            "me": self._me[1],
            "here": dict(self.here),
            "connection": self._connection.id,
            "now": now(),
        }


def _problem(name: str, error: ChatError) -> JSON:
    view = orjson.loads(error.view().model_dump_json(exclude_none=True))
    return errors.of_event(view, name, now())
