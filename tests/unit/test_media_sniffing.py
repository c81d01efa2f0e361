"""What a file is by its first bytes, whatever is said of it; and what of that is taken."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.media.errors import CODES, error_of
from services.media.kinds import (
    ALLOWED,
    DECODED,
    ENDINGS,
    FAMILIES,
    OOXML,
    OPAQUE,
    REFUSED,
    SYNONYMS,
    Limits,
    alike,
    canonical,
    kind_of,
    limits,
    size_limit,
)
from services.media.refusals import Refused
from services.media.sniffing import HEAD, look_at
from shared.contracts.errors import ErrorCode
from shared.contracts.media_terms import MediaKind, Refusal
from tests.harness.badfiles import ARCHIVE, ELF, EXE, HTML, JAR, REFUSED_AT_ONCE, REFUSED_LATER, SVG, Bad
from tests.harness.files import VALID, docx, jpeg, pdf, png, text, xlsx
from tests.harness.films import mov, mp4, ogg, voice, webm

DOCX = OOXML["word/"]
HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(100)


def look(
    data: bytes,
    name: str = "",
    declared: str | None = None,
    kind: MediaKind | None = None,
    extra: frozenset[str] = frozenset(),
) -> tuple[MediaKind, str]:
    """Look at a file as uploading does."""
    return look_at(data[:HEAD], whole=len(data) <= HEAD, name=name, declared=declared, kind=kind, extra=extra)


def refusal(
    data: bytes,
    name: str = "",
    declared: str | None = None,
    kind: MediaKind | None = None,
    extra: frozenset[str] = frozenset(),
) -> Refusal:
    """Why a file is refused."""
    with pytest.raises(Refused) as refused:
        look(data, name, declared, kind, extra)
    assert refused.value.message.endswith(".")
    return refused.value.reason


class TestTaken:
    @pytest.mark.parametrize("name", VALID)
    def test_a_file_is_known_by_its_bytes(self, name: str) -> None:
        """With its name and type, and with neither."""
        mime, data = VALID[name]
        assert look(data, name, mime) == (kind_of(mime), mime)
        assert look(data) == (kind_of(mime), mime)
        assert look(data, name, "application/octet-stream") == (kind_of(mime), mime)
        assert look(data, kind=MediaKind.FILE) == (MediaKind.FILE, mime)

    @pytest.mark.parametrize(
        ("data", "name", "declared", "expected"),
        [
            (jpeg(), "a.jpe", "image/jpg", "image/jpeg"),
            (jpeg(), "report 2.0", "image/pjpeg; q=1", "image/jpeg"),
            (VALID["song.wav"][1], "a.wav", "audio/x-wav", "audio/wav"),
            (text(), "table.csv", "application/vnd.ms-excel", "text/csv"),
            (text(), "notes.md", "text/plain", "text/markdown"),
            (text(), "program.py", "text/x-python", "text/plain"),
            (text(), "strange.xyz", None, "text/plain"),
            (b'{"a": 1}', "a.json", "application/json", "application/json"),
            (b"BMW and MZ, GIF and PK", "cars.txt", "text/plain", "text/plain"),
            (b"a <b> c </b> <script>", "notes.txt", "text/plain", "text/plain"),
            (b"# Title\n<p>hello", "read.me.md", None, "text/markdown"),
            (b"<?xml version='1.0'?><gpx/>", "way.gpx", "application/gpx+xml", None),
            (b"<?xml version='1.0'?><gpx/>", "way.gpx", "text/xml", "application/xml"),
            (docx(), "a.docx", "application/zip", DOCX),
            (docx({"docProps/thumbnail.jpeg": bytes(9000)}), "a.docx", None, DOCX),
            (mov(), "a.mp4", "video/mp4", "video/quicktime"),
        ],
    )  # fmt: skip
    def test_what_is_said_may_be_loose(
        self, data: bytes, name: str, declared: str | None, expected: str | None
    ) -> None:
        """Other names of the same, types of text, endings that nobody knows."""
        if expected is None:
            assert refusal(data, name, declared) is Refusal.TYPE_MISMATCH
        else:
            assert look(data, name, declared)[1] == expected

    def test_a_character_at_the_end_of_the_head_may_be_cut(self) -> None:
        """Not one at the end of the file."""
        cut = ("x" * (HEAD - 1) + "ä").encode()
        assert look(cut) == (MediaKind.FILE, "text/plain")
        assert refusal("ä".encode()[:1]) is Refusal.UNKNOWN_TYPE

    def test_sound_and_film_of_one_container(self) -> None:
        """Go by the kind that is wanted, by what is said, by what is seen."""
        assert look(voice()) == (MediaKind.AUDIO, "audio/webm")
        assert look(voice(), "voice.webm", "video/webm") == (MediaKind.AUDIO, "audio/webm")
        assert look(webm()) == (MediaKind.VIDEO, "video/webm")
        assert look(webm(), kind=MediaKind.AUDIO) == (MediaKind.AUDIO, "audio/webm")
        assert look(webm(), declared="audio/webm;codecs=opus") == (MediaKind.AUDIO, "audio/webm")
        assert look(mp4(), "a.m4a") == (MediaKind.AUDIO, "audio/mp4")
        assert look(ogg(), "a.ogg", "audio/ogg") == (MediaKind.AUDIO, "audio/ogg")
        assert look(ogg(), kind=MediaKind.VIDEO) == (MediaKind.VIDEO, "video/ogg")

    def test_what_the_operator_takes_besides_is_a_file(self) -> None:
        """And nothing else; and it has to be that."""
        zips = frozenset({"application/zip", "image/svg+xml", "text/html"})
        assert look(ARCHIVE, "a.zip", "application/x-zip-compressed", extra=zips) == (MediaKind.FILE, "application/zip")
        assert look(SVG, "a.svg", "image/svg+xml", extra=zips) == (MediaKind.FILE, "image/svg+xml")
        assert look(HTML, "a.html", extra=zips) == (MediaKind.FILE, "text/html")
        assert refusal(SVG, kind=MediaKind.IMAGE, extra=zips) is Refusal.TYPE_REFUSED
        assert refusal(JAR, "a.zip", extra=zips) is Refusal.TYPE_REFUSED
        assert refusal(EXE, "a.zip", "application/zip", extra=zips) is Refusal.TYPE_REFUSED
        unknown = b"\x01\x02\x03\x04 nobody knows"
        assert (
            look(unknown, "a.foo", "application/x-foo", extra=frozenset({"application/x-foo"}))[1]
            == "application/x-foo"
        )
        assert look(unknown, extra=frozenset({"application/octet-stream"}))[1] == "application/octet-stream"
        assert refusal(unknown, declared="application/zip", extra=zips) is Refusal.UNKNOWN_TYPE
        assert refusal(unknown, declared="image/png", extra=frozenset({"image/png"})) is Refusal.UNKNOWN_TYPE

    def test_pictures_that_cannot_be_cleaned_are_taken_when_that_is_known(self) -> None:
        """Who sends one as a file wants it as it is."""
        assert refusal(HEIC, "a.heic", "image/heic") is Refusal.TYPE_REFUSED
        assert refusal(HEIC, kind=MediaKind.IMAGE) is Refusal.TYPE_REFUSED
        assert look(HEIC, "a.heif", "image/heif", MediaKind.FILE) == (MediaKind.FILE, "image/heic")


class TestRefused:
    @pytest.mark.parametrize("bad", REFUSED_AT_ONCE, ids=lambda bad: bad.name)
    def test_at_once(self, bad: Bad) -> None:
        """By the first bytes."""
        assert refusal(bad.data, bad.name) is bad.reason

    @pytest.mark.parametrize("bad", REFUSED_LATER, ids=lambda bad: bad.name)
    def test_others_are_not_known_to_be_bad_yet(self, bad: Bad) -> None:
        """Or the test of processing would test nothing."""
        look(bad.data, bad.name)

    @pytest.mark.parametrize(
        "hidden", [HTML, SVG, b"<HTML\n>", b"<?xml version='1.0'?><x:html/>", b"<!-- ", b"<svg/onload=x>"]
    )
    @pytest.mark.parametrize(
        "before", [b"", b"\xef\xbb\xbf", b" \r\n\t\x0c", b"<!-- a -> -- b -->", b"<!--><!---->", b"<!DOCTYPE x>"]
    )
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
    def test_markup_is_found(self, hidden: bytes, before: bytes, encoding: str) -> None:
        """Behind what browsers skip, in what they decode, under a harmless name."""
        data = (before + hidden).decode().encode(encoding)
        assert refusal(data, "notes.txt", "text/plain") is Refusal.TYPE_REFUSED

    @pytest.mark.parametrize("data", [EXE, ELF, ARCHIVE, JAR, HTML, SVG])
    @pytest.mark.parametrize("kind", MediaKind)
    def test_no_kind_makes_it_better(self, data: bytes, kind: MediaKind) -> None:
        """Whatever it is called."""
        assert refusal(data, "a.jpg", "image/jpeg", kind) is Refusal.TYPE_REFUSED

    @pytest.mark.parametrize(
        ("data", "kind"),
        [(pdf(), MediaKind.IMAGE), (png(), MediaKind.VIDEO), (mp4(), MediaKind.IMAGE), (ogg(), MediaKind.IMAGE),
         (text(), MediaKind.AUDIO), (xlsx(), MediaKind.VIDEO), (mov(), MediaKind.AUDIO)],
    )  # fmt: skip
    def test_a_kind_takes_its_own_types(self, data: bytes, kind: MediaKind) -> None:
        """And no others."""
        assert refusal(data, kind=kind) is Refusal.TYPE_REFUSED

    @pytest.mark.parametrize(
        ("data", "name", "declared"),
        [(png(), "", "image/jpeg"), (png(), "a.jpg", ""), (png(), "a.png", "application/pdf"), (text(), "a.zip", ""),
         (text(), "a.txt", "text/html"), (pdf(), "", "text/plain"), (docx(), "a.xlsx", ""), (mp4(), "a.mp3", ""),
         (text(), "a.mp4", ""), (png(), "a.exe", "")],
    )  # fmt: skip
    def test_lies(self, data: bytes, name: str, declared: str) -> None:
        """By type or by name."""
        assert refusal(data, name, declared) is Refusal.TYPE_MISMATCH


START = st.sampled_from([b"", *(data[:HEAD] for _, data in VALID.values()), EXE, ELF, HTML, SVG, ARCHIVE, HEIC])


@given(
    START,
    st.integers(0, 600),
    st.binary(max_size=300),
    st.sampled_from(["", "a.jpg", "a.mp4", "a.zip", "a.txt", "\x00.\x00"]),
    st.sampled_from([None, "", "image/png", "text/html", "\x00/;", "video/mp4"]),
    st.sampled_from([None, *MediaKind]),
    st.booleans(),
)
@example(b"\x89PNG\r\n\x1a\n", 8, b"\x00\x00\x00\x00acTL" * 30, "", None, None, True)
@example(b"\x00\x00\x00\x00ftyp", 8, b"", "", None, None, True)
def test_anything_is_taken_or_refused(
    start: bytes, cut: int, rest: bytes, name: str, declared: str | None, kind: MediaKind | None, whole: bool
) -> None:
    """Nothing breaks the looking; what is taken is of a type its kind allows."""
    data = (start[:cut] + rest)[:HEAD]
    reason = None
    try:
        found, mime = look_at(data, whole=whole, name=name, declared=declared, kind=kind, extra=frozenset())
        assert kind in {None, found}
        assert mime in ALLOWED[found]
    except Refused as refused:
        reason = refused.reason
    assert reason in {None, Refusal.EMPTY, Refusal.UNKNOWN_TYPE, Refusal.TYPE_REFUSED, Refusal.TYPE_MISMATCH}


class TestTables:
    def test_every_refusal_is_an_error_that_names_it(self) -> None:
        assert CODES.keys() == set(Refusal)
        error = error_of(Refused(Refusal.TOO_LARGE, "It is too large."))
        assert (error.code, error.message, error.details) == (
            ErrorCode.TOO_LARGE,
            "It is too large.",
            {"reason": "too_large"},
        )

    def test_types_are_called_by_one_name(self) -> None:
        """Every ending means a known type; no synonym of one is used itself."""
        known = set().union(*ALLOWED.values()) | REFUSED.keys()
        assert set(ENDINGS.values()) <= known
        assert set(SYNONYMS.values()) <= known
        assert not SYNONYMS.keys() & known
        assert not REFUSED.keys() & set().union(*ALLOWED.values())
        assert set().union(*FAMILIES) <= known

    def test_every_type_has_a_kind_of_its_own(self) -> None:
        """But those that are taken only on demand."""
        for mime in ALLOWED[MediaKind.FILE]:
            assert (kind_of(mime) is None) == (mime in OPAQUE)
            assert alike(mime, mime)
        assert {kind_of(mime) for mime in DECODED} == {MediaKind.IMAGE}

    def test_parameters_and_case_of_a_declared_type_do_not_matter(self) -> None:
        assert canonical(" IMAGE/JPG ;charset=x") == "image/jpeg"
        assert canonical("") is canonical(None) is canonical("application/octet-stream") is None

    def test_sizes(self) -> None:
        """Zero is no limit; who does not know the kind yet waits with the smaller ones."""
        given = limits(5, "video=20,file=0")
        assert given == Limits(5, {MediaKind.VIDEO: 20, MediaKind.FILE: 0})
        assert size_limit(given, MediaKind.IMAGE) == 5
        assert size_limit(given, MediaKind.VIDEO) == 20
        assert size_limit(given, MediaKind.FILE) == float("inf")
        assert size_limit(given, None) == float("inf")
        assert size_limit(limits(5, "video=3"), None) == 5
        assert size_limit(limits(0, ""), MediaKind.IMAGE) == float("inf")
