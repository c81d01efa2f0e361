"""A client under fire: talks in its rooms at its own pace and writes down all it asks, is answered and is told."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from time import time
from typing import Any

from shared.client import Client, Event
from shared.contracts.errors import ChatError
from shared.contracts.timeline import ChangedView, SentView
from tests.faults.record import DELETE, EDIT, REACT, SEND, UNREACT, Answered, Asked, ClientLog, Told

AT_ONCE = 4
PAUSE = (0.1, 0.8)
"""Requests one talker may have under way, and the seconds between two that it begins."""

PATIENCE = 90.0
"""Seconds a request is repeated for: longer than any fault lasts."""

EMOJIS = ("👍", "🎉", "👀")

Request = Callable[[], Coroutine[Any, Any, None]]

WEIGHTS = {SEND: 60, "again": 8, EDIT: 12, DELETE: 4, REACT: 12, UNREACT: 4}


class Talker:
    """One client with its log.

    Args:
        urls: the gateways it may use, in the order in which it tries them.
        random: decides what it does and when; seeded.
        on_answer: told of every answer, to measure how long a fault was felt.
    """

    def __init__(
        self, log: ClientLog, urls: Sequence[str], token: Callable[[], str], random: Random,
        on_answer: Callable[[Asked, Answered], None],
    ) -> None:  # fmt: skip
        self.log = log
        self.client = Client(urls, token, on_event=self._told, patience=PATIENCE)
        self._changed = asyncio.Event()
        self._random = random
        self._on_answer = on_answer
        self._sent: list[Asked] = []
        self._own: list[tuple[str, str]] = []
        self._seen: list[tuple[str, str]] = []
        self._busy: set[tuple[str, str]] = set()
        self._number = 0

    async def talk(self, stop: asyncio.Event) -> None:
        """Ask for one thing after the other until `stop`, and return when all of them are answered."""
        slots = asyncio.Semaphore(AT_ONCE)
        kinds, weights = list(WEIGHTS), list(WEIGHTS.values())
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                await asyncio.sleep(self._random.uniform(*PAUSE))
                await slots.acquire()
                [kind] = self._random.choices(kinds, weights)
                request = self._plan(kind) or self._plan_send()
                group.create_task(request()).add_done_callback(lambda _: slots.release())

    async def catch_up(self, revs: dict[str, int]) -> None:
        """Return once the client has reached the given `rev` in each of its rooms."""
        while self.behind(revs):
            self._changed.clear()
            await self._changed.wait()

    def behind(self, revs: dict[str, int]) -> dict[str, tuple[int, int]]:
        """The rooms in which the client has not reached the given `rev`: where it stands, and what is missing."""
        positions = self.client.positions
        at = {room_id: positions[room_id].rev if room_id in positions else -1 for room_id in self.log.rooms}
        return {room_id: (at[room_id], revs[room_id]) for room_id in self.log.rooms if at[room_id] < revs[room_id]}

    # ── what to ask for ──────────────────────────────────────────────────────────────────────────────────────────

    def _plan(self, kind: str) -> Request | None:
        """The next request of a kind; None where there is nothing yet to do it to."""
        if kind == SEND:
            return self._plan_send()
        if kind == "again":
            return self._plan_again()
        if kind in {EDIT, DELETE}:
            return self._plan_change(kind, self._own)
        return self._plan_change(kind, self._seen)

    def _plan_send(self) -> Request:
        room_id = self._random.choice(sorted(self.log.rooms))
        asked = self._asks(SEND, room_id, f"{self.log.user}-{self._number + 1}", f"{self.log.user} says {self._number}")

        async def send() -> None:
            if await self._request(asked, self._send(asked)):
                self._sent.append(asked)

        return send

    def _plan_again(self) -> Request | None:
        """Repeat a send that was acked already: the same ack must come."""
        if not self._sent:
            return None
        before = self._random.choice(self._sent)
        asked = self._asks(SEND, before.room_id, before.target, before.value)

        async def again() -> None:
            await self._request(asked, self._send(asked))

        return again

    def _plan_change(self, kind: str, messages: list[tuple[str, str]]) -> Request | None:
        """Change a message, one change at a time, so that their order is known."""
        if not messages:
            return None
        room_id, message_id = self._random.choice(messages[-50:])
        if kind in {EDIT, DELETE}:
            value, lock = f"{self.log.user} edits {self._number}" if kind == EDIT else "", (message_id, "")
        else:
            value = self._random.choice(EMOJIS)
            lock = (message_id, value)
        if lock in self._busy:
            return None
        self._busy.add(lock)
        asked = self._asks(kind, room_id, message_id, value)

        async def change() -> None:
            await self._request(asked, self._change(asked))
            self._busy.discard(lock)

        return change

    def _asks(self, kind: str, room_id: str, target: str, value: str) -> Asked:
        self._number += 1
        return Asked(time(), self._number, kind, room_id, target, value)

    async def _request(self, asked: Asked, work: Coroutine[Any, Any, dict[str, Any]]) -> bool:
        """Ask, and write down the question before and the answer after; whether it was acked."""
        self.log.entries.append(asked)
        try:
            result = await work
            answered = Answered(time(), asked.number, result)
        except ChatError as error:
            answered = Answered(time(), asked.number, error=error.code.value)
        self.log.entries.append(answered)
        self._on_answer(asked, answered)
        return not answered.error

    async def _send(self, asked: Asked) -> dict[str, Any]:
        ack: SentView = await self.client.send(asked.room_id, asked.value, client_id=asked.target)
        return {**ack.model_dump(), "created_at": ack.created_at.isoformat()}

    async def _change(self, asked: Asked) -> dict[str, Any]:
        client = self.client
        match asked.kind:
            case "edit":
                ack: ChangedView = await client.edit(asked.target, asked.value)
            case "delete":
                ack = await client.delete(asked.target)
            case "react":
                ack = await client.react(asked.target, asked.value)
            case _:
                ack = await client.unreact(asked.target, asked.value)
        return ack.model_dump()

    # ── what it is told ──────────────────────────────────────────────────────────────────────────────────────────

    def _told(self, event: Event) -> None:
        if event.is_change:
            told = Told(time(), event.type, event.room_id, event.data, event.resumed)
            if event.type == "message.created":
                message = (event.room_id, event.data["id"])
                self._seen.append(message)
                if event.data["sender"]["id"] == self.log.user:
                    self._own.append(message)
        elif event.type in {"ready", "disconnected", "reset", "room.reset", "room.gone", "room.subscribed"}:
            told = Told(time(), event.type, event.room_id, detail=_brief(event))
        else:
            return
        self.log.entries.append(told)
        self._changed.set()


def _brief(event: Event) -> Any:
    """What is worth keeping of an event that shows no message."""
    if event.type == "ready":
        return {room["id"]: [room.get("seq"), room.get("rev")] for room in event.data["rooms"]}
    return {name: value for name, value in event.data.items() if name != "messages"}
