"""Errors as documents show them: the table, and one example of each. Pure."""

from services.gateway.schemas.components import JSON
from shared.contracts.errors import CLOSES, ERRORS, MEANINGS, ChatError, ErrorCode

RETRY_AFTER = 1.5


def error_table() -> list[JSON]:
    """Every error code with all that follows from it."""
    return [
        {
            "code": str(code),
            "status": row.status,
            "close": row.close,
            "retryable": row.retryable,
            "meaning": MEANINGS[code],
        }
        for code, row in ERRORS.items()
    ]


def close_table() -> list[JSON]:
    """Every close code with the errors that end a connection so."""
    return [
        {
            "close": close,
            "codes": [str(code) for code, row in ERRORS.items() if row.close == close],
            "meaning": meaning,
        }
        for close, meaning in CLOSES.items()
    ]


def example_error(code: ErrorCode) -> JSON:
    """An error as callers see it."""
    retry_after = RETRY_AFTER if ERRORS[code].retryable else None
    return ChatError(code, MEANINGS[code], retry_after=retry_after).view().model_dump(mode="json")
