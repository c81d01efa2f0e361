"""What a connection that follows a room must have been told of it: every change in order, and nothing else.

What was said comes once. What happens to a room and its members comes at least once.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from tests.integration.model_checks import LAG, shown
from tests.integration.model_company import Follower
from tests.integration.model_timeline import Timeline
from tests.integration.model_world import Room, User

JSON = dict[str, Any]

OF_MEMBERS = {"member.added", "member.removed", "member.updated"}
OF_ROOMS = {"room.created", "room.updated", "room.deleted", *OF_MEMBERS}
OF_TIMELINES = {
    "message.created",
    "message.updated",
    "message.deleted",
    "message.reacted",
    "timeline.cleared",
}


@dataclass
class Stint:
    """A time in a room: how far in what happened to it, and in its timeline, from where it was told to stand."""

    heard: int
    timeline: Timeline
    rev: int | None = None


async def check_follower(follower: Follower, user: User, room: Room) -> None:
    """Return once a user's connection has been told everything of a room. Fails where it was told anything else."""
    try:
        async with asyncio.timeout(LAG):
            while not told_all(follower.frames, user, room):
                await follower.heard()
    except (AssertionError, TimeoutError) as error:
        told = [
            (frame["type"], frame.get("rev"), frame["data"].get("version"))
            for frame in follower.frames
            if frame["room_id"] == room.id
        ]
        changes = [change[:2] for change in room.timeline.told]
        wrong = f"{user.id} was told {told} of {room.id}, where {room.told} and {changes} happened"
        raise AssertionError(wrong) from error


def told_all(frames: list[JSON], user: User, room: Room) -> bool:
    """Whether a member has been told everything, and nobody else anything. Fails where something is wrong."""
    lives = iter([*room.past, room.timeline])
    stint: Stint | None = None
    timeline = room.timeline
    heard: set[tuple[int, str, str | None]] = set()
    for frame in (frame for frame in frames if frame["room_id"] == room.id):
        kind, data = frame["type"], frame["data"]
        if kind in OF_ROOMS:
            happened = (data["version"], kind, _whom(kind, data))
            if happened in heard:  # of rooms a frame may repeat what is known
                continue
            heard.add(happened)
            mine = happened[2] == user.id
            if stint is None:
                assert kind == "room.created" or (kind == "member.added" and mine), frame
                timeline = next(lives) if kind == "room.created" else timeline
                stint = Stint(room.told.index(happened), timeline)
            else:
                stint.heard += 1
                assert room.told[stint.heard : stint.heard + 1] == [happened]
            if kind == "room.deleted" or (kind == "member.removed" and mine):
                stint = None
        elif kind == "room.subscribed":
            assert stint is not None, frame
            assert stint.rev is None, frame
            stint.rev = data["rev"]
        elif kind == "room.reset":  # what was there before the room was made again is gone only now
            assert stint is not None, frame
            assert room.past, frame
            stint.rev = data["rev"]
        elif kind in OF_TIMELINES:
            assert stint is not None, frame
            assert stint.rev is not None, frame
            stint.rev += 1
            assert (frame["rev"], kind, _of_timeline(kind, data)) == stint.timeline.told[stint.rev - 1]
    if user.tenant != room.tenant or user.id not in room.members:
        return stint is None
    return stint is not None and stint.heard == len(room.told) - 1 and stint.rev == room.timeline.rev


def _whom(kind: str, data: JSON) -> str | None:
    if kind not in OF_MEMBERS:
        return None
    user_id: str = data["user_id"] if kind == "member.removed" else data["member"]["user_id"]
    return user_id


def _of_timeline(kind: str, data: JSON) -> Any:
    return data["seq"] if kind == "timeline.cleared" else shown(data)
