"""A client's events are begun in the order they come; what may rest on one that is under way waits for it."""

from collections.abc import Sequence
from typing import Any, cast

from services.gateway.dialects.choice import ALL
from services.gateway.dialects.rows import Step
from services.gateway.dialects.session import SESSION
from services.gateway.sio.packets import Incoming
from services.gateway.sio.session import Serving, Session
from services.gateway.sio.voice import Voices
from services.gateway.steps import Done
from shared.bus.codec import JSON
from shared.contracts.errors import ChatError, ErrorCode
from shared.settings import Settings
from tests.unit.feeds_world import connection, gateway

MAX = Settings().max_in_flight

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
        self.begun.append(next(name for name, row in SESSION.on.items() if row.steps is steps))
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


class Roomless:
    """A client's rooms, of which there are none."""

    async def welcome(self, _connection: object) -> tuple[list[Any], list[bytes]]:
        """They are looked up."""
        return [], []


async def client() -> tuple[Session, Suspended]:
    """A connected client that speaks the session dialect."""
    hub, _ = await gateway()
    voices, steps, nothing = Voices(ALL), Suspended(), cast("Any", None)
    voice = voices.of("session", "/chat", framed=True)
    serving = Serving(
        settings=Settings(),
        hub=hub,
        dispatcher=cast("Any", Anything()),
        subscriptions=cast("Any", Roomless()),
        steps=cast("Any", steps),
        typists=nothing,
        watching=nothing,
        register=nothing,
        tasks=nothing,
        voices=voices,
        recall=nothing,
    )
    one = connection(1)
    one.voice = voice
    session = Session(serving, one, voice)
    await session.greet()
    return session, steps


def sends(session: Session, *events: tuple[str, Any]) -> None:
    """Take in events, one after the other."""
    for name, payload in events:
        session.receive(Incoming("/chat", name, [payload], None))


def told(session: Session) -> bytes:
    """All that the client is told."""
    assert session.connection is not None
    return b"".join(session.connection.out)


REFUSED = ChatError(ErrorCode.NOT_FOUND, "not there")


async def test_what_follows_a_join_waits_for_it() -> None:
    session, steps = await client()
    sends(session, JOIN, SAY, SAY)
    assert steps.begun == [JOIN[0]]
    steps.end(REFUSED)
    assert steps.begun == [JOIN[0], SAY[0], SAY[0]]


async def test_messages_wait_for_no_message() -> None:
    session, steps = await client()
    sends(session, SAY, SAY, JOIN, SAY)
    assert steps.begun == [SAY[0], SAY[0], JOIN[0]]


async def test_a_second_join_waits_too_and_what_follows_for_both() -> None:
    session, steps = await client()
    sends(session, JOIN, JOIN, SAY)
    steps.end(REFUSED)
    assert steps.begun == [JOIN[0], JOIN[0]]
    sends(session, SAY)
    assert steps.begun == [JOIN[0], JOIN[0]]
    steps.end(REFUSED)
    assert steps.begun == [JOIN[0], JOIN[0], SAY[0], SAY[0]]


async def test_as_many_as_may_wait_are_taken_in_a_row() -> None:
    """Events that end at once do not pile up on the stack."""
    session, steps = await client()
    sends(session, JOIN, *[LEAVE] * MAX)
    steps.end(REFUSED)
    assert steps.begun == [JOIN[0], *[LEAVE[0]] * MAX]


async def test_more_are_refused() -> None:
    session, steps = await client()
    sends(session, JOIN, *[SAY] * MAX)
    assert told(session) == b""
    sends(session, SAY)
    assert b"overloaded" in told(session)
    steps.end(REFUSED)
    assert len(steps.begun) == 1 + MAX


async def test_nothing_is_begun_for_who_has_gone() -> None:
    session, steps = await client()
    sends(session, JOIN, SAY)
    assert session.connection is not None
    session.connection.close(1000, "gone", 0.0)
    steps.end(REFUSED)
    assert steps.begun == [JOIN[0]]
