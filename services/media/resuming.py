"""What the headers of resumable uploads say, and what is to be answered: tus 1.0.0. Pure.

Source: https://tus.io/protocols/resumable-upload, core and the extensions creation, creation-with-upload, termination,
checksum and expiration.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import NamedTuple

from services.media.domain import Wish, kind_named
from shared.contracts.errors import ChatError, ErrorCode

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,termination,checksum,expiration"
ALGORITHMS = ("sha1", "sha256")
OFFSET_TYPE = "application/offset+octet-stream"

MAX_PIECES = 10_000
"""Requests in which the bytes of an upload may come."""

MAX_METADATA = 4096

RESUMABLE = "Tus-Resumable"
UPLOAD_LENGTH = "Upload-Length"
UPLOAD_OFFSET = "Upload-Offset"
UPLOAD_METADATA = "Upload-Metadata"
UPLOAD_CHECKSUM = "Upload-Checksum"
UPLOAD_EXPIRES = "Upload-Expires"
DEFER_LENGTH = "Upload-Defer-Length"

_NUMBER = re.compile(r"[0-9]{1,18}")
_KEY = re.compile(r"[\x21-\x2b\x2d-\x7e]+")
"""Printable ASCII without space and comma."""


class TusError(ChatError):
    """A refusal with a status that only tus knows."""

    def __init__(self, status: int, code: ErrorCode, message: str) -> None:
        super().__init__(code, message)
        self.status = status


class Checksum(NamedTuple):
    """What the bytes of a request are to hash to."""

    algorithm: str
    digest: bytes


def check_version(given: str | None) -> None:
    """Refuse another version of the protocol: 412."""
    if given != VERSION:
        said = "says nothing" if given is None else f"says '{given[:20]}'"
        raise TusError(412, ErrorCode.INVALID, f"{RESUMABLE} {said}; version {VERSION} is spoken here.")


def check_type(given: str) -> None:
    """Refuse a body that is no part of an upload: 415."""
    if given != OFFSET_TYPE:
        raise TusError(415, ErrorCode.INVALID, f"The Content-Type is '{given[:100]}'; it must be {OFFSET_TYPE}.")


def number_named(name: str, given: str | None) -> int:
    """A header that is a number of bytes. Raises ChatError `invalid`."""
    if given is None or _NUMBER.fullmatch(given) is None:
        raise ChatError(ErrorCode.INVALID, f"{name} must be a number of bytes.")
    return int(given)


def length_named(headers: Mapping[str, str]) -> int:
    """The bytes a new upload is to have. Raises ChatError `invalid`."""
    if UPLOAD_LENGTH not in headers and DEFER_LENGTH in headers:
        raise ChatError(ErrorCode.INVALID, f"{DEFER_LENGTH} is not spoken here: say {UPLOAD_LENGTH} at once.")
    return number_named(UPLOAD_LENGTH, headers.get(UPLOAD_LENGTH))


def wish_named(given: str | None, length: int) -> Wish:
    """The file of a new upload: `filename`, `filetype` and `kind` of its metadata; others are not kept.

    Raises:
        ChatError: `invalid`, where it cannot be read.
    """
    metadata = metadata_named(given)
    return Wish(
        kind=kind_named(metadata.get("kind")),
        name=metadata.get("filename"),
        declared=metadata.get("filetype"),
        length=length,
    )


def metadata_named(given: str | None) -> dict[str, str]:
    """`Upload-Metadata`: keys, each with its value in base64, if any. Raises ChatError `invalid`."""
    if not given or not given.strip():
        return {}
    if len(given) > MAX_METADATA:
        raise ChatError(ErrorCode.INVALID, f"{UPLOAD_METADATA} is longer than {MAX_METADATA} characters.")
    metadata: dict[str, str] = {}
    for item in given.split(","):
        key, _, value = item.strip().partition(" ")
        if _KEY.fullmatch(key) is None or key in metadata:
            raise ChatError(ErrorCode.INVALID, f"{UPLOAD_METADATA} has a key twice, or one that is none.")
        try:
            metadata[key] = base64.b64decode(value.strip(), validate=True).decode()
        except ValueError as error:  # binascii's, too
            raise ChatError(ErrorCode.INVALID, f"{UPLOAD_METADATA}: '{key[:50]}' is no text in base64.") from error
    return metadata


def checksum_named(given: str | None) -> Checksum | None:
    """`Upload-Checksum`: an algorithm, and a digest in base64. Raises ChatError `invalid`."""
    if given is None:
        return None
    algorithm, _, value = given.partition(" ")
    if algorithm not in ALGORITHMS:
        raise ChatError(ErrorCode.INVALID, f"{UPLOAD_CHECKSUM}: the algorithm must be one of {', '.join(ALGORITHMS)}.")
    try:
        return Checksum(algorithm, base64.b64decode(value.strip(), validate=True))
    except binascii.Error as error:
        raise ChatError(ErrorCode.INVALID, f"{UPLOAD_CHECKSUM}: the digest is not in base64.") from error


def wrong_checksum() -> TusError:
    """What has come is something else than was sent."""
    return TusError(460, ErrorCode.INVALID, "What has come is not what its checksum says: nothing of it was kept.")


def check_offset(has: int, given: int) -> None:
    """Refuse what does not go on where the upload stands: 409."""
    if given != has:
        raise ChatError(
            ErrorCode.CONFLICT, f"The upload has {has} bytes, not {given}: go on from there.", details={"offset": has}
        )


def room_left(length: int, offset: int, pieces: int, coming: int | None) -> int:
    """Bytes that may still come.

    Args:
        pieces: in how many parts the upload has come by now.
        coming: bytes a request says it brings.

    Raises:
        ChatError: `too_large` where that is more than is left, `invalid` where it would be a part too many.
    """
    left = length - offset
    if coming is not None and coming > left:
        raise ChatError(ErrorCode.TOO_LARGE, f"{left} bytes of the upload are left, not {coming}.")
    if pieces >= MAX_PIECES and left:
        raise ChatError(
            ErrorCode.INVALID, f"The upload has come in {pieces} parts, which is as many as are taken: begin anew."
        )
    return left
