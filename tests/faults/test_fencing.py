"""Two writers of one room: whatever made both believe to be the only one, no message is lost, doubled or swapped.

The command sides of two workers are given the same rooms, each through a queue of its own, so that nothing but the
database stands between them.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import count
from random import Random
from time import time
from typing import Any
from uuid import uuid4

import pytest

from services.messages.repository import Repository
from shared import metrics
from shared.contracts.messages import EditMessage, MessageCommand, ReactToMessage, SendMessage, UnreactToMessage
from shared.mongo import Mongo
from tests.faults import database
from tests.faults.checker import check, given_up
from tests.faults.record import EDIT, REACT, SEND, UNREACT, Answered, Asked, ClientLog
from tests.faults.site import Site
from tests.faults.writers import Writers, moment, writers

PEOPLE = [f"user-{number}" for number in range(8)]
KINDS: dict[type[MessageCommand], str] = {
    SendMessage: SEND, EditMessage: EDIT, ReactToMessage: REACT, UnreactToMessage: UNREACT,
}  # fmt: skip


@pytest.fixture
def rooms() -> list[str]:
    """Rooms nobody else writes."""
    return [f"fenced-{uuid4().hex[:8]}" for _ in range(3)]


@pytest.fixture
async def fenced(site: Site) -> AsyncIterator[Mongo]:
    """A database of its own, with the indexes that fence."""
    mongo = Mongo(site.servers.mongo_url.replace("/parley?", "/fenced?"), "tests")
    await Repository(mongo).prepare()
    yield mongo
    mongo.close()


class Log:
    """Everybody's requests, as the checker reads them."""

    def __init__(self, asked: Writers) -> None:
        self._asked = asked
        self._numbers = count()
        self.logs = {user: ClientLog(user, frozenset()) for user in PEOPLE}

    async def ask(self, writer: str, user: str, room_id: str, command: MessageCommand) -> dict[str, Any]:
        """Have a command carried out by a writer, and write it down."""
        named: Any = command
        kind = KINDS[type(command)]
        target, value = {
            SEND: lambda: (named.client_id, named.content),
            EDIT: lambda: (named.message_id, named.content),
            REACT: lambda: (named.message_id, named.emoji),
            UNREACT: lambda: (named.message_id, named.emoji),
        }[kind]()
        number, entries = next(self._numbers), self.logs[user].entries
        entries.append(Asked(time(), number, kind, room_id, target, value))
        answer = await self._asked.ask(writer, user, command)
        result: dict[str, Any] = dict(answer.get("ok", {}))
        if kind == SEND and result:
            result["created_at"] = moment(result["created_at"])
        entries.append(Answered(time(), number, result, answer.get("error", {}).get("code", "")))
        return result


@contextmanager
def conflicts_expected() -> Iterator[None]:
    """Without any conflict between the writers a test would have shown nothing."""
    name = "parley_messages_batches_redone_total"
    before = metrics.REGISTRY.get_sample_value(name) or 0
    yield
    assert (metrics.REGISTRY.get_sample_value(name) or 0) > before


async def judge(mongo: Mongo, log: Log, rooms: list[str], since: Any) -> None:
    """Nothing was lost, doubled, swapped or given up."""
    stored, written = await database.read(mongo, rooms), await database.written(mongo, since, rooms)
    assert check(list(log.logs.values()), stored, written) == []
    assert given_up(list(log.logs.values())) == []


async def test_two_writers_of_the_same_rooms(site: Site, fenced: Mongo, rooms: list[str]) -> None:
    """Different messages to each, at the same time; a third of them to both, as after a redelivery."""
    random, since = Random(1), await database.now(fenced)
    async with writers(site.servers.amqp_url, fenced, ("one", "other"), PEOPLE) as asked:
        log = Log(asked)

        async def talk(user: str) -> None:
            for number in range(30):
                room_id = random.choice(rooms)
                message = SendMessage(room_id=room_id, content=f"{user} says {number}", client_id=f"{user}-{number}")
                both = random.random() < 1 / 3
                chosen = ["one", "other"] if both else [random.choice(["one", "other"])]
                await asyncio.gather(*(log.ask(writer, user, room_id, message) for writer in chosen))

        with conflicts_expected():
            await asyncio.gather(*map(talk, PEOPLE))
    await judge(fenced, log, rooms, since)
    stored = await database.read(fenced, rooms)
    assert len(stored) == len(PEOPLE) * 30


@pytest.mark.parametrize("late", ["sends", "edits"])
async def test_a_writer_that_was_replaced_and_knows_nothing_of_it(
    site: Site, fenced: Mongo, rooms: list[str], late: str
) -> None:
    """It counts on from what it knows. Meanwhile a message has taken the next `rev`, and left it behind."""
    since, room_id, alice = await database.now(fenced), rooms[0], PEOPLE[0]
    async with writers(site.servers.amqp_url, fenced, ("replaced", "present"), PEOPLE) as asked:
        log = Log(asked)

        async def ask(writer: str, command: MessageCommand) -> dict[str, Any]:
            return await log.ask(writer, alice, room_id, command)

        one = await ask("replaced", SendMessage(room_id=room_id, content="one", client_id="1"))
        two = await ask("replaced", SendMessage(room_id=room_id, content="two", client_id="2"))
        for content in ("better", "best"):
            await ask("present", EditMessage(message_id=one["message_id"], content=content))
        with conflicts_expected():
            if late == "sends":
                answer = await ask("replaced", SendMessage(room_id=room_id, content="three", client_id="3"))
            else:
                answer = await ask("replaced", EditMessage(message_id=two["message_id"], content="second"))
    assert answer["rev"] == 5
    await judge(fenced, log, rooms, since)


async def test_a_copy_of_a_change_that_comes_late(site: Site, fenced: Mongo, rooms: list[str]) -> None:
    """A writer that was replaced still holds what the present one has carried out, and what was built on it."""
    since, room_id, alice = await database.now(fenced), rooms[0], PEOPLE[0]
    async with writers(site.servers.amqp_url, fenced, ("replaced", "present"), PEOPLE) as asked:
        log = Log(asked)
        sent = await log.ask("replaced", alice, room_id, SendMessage(room_id=room_id, content="one", client_id="1"))
        target = sent["message_id"]
        edit = EditMessage(message_id=target, content="better", client_id="2")
        react = ReactToMessage(message_id=target, emoji="+", client_id="3")
        changes: list[MessageCommand] = [
            edit, react,
            EditMessage(message_id=target, content="best", client_id="4"),
            UnreactToMessage(message_id=target, emoji="+", client_id="5"),
        ]  # fmt: skip
        for command in changes:
            await log.ask("present", alice, room_id, command)
        for copy in (edit, react):
            answer = await asked.ask("replaced", alice, copy)
            assert answer["ok"] == {"message_id": target, "rev": 5, "changed": False}
    await judge(fenced, log, rooms, since)


async def test_two_writers_that_only_change_messages(site: Site, fenced: Mongo, rooms: list[str]) -> None:
    """Edits and reactions take no new `seq`: what fences them is `rev`, and the state they were decided on."""
    random, since, room_id = Random(2), await database.now(fenced), rooms[0]
    async with writers(site.servers.amqp_url, fenced, ("one", "other"), PEOPLE) as asked:
        log = Log(asked)
        ids = [
            (await log.ask("one", user, room_id, SendMessage(room_id=room_id, content=user, client_id="1")))[
                "message_id"
            ]
            for user in PEOPLE
        ]

        async def change(user: str, own: str) -> None:
            for number in range(20):
                target, emoji = random.choice(ids), random.choice("+-")
                kind = ReactToMessage if random.random() < 2 / 3 else UnreactToMessage
                for command in (
                    kind(message_id=target, emoji=emoji),
                    EditMessage(message_id=own, content=f"{user} edits {number}"),
                ):
                    await log.ask(random.choice(["one", "other"]), user, room_id, command)

        with conflicts_expected():
            await asyncio.gather(*map(change, PEOPLE, ids))
    await judge(fenced, log, rooms, since)
