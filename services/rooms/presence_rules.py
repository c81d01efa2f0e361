"""Whether somebody is here: what follows from reports, choices, dead gateways and time. Pure.

Everybody shows the same of a user, the `status`. It follows from who sees them and what they have chosen; only going
offline waits, for a grace time in which a reconnect goes unnoticed. Reports may come late, twice and in any order:
per gateway the greatest number counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.contracts.presence import PresenceStatus, PresenceView

MAX_UNSEEN = 16
"""Gateways whose "gone" is remembered, to know an older "here" by. A late report comes within seconds."""

ONLINE, OFFLINE = PresenceStatus.ONLINE, PresenceStatus.OFFLINE


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """All that is known of a user's presence. Nobody heard of yet is offline."""

    tenant: str
    user_id: str
    seen: Mapping[str, int] = field(default_factory=dict)
    """Gateway -> number of its latest word, that they are connected there."""
    unseen: Mapping[str, int] = field(default_factory=dict)
    """Likewise, that they are not."""
    chosen: PresenceStatus | None = None
    """What they want to appear as, for as long as they are connected."""
    ended_at: datetime | None = None
    """When a connection of theirs last ended."""
    status: PresenceStatus = OFFLINE
    """What is shown of them."""
    last_seen: datetime | None = None
    """When they last were here, as far as was shown; counts while they are offline."""
    number: int = 0
    """Of changes of `status`."""
    untold_since: datetime | None = None
    """When `status` changed, until that is announced."""
    version: int = 0
    """Of writes."""


def sight(presence: Presence, gateway: str, number: int, *, here: bool, now: datetime, grace: timedelta) -> Presence:
    """Take in a gateway's word; one that is not newer than what it said before changes nothing."""
    if number <= max(presence.seen.get(gateway, -1), presence.unseen.get(gateway, -1)):
        return presence
    ended = gateway in presence.seen and not here
    seen = {name: at for name, at in presence.seen.items() if name != gateway}
    unseen = {name: at for name, at in presence.unseen.items() if name != gateway}
    (seen if here else unseen)[gateway] = number
    unseen = dict(list(unseen.items())[-MAX_UNSEEN:])
    after = replace(presence, seen=seen, unseen=unseen, ended_at=_later(presence.ended_at, now if ended else None))
    return settle(after, now, grace)


def abandon(presence: Presence, gateway: str, at: datetime, *, now: datetime, grace: timedelta) -> Presence:
    """End what a dead gateway, last heard of `at`, has seen."""
    if gateway not in presence.seen:
        return presence
    seen = {name: number for name, number in presence.seen.items() if name != gateway}
    return settle(replace(presence, seen=seen, ended_at=_later(presence.ended_at, at)), now, grace)


def choose(presence: Presence, status: PresenceStatus, *, now: datetime, grace: timedelta) -> Presence:
    """Appear as `status`. Without a connection it holds for the grace time: one may have yet to be reported."""
    ended_at = presence.ended_at if presence.seen else now
    return settle(replace(presence, chosen=status, ended_at=ended_at), now, grace)


def settle(presence: Presence, now: datetime, grace: timedelta) -> Presence:
    """What is to be shown `now`."""
    if presence.seen:
        return _show(presence, presence.chosen or ONLINE, now, now)
    if presence.ended_at is not None and now < presence.ended_at + grace:
        return _show(presence, presence.chosen or presence.status, now, now)
    return _show(replace(presence, chosen=None), OFFLINE, presence.ended_at or now, now)


def next_version(presence: Presence) -> Presence:
    """As it is to be written."""
    return replace(presence, version=presence.version + 1)


def due_at(presence: Presence, grace: timedelta) -> datetime | None:
    """When time alone changes something; None where it does not."""
    if presence.seen or presence.ended_at is None or (presence.status is OFFLINE and presence.chosen is None):
        return None
    return presence.ended_at + grace


def view_of(presence: Presence) -> PresenceView:
    """What others see of it."""
    last_seen = presence.last_seen if presence.status is OFFLINE else None
    return PresenceView(user_id=presence.user_id, status=presence.status, last_seen=last_seen, number=presence.number)


def _show(presence: Presence, status: PresenceStatus, since: datetime, now: datetime) -> Presence:
    """Change what is shown `now` and true `since`. Who appears offline already was last seen when they began to."""
    if status is presence.status:
        return presence
    last_seen = since if status is OFFLINE else presence.last_seen
    return replace(presence, status=status, last_seen=last_seen, number=presence.number + 1, untold_since=now)


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(one, other) if one is not None and other is not None else one or other
