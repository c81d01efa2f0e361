"""Asking the rooms service who may enter where, for what shared.access remembers; and hearing when that has changed."""

from shared.access import AccessCache
from shared.bus.codec import JSON, encode_actor
from shared.bus.requests import Requests
from shared.contracts.envelope import Actor
from shared.contracts.membership import RoomAccess
from shared.contracts.rooms import MAX_LOOKED_UP, GetAccess


async def ask_access(requests: Requests, service: Actor, room_ids: list[str]) -> list[RoomAccess]:
    """Ask as a service who may enter, in as many questions as it takes. Raises ChatError."""
    actor = encode_actor(service)
    found: list[RoomAccess] = []
    for start in range(0, len(room_ids), MAX_LOOKED_UP):
        question = GetAccess(room_ids=room_ids[start : start + MAX_LOOKED_UP])
        result = await requests.ask(question, actor, service.tenant)
        found += (RoomAccess.model_validate(room) for room in result["rooms"])
    return found


def forget_changed(access: AccessCache, envelope: JSON) -> None:
    """Let an event about a room or its members invalidate what is remembered of it."""
    if envelope["type"].startswith(("room.", "member.")):
        access.invalidate(envelope["subject"])
