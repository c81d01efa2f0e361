"""Who looks at which room, on clients that let others know: told when it begins and ends, never stored.

What a connection looks at changes at most once a second for the readers of a room: who comes and goes faster than that
is told as they are then.
"""

import asyncio
from dataclasses import dataclass

from services.gateway.connection import Connection
from services.gateway.hub import Hub
from shared.bus.signals import Signals
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.presence import Looking

PAUSE = 1.0
"""Seconds between two words about one connection and room."""

TICK = 0.25

Look = tuple[Connection, str]
"""A connection, and a room."""


@dataclass(slots=True)
class _State:
    """Whether a connection looks at a room, whether others know it to, and since when they do."""

    looking: bool = False
    told: bool = False
    since: float = float("-inf")


class Onlookers:
    """Everybody at this gateway who lets others see what they look at."""

    def __init__(self, hub: Hub, signals: Signals) -> None:
        self._hub = hub
        self._signals = signals
        self._states: dict[Look, _State] = {}
        self._unsettled: dict[Look, None] = {}
        hub.on_unsubscribe = self._turn_away

    def announce(self, connection: Connection, room_id: str) -> None:
        """Let a room's readers know that a connection looks at it, for as long as it follows the room.

        Raises:
            ChatError: `forbidden` where it does not.
        """
        if room_id not in connection.feeds:
            raise ChatError(ErrorCode.FORBIDDEN, f"This connection does not follow room '{room_id}'.")
        look = (connection, room_id)
        self._states.setdefault(look, _State()).looking = True
        self._settle(look)

    async def run(self) -> None:
        """Tell what could not be told at once. Ends only by cancellation."""
        while True:
            await asyncio.sleep(TICK)
            self.catch_up()

    def catch_up(self) -> None:
        """Tell what could not be told at once, where it is time."""
        for look in list(self._unsettled):
            self._settle(look)

    def __len__(self) -> int:
        """Of how many connections and rooms something is remembered."""
        return len(self._states)

    def end(self) -> None:
        """Tell all that is left to tell: the process ends."""
        for look, state in self._states.items():
            self._tell(look, state)

    def _turn_away(self, connection: Connection, room_id: str) -> None:
        look = (connection, room_id)
        if (state := self._states.get(look)) is not None:
            state.looking = False
            self._settle(look)

    def _settle(self, look: Look) -> None:
        """Bring what is known to others in line, if it is time; what is over and told is forgotten then."""
        state = self._states[look]
        if self._hub.now() - state.since < PAUSE:
            self._unsettled[look] = None
            return
        if self._tell(look, state):
            state.since = self._hub.now()
            self._unsettled[look] = None
            return
        self._unsettled.pop(look, None)
        if not state.looking:
            del self._states[look]

    def _tell(self, look: Look, state: _State) -> bool:
        """Tell how it is, where it is known otherwise."""
        if state.looking is state.told:
            return False
        state.told = state.looking
        (tenant, user_id), room_id = look[0].user, look[1]
        self._signals.publish(Looking(room_id=room_id, user_id=user_id, looking=state.looking), tenant)
        return True
