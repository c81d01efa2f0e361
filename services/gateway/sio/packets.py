"""Socket.IO packets (protocol 5, over Engine.IO 4), as text. Pure.

Events and acknowledgements are made and read here, because they are what there is many of; of everything else it is
only seen to that python-socketio, which reads it, is given nothing that it cannot read.
An Engine.IO message is `4`, then the packet: `2/chat,12["name",{…}]` is an event in `/chat` that wants to be
acknowledged as number 12; `3/chat,12[{…}]` acknowledges it; `1/chat,` ends the connection to the namespace.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import orjson

MESSAGE = "4"
EVENT = "42"
END = b"\x1e"
"""Separates packets where several are one payload (Engine.IO protocol 4, "Payload encoding"). JSON has it nowhere."""

MAX_ACK_DIGITS = 15

PROBE = "2probe"
UPGRADE = "5"
"""What a client says that goes over from polling to a WebSocket."""

READABLE = frozenset("1345")
"""Engine.IO packets that clients send: close, pong, message, upgrade. Their pings are of older protocols."""

BINARY_EVENT = "5"


class Malformed(Exception):  # noqa: N818 - a state of a packet
    """A packet that is no event; the message says why."""


class Incoming(NamedTuple):
    """An event that a client sends; `ack` is the number under which it wants an answer."""

    namespace: str
    name: str
    arguments: list[Any]
    ack: int | None


def read(text: str) -> Incoming:
    """The event in an Engine.IO message that begins with `EVENT`.

    Raises:
        Malformed: saying what is wrong with it.
    """
    start = text.find("[")
    if start < 0:
        raise Malformed("the packet has no arguments")
    head = text[len(EVENT) : start]
    namespace = "/"
    if head.startswith("/"):
        namespace, comma, head = head.partition(",")
        if not comma:
            raise Malformed("the packet's namespace does not end")
        namespace = namespace.partition("?")[0]
    if head and not (head.isdigit() and head.isascii() and len(head) <= MAX_ACK_DIGITS):
        raise Malformed("the packet's acknowledgement is no number")
    try:
        arguments = orjson.loads(text[start:])
    except orjson.JSONDecodeError as error:
        raise Malformed(f"the packet's arguments are not JSON: {error}") from error
    if not arguments or not isinstance(arguments[0], str):
        raise Malformed("the packet names no event")
    return Incoming(namespace, arguments[0], arguments[1:], int(head) if head else None)


def readable(text: str) -> bool:
    """Whether this is an Engine.IO packet."""
    return text[:1] in READABLE


def read_binary(text: str) -> tuple[Incoming, int]:
    """The event of a Socket.IO packet that begins with `BINARY_EVENT`, and how many attachments come after it.

    Raises:
        Malformed: saying what is wrong with it.
    """
    number, dash, rest = text[1:].partition("-")
    if not dash or not (number.isdigit() and number.isascii() and len(number) <= MAX_ACK_DIGITS):
        raise Malformed("the packet does not say how many attachments it has")
    return read(EVENT + rest), int(number)


def refusal(namespace: str, reason: str) -> str:
    """The refusal of a connection to a namespace, as a Socket.IO packet."""
    return f"4{_of(namespace).decode()}{orjson.dumps({'message': reason}).decode()}"


def event(namespace: str, name: str, payload: bytes) -> bytes:
    """An event with one argument, which is JSON already."""
    return b"42%b[%b,%b]" % (_of(namespace), orjson.dumps(name), payload)


def ack(namespace: str, number: int, payload: bytes) -> bytes:
    """The acknowledgement of an event, with one argument, which is JSON already."""
    return b"43%b%d[%b]" % (_of(namespace), number, payload)


def disconnect(namespace: str) -> bytes:
    """The end of a connection to a namespace; the client does not come back by itself."""
    return b"41%b" % _of(namespace)


CLOSE = b"1"
"""The end of an Engine.IO session, without a word to the client: some do not connect again after this packet."""


@lru_cache(maxsize=32)
def _of(namespace: str) -> bytes:
    return b"" if namespace == "/" else f"{namespace},".encode()
