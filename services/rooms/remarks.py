"""What a room says by itself: the system messages that go with its changes. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from services.rooms.domain import Change, Room
from shared.contracts.people import UserView
from shared.permissions import POLICIES

NAMED = 3
"""People a remark names; the others it counts."""

UNNAMED = "the conversation"


class Remark(NamedTuple):
    """A system message. `metadata` says the same for those who word it themselves."""

    content: str
    metadata: dict[str, Any]


def remarks(before: Room | None, change: Change, people: Mapping[str, UserView]) -> list[Remark]:
    """What is said about a change, by the policy of the room's type.

    Args:
        before: the room as it was; None, or a tombstone, where it has just been made.
        people: the directory's entries of those who are to be named (`concerned`).
    """
    room = change.room
    if room is None or room.deleted_at is not None:
        return []
    policy = POLICIES[room.type]
    if before is None or before.deleted_at is not None:
        if policy.welcome is None:
            return []
        welcome = policy.welcome.format(name=room.name or UNNAMED)
        return [Remark(welcome, {"event": "room.created"})]
    if not policy.announces:
        return []
    said = []
    if joined := [member.user_id for member in change.joined]:
        said.append(Remark(f"{_names(joined, people)} joined", {"event": "member.added", "user_ids": joined[:NAMED]}))
    if left := list(change.left):
        said.append(Remark(f"{_names(left, people)} left", {"event": "member.removed", "user_ids": left[:NAMED]}))
    if room.closed is not before.closed:
        over = "The conversation is over" if room.closed else "The conversation goes on"
        said.append(Remark(over, {"event": "room.updated", "closed": room.closed}))
    return said


def concerned(change: Change) -> list[str]:
    """Whom the remarks about a change may name."""
    return [*[member.user_id for member in change.joined[:NAMED]], *change.left[:NAMED]]


def _names(user_ids: Sequence[str], people: Mapping[str, UserView]) -> str:
    names = [_name(user_id, people.get(user_id)) for user_id in user_ids[:NAMED]]
    if (others := len(user_ids) - NAMED) > 0:
        names.append("1 other" if others == 1 else f"{others} others")
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _name(user_id: str, person: UserView | None) -> str:
    if person is None:
        return user_id
    return person.name or " ".join(filter(None, (person.first_name, person.last_name))) or user_id
