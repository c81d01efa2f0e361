"""The way from Engine.IO's queue to the WebSocket itself, without either."""

import asyncio

import engineio
from engineio.async_socket import AsyncSocket
from engineio.packet import MESSAGE, Packet
from typing_extensions import override

from services.gateway.dialects.choice import ALL
from services.gateway.feeds import Feed
from services.gateway.native import NATIVE
from services.gateway.sio import packets
from services.gateway.sio.voice import DialectVoice, reframed
from services.gateway.sio.wire import EngineWire, Handover, hand_over
from shared.contracts.errors import CloseCode
from tests.unit.feeds_world import ROOM, Wire, connection


class Paper(Wire):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))


def session() -> AsyncSocket:
    """An Engine.IO session whose queue nobody reads."""
    return AsyncSocket(engineio.AsyncServer(async_mode="aiohttp"), "sid")


def drain(engine: AsyncSocket) -> list[str]:
    """What Engine.IO would write, as it would."""
    return [engine.queue.get_nowait().encode() for _ in range(engine.queue.qsize())]


class TestHandover:
    async def test_what_is_written_waits_for_what_is_in_the_queue(self) -> None:
        engine, paper, client = session(), Paper(), connection(1)
        engine.queue.put_nowait(Packet(MESSAGE, "first"))
        hand_over(engine, client, Handover(paper))
        client.transport.write(b"second")
        client.transport.write(b"third")
        assert client.transport.get_write_buffer_size() == len(b"secondthird")
        assert paper.written == []
        assert drain(engine) == ["4first", ""]
        assert paper.written == [b"secondthird"]
        assert client.transport is paper

    async def test_nothing_is_written_to_a_transport_that_has_closed(self) -> None:
        class Closed(Paper):
            @override
            def is_closing(self) -> bool:
                return True

        engine, paper, client = session(), Closed(), connection(1)
        hand_over(engine, client, Handover(paper))
        client.transport.write(b"too late")
        drain(engine)
        assert paper.written == []


class TestEngineWire:
    async def test_packets_go_into_the_queue_one_by_one(self) -> None:
        engine = session()
        EngineWire(engine, lambda: None).write(b'42["a",1]\x1e43/chat,7[{}]\x1e')
        assert drain(engine) == ['42["a",1]', "43/chat,7[{}]"]

    async def test_its_end_is_no_packet(self) -> None:
        engine, ended = session(), asyncio.Event()
        EngineWire(engine, ended.set).write(b'42["a",1]\x1e' + packets.CLOSE + packets.END)
        assert drain(engine) == ['42["a",1]']
        assert ended.is_set()


class TestFarewell:
    def test_who_is_to_come_back_is_not_told_to_stay_away(self) -> None:
        """A library that is told that it is disconnected does not connect again."""
        for code, said in [
            (CloseCode.RESTART, False),
            (CloseCode.SLOW_CONSUMER, False),
            (CloseCode.UNAUTHENTICATED, True),
        ]:
            for framed in (True, False):
                farewell = DialectVoice(ALL["booking"], "/chat", framed=framed).farewell(code, "why")
                assert (b"41/chat," in farewell) is said


class TestRevoicing:
    def test_what_a_joiner_holds_back_is_said_again(self) -> None:
        """A client that upgrades while it joins a room."""
        polling = DialectVoice(ALL["booking"], "/chat", framed=False)
        framed = DialectVoice(ALL["booking"], "/chat", framed=True)
        feed, client = Feed(ROOM, "default"), connection(1)
        client.voice = polling
        feed.join(client)
        feed.offer(5, {polling: polling.event("new_message", b"{}"), NATIVE: b""})
        feed.revoice(client, framed, reframed)
        client.voice = framed
        assert feed.start(client, "0", 4, 4) == [framed.event("new_message", b"{}")]
        assert list(feed.voices) == [framed]
        feed.leave(client)
        assert feed.unused
