"""Socket.IO sessions whose rooms and steps are the test's, to be driven step by step. No link, no socket."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from services.gateway.dialects.choice import ALL
from services.gateway.dialects.rows import Step
from services.gateway.sio.packets import Incoming
from services.gateway.sio.recall import Departure
from services.gateway.sio.session import Serving, Session
from services.gateway.sio.voice import Voices
from services.gateway.steps import Done
from shared.bus.codec import JSON
from shared.contracts.errors import ChatError
from shared.service import Tasks
from shared.settings import Settings
from tests.unit.feeds_world import connection, gateway

JOIN = ("join_session", {"sessionId": "s"})
SAY = ("send_message", {"content": "x"})
LEAVE = ("leave_session", None)


class Suspended:
    """Steps that are begun, and end when the test says so; leaving ends at once, as it does."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done: list[Done] = []

    def run(self, steps: Sequence[Step], known: JSON, asker: Any, done: Done) -> None:
        """Note that an event is begun."""
        self.begun.append(next(name for name, row in asker.voice.dialect.on.items() if row.steps is steps))
        if self.begun[-1] == LEAVE[0]:
            done(None)
        else:
            self.done.append(done)

    async def carry_out(self, *_: object) -> None:
        """Those of a greeting are carried out at once."""

    def end(self, error: ChatError | None) -> None:
        """End the first that is under way."""
        self.done.pop(0)(error)


class Anything:
    """A dispatcher that has room for everything."""

    def check_in_flight(self, _connection: object) -> None:
        """There is room."""

    def count(self, _identity: object) -> None:
        """It is not too many."""


class Rooms:
    """A client's rooms, of which there are none; they are looked up for as long as the test says.

    `late` is what happens in them meanwhile, said in the voice that the client then has.
    """

    def __init__(self) -> None:
        self.known = asyncio.Event()
        self.known.set()
        self.late: list[str] = []

    async def welcome(self, connection: Any) -> tuple[list[JSON], list[bytes]]:
        """They are looked up, where they are followed."""
        if not connection.follows_rooms:
            return [], []
        late = [connection.voice.event(name, b"{}") for name in self.late]
        await self.known.wait()
        return [], late


class World:
    """What sessions need, as far as these tests let them have it."""

    def __init__(self) -> None:
        self.steps, self.rooms, self.tasks, self.voices = Suspended(), Rooms(), Tasks(), Voices(ALL)

    async def session(self, dialect: str, *, framed: bool = True, departure: Departure | None = None) -> Session:
        """A client that has just connected."""
        hub, _ = await gateway()
        nothing = cast("Any", None)
        serving = Serving(
            settings=Settings(),
            hub=hub,
            dispatcher=cast("Any", Anything()),
            subscriptions=cast("Any", self.rooms),
            steps=cast("Any", self.steps),
            typists=nothing,
            watching=nothing,
            register=nothing,
            tasks=self.tasks,
            voices=self.voices,
            recall=nothing,
        )
        one = connection(1)
        one.voice = voice = self.voices.of(dialect, "/chat", framed=framed)
        return Session(serving, one, voice, departure)


async def client() -> tuple[Session, Suspended]:
    """A client that speaks the session dialect and has been greeted."""
    world = World()
    session = await world.session("session")
    await session.greet()
    return session, world.steps


def sends(session: Session, *events: tuple[str, Any]) -> None:
    """Take in events, one after the other."""
    for name, payload in events:
        session.receive(Incoming("/chat", name, [payload], None))


def told(session: Session) -> bytes:
    """All that the client is told."""
    assert session.connection is not None
    return b"".join(session.connection.out)
