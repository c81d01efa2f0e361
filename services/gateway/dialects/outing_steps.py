"""What the outing dialect works out from what is known. Pure."""

import re
from typing import Any

from services.gateway.dialects.rows import look_up
from services.gateway.dialects.steps import offset_of
from services.gateway.voices import JSON
from shared.contracts.content import MessageType
from shared.contracts.errors import ChatError, ErrorCode
from shared.ids import external_room_id

SORTIE = "sortie"
LATEST = 50
"""Messages that somebody who joins a chat is shown."""

_MESSAGE_ID = re.compile(r"[0-9a-f]{24}")

_FILE = {
    "url": "media_url",
    "thumbnail_url": "thumbnail_url",
    "duration": "media_duration",
    "size": "file_size",
    "name": "file_name",
    "mime_type": "mime_type",
}


def room_id(known: JSON) -> str:
    """The chat that is meant: the outing's, the one named, or the one the socket has joined last.

    Raises:
        ChatError: `invalid`, where it is none of these.
    """
    if outing := known["in"].get("sortie_id"):
        return external_room_id(known["me"].get("tenant", "default"), SORTIE, outing)
    if chat := known["in"].get("chat_id") or look_up(known, "here.room_id"):
        return str(chat)
    raise ChatError(ErrorCode.INVALID, "Name the chat by 'sortieId' or 'chatId', or join one first.")


def still(known: JSON) -> str | None:
    """The chat the socket has joined last, unless it has just left that one."""
    chat = look_up(known, "here.room_id")
    return None if chat == known["room_id"] else chat


def attachment(known: JSON) -> JSON | None:
    """The file of a message."""
    sent = known["in"]
    if "media_url" not in sent:
        return None
    return {name: sent[field] for name, field in _FILE.items() if field in sent}


def own(known: JSON) -> None:
    """Raise ChatError `forbidden` where the message is somebody else's: this API lets nobody delete those."""
    if known["message"]["sender"]["id"] != known["me"]["id"]:
        raise ChatError(ErrorCode.FORBIDDEN, "Only its sender may delete a message.")


# ── pages ────────────────────────────────────────────────────────────────────────────────────────────────────────


def latest(known: JSON) -> JSON:
    """The page that ends where the socket begins to hear of the chat."""
    return {"before": known["state"]["seq"] + 1, "limit": LATEST}


def before_message(known: JSON) -> bool:
    """Whether a page is to end before a message; else before a time, or it is counted."""
    return bool(_MESSAGE_ID.fullmatch(known["in"].get("before", "")))


def start(known: JSON) -> JSON:
    """Where a page begins, as `history.get` has it. Raises ChatError where its cursor belongs to another chat."""
    if cursor := known.get("cursor"):
        if cursor["room_id"] != known["room"]["id"]:
            raise ChatError(ErrorCode.INVALID, "'before' is a message of another chat.")
        return {"before": cursor["seq"]}
    if "before" in known["in"]:
        return {"before_time": known["in"]["before"]}
    return {"offset": offset_of(known)}


def pages(known: JSON) -> int:
    """How many pages there are."""
    return -(-int(known["history"]["total"]) // int(known["in"]["limit"]))


def next_cursor(known: JSON) -> str | None:
    """What to say as `before` for the next page."""
    history = known["history"]
    return str(history["messages"][0]["id"]) if history["has_before"] and history["messages"] else None


# ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────────


def with_readers(known: JSON) -> list[JSON]:
    """The messages of `list`, each with its room and who has read it."""
    marks = [(mark["user_id"], mark["read_seq"]) for mark in known["receipts"]["receipts"]]
    return [
        {**message, "room": known["room"], "read_by": [user for user, seq in marks if seq >= message["seq"]]}
        for message in known["list"]
    ]


def chats(known: JSON) -> list[JSON]:
    """Those of `rooms` that are outings', as they are shown in a list."""
    return [_chat(room, known["me"]["id"]) for room in known["rooms"] if look_up(room, "external.kind") == SORTIE]


def _chat(room: JSON, me: str) -> JSON:
    state: JSON = room["state"]
    if last := state.get("last_message"):
        readers = {last["sender"]["id"]: None} | ({me: None} if state["read_seq"] >= last["seq"] else {})
        state = {**state, "last_message": {**last, "room": room, "read_by": list(readers)}}
    members: list[Any] = room.get("members", [])
    return {**room, "state": state, "member_ids": [member["user_id"] for member in members]}


def found(known: JSON) -> list[JSON]:
    """`rooms`, of which there is one. Raises ChatError where the room that was asked for is no outing's."""
    if not known["rooms"]:
        raise ChatError(ErrorCode.NOT_FOUND, f"There is no chat '{known['room']['id']}'.")
    return list(known["rooms"])


def is_system(message: JSON) -> bool:
    """Whether a message is the system's."""
    return bool(message["type"] == MessageType.SYSTEM)


def newly_read(receipt: JSON) -> range:
    """The latest of the messages that somebody has read since the last word of it."""
    last = receipt["read_seq"]
    return range(max(receipt.get("read_from", last + 1), last + 1 - LATEST), last + 1)
