"""What an event says to who caused it, where it is the answer (shared.contracts.envelope: `echo` and `cause`). Pure."""

from collections.abc import Callable
from typing import Any

from shared.contracts.messages import (
    MessageCreated,
    MessageDeleted,
    MessageReacted,
    MessageUpdated,
    TimelineCleared,
)

JSON = dict[str, Any]


def _sent(data: JSON) -> JSON:
    """A SentView."""
    message = data["message"]
    return {
        "message_id": message["id"],
        "seq": message["seq"],
        "rev": message["rev"],
        "created_at": message["created_at"],
        "duplicate": False,
    }


def _changed(data: JSON) -> JSON:
    """A ChangedView."""
    message = data["message"]
    return {"message_id": message["id"], "rev": message["rev"], "changed": True}


def _cleared(data: JSON) -> JSON:
    """A ClearedView."""
    return {"room_id": data["room_id"], "seq": data["seq"], "rev": data["rev"], "changed": True}


ANSWERS: dict[str, Callable[[JSON], JSON]] = {
    MessageCreated.TYPE: _sent,
    MessageUpdated.TYPE: _changed,
    MessageDeleted.TYPE: _changed,
    MessageReacted.TYPE: _changed,
    TimelineCleared.TYPE: _cleared,
}
"""By event: the result of the command, as JSON, from the event's data. Raise KeyError or TypeError for other data."""
