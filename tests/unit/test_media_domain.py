"""What senders say of their files: read as it is meant, or refused; nothing raises anything else."""

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.media import resuming
from services.media.domain import LONGEST_WAIT, digest_named, in_words, kind_named, sha256_named, wait_preferred
from services.media.resuming import TusError
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.media_terms import MediaKind

DIGEST = hashlib.sha256(b"x").digest()
IN_BASE64 = base64.b64encode(DIGEST).decode()


# ── one go ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([], None),
        (["wait=20"], 20),
        (["respond-async, wait=20"], 20),
        (["handling=lenient", 'wait = "5"'], 5),
        (["wait=20; foo=bar"], 20),
        (["wait=100000"], LONGEST_WAIT),
        (["wait=0"], 0),
        (["wait"], None),
        (["wait=-1"], None),
        (["waiting=3"], None),
    ],
)
def test_how_long_a_client_would_wait(headers: list[str], seconds: float | None) -> None:
    """By any of the headers `Prefer`; what cannot be read is no preference."""
    assert wait_preferred(headers) == seconds


@pytest.mark.parametrize(
    "header",
    [
        f"sha-256=:{IN_BASE64}:",
        f" sha-256 = :{IN_BASE64}: ",
        f"sha-512=:AAAA:, sha-256=:{IN_BASE64}:",
        f"sha-256=:{IN_BASE64}:, md5=:AAAA:",
    ],
)
def test_a_digest_is_found(header: str) -> None:
    """Among others."""
    assert digest_named(header) == DIGEST.hex()


@pytest.mark.parametrize("header", [None, "", "md5=:AAAA:", "sha-512=:AAAA:"])
def test_other_digests_are_not_looked_at(header: str | None) -> None:
    """As RFC 9530 has it."""
    assert digest_named(header) is None


@pytest.mark.parametrize("header", ["sha-256=:AAAA:", "sha-256=AAAA", "sha-256=:A:", "sha-256", "SHA-256=x"])
def test_a_digest_that_is_none_is_refused(header: str) -> None:
    """Rather than not checked."""
    with pytest.raises(ChatError, match="Content-Digest"):
        digest_named(header)


def refusal(read: Callable[[str], Any], text: str) -> ChatError | None:
    """How something is refused, if it is; nothing else may be raised."""
    try:
        read(text)
    except ChatError as error:
        return error
    return None


@given(st.text(max_size=200))
@example("sha-256=:" + "=" * 44 + ":")
def test_any_digest_is_read_or_refused(header: str) -> None:
    """Whatever is sent."""
    refused = refusal(digest_named, header)
    assert refused.code is ErrorCode.INVALID if refused is not None else len(digest_named(header) or DIGEST.hex()) == 64


@given(st.text(max_size=80))
def test_any_parameter_is_read_or_refused(text: str) -> None:
    """Kinds and checksums."""
    for read in (kind_named, sha256_named):
        refused = refusal(read, text)
        assert refused is None or refused.code is ErrorCode.INVALID


def test_parameters_that_are_right() -> None:
    """Empty ones are as good as none: forms have them."""
    assert (kind_named(""), kind_named(None), kind_named("video")) == (None, None, MediaKind.VIDEO)
    assert (sha256_named(""), sha256_named("A" * 64)) == (None, "a" * 64)


def test_sizes_in_words() -> None:
    """For people."""
    assert [in_words(size) for size in (1, 1023, 1024, 5_242_880, 3 * 2**30)] == [
        "1 bytes", "1023 bytes", "1 KiB", "5 MiB", "3 GiB",
    ]  # fmt: skip


# ── in parts ─────────────────────────────────────────────────────────────────────────────────────────────────────────

KEYS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=","), min_size=1, max_size=20)


@given(st.dictionaries(KEYS, st.text(max_size=30), max_size=8), st.sampled_from([",", ", ", " , "]))
def test_metadata_is_what_was_meant(metadata: dict[str, str], separator: str) -> None:
    """Values of any text, empty ones included."""
    header = separator.join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in metadata.items())
    assert resuming.metadata_named(header) == metadata


def test_a_key_needs_no_value() -> None:
    """As the protocol has it."""
    assert resuming.metadata_named("is_confidential,filename YQ==") == {"is_confidential": "", "filename": "a"}


@given(st.text(max_size=100))
@example("filename /w==")
@example("a ,a ")
@example("," * 5000)
def test_any_headers_are_read_or_refused(text: str) -> None:
    """None ends in an error of its own."""
    for read in (
        resuming.metadata_named,
        resuming.checksum_named,
        resuming.check_version,
        resuming.check_type,
        lambda given: resuming.number_named("Upload-Offset", given),
        lambda given: resuming.length_named({"Upload-Length": given}),
        lambda given: resuming.wish_named(given, 1),
    ):
        refused = refusal(read, text)
        assert refused is None or refused.code is ErrorCode.INVALID
        assert not isinstance(refused, TusError) or refused.status in {412, 415}


@pytest.mark.parametrize("given", [None, "", "-1", "+1", "1.0", "1_000", "1e3", " 1", "٣", "9" * 19])
def test_what_is_no_number_of_bytes(given: str | None) -> None:
    """However much it looks like one."""
    with pytest.raises(ChatError, match="Upload-Offset"):
        resuming.number_named("Upload-Offset", given)


@given(st.integers(0, 2**40), st.integers(0, 2**40), st.integers(0, resuming.MAX_PIECES - 1))
def test_what_is_left_may_come(offset: int, left: int, pieces: int) -> None:
    """And not a byte more."""
    length = offset + left
    assert resuming.room_left(length, offset, pieces, left) == left
    assert resuming.room_left(length, offset, pieces, None) == left
    with pytest.raises(ChatError) as refused:
        resuming.room_left(length, offset, pieces, left + 1)
    assert refused.value.code is ErrorCode.TOO_LARGE


def test_an_upload_has_so_many_parts() -> None:
    """All of which are written down in one document."""
    with pytest.raises(ChatError, match="10000 parts"):
        resuming.room_left(100, 50, resuming.MAX_PIECES, 1)
    assert resuming.room_left(100, 100, resuming.MAX_PIECES, 0) == 0


def test_where_an_upload_stands_is_told_with_the_refusal() -> None:
    """So that a client can go on from there."""
    with pytest.raises(ChatError) as refused:
        resuming.check_offset(10, 7)
    assert (refused.value.code, refused.value.details) == (ErrorCode.CONFLICT, {"offset": 10})
