"""What is read of containers and headers before a decoder may: no bytes break it, and no cut passes."""

from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.media.processing.containers import check_complete
from services.media.processing.documents import check
from services.media.processing.headers import gif_frames, webp_size
from services.media.refusals import Refused
from shared.contracts.media_terms import Refusal
from tests.harness.badfiles import gif_of_frames, webp_of
from tests.harness.files import VALID, animated, webp
from tests.harness.films import voice

TOLD = [name for name in VALID if name.endswith((".mp4", ".mov", ".m4a", ".webm", ".ogg", ".wav"))]
LOOKED_AT = [name for name, (mime, _) in VALID.items() if not mime.startswith("image/")]


def looked_at(data: bytes, mime: str) -> Refusal | None:
    """What comes of looking at a file's structure: the refusal, if any."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "upload"
        path.write_bytes(data)
        try:
            check_complete(path, mime)
            check(path, mime)
        except Refused as refused:
            return refused.reason
        return None


@pytest.mark.parametrize("name", TOLD)
@pytest.mark.parametrize("missing", [1, 2, 100, 1000])
def test_nothing_may_be_missing(name: str, missing: int) -> None:
    """Not even the last byte. What comes behind the end does no harm."""
    mime, data = VALID[name]
    assert looked_at(data, mime) is None
    assert looked_at(data[:-missing], mime) is Refusal.DAMAGED
    assert looked_at(data + bytes(3), mime) is None


def test_of_what_does_not_know_its_end_anything_may_be_missing() -> None:
    assert looked_at(voice()[:-100], "audio/webm") is None


@given(st.sampled_from(LOOKED_AT), st.integers(0, 3000), st.binary(max_size=40), st.integers(0, 40))
def test_whatever_stands_there(name: str, at: int, instead: bytes, removed: int) -> None:
    """It is in order, or refused for good; nothing else happens."""
    mime, data = VALID[name]
    changed = data[:at] + instead + data[at + removed :]
    assert looked_at(changed, mime) in {None, Refusal.DAMAGED, Refusal.TYPE_MISMATCH}


@given(st.sampled_from(LOOKED_AT), st.binary(max_size=200))
def test_noise(name: str, data: bytes) -> None:
    assert looked_at(data, VALID[name][0]) in {None, Refusal.DAMAGED, Refusal.TYPE_MISMATCH}


class TestHeaders:
    @pytest.mark.parametrize(("count", "counted"), [(1, 1), (7, 7), (50, 50), (51, 51), (52, 51), (9000, 51)])
    def test_frames_are_counted_up_to_a_limit(self, count: int, counted: int) -> None:
        assert gif_frames(BytesIO(gif_of_frames(count)), 50) == counted

    def test_frames_of_a_real_film(self) -> None:
        assert gif_frames(BytesIO(animated("GIF", 5)), 50) == 5

    @pytest.mark.parametrize(
        ("data", "size"),
        [(webp(33, 77), (33, 77)), (webp(33, 77, lossless=True), (33, 77)), (webp_of(60_000, 9), (60_000, 9)),
         (animated("WEBP"), (120, 90))],
    )  # fmt: skip
    def test_sizes(self, data: bytes, size: tuple[int, int]) -> None:
        assert webp_size(data[:30]) == size

    @given(st.binary(max_size=60), st.sampled_from([b"", b"GIF89a", b"RIFF1234WEBPVP8X", b"RIFF1234WEBPVP8 "]))
    def test_noise(self, data: bytes, start: bytes) -> None:
        """Is a size and a number, or damaged."""
        reasons = set()
        try:
            assert 0 <= gif_frames(BytesIO(start + data), 5) <= 6
        except Refused as refused:
            reasons.add(refused.reason)
        try:
            assert 0 <= max(webp_size((start + data)[:30])) <= 1 << 24
        except Refused as refused:
            reasons.add(refused.reason)
        assert reasons <= {Refusal.DAMAGED}
