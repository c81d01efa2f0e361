"""Every error a caller can get: one enum, one table, one exception, one wire shape (protocol: docs/protocol.md)."""

from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import ValidationError

from shared.contracts.base import View


class ErrorCode(StrEnum):
    """What went wrong, in one word a program can switch on."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    INTERNAL = "internal"


class CloseCode:
    """WebSocket close codes (RFC 6455 section 7.4; 4000-4999 are the application's)."""

    RESTART = 1012
    PROTOCOL = 4400
    UNAUTHENTICATED = 4401
    FORBIDDEN = 4403
    SLOW_CONSUMER = 4408
    TOO_MANY = 4429


CLOSES: dict[int, str] = {
    CloseCode.RESTART: "The server restarts or cannot go on: reconnect, after a random pause.",
    CloseCode.PROTOCOL: "The peer does not speak this protocol.",
    CloseCode.UNAUTHENTICATED: "The token is missing, not valid or expired: get a new one.",
    CloseCode.FORBIDDEN: "The connection is not allowed from this origin or to this tenant.",
    CloseCode.SLOW_CONSUMER: "The peer reads too slowly: reconnect and resume from the last `rev`.",
    CloseCode.TOO_MANY: "Too many connections, or too many of them in a short time: wait, then reconnect.",
}
"""What each close code says to the client."""


class ErrorRow(NamedTuple):
    """How one error code appears: HTTP status, close code where it ends a connection, whether a retry can help."""

    status: int
    close: int
    retryable: bool


ERRORS: dict[ErrorCode, ErrorRow] = {
    ErrorCode.INVALID: ErrorRow(400, CloseCode.PROTOCOL, retryable=False),
    ErrorCode.UNAUTHENTICATED: ErrorRow(401, CloseCode.UNAUTHENTICATED, retryable=False),
    ErrorCode.FORBIDDEN: ErrorRow(403, CloseCode.FORBIDDEN, retryable=False),
    ErrorCode.NOT_FOUND: ErrorRow(404, CloseCode.PROTOCOL, retryable=False),
    ErrorCode.CONFLICT: ErrorRow(409, CloseCode.PROTOCOL, retryable=False),
    ErrorCode.TOO_LARGE: ErrorRow(413, CloseCode.PROTOCOL, retryable=False),
    ErrorCode.RATE_LIMITED: ErrorRow(429, CloseCode.TOO_MANY, retryable=True),
    ErrorCode.OVERLOADED: ErrorRow(503, CloseCode.TOO_MANY, retryable=True),
    ErrorCode.UNAVAILABLE: ErrorRow(503, CloseCode.RESTART, retryable=True),
    ErrorCode.TIMEOUT: ErrorRow(504, CloseCode.RESTART, retryable=True),
    ErrorCode.INTERNAL: ErrorRow(500, CloseCode.RESTART, retryable=False),
}

MEANINGS: dict[ErrorCode, str] = {
    ErrorCode.INVALID: "The request is malformed; the details name each wrong field.",
    ErrorCode.UNAUTHENTICATED: "There is no token, or it is not valid or expired.",
    ErrorCode.FORBIDDEN: "The caller may not do this.",
    ErrorCode.NOT_FOUND: "It does not exist, or not for this caller.",
    ErrorCode.CONFLICT: "It does not go together with how things stand, e.g. one `client_id` for two messages.",
    ErrorCode.TOO_LARGE: "A message, frame or body is over its limit.",
    ErrorCode.RATE_LIMITED: "Too many in a short time: wait `retry_after` seconds.",
    ErrorCode.OVERLOADED: "Too much waits already: wait `retry_after` seconds.",
    ErrorCode.UNAVAILABLE: "Something needed for this is away: try again.",
    ErrorCode.TIMEOUT: "No answer in time. It may still take effect: retry with the same `client_id`.",
    ErrorCode.INTERNAL: "Something went wrong here; the details hold an id that finds it in the logs.",
}
"""What each error code says to the caller."""


class ErrorView(View):
    """An error as callers see it."""

    code: ErrorCode
    message: str
    retryable: bool
    retry_after: float | None = None
    """Seconds after which a retry makes sense."""
    details: Any = None


class ChatError(Exception):
    """An expected failure of a command, query or connection, raised anywhere and answered once at the edge.

    Args:
        code: the row of ERRORS.
        message: what was wrong, where, and what to do; shown to the caller.
        details: machine-readable particulars (JSON), e.g. the fields that failed validation.
        retry_after: seconds after which a retry makes sense.
    """

    def __init__(self, code: ErrorCode, message: str, *, details: Any = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
        self.retry_after = retry_after

    @property
    def row(self) -> ErrorRow:
        """Status, close code and retryability of this error."""
        return ERRORS[self.code]

    def view(self) -> ErrorView:
        """The wire shape."""
        return ErrorView(
            code=self.code,
            message=self.message,
            retryable=self.row.retryable,
            retry_after=self.retry_after,
            details=self.details,
        )

    @classmethod
    def from_view(cls, view: ErrorView) -> "ChatError":
        """The exception that `view()` of another process described."""
        return cls(view.code, view.message, details=view.details, retry_after=view.retry_after)


def invalid(error: ValidationError, what: str) -> ChatError:
    """Turn a pydantic error about `what` (e.g. "message.send") into one that names each wrong field."""
    details = [
        {"field": ".".join(str(part) for part in item["loc"]), "problem": item["msg"]}
        for item in error.errors(include_url=False, include_context=False, include_input=False)[:10]
    ]
    first = details[0]
    where = f" in field '{first['field']}'" if first["field"] else ""
    return ChatError(ErrorCode.INVALID, f"{what} is malformed{where}: {first['problem']}.", details=details)
