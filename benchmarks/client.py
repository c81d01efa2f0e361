"""One chat client of the load generator, on picows.

All clients of a run live in one process and one event loop, so a message's way from send to every receiver is
measured on one clock. A client verifies everything it receives (`ledger`) and is written to cost little: a frame
that another member of the room has already received, under the seq expected next, is only compared byte by byte.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import Counter
from collections.abc import Mapping
from time import perf_counter_ns
from typing import Any, Final, NamedTuple

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from typing_extensions import override

from benchmarks.codecs import Codec, RoomState
from benchmarks.ledger import Reading, Room, token

HANDSHAKE_TIMEOUT: Final = 60.0
RETRY_AFTER: Final = 0.1
"""Seconds before a refused send is repeated when the error does not say when."""

_TEXT: Final = 0x81
_MASKED: Final = 0x80
_ZERO_MASK: Final = bytes(4)


def text_frame(payload: bytes) -> bytes:
    """A client's WebSocket text frame (RFC 6455, 5.2), masked with the key 0.

    A real client must pick an unpredictable key (RFC 6455, 5.3); with this one masking changes no byte, and the
    receiver, who cannot know that, does all of its work.
    """
    size = len(payload)
    if size < 126:
        return bytes((_TEXT, _MASKED | size)) + _ZERO_MASK + payload
    if size < 65536:
        return bytes((_TEXT, _MASKED | 126)) + size.to_bytes(2, "big") + _ZERO_MASK + payload
    return bytes((_TEXT, _MASKED | 127)) + size.to_bytes(8, "big") + _ZERO_MASK + payload


class User(NamedTuple):
    """Who a client is, to the server."""

    id: str
    jwt: str


class Meter:
    """What the clients of a run measured since `reset`, in nanoseconds, and the faults of the whole run."""

    def __init__(self) -> None:
        self.latencies = array("q")  # send to receive, one per delivery
        self.acks = array("q")  # send to ack, one per message
        self.errors: Counter[str] = Counter()  # sends answered with an error, by its code
        self.faults: Counter[str] = Counter()  # broken promises; never reset

    def reset(self) -> None:
        """Forget the warm-up. The arrays stay the same objects: clients hold their `append`."""
        del self.latencies[:]
        del self.acks[:]
        self.errors.clear()


class Client(WSListener):
    """A user with one connection, in one room.

    Args:
        index: distinguishes the clients of a run; part of every message.
        user: the user's id and token.
        codec: the protocol to speak.
        room: where the client reads and writes.
        meter: where measurements go.
    """

    __slots__ = (
        "_calls",
        "_codec",
        "_held",
        "_number",
        "_overlap",
        "_ready",
        "_record",
        "_template",
        "_transport",
        "base",
        "epoch",
        "index",
        "looping",
        "meter",
        "pending",
        "reading",
        "room",
        "seq",
        "user",
    )

    def __init__(self, index: int, user: User, codec: Codec, room: Room, meter: Meter) -> None:
        super().__init__()
        self.index, self.user, self.room, self.meter = index, user, room, meter
        self.seq = 0  # the last seq received
        self.base = 0  # the seq at which this client came to the room
        self.epoch: str | None = None
        self.reading = Reading(meter.faults)
        self.pending: dict[int, int] = {}  # number of a send -> perf_counter_ns
        self.looping = False  # answer every ack with the next send
        self._codec = codec
        self._record = meter.latencies.append
        self._template = codec.send_template(room.id, index, user.id)
        self._number = 0
        self._calls: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._held: list[tuple[int, int, str, bytes]] | None = None  # live messages while a sync is under way
        self._overlap: set[int] = set()  # read in a sync, and allowed to come live once more
        self._ready: asyncio.Future[RoomState] | None = None
        self._transport: WSTransport | None = None

    # ---- life of the connection

    async def connect(self, base_url: str) -> RoomState:
        """Open the connection and wait until the server says `ready`.

        Returns:
            Where the server says the room stands.

        Raises:
            OSError: if the server cannot be reached or refuses.
            TimeoutError: if it does not say `ready` in time.
        """
        self._ready = asyncio.get_running_loop().create_future()
        url = self._codec.url(base_url, self.user.jwt)
        await ws_connect(lambda: self, url, websocket_handshake_timeout=HANDSHAKE_TIMEOUT, read_buffer_init_size=4096)
        async with asyncio.timeout(HANDSHAKE_TIMEOUT):
            return await self._ready

    async def join(self, base_url: str) -> None:
        """Connect for the first time: what happened in the room before is not this client's business."""
        state = await self.connect(base_url)
        self.epoch, self.seq, self.base = state.epoch, state.seq or 0, state.seq or 0

    async def rejoin(self, base_url: str) -> None:
        """Connect again and catch up with everything since the last message received."""
        self._held = []
        state = await self.connect(base_url)
        rev = self.room.log[self.seq][1] if self.seq in self.room.log else self.seq
        cursor, has_more = self._codec.cursor(self.epoch, self.seq, rev), True
        while has_more:
            number = self._next_number()
            self._calls[number] = asyncio.get_running_loop().create_future()
            self._write(self._codec.sync(number, self.room.id, cursor))
            data = await asyncio.wait_for(self._calls[number], HANDSHAKE_TIMEOUT)
            page = self._codec.read_sync(self.room.id, data, cursor)
            if page.reset:
                self.meter.faults["reset instead of changes"] += 1
            for seq, rev, content in page.messages:
                self.room.saw(seq, rev, content)
                self._catch_up(seq)
            cursor, has_more = page.cursor, page.has_more
        if state.seq is not None and self.seq < state.seq:
            self.meter.faults["sync incomplete"] += 1
        self._release()

    def drop(self) -> None:
        """Lose the connection as a network would: no close frame, no farewell."""
        if self._transport is not None:
            transport, self._transport = self._transport, None
            transport.underlying_transport.abort()

    # ---- the end of a run

    def settled(self) -> bool:
        """Whether every send is answered and everything known to be in the room has arrived."""
        return not self.pending and self.seq >= self.room.last and not self.reading.missing

    def delivered(self) -> int:
        """Number of distinct messages received."""
        return self.seq - self.base - len(self.reading.missing)

    def finish(self) -> None:
        """Count as faults what never came."""
        self.reading.finish(self.seq, self.room.last)
        if self.pending:
            self.meter.faults["never answered"] += len(self.pending)

    def _catch_up(self, seq: int) -> None:
        """Read a message of a sync; it may come live as well, before or after."""
        if seq > self.seq:
            self._overlap.add(seq)
            self.seq = seq if seq == self.seq + 1 else self.reading.irregular(self.seq, seq)

    def _release(self) -> None:
        """Read the live messages that arrived during a sync."""
        held, self._held = self._held or [], None
        for message in held:
            self.on_delivery(*message)

    # ---- outbound

    def send(self) -> None:
        """Send the next message."""
        number = self._next_number()
        message = token(self.index, number)
        self.room.sent.add(message)
        now = self.pending[number] = perf_counter_ns()
        self._write(self._template % (number, number, now, number))

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _write(self, payload: bytes) -> None:
        # uvloop joins what is written within one turn of the loop into one system call.
        if self._transport is not None:
            self._transport.underlying_transport.write(text_frame(payload))

    # ---- inbound: picows

    @override
    def on_ws_connected(self, transport: WSTransport) -> None:
        """Take the connection over; frames may follow before `connect` runs on."""
        self._transport = transport

    @override
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Verify one frame; the first branch is the hot path of the whole generator."""
        payload = frame.get_payload_as_bytes()
        seq = self.seq + 1
        known = self.room.frames.get(seq)
        if known is not None and known[0] == payload:
            self.seq = seq
            self._record(perf_counter_ns() - known[1])
        elif frame.msg_type == WSMsgType.TEXT:
            self._codec.decode(payload, self.user.jwt, self)

    @override
    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Note a connection that the server ended: no scenario provokes that."""
        if transport is not self._transport:
            return  # dropped by this side
        self._transport = None
        error = ConnectionError(f"the server closed the connection of {self.user.id}: {_reason(transport)}")
        for call in (*self._calls.values(), *((self._ready,) if self._ready else ())):
            if not call.done():
                call.set_exception(error)
        self._calls.clear()
        self.meter.faults[f"disconnected ({_reason(transport)})"] += 1

    # ---- inbound: codec

    @property
    def room_id(self) -> str:
        """The client's room."""
        return self.room.id

    def on_delivery(self, seq: int, rev: int, content: str, payload: bytes) -> None:
        """Receive a message that no member has seen yet, or that is not the next one."""
        if self._held is not None:
            self._held.append((seq, rev, content, payload))
            return
        if seq in self._overlap:
            self._overlap.discard(seq)
            return
        sent_at = self.room.saw(seq, rev, content)
        self.room.remember(seq, payload, sent_at)
        self._record(perf_counter_ns() - sent_at)
        if seq == self.seq + 1:
            self.seq = seq
        else:
            self.seq = self.reading.irregular(self.seq, seq)

    def on_ack(self, number: int, seq: int) -> None:
        """Take the ack of a send, and in a closed loop send the next message."""
        sent_at = self.pending.pop(number, None)
        if sent_at is None:
            self.meter.faults["unexpected ack"] += 1
            return
        self.meter.acks.append(perf_counter_ns() - sent_at)
        self.room.ack(token(self.index, number), seq)
        if self.looping:
            self.send()

    def on_error(self, number: int, code: str, retry_after: float) -> None:
        """Take the refusal of a command; in a closed loop another message follows when the server allows it."""
        call = self._calls.pop(number, None)
        if call is not None:
            call.set_exception(RuntimeError(f"{self.user.id}: command {number} failed: {code}"))
            return
        self.meter.errors[code] += 1
        if code == "internal":
            self.meter.faults["internal error"] += 1  # no answer to load: something is broken
        if self.pending.pop(number, None) is None:
            return
        self.room.refuse(token(self.index, number))
        asyncio.get_running_loop().call_later(retry_after or RETRY_AFTER, self._refill)

    def on_result(self, number: int, data: dict[str, Any]) -> None:
        """Take the answer to a sync."""
        call = self._calls.pop(number, None)
        if call is None:
            self.meter.faults["unexpected answer"] += 1
        elif not call.done():
            call.set_result(data)

    def on_ready(self, rooms: Mapping[str, RoomState]) -> None:
        """Learn that the connection is subscribed to its room."""
        if self._ready is None or self._ready.done():
            return
        if self.room.id in rooms:
            self._ready.set_result(rooms[self.room.id])
        else:
            self._ready.set_exception(RuntimeError(f"`ready` of {self.user.id} lacks room {self.room.id}"))

    def on_demand(self, reply: bytes) -> None:
        """Answer a handshake or heartbeat."""
        self._write(reply)

    def _refill(self) -> None:
        if self.looping:
            self.send()


def _reason(transport: WSTransport) -> str:
    """The close code and reason a server gave, for people."""
    handshake = getattr(transport, "close_handshake", None)  # None until a close frame is sent or received
    if handshake is None or handshake.recv is None:
        return "no close frame"
    return f"{int(handshake.recv.code)} {handshake.recv.reason or ''}".strip()
