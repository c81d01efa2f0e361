"""What other systems have said about an object, and what its room should be. Pure; knows no type of event.

Everything said is a *register* with a stamp; of two, the later one holds, whichever came first. So merging is
commutative, associative and idempotent, and late or repeated events end in the same state. There is one exception:
past MOST tombstones the oldest are forgotten, and an event that comes later than that may bring somebody back.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from shared import ids
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.integration import MAX_PARTICIPANTS, ParticipationStatus
from shared.contracts.membership import Role, RoomType

MOST = MAX_PARTICIPANTS
"""People who take part in one object; tombstones of those who do not any more, and participations, as well."""

MOST_ARRIVALS = 200
"""Events without a time that an object remembers the arrival of, to know them when they come again."""


class Stamp(NamedTuple):
    """When something was said: microseconds since the epoch; of what was said at once, what usually comes later.

    Clocks may be coarse: what is created and filled within the same second must not depend on chance. Only where even
    the rank is the same the event's id decides.
    """

    time: int
    rank: int
    id: str


class Name(StrEnum):
    """What can be said. PROFILE, PERSON and PARTICIPATION are said of something: they have keys."""

    CREATED = "created"
    """The object exists; the value is the type of its room. Only then a room is made."""
    CANCELLED = "cancelled"
    DELETED = "deleted"
    TITLE = "title"
    CREATOR = "creator"
    PROFILE = "profile"
    """A field of a user's profile; the key is its name."""
    ALL = "all"
    """Who takes part, all at once: `{"members": [[user, role], …], "exact": bool}`. Exact ones decide on owners too."""
    PERSON = "person"
    """Whether somebody takes part; the key is their id."""
    PARTICIPATION = "participation"
    """`{"user_id", "status"}`; the key is the participation's id."""


class Key(NamedTuple):
    """Names one register."""

    name: Name
    of: str = ""


class Said(NamedTuple):
    """The content of a register: JSON, without names that are somebody's data."""

    stamp: Stamp
    value: Any

    def outweighs(self, other: "Said | None") -> bool:
        """Whether this holds instead of `other`: it is later, or, all else being equal, the greater as JSON."""
        if other is None or self.stamp != other.stamp:
            return other is None or self.stamp > other.stamp
        return _as_json(self.value) > _as_json(other.value)


class Statement(NamedTuple):
    """What one event says, and what it says of itself. `time` in microseconds, where it has one."""

    source: str
    id: str
    time: int | None
    rank: int
    values: Mapping[Key, Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """All that holds about one object."""

    registers: Mapping[Key, Said] = field(default_factory=dict)
    arrivals: Mapping[str, int] = field(default_factory=dict)
    """When events without a time first came, by a hash of source and id."""

    def value(self, name: Name, default: Any = None) -> Any:
        """What a register without a key holds."""
        said = self.registers.get(Key(name))
        return default if said is None else said.value

    def stamp(self, name: Name) -> Stamp:
        """When a register without a key was last set; before everything else where it never was."""
        said = self.registers.get(Key(name))
        return _NEVER if said is None else said.stamp

    def of(self, name: Name) -> Iterator[tuple[str, Said]]:
        """The registers of one name, by their keys."""
        return ((key.of, said) for key, said in self.registers.items() if key.name is name)

    @property
    def deleted(self) -> bool:
        """Whether the object is no more; one that was made again since is there."""
        return self.stamp(Name.DELETED) > self.stamp(Name.CREATED)

    @property
    def cancelled(self) -> bool:
        """Whether the object is over; likewise."""
        return self.stamp(Name.CANCELLED) > self.stamp(Name.CREATED)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the room of an object should be; None where nothing is known of that."""

    type: RoomType | None = None
    """Of the room to make where there is none yet."""
    deleted: bool = False
    closed: bool = False
    name: str | None = None
    members: Mapping[str, Role] | None = None


_NEVER = Stamp(-(2**63), 0, "")
_NOBODY = Said(_NEVER, {"members": [], "exact": False})


def hear(facts: Facts, statement: Statement, now: int) -> Facts:
    """The facts after a statement; one without a time counts from when it first came.

    Raises:
        ChatError: as `merge`.
    """
    arrivals, time = facts.arrivals, statement.time
    if time is None:
        origin = ids.fingerprint(statement.source, statement.id, None)
        time = arrivals.get(origin, now)
        latest = sorted(({**arrivals, origin: time}).items(), key=lambda item: (item[1], item[0]))
        arrivals = dict(latest[-MOST_ARRIVALS:])
    stamp = Stamp(time, statement.rank, statement.id)
    said = Facts({key: Said(stamp, value) for key, value in statement.values.items()})
    return Facts(merge(facts, said).registers, arrivals)


def merge(one: Facts, other: Facts) -> Facts:
    """What holds where both were said.

    Raises:
        ChatError: `too_large` where more take part than a room can hold.
    """
    registers = dict(one.registers)
    for key, said in other.registers.items():
        if said.outweighs(registers.get(key)):
            registers[key] = said
    facts = Facts(_bounded(_relevant(registers)), {**one.arrivals, **other.arrivals})
    if len(members(facts)) > MOST or sum(1 for _ in facts.of(Name.PARTICIPATION)) > 2 * MOST:
        raise ChatError(ErrorCode.TOO_LARGE, f"More than {MOST} people take part in one object.")
    return facts


def wanted(facts: Facts, gone: frozenset[str] = frozenset()) -> Wanted:
    """The room that follows from the facts.

    Who takes part in an object that nobody has made yet is kept until somebody does.

    Args:
        gone: users who are no more.
    """
    made = facts.value(Name.CREATED)
    if facts.deleted:
        return Wanted(deleted=True)
    complete = made is not None or facts.value(Name.ALL, _NOBODY.value)["exact"]
    present = {user_id: role for user_id, role in members(facts).items() if user_id not in gone}
    return Wanted(
        type=None if made is None else RoomType(made),
        closed=facts.cancelled,
        name=facts.value(Name.TITLE),
        members=present if complete else None,
    )


def members(facts: Facts) -> dict[str, Role]:
    """Who takes part, in which role: the creator as owner, then whatever was said last about each person."""
    base = facts.registers.get(Key(Name.ALL), _NOBODY)
    roles = {user_id: Role(role) for user_id, role in base.value["members"]}
    found = dict(roles)
    for user_id, said in _last_of_each(facts).items():
        if said.stamp > base.stamp:
            found.pop(user_id, None)
            if said.value:
                found[user_id] = roles.get(user_id, Role.MEMBER)
    creator = facts.value(Name.CREATOR)
    if creator is not None and not base.value["exact"]:
        found[creator] = Role.OWNER
    return found


def may_set(status: ParticipationStatus, before: ParticipationStatus, *, owner: bool, participant: bool) -> None:
    """Refuse what is not somebody's to decide about a participation.

    Raises:
        ChatError: `forbidden`, or `conflict` where it was cancelled: whoever cancelled must ask anew.
    """
    if not (owner or (participant and status is ParticipationStatus.ANNULEE)):
        raise ChatError(
            ErrorCode.FORBIDDEN, "The owner accepts and refuses; who asked to take part may only cancel that."
        )
    if before is ParticipationStatus.ANNULEE and status is not before:
        raise ChatError(ErrorCode.CONFLICT, "The participation was cancelled; it must be requested anew.")


def _last_of_each(facts: Facts) -> dict[str, Said]:
    """What was said last about each person, whether by name or by a participation. Who has several is in by one."""
    last: dict[str, Said] = {}
    for _, said in facts.of(Name.PARTICIPATION):
        user_id = said.value["user_id"]
        claim = Said(said.stamp, said.value["status"] == ParticipationStatus.ACCEPTEE)
        other = last.get(user_id)
        if other is None or (claim.value, claim.stamp) > (other.value, other.stamp):
            last[user_id] = claim
    for user_id, said in facts.of(Name.PERSON):
        if said.outweighs(last.get(user_id)):
            last[user_id] = said
    return last


def _relevant(registers: dict[Key, Said]) -> dict[Key, Said]:
    """Without what can never matter again: persons before all of them were named anew, profiles before a deletion."""
    limits = {
        Name.PERSON: registers.get(Key(Name.ALL), _NOBODY).stamp,
        Name.PROFILE: registers.get(Key(Name.DELETED), _NOBODY).stamp,
    }
    return {key: said for key, said in registers.items() if said.stamp > limits.get(key.name, _NEVER)}


def _bounded(registers: dict[Key, Said]) -> dict[Key, Said]:
    """Without the oldest tombstones past MOST."""
    dead = [key for key, said in registers.items() if key.name is Name.PERSON and not said.value]
    for key in sorted(dead, key=lambda key: registers[key].stamp)[: max(0, len(dead) - MOST)]:
        del registers[key]
    return registers


def _as_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
