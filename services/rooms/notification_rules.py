"""From what was noted and read to notifications asked for and withdrawn. Pure.

A notification is asked for once and withdrawn at most once; while it stands it is stored. What the queue brings is
taken in its order, so what is read in the same batch as it was written is never asked for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import ValidationError

from shared.contracts.messages import ReceiptsUpdated
from shared.contracts.notifications import ActNoted, MessageNoted, MessageUnnoted, NotificationRequested
from shared.contracts.rooms import MemberRemoved, RoomDeleted

JSON = dict[str, Any]


class Notification(NamedTuple):
    """Of one message to one user."""

    id: str
    tenant: str
    request: NotificationRequested


class Ended(NamedTuple):
    """What of a room concerns nobody, or this user, any more: one message, or all up to `seq` (None: all)."""

    room_id: str
    user_id: str | None = None
    message_id: str | None = None
    seq: int | None = None

    def covers(self, request: NotificationRequested) -> bool:
        """Whether it ends this notification."""
        return (
            request.room_id == self.room_id
            and self.user_id in {None, request.user_id}
            and self.message_id in {None, request.message_id}
            and (self.seq is None or request.seq <= self.seq)
        )


class Act(NamedTuple):
    """Something for the audit, with the id of the event that tells it."""

    id: str
    tenant: str
    noted: ActNoted


@dataclass(slots=True)
class Tidings:
    """What a batch of events comes to."""

    wanted: dict[str, Notification] = field(default_factory=dict)
    """By id; who is connected needs none, which is not known here."""
    ended: list[Ended] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)
    """Why events were left out."""

    def end(self, ended: Ended) -> None:
        """Nothing that this covers is wanted any more."""
        self.ended.append(ended)
        self.wanted = {key: item for key, item in self.wanted.items() if not ended.covers(item.request)}


def tidings(envelopes: Iterable[JSON]) -> Tidings:
    """What the events of a batch, in their order, ask for and end; those of other types do neither."""
    found = Tidings()
    for envelope in envelopes:
        read = _READERS.get(envelope["type"])
        if read is None:
            continue
        try:
            read(found, envelope)
        except ValidationError as error:
            found.malformed.append(f"{envelope['type']}: {error.error_count()} errors")
    return found


def notification_id(message_id: str, user_id: str) -> str:
    """The one notification of a message to a user."""
    return f"{message_id}:{user_id}"


def _noted(found: Tidings, envelope: JSON) -> None:
    noted = MessageNoted.model_validate(envelope["data"])
    for user_id, reason in noted.reasons.items():
        request = NotificationRequested(
            user_id=user_id,
            room_id=noted.room_id,
            message_id=noted.message_id,
            seq=noted.seq,
            reason=reason,
            sender=noted.sender,
            preview=noted.preview,
        )
        key = notification_id(noted.message_id, user_id)
        found.wanted[key] = Notification(key, envelope.get("tenant", ""), request)


def _unnoted(found: Tidings, envelope: JSON) -> None:
    unnoted = MessageUnnoted.model_validate(envelope["data"])
    found.end(Ended(unnoted.room_id, message_id=unnoted.message_id, seq=unnoted.seq))


def _act(found: Tidings, envelope: JSON) -> None:
    found.acts.append(Act(envelope["id"], envelope.get("tenant", ""), ActNoted.model_validate(envelope["data"])))


def _read(found: Tidings, envelope: JSON) -> None:
    receipts = ReceiptsUpdated.model_validate(envelope["data"])
    for receipt in receipts.receipts:
        if receipt.read_seq:
            found.end(Ended(receipts.room_id, user_id=receipt.user_id, seq=receipt.read_seq))


def _left(found: Tidings, envelope: JSON) -> None:
    removed = MemberRemoved.model_validate(envelope["data"])
    found.end(Ended(removed.room_id, user_id=removed.user_id))


def _deleted(found: Tidings, envelope: JSON) -> None:
    found.end(Ended(RoomDeleted.model_validate(envelope["data"]).room_id))


_READERS: Mapping[str, Any] = {
    MessageNoted.TYPE: _noted,
    MessageUnnoted.TYPE: _unnoted,
    ActNoted.TYPE: _act,
    ReceiptsUpdated.TYPE: _read,
    MemberRemoved.TYPE: _left,
    RoomDeleted.TYPE: _deleted,
}
