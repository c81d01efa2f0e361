"""A connection that is held: what is worked out comes before all that happens meanwhile."""

import asyncio
from typing import Any

from typing_extensions import override

from services.gateway import connection as module
from services.gateway.connection import Connection
from services.gateway.native import NATIVE
from shared.auth import Identity
from shared.contracts.envelope import Actor


class Paper(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    @override
    def is_closing(self) -> bool:
        return False

    @override
    def get_write_buffer_size(self) -> int:
        return 0


def opened(greeting: bytes | None = b"hello ") -> tuple[Connection, Paper]:
    """A connection that has been greeted, unless there is no greeting."""
    identity = Identity(Actor(id="ann"), expires=1e12, tenant_claimed=False)
    paper = Paper()
    connection = Connection("c", identity, paper, voice=NATIVE, limit=2**20, now=0.0)
    if greeting is not None:
        connection.greet([greeting], 0.0)
    return connection, paper


def test_what_is_worked_out_comes_first() -> None:
    """What had been there before is not held, and what comes later is not either."""
    connection, paper = opened()
    connection.out.append(b"before ")
    connection.hold(0.0)
    assert paper.written == b"hello before "
    connection.out.append(b"meanwhile ")
    connection.flush(0.0)
    assert paper.written == b"hello before "
    connection.release([b"answer ", b"ack "], 0.0)
    assert paper.written == b"hello before answer ack meanwhile "
    connection.out.append(b"after")
    connection.flush(0.0)
    assert paper.written == b"hello before answer ack meanwhile after"


def test_several_answers_come_in_the_order_in_which_they_are_ready() -> None:
    """Before all that has gathered; it leaves with the last of them."""
    connection, paper = opened()
    connection.hold(0.0)
    connection.out.append(b"meanwhile ")
    connection.hold(0.0)
    connection.release([b"one "], 0.0)
    assert paper.written == b"hello "
    connection.out.append(b"later ")
    connection.release([b"two "], 0.0)
    assert paper.written == b"hello one two meanwhile later "
    connection.hold(0.0)
    connection.release([], 0.0)
    assert connection.out == []


def test_the_greeting_is_first_all_the_same() -> None:
    """Whether what is worked out is ready before it or after it."""
    for ready_first in (True, False):
        connection, paper = opened(greeting=None)
        connection.hold(0.0)
        connection.out.append(b"meanwhile ")
        deeds = [lambda it=connection: it.release([b"answer "], 0.0), lambda it=connection: it.greet([b"hello "], 0.0)]
        for deed in deeds if ready_first else reversed(deeds):
            deed()
        assert paper.written == b"hello answer meanwhile "


def test_what_gathers_is_bounded(monkeypatch: Any) -> None:
    """Past the bound the connection is closed, and what is worked out then goes nowhere."""
    monkeypatch.setattr(module, "MAX_UNGREETED", 3)
    connection, paper = opened()
    connection.hold(0.0)
    connection.out += [b"x"] * 4
    connection.flush(0.0)
    assert not connection.open
    written = paper.written
    connection.release([b"answer"], 0.0)
    assert (paper.written, connection.out) == (written, [])
