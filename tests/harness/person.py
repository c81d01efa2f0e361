"""The reference client as a test wants it: it remembers every event, and waits for the one that is expected."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

from shared.client import Client, Event

PATIENCE = 15.0


class Person(Client):
    """A connected user.

    `log` has every event in the order of delivery. `expect` looks at each event once.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self.log: list[Event] = []
        self._unseen: list[Event] = []
        self._changed = asyncio.Event()
        super().__init__(*args, on_event=self._remember, **options)

    async def expect(
        self, type: str, *, room_id: str | None = None, that: Callable[[Event], object] = lambda _event: True
    ) -> Event:
        """The first unseen event of a type (and room, and which `that` accepts), already here or still to come.

        Raises:
            TimeoutError: naming what came instead.
        """

        def matches(event: Event) -> bool:
            return event.type == type and room_id in (None, event.room_id) and bool(that(event))

        try:
            async with asyncio.timeout(PATIENCE):
                while (found := next(filter(matches, self._unseen), None)) is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            unseen = [(event.type, event.room_id, event.seq) for event in self._unseen[-20:]]
            raise TimeoutError(f"no {type}; unseen are {unseen}") from None
        self._unseen.remove(found)
        return found

    async def said(self, room_id: str, content: str) -> Event:
        """The arrival of a message with this content."""
        return await self.expect(
            "message.created", room_id=room_id, that=lambda event: event.data["content"] == content
        )

    async def live(self, room_id: str, speaker: Client) -> None:
        """Return when nothing that happened in a room is still to come: the latest message has come live."""
        for number in itertools.count():
            content = f"are you there? {number}"
            await speaker.send(room_id, content)
            if not (await self.said(room_id, content)).resumed:
                return

    def changes(self, room_id: str) -> list[tuple[str, int, str]]:
        """(type, seq, content) of every change of a room's timeline, in the order of delivery."""
        return [
            (event.type, event.seq, event.data.get("content", ""))
            for event in self.log
            if event.room_id == room_id and event.is_change
        ]

    def _remember(self, event: Event) -> None:
        self.log.append(event)
        self._unseen.append(event)
        self._changed.set()
