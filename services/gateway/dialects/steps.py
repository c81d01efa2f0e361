"""What several dialects work out from what is known. Pure."""

from collections.abc import Sequence
from typing import Any

from services.gateway.dialects.rows import Ask, At, Make, Step, look_up
from services.gateway.voices import JSON
from shared.contracts.messages import GetRoomStates
from shared.contracts.timeline import Status

EVERYTHING = 2**53
"""A `seq` past every message: to mark it as read marks all that there is."""


def attachment(known: JSON) -> JSON | None:
    """The file of a message whose sender names it by `file_url`, `file_name`, `file_size` and `mime_type`."""
    sent = known["in"]
    if not sent.get("file_url"):
        return None
    names = {"url": "file_url", "name": "file_name", "size": "file_size", "mime_type": "mime_type"}
    return {name: sent[field] for name, field in names.items() if sent.get(field) is not None}


def offset_of(known: JSON) -> int:
    """How many to pass over for `in.page` of `in.limit` each."""
    return int((known["in"]["page"] - 1) * known["in"]["limit"])


def before_live(known: JSON) -> int | None:
    """Before which message a history ends that is followed by what a socket hears of a room from now on."""
    seq = look_up(known, "state.seq")
    return None if seq is None else int(seq) + 1


def page_of(known: JSON) -> list[Any]:
    """The part of `rooms` that is `in.page`."""
    start = offset_of(known)
    return list(known["rooms"][start : start + known["in"]["limit"]])


def room_ids(known: JSON) -> list[str]:
    """The ids of the rooms of `list`."""
    return [room["id"] for room in known["list"]["rooms"]]


def by_activity(known: JSON) -> list[JSON]:
    """The rooms of `list`, each with its state of `states`, the one with the latest message first."""
    states = {state["room_id"]: state for state in known["states"]["states"]}
    rooms = [
        {**room, "state": states.get(room["id"], {}), "active": not room.get("closed", False)}
        for room in known["list"]["rooms"]
    ]
    return sorted(rooms, key=_activity, reverse=True)


def _activity(room: JSON) -> str:
    return str(look_up(room, "state.last_message.created_at") or room["created_at"])


WITH_STATES: tuple[Step, ...] = (
    Make("ids", room_ids),
    Ask(GetRoomStates, {"room_ids": At("ids")}, "states"),
    Make("rooms", by_activity),
)
"""From the rooms of `list` to `rooms`: each with its state, the one with the latest message first."""


def with_status(known: JSON) -> list[JSON]:
    """The messages of `history`, each with the `status` that all but its sender have reached, by `marks` if known."""
    marks = known["marks"]["receipts"] if "marks" in known else ()
    return [{**message, "status": _status(message, marks)} for message in known["history"]["messages"]]


def _status(message: JSON, marks: Sequence[JSON]) -> Status:
    others = [mark for mark in marks if mark["user_id"] != message["sender"]["id"]]
    if others and all(mark["read_seq"] >= message["seq"] for mark in others):
        return Status.READ
    if others and all(max(mark["delivered_seq"], mark["read_seq"]) >= message["seq"] for mark in others):
        return Status.DELIVERED
    return Status.SENT
