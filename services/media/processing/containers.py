"""Whether a file of sound or film is all there, as far as its container says so. Decoders would play what there is.

MP3, AAC and what was recorded as a stream say nothing of their end.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from services.media.refusals import Refused
from shared.contracts.media_terms import Refusal

_MAX_PARTS = 1_000_000
_STREAMED = frozenset({0, 0xFFFFFFFF})
"""Lengths of a RIFF file that was written where one cannot go back."""


def check_complete(source: Path, mime_type: str) -> None:
    """Follow a container's outermost parts to the end of the file.

    Raises:
        Refused: `damaged`, where the last goes beyond it.
    """
    look = _LOOKS.get(mime_type.partition("/")[2])
    if look is None:
        return
    with source.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if look(file, size) > size:
            raise Refused(Refusal.DAMAGED, "The file is cut off: it ends before it is complete.")


def _boxes(file: BinaryIO, size: int) -> int:
    """Where the boxes end (ISO/IEC 14496-12, section 4.2)."""
    at = 0
    for _ in range(_MAX_PARTS):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return at + 8 if head.strip(b"\x00") and at < size else at  # a few zeros behind the last box do no harm
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length == 0:
            return size
        if length < 8:
            return at if not head.strip(b"\x00") else size + 1
        at += length
        if at >= size:
            break
    return at


def _matroska(file: BinaryIO, size: int) -> int:
    """Where the segment ends (RFC 8794, section 6; RFC 9559), if that is said."""
    at = 0
    while at < size:
        file.seek(at)
        identifier, id_length = _number(file, keep_marker=True)
        length, length_length = _number(file, keep_marker=False)
        if length is None or identifier is None:
            return size
        at += id_length + length_length + length
        if identifier == 0x18538067:
            return at
    return at


def _number(file: BinaryIO, *, keep_marker: bool) -> tuple[int | None, int]:
    """A number of variable length, None for an unknown one; and its length."""
    first = file.read(1)
    if not first or not first[0]:
        return None, 1
    length = 9 - first[0].bit_length()
    rest = file.read(length - 1)
    whole = int.from_bytes(first + rest, "big")
    value = whole & ((1 << 7 * length) - 1)
    if not keep_marker and value == (1 << 7 * length) - 1:
        return None, length
    return (whole if keep_marker else value), length


def _pages(file: BinaryIO, size: int) -> int:
    """Where the last page of an Ogg stream ends (RFC 3533, section 6)."""
    at = 0
    for _ in range(_MAX_PARTS):
        file.seek(at)
        head = file.read(27)
        if not head.startswith(b"OggS"):
            return at
        if len(head) < 27 or len(lengths := file.read(head[26])) < head[26]:
            return size + 1
        at += 27 + len(lengths) + sum(lengths)
        if at >= size:
            break
    return at


def _riff(file: BinaryIO, size: int) -> int:
    """Where a RIFF file ends."""
    length = int.from_bytes(file.read(8)[4:], "little")
    return size if length in _STREAMED else 8 + length


_LOOKS: dict[str, Callable[[BinaryIO, int], int]] = {
    "mp4": _boxes,
    "quicktime": _boxes,
    "3gpp": _boxes,
    "webm": _matroska,
    "x-matroska": _matroska,
    "ogg": _pages,
    "wav": _riff,
}
