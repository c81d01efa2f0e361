"""One client in one namespace: what it sends becomes steps, and what comes of them is said to it."""

import asyncio
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError

from services.gateway.connection import Connection
from services.gateway.dialects.choice import choose
from services.gateway.dialects.rows import On
from services.gateway.dispatch import Answered, Dispatcher
from services.gateway.hub import Hub
from services.gateway.register import Register
from services.gateway.sio.packets import Incoming
from services.gateway.sio.voice import DialectVoice, Voices, now, reframed, said
from services.gateway.sio.wire import BURST
from services.gateway.steps import Steps
from services.gateway.subscriptions import Subscriptions
from services.gateway.typing import Typists
from services.gateway.watching import Watching
from shared.bus.codec import JSON
from shared.bus.requests import refusal_of
from shared.contracts.base import Command, Query
from shared.contracts.errors import ChatError, CloseCode, ErrorCode, invalid
from shared.logging import get_logger
from shared.service import Tasks
from shared.settings import Settings

log = get_logger(__name__)

MAX_MALFORMED = 20
"""Malformed packets in a row before the connection is closed."""

PENALTY = 0.02
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


class Session:
    """A client's connection to a namespace. It asks on behalf of itself (`services.gateway.steps.Asker`)."""

    def __init__(self, serving: Serving, connection: Connection, voice: DialectVoice) -> None:
        self._serving = serving
        self.connection = connection
        self.voice = voice
        self.here: dict[str, Any] = {}
        self.greeted = asyncio.Event()

    # ── the beginning and the end ────────────────────────────────────────────────────────────────────────────────

    async def greet(self) -> None:
        """Say what a client gets when it has connected, and let it follow its rooms where its dialect says so."""
        try:
            await self._greet()
        finally:
            self.greeted.set()

    async def _greet(self) -> None:
        connection, dialect = self.connection, self.voice.dialect
        known = self._known({})
        late: list[bytes] = []
        connection.follows_rooms = dialect.follows
        try:
            known["rooms"], late = await self._serving.subscriptions.welcome(connection)
            greetings = []
            for row in dialect.greet:
                await self._serving.steps.carry_out(row.steps, known, self)
                greetings.append(self.voice.say(row.say, known))
        except ChatError as error:
            connection.greet([self._refusal("connect", error)], self._serving.hub.now())
            connection.close(error.row.close, error.message, self._serving.hub.now())
            return
        connection.greet([b"".join([*greetings, *late])], self._serving.hub.now())

    def go_over(self) -> None:
        """Speak in frames from now on: what began by polling has got a WebSocket. Once it is greeted, not before."""
        connection = self.connection
        voice = self._serving.voices.of(self.voice.dialect.name, self.voice.namespace, framed=True)
        waiting, connection.out = connection.out, []
        for feed in connection.feeds.values():
            feed.revoice(connection, voice, reframed)
        self.voice = connection.voice = voice
        connection.out = [reframed(data) for data in waiting]

    def end(self) -> None:
        """The client is gone."""
        self._serving.typists.forget(self.connection)
        self._serving.watching.forget(self.connection)
        self._serving.hub.remove(self.connection)

    # ── what it sends ────────────────────────────────────────────────────────────────────────────────────────────

    def receive(self, incoming: Incoming) -> None:
        """Take in an event."""
        connection = self.connection
        connection.seen_at = self._serving.hub.now()
        if not connection.open:
            return
        payload = incoming.arguments[0] if incoming.arguments else None
        try:
            self._serving.dispatcher.check_in_flight(connection)
            row = self._row(incoming.name, payload)
            self._carry_out(row, incoming, payload)
        except ChatError as error:
            connection.refused += 1
            self._fail(incoming, error)
        else:
            connection.malformed = 0

    def pause(self) -> float:
        """Seconds a client that has sent a burst is to wait: some, where most of it was refused."""
        refused, self.connection.refused = self.connection.refused, 0
        return PENALTY if refused > BURST // 2 else 0.0

    def malformed(self, problem: str) -> None:
        """Take in something that is no event."""
        connection = self.connection
        connection.malformed += 1
        self._say(self._refusal("", ChatError(ErrorCode.INVALID, f"Malformed: {problem}.")))
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
        """Go on in the dialect that the client has turned out to speak; it follows no room yet."""
        self.voice = self._serving.voices.of(dialect, self.voice.namespace, framed=self.voice.framed)
        self.connection.voice = self.voice
        log.debug("dialect chosen", dialect=dialect, connection=self.connection.id)

    def _carry_out(self, row: On, incoming: Incoming, payload: Any) -> None:
        try:
            wire = row.wire.read(payload)
        except ValidationError as error:
            raise invalid(error, incoming.name) from error
        if row.counted:
            self._serving.dispatcher.count(self.connection.identity)
        known = self._known(wire.model_dump(exclude_none=True))

        def done(error: ChatError | None) -> None:
            try:
                packets = [] if error is not None else self._answer(row, incoming, known)
            except ValidationError as misshapen:  # the row does not fit what it was answered
                error = refusal_of(misshapen, incoming.name)
            if error is not None:
                self._fail(incoming, error)
                return
            for packet in packets:
                self._say(packet)

        self._serving.steps.run(row.steps, known, self, done)

    def _answer(self, row: On, incoming: Incoming, known: JSON) -> list[bytes]:
        """What is said to the sender of an event when it is carried out."""
        told = [self.voice.say(say, known) for say in row.says]
        if incoming.ack is not None:
            answer = row.ack or next(iter(row.says[-1:]), None)
            payload = BARE if answer is None else self.voice.payload(answer.kind, said(answer, known))
            told.append(self.voice.ack(incoming.ack, payload))
        return told

    def send(self, request: Command | Query, body: JSON, answered: Answered) -> None:
        """Send a command or query of this client's. Raises ChatError."""
        self._serving.dispatcher.submit(self.connection, request, body, answered, counted=False)

    # ── what is said to it ───────────────────────────────────────────────────────────────────────────────────────

    def _fail(self, incoming: Incoming, error: ChatError) -> None:
        self._say(self._refusal(incoming.name, error))
        if incoming.ack is not None:
            failure = self.voice.dialect.failure
            payload = self.voice.payload(failure.kind, said(failure, _problem(incoming.name, error)))
            self._say(self.voice.ack(incoming.ack, payload))

    def _refusal(self, name: str, error: ChatError) -> bytes:
        return self.voice.say(self.voice.dialect.failure, _problem(name, error))

    def _say(self, data: bytes) -> None:
        if self.connection.open:
            self._serving.hub.post(self.connection, data)
            self._serving.hub.flush_soon()

    def _known(self, sent: JSON) -> JSON:
        actor = self.connection.identity.actor
        return {
            "in": sent,
            "me": actor.model_dump(mode="json", exclude_none=True),
            "here": self.here,
            "connection": self.connection.id,
            "now": now(),
        }


def _problem(name: str, error: ChatError) -> JSON:
    view = orjson.loads(error.view().model_dump_json(exclude_none=True))
    return {"error": view, "event": name, "status": error.row.status, "now": now()}
