"""Bad files to upload, made by code: cut off, lying, too large, of two kinds at once. Each with its refusal."""

import random
import struct
import zlib
from typing import NamedTuple

from shared.contracts.media_terms import Refusal
from tests.harness.files import animated, docx, gif, jpeg, pdf, png, text, webp, zipped
from tests.harness.films import m4a, mp4, wav

HTML = b"<!DOCTYPE html><html><body><script>alert(document.domain)</script></body></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(document.domain)</script></svg>'
EXE = (
    b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00\xb8"
    + bytes(43)
    + b"\x80\x00\x00\x00"
    + bytes(64)
    + b"PE\x00\x00"
)
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00\x3e\x00" + bytes(64)
ARCHIVE = zipped({"notes.txt": b"hello"})
JAR = zipped({"META-INF/MANIFEST.MF": b"Manifest-Version: 1.0\n", "Main.class": b"\xca\xfe\xba\xbe"})


class Bad(NamedTuple):
    """A file that is refused, and why."""

    name: str
    data: bytes
    reason: Refusal


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, *before: bytes, data: bytes = b"", depth: int = 1) -> bytes:
    """A PNG picture that says it has this size; `before` are chunks before its data."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + head
        + b"".join(before)
        + chunk(b"IDAT", data or zlib.compress(b"\x00"))
        + chunk(b"IEND", b"")
    )


def png_bomb(width: int = 12_000, height: int = 12_000) -> bytes:
    """A PNG picture that is in order: black, and thousands of times as large in memory."""
    pressed = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    rows = b"".join(pressed.compress(row * 100) for _ in range(height // 100)) + pressed.flush()
    return png_of(width, height, data=rows)


def png_text_bomb() -> bytes:
    """A small PNG picture with a comment of 64 MiB."""
    pressed = zlib.compressobj(9)
    comment = b"".join(pressed.compress(bytes(1 << 20)) for _ in range(64)) + pressed.flush()
    return png_of(8, 1, chunk(b"zTXt", b"Comment\x00\x00" + comment), data=zlib.compress(b"\x00\x00"))


def gif_of(width: int, height: int) -> bytes:
    """A GIF picture that says it has this size."""
    good = gif()
    at = good.index(b"\x2c", 13 + 3 * 256)
    size = struct.pack("<HH", width, height)
    return good[:6] + size + good[10 : at + 5] + size + good[at + 9 :]


def gif_of_frames(count: int) -> bytes:
    """A GIF picture of so many frames of one pixel."""
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\x00\x00\x00\xff\xff\xff" + frame * count + b"\x3b"


def webp_of(width: int, height: int) -> bytes:
    """A WebP picture that says it has this size."""
    body = webp()[12:]
    head = (
        b"VP8X"
        + struct.pack("<I", 10)
        + b"\x00" * 4
        + (width - 1).to_bytes(3, "little")
        + (height - 1).to_bytes(3, "little")
    )
    body = head + body[body.index(b"VP8 ") :]
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def jpeg_of(width: int, height: int) -> bytes:
    """A JPEG picture that says it has this size."""
    good = jpeg()
    at = good.index(b"\xff\xc0") + 5
    return good[:at] + struct.pack(">HH", height, width) + good[at + 4 :]


def mp4_of_noise() -> bytes:
    """An MP4 film whose index is in order, and whose data is not."""
    good = mp4()
    at = good.index(b"mdat")
    length = int.from_bytes(good[at - 4 : at], "big") - 8
    return good[: at + 4] + random.Random(1).randbytes(length) + good[at + 4 + length :]


def long_text(after: bytes) -> bytes:
    """A text that goes on otherwise, where nobody looks who looks at its beginning only."""
    return text(20_000) + after


REFUSED_AT_ONCE: tuple[Bad, ...] = (
    Bad("nothing.txt", b"", Refusal.EMPTY),
    Bad("byte.bin", b"\x00", Refusal.UNKNOWN_TYPE),
    Bad("noise.bin", random.Random(2).randbytes(5000), Refusal.UNKNOWN_TYPE),
    Bad("utf16.txt", "text in UTF-16".encode("utf-16"), Refusal.UNKNOWN_TYPE),
    Bad("picture.svg", SVG, Refusal.TYPE_REFUSED),
    Bad("picture.png", b"<?xml version='1.0'?><!-- a picture -->\n" + SVG, Refusal.TYPE_REFUSED),
    Bad("page.html", HTML, Refusal.TYPE_REFUSED),
    Bad("page.jpg", HTML, Refusal.TYPE_REFUSED),
    Bad("page.txt", b"\xef\xbb\xbf \n<!-- hello --> <!-- again -->\t" + HTML, Refusal.TYPE_REFUSED),
    Bad("page.csv", "<html><script>alert(1)</script>".encode("utf-16"), Refusal.TYPE_REFUSED),
    Bad("script.txt", b"#!/bin/sh\nrm -rf ~\n", Refusal.TYPE_REFUSED),
    Bad("script.js", b"alert(1)", Refusal.TYPE_REFUSED),
    Bad("run.bat", b"del /s *", Refusal.TYPE_REFUSED),
    Bad("program.exe", EXE, Refusal.TYPE_REFUSED),
    Bad("program.png", EXE, Refusal.TYPE_REFUSED),
    Bad("program.txt", ELF, Refusal.TYPE_REFUSED),
    Bad("archive.zip", ARCHIVE, Refusal.TYPE_REFUSED),
    Bad("archive.pdf", ARCHIVE, Refusal.TYPE_REFUSED),
    Bad("archive.docx", ARCHIVE, Refusal.TYPE_REFUSED),
    Bad("archive.jar", JAR, Refusal.TYPE_REFUSED),
    Bad("archive.7z", b"7z\xbc\xaf\x27\x1c" + bytes(100), Refusal.TYPE_REFUSED),
    Bad("archive.gz", b"\x1f\x8b\x08" + bytes(100), Refusal.TYPE_REFUSED),
    Bad("photo.heic", b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(100), Refusal.TYPE_REFUSED),
    Bad("picture.jpg", png(), Refusal.TYPE_MISMATCH),
    Bad("picture.gif", webp(), Refusal.TYPE_MISMATCH),
    Bad("song.mp3", wav(), Refusal.TYPE_MISMATCH),
    Bad("paper.pdf", text(), Refusal.TYPE_MISMATCH),
    Bad("notes.txt", pdf(), Refusal.TYPE_MISMATCH),
)  # fmt: skip
"""Refused by their first bytes."""

REFUSED_LATER: tuple[Bad, ...] = (
    Bad("size.png", png_of(60_000, 60_000), Refusal.DIMENSIONS),
    Bad("size.gif", gif_of(60_000, 60_000), Refusal.DIMENSIONS),
    Bad("size.webp", webp_of(60_000, 60_000), Refusal.DIMENSIONS),
    Bad("size.jpg", jpeg_of(60_000, 60_000), Refusal.DIMENSIONS),
    Bad("bomb.png", png_bomb(), Refusal.DIMENSIONS),
    Bad("comment.png", png_text_bomb(), Refusal.DAMAGED),
    Bad("frames.gif", gif_of_frames(100_000), Refusal.DIMENSIONS),
    Bad("pixels.gif", animated("GIF", 13, 2000, 2000), Refusal.DIMENSIONS),
    Bad("page.gif", b"GIF89a/*" + HTML + b"*/=1;alert(1)", Refusal.DAMAGED),
    Bad("spoilt.png", png()[:500] + b"\xff" * 40 + png()[540:], Refusal.DAMAGED),
    Bad("noise.mp4", mp4_of_noise(), Refusal.DAMAGED),
    Bad("sound.mp4", m4a().replace(b"ftypM4A ", b"ftypisom", 1), Refusal.TYPE_MISMATCH),
    Bad("film.m4a", mp4(), Refusal.TYPE_MISMATCH),
    Bad("noise.mp3", b"\xff\xfb\x90\x44" + random.Random(3).randbytes(20_000), Refusal.DAMAGED),
    Bad("coded.wav", wav()[:20] + b"\x77\x77" + wav()[22:], Refusal.TYPE_REFUSED),
    Bad("later.txt", long_text(b"\x00\x01\x02"), Refusal.TYPE_MISMATCH),
    Bad("later.csv", long_text(b"\xff\xfe\xfd"), Refusal.TYPE_MISMATCH),
    Bad("half.pdf", pdf()[:200], Refusal.DAMAGED),
    Bad("half.docx", docx({"word/media/image1.bin": bytes(9000)})[:9000], Refusal.DAMAGED),
    Bad(
        "program.docx", docx({"word/media/image1.bin": bytes(9000), "META-INF/MANIFEST.MF": b""}), Refusal.TYPE_MISMATCH
    ),
)
"""Taken by their first bytes, and refused when they are looked into."""
