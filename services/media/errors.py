"""The error that says why a file is not taken. Pure."""

from services.media.refusals import Refused
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.media_terms import Refusal

CODES: dict[Refusal, ErrorCode] = {
    Refusal.EMPTY: ErrorCode.INVALID,
    Refusal.TOO_LARGE: ErrorCode.TOO_LARGE,
    Refusal.UNKNOWN_TYPE: ErrorCode.INVALID,
    Refusal.TYPE_REFUSED: ErrorCode.INVALID,
    Refusal.TYPE_MISMATCH: ErrorCode.INVALID,
    Refusal.DAMAGED: ErrorCode.INVALID,
    Refusal.DIMENSIONS: ErrorCode.INVALID,
    Refusal.CHECKSUM: ErrorCode.INVALID,
    Refusal.INFECTED: ErrorCode.INVALID,
    Refusal.UNPROCESSABLE: ErrorCode.INVALID,
    Refusal.UPLOADS_AT_ONCE: ErrorCode.RATE_LIMITED,
    Refusal.DAILY_LIMIT: ErrorCode.RATE_LIMITED,
    Refusal.QUOTA: ErrorCode.CONFLICT,
}
"""The error that each refusal is (docs/media.md)."""


def error_of(refused: Refused) -> ChatError:
    """The error that tells a caller of a refusal, with its reason as `details.reason`."""
    return ChatError(CODES[refused.reason], refused.message, details={"reason": refused.reason.value})
