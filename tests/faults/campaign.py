"""A round: clients talk, faults strike at random moments, everything comes to rest, the checker judges.

What is random comes from one seed. When exactly a fault meets the software is up to the machine, though: the same
seed gives the same faults in the same order, not the same run.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from time import time

from shared.client import Client
from shared.ids import group_room_id, shard_of_room
from shared.mongo import Mongo
from tests.faults import database
from tests.faults.checker import check, given_up
from tests.faults.faults import Strike
from tests.faults.logs import errors
from tests.faults.record import SEND, Answered, Asked, ClientLog, Stored, Told, Written, save
from tests.faults.site import SHARDS, Site
from tests.faults.talker import Talker

FOUNDER = "founder"
TALKERS, ROOMS, ROOMS_EACH = 16, 8, 3
LULL = (0.3, 2.0)
"""Seconds from a recovery to the next fault."""

HASTE = 0.25
"""How often the next fault does not wait for the recovery from the one before."""

RECOVERY_TIMEOUT = 90.0
REST_TIMEOUT = 45.0


@dataclass(slots=True, eq=False)
class Felt:
    """A fault as the clients felt it: until every room has acked a message that was sent after the fault began."""

    name: str
    at: float
    rooms: set[str]
    detail: str = ""
    seconds: float | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def answered(self, asked: Asked, answered: Answered) -> None:
        """An answer has come."""
        if self.seconds is None and asked.kind == SEND and asked.at > self.at and not answered.error:
            self.rooms.discard(asked.room_id)
            if not self.rooms:
                self.seconds = answered.at - self.at
                self.over.set()


@dataclass(slots=True)
class Outcome:
    """What a round has come to."""

    felt: list[Felt]
    broken: list[str]
    gave_up: list[str]
    stored: int
    acked: int
    told: int
    resumed: int
    reconnections: int
    rest: float
    """Seconds from the last answer until every client had everything."""


class Round:
    """One round on a site, in a tenant of its own.

    Args:
        name: names the tenant, and the directory of the logs.
        directory: where what clients and database said is written.
    """

    def __init__(self, site: Site, name: str, random: Random, directory: Path) -> None:
        self._site = site
        self._name = name
        self._random = random
        self._directory = directory
        self._felt: list[Felt] = []
        self._rooms: list[str] = []
        self._talkers: list[Talker] = []

    async def run(self, strikes: Iterable[tuple[str, Strike]]) -> Outcome:
        """Let faults strike, in this order; each with the name it bears in the outcome."""
        mongo, start = Mongo(self._site.servers.mongo_url, "tests"), datetime.now(UTC)
        try:
            async with AsyncExitStack() as clients:
                await self._people(clients)
                began = await database.now(mongo)
                stop = asyncio.Event()
                async with asyncio.TaskGroup() as talking:
                    for talker in self._talkers:
                        talking.create_task(talker.talk(stop))
                    try:
                        await self._strike(strikes)
                    finally:
                        stop.set()
                late, rest = await self._rest(mongo)
            stored = await database.read(mongo, self._rooms)
            written = await database.written(mongo, began, self._rooms)
            return self._judge(stored, written, late + errors(self._site.services.home.log, start), rest)
        finally:
            mongo.close()

    # ── before ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _people(self, clients: AsyncExitStack) -> None:
        """Make the rooms, and connect everybody before the first word."""
        users = [f"user-{number:02}" for number in range(TALKERS)]
        members: list[list[str]] = [[] for _ in range(ROOMS)]
        for user in users:
            for room in self._random.sample(range(ROOMS), ROOMS_EACH):
                members[room].append(user)
        async with Client(self._site.urls, lambda: self._site.token(FOUNDER, self._name)) as founder:
            for number, people in enumerate(members):
                keys = (f"{number}-{attempt}" for attempt in count())
                key = next(key for key in keys if self._shard_of(key) == number % SHARDS)
                made = await founder.create_room(type="group", name=f"Room {number}", members=people, client_id=key)
                self._rooms.append(made.id)
        for number, user in enumerate(users):
            rooms = frozenset(room for room, people in zip(self._rooms, members, strict=True) if user in people)
            urls = self._site.urls[number % 2 :] + self._site.urls[: number % 2]
            token = partial(self._site.token, user, self._name)
            talker = Talker(ClientLog(user, rooms), urls, token, Random(self._random.random()), self._answered)
            await clients.enter_async_context(talker.client)
            self._talkers.append(talker)

    def _shard_of(self, client_id: str) -> int:
        """Where the room lies that is made with this key: every shard is to have its share of them."""
        return shard_of_room(group_room_id(self._name, FOUNDER, client_id), SHARDS)

    def _answered(self, asked: Asked, answered: Answered) -> None:
        for felt in self._felt:
            felt.answered(asked, answered)

    # ── during ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _strike(self, strikes: Iterable[tuple[str, Strike]]) -> None:
        for name, strike in strikes:
            await asyncio.sleep(self._random.uniform(*LULL))
            felt = Felt(name, time(), set(self._rooms))
            self._felt.append(felt)
            felt.detail = await strike(self._site, self._random)
            if self._random.random() >= HASTE:
                await self._recovered(felt)
        for felt in self._felt:
            await self._recovered(felt)

    async def _recovered(self, felt: Felt) -> None:
        try:
            async with asyncio.timeout(RECOVERY_TIMEOUT):
                await felt.over.wait()
        except TimeoutError:
            felt.over.set()  # said in the outcome: its seconds are None

    # ── after ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _rest(self, mongo: Mongo) -> tuple[list[str], float]:
        """Wait until every client has all that is stored, by itself.

        Returns:
            Who never got so far, in words, and how many seconds it took the others.
        """
        await self._site.wait_ready()
        began, seconds = time(), 0.0
        try:
            async with asyncio.timeout(REST_TIMEOUT):
                before = None
                # A command that was sent twice may still be on its way when all are answered.
                while (revs := await database.revs(mongo, self._rooms)) != before:
                    before = revs
                    for talker in self._talkers:
                        await talker.catch_up(revs)
                    seconds = seconds or time() - began
                    await self._no_commands()
        except TimeoutError:
            revs = await database.revs(mongo, self._rooms)
            late = [
                f"{talker.log.user} stands at rev {at} of {room_id} and did not hear of {rev} in {REST_TIMEOUT:.0f} s"
                for talker in self._talkers
                for room_id, (at, rev) in talker.behind(revs).items()
            ]
            return late or [f"the site did not come to rest in {REST_TIMEOUT:.0f} s"], REST_TIMEOUT
        return [], seconds

    async def _no_commands(self) -> None:
        """Return once no command waits or is being handled."""
        while True:
            queues = await self._site.rabbitmqctl("list_queues", "--no-table-headers", "name", "messages")
            counts = dict(line.split() for line in queues.splitlines() if line.startswith("commands."))
            if not any(int(count) for count in counts.values()):
                return

    def _judge(self, stored: list[Stored], written: list[Written], broken: list[str], rest: float) -> Outcome:
        logs = [talker.log for talker in self._talkers]
        broken += check(logs, stored, written)
        broken += [
            f"after '{felt.name}' ({felt.detail}) no message was acked in {sorted(felt.rooms)} for {RECOVERY_TIMEOUT} s"
            for felt in self._felt
            if felt.seconds is None
        ]
        entries = [entry for log in logs for entry in log.entries]
        told = [entry for entry in entries if isinstance(entry, Told)]
        directory = self._directory / self._name
        directory.mkdir(parents=True)
        for log in logs:
            log.save(directory)
        save(stored, directory / "database.jsonl")
        save(written, directory / "written.jsonl")
        return Outcome(
            felt=self._felt,
            broken=broken,
            gave_up=given_up(logs),
            stored=len(stored),
            acked=sum(isinstance(entry, Answered) and not entry.error for entry in entries),
            told=sum(entry.message is not None for entry in told),
            resumed=sum(entry.resumed for entry in told),
            reconnections=Counter(entry.type for entry in told)["ready"] - len(logs),
            rest=rest,
        )
