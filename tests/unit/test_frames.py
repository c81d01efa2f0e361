"""Server frames, read back as RFC 6455 section 5.2 says."""

import struct

import pytest

from services.gateway.frames import CLOSE, PING, TEXT, close_frame, frame


def parsed(data: bytes) -> tuple[int, bytes]:
    """Opcode and payload of exactly one final, unmasked frame."""
    first, second = data[0], data[1]
    assert first & 0xF0 == 0x80, "final, no extension bits"
    assert second & 0x80 == 0, "servers do not mask"
    size, start = second, 2
    if size == 126:
        (size,), start = struct.unpack_from("!H", data, 2), 4
        assert size >= 126, "the shortest form"
    elif size == 127:
        (size,), start = struct.unpack_from("!Q", data, 2), 10
        assert size >= 65536, "the shortest form"
    assert len(data) == start + size
    return first & 0x0F, data[start:]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70000])
def test_every_form_of_length(size: int) -> None:
    """At and around the borders between the three forms."""
    payload = b"x" * size
    assert parsed(frame(payload)) == (TEXT, payload)


def test_control_frames() -> None:
    """A ping carries its opcode."""
    assert parsed(frame(b"", PING)) == (PING, b"")


@pytest.mark.parametrize("reason", ["", "too slow", "x" * 123, "x" * 500, "ä" * 100, "x" + "€" * 100, "👍" * 40])
def test_a_close_frame_fits_a_control_frame(reason: str) -> None:
    """125 bytes at most, the reason cut between characters, never within one."""
    opcode, payload = parsed(close_frame(4408, reason))
    assert opcode == CLOSE
    assert len(payload) <= 125
    assert struct.unpack_from("!H", payload) == (4408,)
    told = payload[2:].decode()
    assert reason.startswith(told)
    assert len(told.encode()) > min(len(reason.encode()), 123) - 4
