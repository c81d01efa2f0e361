"""Events on their way to the application: a bounded queue that never makes the reader of the socket wait.

When it is `full`, changes of timelines are left out, for they can be fetched later. What cannot, a few events more, has
a bound as well (`overfull`).
"""

import asyncio
from collections import deque
from collections.abc import Callable

from shared.client.timeline import Event


class Inbox:
    """A queue with one reader; with `on_event` no queue at all, but a call.

    Args:
        bound: events that may wait.
    """

    def __init__(self, bound: int, on_event: Callable[[Event], None] | None) -> None:
        self._bound = bound
        self._on_event = on_event
        self._events: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._roomy = asyncio.Event()
        self._ended = False

    @property
    def full(self) -> bool:
        """Whether changes of timelines have to wait."""
        return len(self._events) >= self._bound

    @property
    def overfull(self) -> bool:
        """Whether everything has to wait."""
        return len(self._events) >= 2 * self._bound

    def put(self, event: Event) -> None:
        """Hand an event over."""
        if self._on_event is not None:
            self._on_event(event)
        else:
            self._events.append(event)
            self._arrived.set()

    async def wait_for_room(self) -> None:
        """Return once the queue is not full; a full one only when half of it has been read."""
        while self.full and not self._ended:
            self._roomy.clear()
            await self._roomy.wait()

    async def get(self) -> Event | None:
        """The next event; None after the last."""
        while not self._events:
            if self._ended:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        event = self._events.popleft()
        if len(self._events) <= self._bound // 2:
            self._roomy.set()
        return event

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._arrived.set()
        self._roomy.set()
