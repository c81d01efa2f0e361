"""What was written in rooms that somebody has just come into, before they followed them.

For clients that cannot ask for it by `rev` (`Voice.syncs`); others are told where the room stands, and ask.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from services.gateway.connection import Connection
from shared.bus.requests import Requests
from shared.contracts.errors import ChatError
from shared.contracts.messages import GetHistory, MessageCreated
from shared.contracts.timeline import RoomStateView

EVER = datetime.min.replace(tzinfo=UTC)
"""Since when a room that has just been made has news."""

MAX_NEWS = 200
"""Messages of one room that are told so; the latest count."""


async def news(
    requests: Requests, connection: Connection, states: Mapping[str, RoomStateView], since: datetime | None
) -> list[bytes]:
    """What a connection is told of what its rooms' states count and was written `since` it may read them.

    Raises:
        ChatError: where it cannot be looked up now; a room that may not be read any more has no news.
    """
    told: list[bytes] = []
    if since is None or connection.voice.syncs:
        return told
    for room_id, state in states.items():
        last, feed = state.last_message, connection.feeds.get(room_id)
        if last is None or last.created_at < since or feed is None:
            continue
        try:
            query = GetHistory(room_id=room_id, limit=MAX_NEWS)
            page = await requests.ask(query, connection.actor, connection.user[0])
        except ChatError as error:
            if error.row.retryable:
                raise
            continue
        for message in page["messages"]:
            if message["seq"] <= state.seq and datetime.fromisoformat(message["created_at"]) >= since:
                about, seq, rev = feed.about, message["seq"], message["rev"]
                told.append(connection.voice.timeline(MessageCreated.TYPE, about, seq, rev, message))
    return told
