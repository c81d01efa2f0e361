"""When marks that have moved are told, and to whom: per room and second where everybody has got to. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from services.messages.marks import receipt
from services.messages.state import Marks, Moved
from shared.contracts.membership import RoomAccess
from shared.contracts.messages import ReceiptsUpdated
from shared.contracts.timeline import ReceiptView

PACE = 1.0
"""Seconds between two events of a room."""

MAX_WAITING = 50_000
"""Members of whom something may wait to be told; what comes on top is not told, but can be asked for."""

MAX_AT_ONCE = 1_000
"""Members told of in one go: more of them in one write would be felt by the messages beside it."""

MAX_IN_EVENT = 500

Key = tuple[str, str]
"""(room id, user id)."""


class Change(NamedTuple):
    """What has happened to a member's marks since it was last told."""

    moved: Moved = Moved()
    reported: int = 0

    def also(self, other: "Change") -> "Change":
        """Both of two."""
        return Change(self.moved.also(other.moved), max(self.reported, other.reported))


class Pace:
    """What waits to be told, and which room's turn it is. Pure: time arrives as an argument, in seconds."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[str, Change]] = {}
        self._told: dict[str, float] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def note(self, key: Key, change: Change) -> bool:
        """Something has changed; False where too much waits for it to be taken in."""
        room_id, user_id = key
        before = self._waiting.get(room_id, {}).get(user_id)
        if before is None:
            if self._count >= MAX_WAITING:
                return False
            self._count += 1
        self._waiting.setdefault(room_id, {})[user_id] = change if before is None else before.also(change)
        return True

    def due(self, now: float, at_most: int = MAX_AT_ONCE) -> dict[Key, Change]:
        """Take what may be told: of rooms of which nothing was told within `PACE`.

        Args:
            at_most: members after which no further room is taken.
        """
        while self._told and next(iter(self._told.values())) <= now - PACE:  # the oldest stand first
            del self._told[next(iter(self._told))]
        taken: dict[Key, Change] = {}
        for room_id in [room_id for room_id in self._waiting if room_id not in self._told]:
            if len(taken) >= at_most:
                break
            taken |= self._take(room_id)
            self._told[room_id] = now
        return taken

    def everything(self) -> dict[Key, Change]:
        """Take all that waits, due or not."""
        return {key: change for room_id in list(self._waiting) for key, change in self._take(room_id).items()}

    def drop(self, room_id: str) -> None:
        """Forget what waits of a room."""
        self._take(room_id)

    def _take(self, room_id: str) -> dict[Key, Change]:
        users = self._waiting.pop(room_id, {})
        self._count -= len(users)
        return {(room_id, user_id): change for user_id, change in users.items()}


def events(room: RoomAccess, changes: Mapping[str, tuple[Marks, Moved]], max_members: int) -> list[ReceiptsUpdated]:
    """What to tell of a room: to everybody what they may know, to each one alone what only they may.

    Args:
        changes: by user, their marks and what of them is news; who is no member any more is left out.
    """
    here = {user_id: change for user_id, change in changes.items() if user_id in room.members}
    small = len(room.members) <= max_members
    shared = [
        receipt(who, reached, own=False, read_from=news.read_from)
        for who, (reached, news) in here.items()
        if small and news.shared
    ]
    alone = [
        receipt(who, reached, own=True, read_from=news.read_from)
        for who, (reached, news) in here.items()
        if news.private or (news.shared and not small)
    ]
    return [
        ReceiptsUpdated(room_id=room.room_id, receipts=some, everyone=everyone)
        for everyone, receipts in ((True, shared), (False, alone))
        for some in _parts(receipts)
    ]


def _parts(receipts: list[ReceiptView]) -> list[list[ReceiptView]]:
    return [receipts[start : start + MAX_IN_EVENT] for start in range(0, len(receipts), MAX_IN_EVENT)]
