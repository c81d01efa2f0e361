"""Names of files: whatever is sent, one name comes out that no system, header or reader takes for anything else."""

import re
import unicodedata
from urllib.parse import unquote

import pytest
from aiohttp.multipart import content_disposition_filename, parse_content_disposition
from hypothesis import given
from hypothesis import strategies as st

from services.media.kinds import ALLOWED, ENDINGS, alike, ending
from services.media.names import disposition, safe_name
from shared.contracts.media import MAX_NAME
from shared.contracts.media_terms import MediaKind

MIME_TYPES = st.sampled_from([*sorted(ALLOWED[MediaKind.FILE]), "application/x-foo"])
NASTY = st.text(st.characters() | st.sampled_from("/\\.:*?\"<>| \u202e\u200d\u2066\x00\r\n%;='ä́💥"), max_size=400)


@pytest.mark.parametrize(
    ("given", "mime", "expected"),
    [
        ("photo.jpg", "image/jpeg", "photo.jpg"),
        ("Photo.JPEG", "image/jpeg", "Photo.JPEG"),
        ("../../etc/passwd", "text/plain", "passwd.txt"),
        ("..\\..\\boot.ini", "text/plain", "boot.ini"),
        ("C:\\Users\\max\\photo.png", "image/png", "photo.png"),
        ("C:photo.png", "image/png", "C_photo.png"),
        ("a\x00b.pdf", "application/pdf", "ab.pdf"),
        ("a\r\nSet-Cookie: x=y.pdf", "application/pdf", "a  Set-Cookie_ x=y.pdf"),
        ("invoice\u202efdp.exe.pdf", "application/pdf", "invoicefdp.exe.pdf"),
        ("...", "application/pdf", "file.pdf"),
        (".htaccess", "text/plain", "htaccess.txt"),
        ("", "image/png", "file.png"),
        (None, "audio/mpeg", "file.mp3"),
        ("   ", "application/x-foo", "file"),
        ("con.pdf", "application/pdf", "_con.pdf"),
        ("NUL", "application/x-foo", "_NUL"),
        ("COM1.tar.txt", "text/plain", "_COM1.tar.txt"),
        ("report 2.0", "application/pdf", "report 2.0.pdf"),
        ("program.py", "text/plain", "program.py"),
        ("picture.png", "image/jpeg", "picture.png.jpg"),
        ("archive.zip", "application/x-foo", "archive.zip"),
        ("Bjo\u0308rn.txt", "text/plain", "Bj\u00f6rn.txt"),
        ("👩\u200d🚀.png", "image/png", "👩\u200d🚀.png"),
        ("a" * 1000, "image/png", "a" * 250 + ".png"),
        ("a" * 1000 + ".jpeg", "image/jpeg", "a" * 249 + ".jpeg"),
    ],
)  # fmt: skip
def test_a_name_is_made_harmless(given: str | None, mime: str, expected: str) -> None:
    """And left as it is where it is that."""
    assert safe_name(given, mime) == expected


@given(NASTY | st.none(), MIME_TYPES)
def test_any_name_comes_out_safe(given: str | None, mime: str) -> None:
    """Not empty, not long, in one piece, of characters that are seen; and it stays so."""
    name = safe_name(given, mime)
    assert 1 <= len(name) <= MAX_NAME
    assert not re.search(r'[/\\<>:"|?*]', name)
    assert not [each for each in name if unicodedata.category(each) in {"Cc", "Cs", "Zl", "Zp", "Co", "Cn"}]
    assert not [
        each for each in name if unicodedata.bidirectional(each) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "FSI"}
    ]
    assert not name.startswith((".", " "))
    assert not name.endswith((".", " "))
    assert unicodedata.is_normalized("NFC", name)
    assert not re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", name)
    assert safe_name(name, mime) == name


@given(NASTY | st.none(), MIME_TYPES)
def test_a_name_never_ends_as_what_its_file_is_not(given: str | None, mime: str) -> None:
    """Nor does it end in a program's ending, as far as types are known."""
    has = ending(safe_name(given, mime))
    if mime != "application/x-foo" and has in ENDINGS:
        assert alike(ENDINGS[has], mime)


@given(NASTY, st.booleans())
def test_a_header_cannot_be_broken(name: str, inline: bool) -> None:
    """It is one line of ASCII, and is read as what was given."""
    value = disposition(name, inline=inline)
    assert value.isascii()
    assert value.isprintable()
    match = re.fullmatch(
        r"""(inline|attachment); filename="([^"\\%]*)"(?:; filename\*=UTF-8''([\w!#$&+.^`|~%-]+))?""", value
    )
    assert match is not None
    assert match[1] == ("inline" if inline else "attachment")
    told = match[2] if match[3] is None else unquote(match[3])
    assert told == name.encode("utf-8", "replace").decode()


@given(NASTY, MIME_TYPES)
def test_a_header_is_read_by_others_as_it_is_meant(given: str, mime: str) -> None:
    """By aiohttp's parser, which prefers the name as it is, as RFC 6266 says."""
    name = safe_name(given, mime)
    kind, parameters = parse_content_disposition(disposition(name, inline=False))
    assert kind == "attachment"
    assert content_disposition_filename(parameters) == name
