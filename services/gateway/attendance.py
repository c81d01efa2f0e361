"""Who is connected here, told to the rooms service: changes in batches, and signs of life.

At most one report leaves in a second, and the next waits for its answer, but not for longer than a beat: what is not
answered by then is told again, as it is then. Each has a greater number than the one before, so that of two that meet
the newer counts. A gateway that counts as dead takes another name and tells everything anew; so does a restarted one,
for its name holds a random part.
"""

import asyncio
import itertools

from services.gateway.hub import Hub
from shared.bus.codec import JSON, encode_actor, unique_id
from shared.bus.requests import Requests
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError
from shared.contracts.presence import MAX_REPORTED, ReportPresence, Sighting
from shared.logging import get_logger
from shared.permissions import GlobalRole

log = get_logger(__name__)

PAUSE = 1.0
"""Seconds between reports."""

BEATS = 3
"""Signs of life per lease, so that one or two may be lost."""

MAX_CHANGED = 100_000
"""Users whose coming and going may wait to be told; past it, everybody here is told anew."""

TENANT = "default"
"""Of the gateway as an actor; each sighting has its own."""

User = tuple[str, str]


class Attendance:
    """Reports of one gateway.

    Args:
        lease: seconds after which a silent gateway counts as dead.
    """

    def __init__(self, hub: Hub, requests: Requests, *, name: str, lease: float) -> None:
        self._hub = hub
        self._requests = requests
        self._name = name
        self._lease = lease
        self._beat = lease / BEATS
        self._actor = encode_actor(Actor(id="gateway", tenant=TENANT, roles=(GlobalRole.SERVICE,)))
        self._numbers = itertools.count(1)
        self._changed: dict[User, None] = {}
        self._signal = asyncio.Event()
        self._left = False
        self._begin()
        hub.on_turn = self.turn

    def turn(self, user: User) -> None:
        """A user's first connection here has come, or their last one gone."""
        if len(self._changed) >= MAX_CHANGED and user not in self._changed:
            self._begin()
        self._changed[user] = None
        self._signal.set()

    async def run(self) -> None:
        """Report what has changed, and at least thrice per lease. Ends only by cancellation."""
        while not self._left:
            try:
                async with asyncio.timeout(self._beat):
                    await self._signal.wait()
            except TimeoutError:
                pass
            self._signal.clear()
            await self._report()
            await asyncio.sleep(min(PAUSE, self._beat))

    def leave(self) -> None:
        """Report that nobody is here any more; returns at once."""
        self._left = True
        report = ReportPresence(gateway=self._gateway, lease=self._lease, leaving=True)

        def answered(_result: JSON | None, error: ChatError | None) -> None:
            if error is not None:
                log.warning("the end was not reported", error=error.message)

        try:
            self._requests.send(report, self._actor, TENANT, answered)
        except ChatError as error:
            answered(None, error)

    def _begin(self) -> None:
        """Take a new name, and tell under it of everybody who is here."""
        self._gateway = f"{self._name}.{unique_id()[:12]}"
        self._beginning = True
        self._changed = dict.fromkeys(self._hub.users)
        if self._changed:
            self._signal.set()

    async def _report(self) -> None:
        told = list(itertools.islice(self._changed, MAX_REPORTED))
        for user in told:
            del self._changed[user]
        number, gateway = next(self._numbers), self._gateway
        report = ReportPresence(
            gateway=gateway,
            lease=self._lease,
            beginning=self._beginning,
            sightings=[
                Sighting(tenant=user[0], user_id=user[1], here=user in self._hub.users, number=number) for user in told
            ],
        )
        try:
            async with asyncio.timeout(self._beat):
                answer = await self._requests.ask(report, self._actor, TENANT)
        except (ChatError, TimeoutError) as error:
            log.warning("presence was not reported", users=len(told), error=str(error))
            if gateway == self._gateway:
                self._changed = dict.fromkeys([*told, *self._changed])
        else:
            if gateway == self._gateway:
                self._answered(alive=answer.get("alive", True))
        if self._changed:
            self._signal.set()

    def _answered(self, *, alive: bool) -> None:
        self._beginning = False
        if not alive and not self._left:
            log.warning("this gateway was taken for dead", gateway=self._gateway)
            self._begin()
