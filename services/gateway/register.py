"""Lets the directory know what tokens say of users, and learns from it what they leave out.

So messages show their senders by name although a token holds nothing but an id: other systems may have told it.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from services.gateway.connection import Connection
from shared.auth import Identity
from shared.bus.codec import JSON, encode_actor
from shared.bus.requests import Requests
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError
from shared.contracts.people import RecordUser
from shared.logging import get_logger

log = get_logger(__name__)

MAX_KNOWN = 100_000
AGAIN = 60.0
"""Seconds after which a user who comes is told of again: the directory may have learned something else meanwhile."""

NAMES = ("name", "first_name", "last_name", "avatar")

User = tuple[str, str]


class _Known(NamedTuple):
    claims: int
    """A hash of what the token said."""
    until: float
    names: dict[str, str] | None
    """What the directory knows beyond it."""


class Register:
    """What this gateway knows of those who have come.

    Args:
        now: a clock that never goes back, in seconds.
    """

    def __init__(self, requests: Requests, now: Callable[[], float]) -> None:
        self._requests = requests
        self._now = now
        self._known: dict[User, _Known] = {}

    def complete(self, actor: Actor) -> Actor:
        """The actor with the names that the directory has where the token has none."""
        known = self._known.get((actor.tenant, actor.id))
        if known is None or not known.names or known.claims != hash(actor):
            return actor
        return actor.model_copy(update=known.names)

    def introduce(self, connection: Connection, identity: Identity) -> None:
        """Take a connection's user over as the token and the directory know them, the latter maybe a little later."""
        present = replace(identity, actor=self.complete(identity.actor))
        connection.identify(present)

        def learned(actor: Actor) -> None:
            if connection.identity is present:
                connection.identify(replace(present, actor=actor))

        self.record(identity.actor, learned)

    def record(self, claimed: Actor, learned: Callable[[Actor], None] | None = None) -> None:
        """Let the directory know what a token has claimed, when it is new here. Nobody waits for it.

        Args:
            learned: called with the whole actor, where the directory turns out to know more.
        """
        key, claims = (claimed.tenant, claimed.id), hash(claimed)
        before = self._known.get(key)
        if before is not None and before.claims == claims and self._now() < before.until:
            return
        if before is None and len(self._known) >= MAX_KNOWN:
            self._known.clear()
        names = before.names if before is not None and before.claims == claims else None
        self._known[key] = _Known(claims, self._now() + AGAIN, names)

        def answered(result: JSON | None, error: ChatError | None) -> None:
            if error is not None:
                self._known.pop(key, None)
                log.warning("user was not recorded", error=error.message)
                return
            known = self._known.get(key)
            if known is None or known.claims != claims:
                return
            more = _beyond(claimed, result or {})
            if more != (known.names or {}):
                self._known[key] = known._replace(names=more)
                if learned is not None:
                    learned(self.complete(claimed))

        try:
            self._requests.send(RecordUser(), encode_actor(claimed), claimed.tenant, answered)
        except ChatError as error:
            answered(None, error)


def _beyond(claimed: Actor, entry: JSON) -> dict[str, str]:
    """What a directory entry says that the token does not. A token's own name is not mixed with another."""
    if any(getattr(claimed, name) is not None for name in ("name", "first_name", "last_name")):
        wanted: tuple[str, ...] = () if claimed.avatar is not None else ("avatar",)
    else:
        wanted = tuple(name for name in NAMES if getattr(claimed, name) is None)
    return {name: entry[name] for name in wanted if isinstance(entry.get(name), str)}
