"""What is known of an error when it is put into a dialect's words: where its shapes find their fields. Pure."""

from services.gateway.voices import JSON
from shared.contracts.errors import ERRORS

MAX_NAME = 100
"""Characters of an event's name that are told back."""


def of_event(error: JSON, event: str, now: str) -> JSON:
    """Of an error (`ErrorView` as JSON) in answer to an event."""
    return {"error": error, "event": event[:MAX_NAME], "status": ERRORS[error["code"]].status, "now": now}


def of_request(error: JSON, path: str, now: str) -> JSON:
    """Of an error in answer to a request."""
    return {"error": error, "path": path, "status": ERRORS[error["code"]].status, "now": now}
