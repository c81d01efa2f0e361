"""Who may do what with a room's timeline, as the permission table says of a room's access. Pure."""

from shared.contracts.envelope import Actor
from shared.contracts.membership import Action, RoomAccess
from shared.permissions import NO_DENIALS, Denial, allowed

_MUTED = frozenset({Denial.MUTED})
_CLOSED = frozenset({Denial.CLOSED})

_REASONS = {
    Denial.CLOSED: "This room is closed.",
    Denial.MUTED: "You are muted in this room.",
}


def denials(access: RoomAccess, user_id: str) -> frozenset[Denial]:
    """What holds against a user in a room."""
    return (_CLOSED if access.closed else NO_DENIALS) | (_MUTED if user_id in access.muted else NO_DENIALS)


def may(action: Action, access: RoomAccess, actor: Actor) -> bool:
    """Whether the actor, of the room's tenant, may do `action` in it."""
    denied = denials(access, actor.id) if access.closed or access.muted else NO_DENIALS
    return allowed(action, access.type, access.members.get(actor.id), actor.roles, denied)


def refusal(action: Action, access: RoomAccess, actor: Actor) -> str:
    """What to tell who may not."""
    if allowed(action, access.type, access.members.get(actor.id), actor.roles):
        return " ".join(_REASONS[denial] for denial in sorted(denials(access, actor.id)))
    return f"You may not {action.value.replace('_', ' ')} in this room."
