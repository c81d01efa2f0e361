"""Reads of pictures what has to be known before a decoder may have them: sizes and numbers of frames.

Only for formats whose decoder takes memory by what the header says, or counts frames without end.
"""

from typing import BinaryIO

from services.media.refusals import Refused
from shared.contracts.media_terms import Refusal


def webp_size(head: bytes) -> tuple[int, int]:
    """Width and height of a WebP file by its first 30 bytes (RFC 9649, sections 2.5 to 2.7).

    Raises:
        Refused: where they are missing.
    """
    chunk = head[12:16]
    if len(head) >= 30:
        if chunk == b"VP8X":
            return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
        if chunk == b"VP8L" and head[20] == 0x2F:
            bits = int.from_bytes(head[21:25], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        if chunk == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
            return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    raise Refused(Refusal.DAMAGED, "The picture's header cannot be read.")


def gif_frames(file: BinaryIO, most: int) -> int:
    """The number of frames of a GIF file (GIF89a, section 17 on); counts no further than one more than `most`.

    Raises:
        Refused: where the file ends within a block.
    """
    header = _take(file, 13)
    _skip_table(file, header[10])
    frames = 0
    while frames <= most:
        match file.read(1):
            case b"" | b"\x3b":
                break
            case b"\x2c":
                _skip_table(file, _take(file, 9)[8])
                _take(file, 1)
                frames += 1
            case b"\x21":
                _take(file, 1)
            case _:
                break  # what follows is no GIF any more, which viewers forgive
        while length := _take(file, 1)[0]:
            _take(file, length)
    return frames


def _skip_table(file: BinaryIO, packed: int) -> None:
    """Go past a table of colours, if the flags say that there is one."""
    if packed & 0x80:
        _take(file, 3 << (packed & 7) + 1)


def _take(file: BinaryIO, count: int) -> bytes:
    taken = file.read(count)
    if len(taken) < count:
        raise Refused(Refusal.DAMAGED, "The picture is cut off: it ends before it is complete.")
    return taken
