"""How a dialect's sockets are spoken to: its rows, as Socket.IO packets."""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from time import time_ns
from typing import Any

import orjson
from pydantic import ValidationError
from typing_extensions import override

from services.gateway.dialects.rows import Dialect, Emit, Refresh, Say, Shape, look_up
from services.gateway.frames import close_frame, frame
from services.gateway.sio import packets
from services.gateway.voices import MISSED, RESET, SUBSCRIBED, About, Voice
from shared.bus.codec import JSON
from shared.contracts.errors import CloseCode
from shared.logging import get_logger

log = get_logger(__name__)

COME_BACK = frozenset({CloseCode.RESTART, CloseCode.SLOW_CONSUMER})

Sealed = Callable[[bytes], bytes]


def separated(packet: bytes) -> bytes:
    """A packet for a transport that is given packets (`services.gateway.sio.wire`)."""
    return packet + packets.END


def reframed(data: bytes) -> bytes:
    """Packets that were to be handed over, for a transport that is written frames."""
    return b"".join(frame(packet) for packet in data.split(packets.END) if packet)


def now() -> str:
    """The time, as dialects write it (ISO 8601, UTC, milliseconds)."""
    return _instant(time_ns() // 1_000_000)


@lru_cache(maxsize=1)
def _instant(milliseconds: int) -> str:
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


class DialectVoice(Voice):
    """One dialect in one namespace.

    Args:
        framed: whether its connections write to WebSockets themselves; else packets are handed to Engine.IO.
    """

    def __init__(self, dialect: Dialect, namespace: str, *, framed: bool) -> None:
        self.dialect = dialect
        self.namespace = namespace
        self.framed = framed
        self._seal: Sealed = frame if framed else separated
        self.stirs: dict[str, tuple[Refresh, ...]] = _stirs(dialect)

    syncs = False

    # ── what happens ─────────────────────────────────────────────────────────────────────────────────────────────

    @override
    def timeline(self, kind: str, room: About, seq: int, rev: int, data: JSON) -> bytes:
        rows = self.dialect.emit.get(kind)
        return self._told(rows, room, data) if rows else b""

    @override
    def happening(self, kind: str, room: About, data: JSON) -> bytes:
        rows = self.dialect.emit.get(kind)
        return self._told(rows, room, data) if rows else b""

    @override
    def personal(self, kind: str, data: JSON) -> bytes:
        rows = self.dialect.emit.get(kind)
        return self._told(rows, None, data) if rows else b""

    @override
    def spares(self, kind: str, data: JSON) -> str | None:
        for row in self.dialect.emit.get(kind, ()):
            if row.spares:
                return str(look_up(data, row.spares))
        return None

    @override
    def only(self, kind: str, data: JSON) -> str | None:
        for row in self.dialect.emit.get(kind, ()):
            if row.only:
                return str(look_up(data, row.only))
        return None

    @override
    def unnamed(self, kind: str, data: JSON) -> Collection[int]:
        rows = [row for row in self.dialect.emit.get(kind, ()) if row.messages is not None]
        return {seq for row in rows for item in _parts(row, None, data) for seq in _seqs(row, item)} if rows else ()

    @override
    def farewell(self, code: int, reason: str) -> bytes:
        # Clients come back by themselves, unless they are told that the server does not want them.
        last = b"" if code in COME_BACK else self._seal(packets.disconnect(self.namespace))
        if self.framed:
            return last + close_frame(code, reason)
        # The end of the session would overtake what the next request is to bring: who is told to go, goes.
        return last or separated(packets.CLOSE)

    def _told(self, rows: tuple[Emit, ...], room: About | None, data: JSON) -> bytes:
        try:
            return b"".join(
                [
                    self.event(row.name, self.payload(row.kind, _json(row.shape.model_validate(item))))
                    for row in rows
                    for item in _items(row, room, data)
                ]
            )
        except ValidationError as error:  # one that a shape cannot say must not keep others from being told
            log.error("event not told", type=rows[0].event.TYPE, dialect=self.dialect.name, error=str(error)[:500])
            return b""

    # ── what is said to one socket ───────────────────────────────────────────────────────────────────────────────

    def say(self, say: Say, known: Mapping[str, Any]) -> bytes:
        """Something said to one socket."""
        return self.event(say.name, self.payload(say.kind, said(say, known)))

    def ack(self, number: int, payload: bytes) -> bytes:
        """An acknowledgement."""
        return self._seal(packets.ack(self.namespace, number, payload))

    def event(self, name: str, payload: bytes) -> bytes:
        """An event whose payload is JSON already."""
        return self._seal(packets.event(self.namespace, name, payload))

    def payload(self, kind: str, payload: bytes) -> bytes:
        """A payload in the dialect's envelope, where it has one."""
        envelope = self.dialect.envelope
        if envelope is None:
            return payload
        wrapped = envelope.model_validate({"kind": kind, "payload": orjson.loads(payload), "now": now()})
        return _json(wrapped)


class Voices:
    """All voices, made when they are first needed."""

    def __init__(self, dialects: Mapping[str, Dialect]) -> None:
        self._dialects = dialects
        self._voices: dict[tuple[str, str, bool], DialectVoice] = {}

    def of(self, dialect: str, namespace: str, *, framed: bool) -> DialectVoice:
        """The voice of a dialect in a namespace."""
        key = (dialect, namespace, framed)
        if key not in self._voices:
            self._voices[key] = DialectVoice(self._dialects[dialect], namespace, framed=framed)
        return self._voices[key]


def said(say: Say, known: Mapping[str, Any]) -> bytes:
    """The payload of something said: a shape of what is known, or a list of them."""
    source = look_up(known, say.of)
    if say.many:
        return b"[%b]" % b",".join(_json(say.shape.model_validate(item)) for item in source or ())
    return _json(say.shape.model_validate(source))


def _json(shape: Shape) -> bytes:
    return shape.__pydantic_serializer__.to_json(shape)


def _items(row: Emit, room: About | None, data: JSON) -> list[JSON]:
    """What a row is told of, once each."""
    parts = _parts(row, room, data)
    if row.messages is None:
        return parts
    names = data.get("names", {})
    return [{**whole, "message_id": names[seq]} for whole in parts for seq in _seqs(row, whole) if seq in names]


def _parts(row: Emit, room: About | None, data: JSON) -> list[JSON]:
    """What a row is told once for, or once for each of its messages."""
    beside: JSON = {"now": now()}
    if room is not None:
        shown = data.get("room")
        beside["room"] = {**shown, **room._asdict()} if shown else room._asdict()
    if not row.each:
        whole = {**data, **beside}
        return [whole] if row.when(whole) else []
    return [whole for item in data.get(row.each, ()) if row.when(whole := {**item, **beside})]


def _seqs(row: Emit, item: JSON) -> Collection[int]:
    return row.messages(item) if row.messages is not None else ()


def _stirs(dialect: Dialect) -> dict[str, tuple[Refresh, ...]]:
    """The lists that each kind of event may change; each of them may have changed unheard."""
    if not dialect.refresh:
        return {}
    stirs: dict[str, tuple[Refresh, ...]] = dict.fromkeys((SUBSCRIBED, RESET, MISSED), dialect.refresh)
    for row in dialect.refresh:
        for event in row.events:
            stirs[event.TYPE] = (*stirs.get(event.TYPE, ()), row)
    return stirs
