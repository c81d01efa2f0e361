"""WebSocket frames ready for the wire (RFC 6455 section 5): made once, written to any number of sockets."""

import struct

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
_FINAL = 0x80


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """An unfragmented, unmasked frame, as servers send them."""
    size = len(payload)
    if size < 126:
        return bytes((_FINAL | opcode, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", _FINAL | opcode, 126, size) + payload
    return struct.pack("!BBQ", _FINAL | opcode, 127, size) + payload


def close_frame(code: int, reason: str) -> bytes:
    """A close frame; the reason is cut to what a control frame holds (section 5.5)."""
    text = reason.encode()[:123]
    return frame(struct.pack("!H", code) + text.decode(errors="ignore").encode(), CLOSE)
