"""Somebody at a room, looked up outside of a command: what questions about a room begin with."""

from services.rooms.domain import Visit
from services.rooms.repository import Repository
from shared.contracts.envelope import Actor


async def visit(repository: Repository, actor: Actor, room_id: str) -> Visit:
    """The room, where it is of the actor's tenant, and the actor's membership."""
    room = await repository.room(actor.tenant, room_id)
    members = {} if room is None else await repository.members(room_id, [actor.id])
    return Visit(room_id=room_id, room=room, actor=actor, caller=members.get(actor.id))
