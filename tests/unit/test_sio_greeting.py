"""A client that follows its rooms from the start is greeted before anything else, whenever its dialect is known."""

import asyncio

import pytest
from typing_extensions import override

from services.gateway.frames import frame
from services.gateway.sio.recall import Departure, Place
from services.gateway.sio.session import Session
from tests.unit.feeds_world import Wire
from tests.unit.sio_world import World, sends

SEND = ("chat:send_message", {"roomId": "r", "content": "x"})


class Reader(Wire):
    """A transport that shows what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[bytes] = []

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.read.append(bytes(data))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """One in which the lists of a greeting are empty."""
    monkeypatch.setattr("services.gateway.sio.voice.said", lambda *_: b"{}")
    monkeypatch.setattr("services.gateway.sio.session.said", lambda *_: b"{}")
    monkeypatch.setattr("services.gateway.sio.lists.said", lambda *_: b"{}")
    return World()


def listening(session: Session) -> Reader:
    """Let a test read what a client is told."""
    reader = Reader()
    assert session.connection is not None
    session.connection.transport = reader
    return reader


async def turns() -> None:
    """Let others go on as far as they come by themselves."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_is_sent_at_once_waits_for_the_greeting(world: World) -> None:
    """Of a client whose dialect is known from the start."""
    session = await world.session("team")
    world.rooms.known.clear()
    world.tasks.spawn(session.greet(), "greet")
    sends(session, SEND, SEND)
    await turns()
    assert world.steps.begun == []
    world.rooms.known.set()
    await turns()
    assert world.steps.begun == [SEND[0], SEND[0]]


async def test_the_first_event_waits_for_the_greeting_of_its_dialect(world: World) -> None:
    """It shows that the client follows its rooms; it is carried out once it does, and what comes after it then."""
    session = await world.session("auto")
    await session.greet()
    world.rooms.known.clear()
    reader = listening(session)
    sends(session, SEND, SEND)
    await turns()
    assert (session.voice.dialect.name, world.steps.begun) == ("team", [])
    session.post(b"happens meanwhile")
    await turns()
    assert reader.read == []
    world.rooms.known.set()
    await turns()
    read = b"".join(reader.read)
    assert read.count(b"chat:init_data") == 1
    assert read.index(b"chat:init_data") < read.index(b"happens meanwhile")


async def test_a_dialect_that_follows_nothing_greets_once(world: World) -> None:
    """The greeting in all tongues was its own, too."""
    session = await world.session("auto")
    reader = listening(session)
    await session.greet()
    sends(session, ("join_session", {"sessionId": "s"}))
    assert world.steps.begun == ["join_session"]
    await turns()
    assert b"".join(reader.read).count(b"connected") == 1


async def test_where_a_client_was_counts_when_its_dialect_is_known(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rooms are followed in the voice in which it will be told of them, before it is listened to."""
    asked: list[tuple[str, str]] = []
    session = await world.session("auto", departure=Departure("auto", {"r": Place("0", 3, 2)}))

    async def missed(room_id: str, *_: object) -> list[bytes]:
        asked.append((session.voice.dialect.name, room_id))
        return []

    monkeypatch.setattr(session, "_missed", missed)
    await session.greet()
    assert asked == []
    sends(session, ("join_session", {"sessionId": "s"}))
    assert world.steps.begun == []
    await turns()
    assert asked == [("session", "r")]


@pytest.mark.parametrize("dialect", ["team", "auto"])
async def test_an_upgrade_waits_for_the_greeting(world: World, dialect: str) -> None:
    """What the greeting has begun to gather is for Engine.IO's queue, not frames: nobody could read it among them."""
    session = await world.session(dialect, framed=False)
    reader = listening(session)
    world.rooms.late = ["chat:message"]
    world.rooms.known.clear()
    if dialect == "auto":
        await session.greet()
        sends(session, SEND)
    else:
        world.tasks.spawn(session.greet(), "greet")
    await turns()
    over = world.tasks.spawn(session.go_over(), "upgrade")
    await turns()
    world.rooms.known.set()
    assert await over
    assert reader.read[-1].endswith(b'42/chat,["chat:init_data",{}]\x1e42/chat,["chat:message",{}]\x1e')
    session.post(session.voice.event("later", b"{}"))
    await turns()
    assert reader.read[-1] == frame(b'42/chat,["later",{}]')


async def test_an_upgrade_does_not_come_between_two_greetings(world: World) -> None:
    """The first one has just ended, and what waited for it has begun the second."""
    session = await world.session("auto", framed=False)
    reader = listening(session)
    over = world.tasks.spawn(session.go_over(), "upgrade")
    sends(session, SEND)
    world.rooms.known.clear()
    await turns()
    await session.greet()
    await turns()
    assert not over.done()
    world.rooms.known.set()
    assert await over
    assert b"chat:init_data" in reader.read[-1]
    assert b"\x1e" in reader.read[-1]
