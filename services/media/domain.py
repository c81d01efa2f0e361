"""What the sender of a file says about it, and what is taken: limits and decisions. Pure."""

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass

from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.media_terms import MediaKind

LONGEST_WAIT = 60.0
"""Seconds for which `Prefer: wait` is granted."""

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_WAIT = re.compile(r"wait\s*=\s*\"?([0-9]{1,9})\"?")
_DIGEST = re.compile(r"sha-256\s*=\s*:([A-Za-z0-9+/=]*):")


@dataclass(frozen=True, slots=True)
class Wish:
    """A file as its sender describes it; all of it may be wrong."""

    kind: MediaKind | None = None
    name: str | None = None
    declared: str | None = None
    """Its media type."""
    sha256: str | None = None
    """In lower-case hex."""
    length: int | None = None
    """In bytes."""


def kind_named(text: str | None) -> MediaKind | None:
    """A kind by its name; None where none is named. Raises ChatError `invalid`."""
    if not text:
        return None
    try:
        return MediaKind(text)
    except ValueError as error:
        known = ", ".join(MediaKind)
        raise ChatError(ErrorCode.INVALID, f"The kind must be one of {known}.", details=list(MediaKind)) from error


def sha256_named(text: str | None) -> str | None:
    """A checksum in hex; None where none is given. Raises ChatError `invalid`."""
    if not text:
        return None
    if _SHA256.fullmatch(text) is None:
        raise ChatError(ErrorCode.INVALID, "'sha256' must be 64 hex digits.")
    return text.lower()


def digest_named(header: str | None) -> str | None:
    """The SHA-256 that `Content-Digest` gives (RFC 9530 section 2), in hex; other algorithms are not looked at.

    Raises:
        ChatError: `invalid`, where it is none.
    """
    found = None if header is None else next((_DIGEST.match(item.strip()) for item in _members(header)), None)
    if header is None or (found is None and "sha-256" not in header.lower()):
        return None
    try:
        digest = base64.b64decode(found[1], validate=True) if found is not None else b""
    except binascii.Error:
        digest = b""
    if len(digest) != 32:
        raise ChatError(ErrorCode.INVALID, "Content-Digest must be `sha-256=:…:`, 32 bytes in base64 (RFC 9530).")
    return digest.hex()


def _members(header: str) -> list[str]:
    """The members of a dictionary of byte sequences (RFC 8941), that of SHA-256 first."""
    return sorted(header.split(","), key=lambda item: not item.strip().startswith("sha-256"))


def wait_preferred(preferences: Iterable[str]) -> float | None:
    """Seconds a client would wait for a file to be ready (RFC 7240 section 4.3); None where it would not."""
    for header in preferences:
        for item in header.split(","):
            found = _WAIT.fullmatch(item.partition(";")[0].strip())
            if found is not None:
                return min(float(found[1]), LONGEST_WAIT)
    return None


def in_words(size: float) -> str:
    """A number of bytes for people."""
    for unit, step in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= step:
            return f"{size / step:.4g} {unit}"
    return f"{size:.0f} bytes"
