"""`python -m deploy.operator dead`: letters of real services and of the real broker are listed, replayed, dropped."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
import orjson
import pytest

from deploy.embedded import ports
from deploy.embedded.config import REPOSITORY
from deploy.embedded.stack import Stack
from shared.auth import issue_token
from shared.bus.topology import COMMANDS, DEAD, DELIVERY_LIMIT, EVENTS, QUERIES
from shared.contracts.messages import SendMessage
from shared.ids import shard_of_room
from shared.settings import load_settings
from tests.harness.gateway import LIMITS
from tests.harness.own_task import in_own_task
from tests.harness.person import Person

JSON = dict[str, Any]
SHARDS = load_settings().shards
PATIENCE = 20.0


@pytest.fixture(scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack of its own: nobody else reads its dead letters."""
    described = Stack(tmp_path_factory.mktemp("dead"), port=ports.find_free(), env=LIMITS)
    async with in_own_task(described) as running:
        yield running


@pytest.fixture
async def channel(home: Stack) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    """The broker, with no dead letters."""
    async with await aio_pika.connect(home.amqp_url) as connection, connection.channel() as channel:
        await (await channel.get_queue("dead")).purge()
        yield channel


@pytest.fixture
async def alice(home: Stack) -> AsyncIterator[Person]:
    """Somebody with a connection."""
    token = issue_token(home.jwt_secret, sub="alice", tenant=f"t-{uuid4().hex[:12]}")
    async with Person(home.gateway_urls[0], token) as person:
        yield person


async def dead(environment: Stack | Mapping[str, str], *arguments: str) -> tuple[int, str, str]:
    """Run the command; exit code, output, errors."""
    env = {"AMQP_URL": environment.amqp_url} if isinstance(environment, Stack) else dict(environment)
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.operator", "dead", *arguments),
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output, errors = await child.communicate()
    assert child.returncode is not None
    return child.returncode, output.decode(), errors.decode()


async def listed(home: Stack, *arguments: str) -> list[JSON]:
    """The letters, as `list --json` has them."""
    code, output, errors = await dead(home, "list", "--json", *arguments)
    assert (code, errors) == (0, "")
    return [orjson.loads(line) for line in output.splitlines()]


async def filled(channel: aio_pika.abc.AbstractChannel, count: int) -> None:
    """Return when so many dead letters are there."""
    async with asyncio.timeout(PATIENCE):
        while (await channel.declare_queue("dead", passive=True)).declaration_result.message_count != count:  # noqa: ASYNC110 - the broker's state
            await asyncio.sleep(0.05)


async def publish(
    channel: aio_pika.abc.AbstractChannel, exchange: str, key: str, body: bytes, headers: JSON | None = None
) -> None:
    """Publish bytes as they are, confirmed."""
    message = aio_pika.Message(body, headers=headers, delivery_mode=2)
    await (await channel.get_exchange(exchange)).publish(message, key)


async def set_aside(channel: aio_pika.abc.AbstractChannel, key: str, body: bytes, reason: str = "a bug") -> None:
    """Put a letter where services put them, as they do."""
    headers = {"x-reason": reason, "x-original-exchange": COMMANDS, "x-original-key": key}
    await publish(channel, DEAD, key, body, headers)


def send(alice: Person, room: str, content: str) -> tuple[str, bytes]:
    """Key and body of alice's command to say something."""
    actor = {key: alice.ready["user"][key] for key in ("id", "tenant")}
    envelope = {
        "specversion": "1.0",
        "id": uuid4().hex,
        "source": "/tests",
        "type": SendMessage.TYPE,
        "subject": room,
        "data": {"actor": actor, "body": {"room_id": room, "content": content}},
    }
    return f"messages.{shard_of_room(room, SHARDS)}", orjson.dumps([envelope])


# ── list ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_a_service_set_aside_is_listed_and_stays(home: Stack, channel: aio_pika.abc.AbstractChannel) -> None:
    """With its reason, in order, under the same ids at every look, and without what it says."""
    bodies = [f"secret-{number:03}".encode() for number in range(70)]
    for body in bodies:
        await publish(channel, COMMANDS, "messages.0", body)
    await filled(channel, len(bodies))
    first, second = await listed(home), await listed(home, "--show")
    assert [letter["body"].encode() for letter in second] == bodies
    assert [letter["id"] for letter in first] == [letter["id"] for letter in second]
    assert {letter["key"] for letter in first} == {"messages.0"}
    assert {letter["exchange"] for letter in first} == {COMMANDS}
    assert all("not JSON" in letter["reason"] and letter["bytes"] == 10 for letter in first)
    assert second[0]["looks"] > first[0]["looks"]
    code, output, _ = await dead(home, "list", "--limit", "3")
    assert code == 0
    assert output.splitlines()[-1] == "3 of 70 dead letters listed"
    assert [line.split()[0] for line in output.splitlines()[1:4]] == [letter["id"] for letter in first[:3]]
    assert "secret" not in output
    assert [letter["body"].encode() for letter in await listed(home, "--show")] == bodies


async def test_a_query_is_told_from_a_command(home: Stack, channel: aio_pika.abc.AbstractChannel) -> None:
    """Though the rooms service reads both by the same key, and can read neither."""
    for number, exchange in enumerate((QUERIES, COMMANDS), start=1):
        await publish(channel, exchange, "rooms", b"nonsense")
        await filled(channel, number)
    assert [(letter["exchange"], letter["key"]) for letter in await listed(home)] == [
        (QUERIES, "rooms"),
        (COMMANDS, "rooms"),
    ]


async def test_strangers_do_not_command_the_terminal(home: Stack, channel: aio_pika.abc.AbstractChannel) -> None:
    """A reason or body is one line without control characters."""
    await set_aside(channel, "rooms", b"\x1b[2Jx\ny", "first\n\x1b[31msecond")
    _, output, _ = await dead(home, "list", "--show")
    assert len(output.splitlines()) == 4
    assert "\x1b" not in output


async def test_no_letters_are_no_failure(home: Stack, channel: aio_pika.abc.AbstractChannel) -> None:
    """Nothing to list, replay or drop; but a letter asked for by name must be there."""
    await filled(channel, 0)
    assert await dead(home, "list") == (0, "0 of 0 dead letters listed\n", "")
    assert (await dead(home, "replay", "--all"))[0] == 0
    assert (await dead(home, "drop", "--id", "nobody"))[0] == 1


# ── replay ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_replayed_command_takes_effect(
    home: Stack, channel: aio_pika.abc.AbstractChannel, alice: Person
) -> None:
    """Chosen by id, it is stored and told once; the others stay."""
    room = (await alice.create_room()).id
    for content in ("one", "two", "three"):
        await set_aside(channel, *send(alice, room, content))
    chosen = next(letter for letter in await listed(home, "--show") if '"two"' in letter["body"])
    code, output, _ = await dead(home, "replay", "--id", chosen["id"])
    assert (code, output.splitlines()[-1]) == (0, "1 of 3 dead letters replayed")
    assert (await alice.said(room, "two")).seq == 1
    assert chosen["id"] not in [letter["id"] for letter in await listed(home)]
    code, output, _ = await dead(home, "replay", "--key", chosen["key"], "--json")
    assert code == 0
    assert [orjson.loads(line)["outcome"] for line in output.splitlines()] == ["replayed"] * 2
    assert (await alice.said(room, "three")).seq == 3
    assert [message.content for message in (await alice.history(room)).messages] == ["two", "one", "three"]
    assert await listed(home) == []


async def test_what_dies_again_is_replayed_once(home: Stack, channel: aio_pika.abc.AbstractChannel) -> None:
    """Replaying all comes to an end, and it is there again."""
    for body in (b"poison 1", b"poison 2"):
        await publish(channel, COMMANDS, "rooms", body)
    await filled(channel, 2)
    before = await listed(home)
    code, output, _ = await dead(home, "replay", "--all")
    assert (code, output.splitlines()[-1]) == (0, "2 of 2 dead letters replayed")
    await filled(channel, 2)
    assert {letter["id"] for letter in await listed(home)} == {letter["id"] for letter in before}


async def test_what_the_broker_gave_up_is_replayed_where_it_was(
    home: Stack, channel: aio_pika.abc.AbstractChannel
) -> None:
    """Its x-death names exchange and keys, of a batch that came by several all of them."""
    arguments: dict[str, Any] = {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": DEAD,
    }
    queue = await channel.declare_queue("commands.tests", durable=True, arguments=arguments)
    await queue.bind(COMMANDS, "tests")
    await publish(channel, COMMANDS, "tests", b"[]")
    for _ in range(DELIVERY_LIMIT + 1):
        await (await _next(queue)).reject(requeue=True)
    await filled(channel, 1)
    [letter] = await listed(home)
    assert (letter["exchange"], letter["key"], letter["queue"]) == (COMMANDS, "tests", "commands.tests")
    assert letter["reason"] == "delivery_limit in commands.tests"
    assert letter["died_at"]
    assert (await dead(home, "replay", "--all"))[0] == 0
    again = await _next(queue)
    assert again.body == b"[]"
    await again.ack()
    assert await listed(home) == []
    await queue.delete(if_unused=False, if_empty=False)


async def test_a_batch_of_several_keys_comes_by_all_of_them(home: Stack, channel: aio_pika.abc.AbstractChannel) -> None:
    """As the queue it died in may be bound to any of them."""
    dying = await channel.declare_queue("dying", exclusive=True, arguments={"x-dead-letter-exchange": DEAD})
    await dying.bind(EVENTS, "second.0")
    await publish(channel, EVENTS, "first.0", b"[]", {"CC": ["second.0"]})
    await (await _next(dying)).reject(requeue=False)
    await filled(channel, 1)
    assert (await dead(home, "replay", "--key", "first.0"))[0] == 0
    assert (await _next(dying)).body == b"[]"


async def _next(queue: aio_pika.abc.AbstractQueue) -> aio_pika.abc.AbstractIncomingMessage:
    """The next message of a queue."""
    async with asyncio.timeout(PATIENCE):
        while (message := await queue.get(fail=False)) is None:  # noqa: ASYNC110 - the broker's state
            await asyncio.sleep(0.02)
    return message


async def test_what_nobody_takes_stays_and_is_reported(
    home: Stack, channel: aio_pika.abc.AbstractChannel, alice: Person
) -> None:
    """A shard that is no more, a key nobody knows, an exchange of nobody; what can be replayed is."""
    room = (await alice.create_room()).id
    await set_aside(channel, f"messages.{SHARDS + 1}", b"[1]")
    await set_aside(channel, *send(alice, room, "good"))
    await publish(channel, DEAD, "who.knows", b"[2]")
    await publish(
        channel,
        DEAD,
        "x",
        b"[3]",
        {"x-death": [{"exchange": "gone", "routing-keys": ["x"], "queue": "q", "reason": "r"}]},
    )
    code, output, errors = await dead(home, "replay", "--all")
    assert (code, errors) == (1, "")
    lines = output.splitlines()
    assert f"kept: no queue takes 'messages.{SHARDS + 1}' from {COMMANDS}" in lines[0]
    assert lines[1].endswith("replayed")
    assert "kept: nothing says where it came from" in lines[2]
    assert "kept: nothing says where it came from" in lines[3]
    assert lines[4] == "1 of 4 dead letters replayed, 3 kept"
    assert (await alice.said(room, "good")).seq == 1
    assert [letter["body"] for letter in await listed(home, "--show")] == ["[1]", "[2]", "[3]"]


# ── drop ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_drop_removes_only_what_was_chosen(home: Stack, channel: aio_pika.abc.AbstractChannel) -> None:
    """By id, by key, up to a limit, or all; nothing without being told which."""
    for number, key in enumerate(["rooms", "messages.0", "rooms", "messages.1", "rooms"]):
        await set_aside(channel, key, f"[{number}]".encode())
    second = (await listed(home))[1]["id"]

    async def drop(*choice: str) -> list[str]:
        code, _, errors = await dead(home, "drop", *choice)
        assert (code, errors) == (0, "")
        return [letter["body"] for letter in await listed(home, "--show")]

    code, _, errors = await dead(home, "drop")
    assert code == 2
    assert "--id --key --all" in errors
    assert await drop("--id", second) == ["[0]", "[2]", "[3]", "[4]"]
    assert await drop("--key", "rooms", "--limit", "1") == ["[2]", "[3]", "[4]"]
    assert await drop("--key", "rooms") == ["[3]"]
    assert await drop("--all") == []


# ── the broker ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_broker_of_the_stack_that_runs_is_found(home: Stack, channel: aio_pika.abc.AbstractChannel) -> None:
    """By its directory, as the other commands of embedded mode find it."""
    await filled(channel, 0)
    assert await dead({"PARLEY_DIR": str(home.home.root)}, "list") == (0, "0 of 0 dead letters listed\n", "")


async def test_one_line_says_what_is_wrong(home: Stack, tmp_path: Path) -> None:
    """No stack, no broker, no URL, a wrong password: exit code 1, and never the password."""
    for environment, word in (
        ({"PARLEY_DIR": str(tmp_path)}, "make up"),
        ({"AMQP_URL": "amqp://guest:geheim@127.0.0.1:1/"}, "away"),
        ({"AMQP_URL": home.amqp_url.replace("guest@", "geheim@")}, "away"),
        ({"AMQP_URL": "geheim"}, "AMQP_URL"),
        ({"AMQP_URL": "amqp://guest:geheim@127.0.0.1:port/"}, "AMQP_URL"),
    ):
        code, output, errors = await dead(environment, "list")
        assert (code, output) == (1, ""), errors
        assert len(errors.splitlines()) == 1, errors
        assert errors.startswith("parley: ")
        assert word in errors
        assert "geheim" not in errors
