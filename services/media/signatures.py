"""Tells types of files by how they begin: some that need more than a magic number, then what `filetype` knows. Pure.

What it tells is a candidate; what is taken is decided elsewhere (services.media.sniffing).
"""

import re
import struct

import filetype

from services.media.kinds import EXCEL, OLE, OOXML, PACKED, SYNONYMS, ZIP

_LEGIBLE: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "application/pdf"),
    (b"{\\rtf", "application/rtf"),
    (b"%!PS", "application/postscript"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"#!AMR", "audio/amr"),
)
"""What may begin with nothing but text, and is not a word."""

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\x0a", "image/jxl"),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", "image/jxl"),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", "image/jp2"),
    (0, b"\x7fELF", "application/x-elf"),
    (0, b"\xfe\xed\xfa\xce", "application/x-mach-binary"),
    (0, b"\xfe\xed\xfa\xcf", "application/x-mach-binary"),
    (0, b"\xce\xfa\xed\xfe", "application/x-mach-binary"),
    (0, b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (0, b"\xca\xfe\xba\xbe\x00\x00\x00", "application/java-vm"),  # or several Mach-O programs in one: refused alike
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (0, b"\x04\x22\x4d\x18", "application/x-lz4"),
    (0, b"070701", "application/x-cpio"),
    (0, b"xar!", "application/x-apple-diskimage"),
    (0, b"MSCF\x00\x00\x00\x00", "application/vnd.ms-cab-compressed"),
    (0, b"ITSF\x03\x00\x00\x00", "application/x-windows-program"),
    (0, b"L\x00\x00\x00\x01\x14\x02\x00", "application/x-ms-shortcut"),
    (0, b"!<arch>\ndebian-binary", "application/vnd.debian.binary-package"),
    (0, b"!<arch>\n", "application/x-unix-archive"),
    (257, b"ustar", "application/x-tar"),
)

_BRANDS: tuple[tuple[str, frozenset[bytes]], ...] = (
    ("image/avif", frozenset({b"avif", b"avis"})),
    ("image/heic", frozenset({
        b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1",
    })),
    ("image/x-raw", frozenset({b"crx "})),
    ("video/quicktime", frozenset({b"qt  "})),
    ("audio/mp4", frozenset({b"M4A ", b"M4B ", b"M4P "})),
    ("video/3gpp", frozenset({
        b"3gp4", b"3gp5", b"3gp6", b"3gp7", b"3gs7", b"3ge6", b"3gg6", b"3g2a", b"3g2b", b"3g2c",
    })),
    ("video/mp4", frozenset({
        b"isom", b"iso2", b"iso3", b"iso4", b"iso5", b"iso6", b"iso7", b"iso8", b"iso9", b"mp41", b"mp42", b"mp71",
        b"avc1", b"M4V ", b"M4VH", b"M4VP", b"f4v ", b"dash", b"cmfc", b"MSNV", b"mmp4", b"hvc1", b"av01", b"dby1",
    })),
)  # fmt: skip
"""ISO base media files by their brands, of which a file may have several: the first that it has is what it is."""

_ENTRY = b"PK\x03\x04"
_CODECS = re.compile(rb"\x86.(V_|A_)")
_WORKBOOK = "Workbook".encode("utf-16-le")
_BOOK = "Book\x00".encode("utf-16-le")


def legible(head: bytes) -> str | None:
    """The media type of a file that begins as text and yet is none."""
    return next((mime for magic, mime in _LEGIBLE if head.startswith(magic)), None)


def candidate(head: bytes) -> str | None:
    """The media type of a file that begins so, as it is called here; None where nothing is known of it."""
    for at, magic, mime in _SIGNATURES:
        if head.startswith(magic, at):
            return mime
    for look in (_iso_media, _packed, _compound, _matroska, _ogg, _mpeg_audio, _riff):
        if (found := look(head)) is not None:
            return found
    guessed = filetype.guess_mime(head) if head else None
    return SYNONYMS.get(guessed, guessed) if guessed else None


def _iso_media(head: bytes) -> str | None:
    """An ISO base media file (ISO/IEC 14496-12, section 4.3), or a QuickTime film that came before that."""
    if head[4:8] in {b"moov", b"mdat", b"wide", b"pnot"} and int.from_bytes(head[:4], "big") in {
        0,
        1,
        *range(8, 2**31),
    }:
        return "video/quicktime"
    if head[4:8] != b"ftyp" or len(head) < 16:
        return None
    end = min(int.from_bytes(head[:4], "big"), len(head), 512)
    major, minors = head[8:12], [head[at : at + 4] for at in range(16, end - 3, 4)]
    if major in {b"mif1", b"msf1"}:  # says only that it is a picture: the others say which
        minors, major = [*minors, major], minors[0] if minors else major
    for mime, brands in _BRANDS:
        if major in brands:
            return mime
    return next((mime for mime, brands in _BRANDS if brands.intersection(minors)), None)


def _packed(head: bytes) -> str | None:
    """A zip archive, or the document that it is."""
    if not head.startswith(_ENTRY):
        return ZIP if head.startswith((b"PK\x05\x06", b"PK\x07\x08")) else None
    entries = _entries(head)
    names = [name for name, _ in entries]
    if names[:1] == ["mimetype"]:
        said = entries[0][1].decode("latin-1")
        return next((mime for mime in PACKED if said.startswith(mime)), ZIP)
    if any(name.startswith("META-INF/MANIFEST.MF") for name in names) or "META-INF/" in names:
        return "application/java-archive"
    if any(name in {"AndroidManifest.xml", "classes.dex"} for name in names):
        return "application/vnd.android.package-archive"
    return next((mime for folder, mime in OOXML.items() if any(name.startswith(folder) for name in names)), ZIP)


def _entries(head: bytes) -> list[tuple[str, bytes]]:
    """The names of a zip archive's entries that the head shows, each with the start of its content."""
    found, at = [], 0
    while at != -1 and at + 30 <= len(head):
        name, extra = struct.unpack_from("<HH", head, at + 26)
        content = at + 30 + name + extra
        found.append((head[at + 30 : at + 30 + name].decode("latin-1"), head[content : content + 80]))
        at = head.find(_ENTRY, at + 30)
    return found


def _compound(head: bytes) -> str | None:
    """An OLE compound file: an old document of Office, an installer or a mail, as its directory says if it is seen."""
    if not head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return None
    if "WordDocument".encode("utf-16-le") in head:
        return "application/msword"
    if "PowerPoint Document".encode("utf-16-le") in head:
        return "application/vnd.ms-powerpoint"
    if _WORKBOOK in head or _BOOK in head:
        return EXCEL
    guessed = filetype.guess_mime(head)
    return guessed if guessed in {"application/msword", EXCEL, "application/vnd.ms-powerpoint"} else OLE


def _matroska(head: bytes) -> str | None:
    """Matroska or WebM; sound alone where its tracks are seen and none of them is film."""
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    if b"\x42\x82\x84webm" not in head:
        return "video/x-matroska"
    tracks = set(_CODECS.findall(head))
    return "audio/webm" if tracks == {b"A_"} else "video/webm"


def _ogg(head: bytes) -> str | None:
    """Ogg, whose first pages say what is in it (RFC 3533, section 6)."""
    if not head.startswith(b"OggS\x00"):
        return None
    return (
        "video/ogg" if any(codec in head for codec in (b"\x80theora", b"\x01video\x00", b"BBCD\x00")) else "audio/ogg"
    )


def _mpeg_audio(head: bytes) -> str | None:
    """MP3, with a tag before it or not, or ADTS: a header of a frame that makes sense (ISO/IEC 11172-3, 2.4.1.3)."""
    if head.startswith(b"ID3") and len(head) >= 10 and head[3] < 5:
        return "audio/mpeg"
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:
        return "audio/aac"
    layer, version = head[1] >> 1 & 3, head[1] >> 3 & 3
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    return "audio/mpeg" if layer == 1 and version != 1 and bitrate not in {0, 15} and rate != 3 else None


def _riff(head: bytes) -> str | None:
    """What comes in RIFF chunks."""
    if head[:4] not in {b"RIFF", b"RF64"}:
        return None
    return {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}.get(head[8:12])
