"""A client repeats what was not answered: through whichever gateway, however late, it takes effect once."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.messages import SendMessage
from shared.mongo import Mongo
from shared.service import Tasks
from tests.faults import database
from tests.faults.people import Hall
from tests.faults.site import Site
from tests.faults.writers import writers
from tests.harness.gateway import gateway as another_gateway
from tests.harness.own_task import in_own_task

CONFLICT = "was used for a message with another body"


async def test_a_lost_ack(site: Site, hall: Hall, mongo: Mongo, tasks: Tasks) -> None:
    """The message is stored, its ack is lost, and the client tries another gateway: one message, the ack it missed."""
    alice, bob = await hall.enter("alice", 0), await hall.enter("bob", 1)
    room = await hall.room(alice, "bob")
    body = {"room_id": room, "content": "hello", "client_id": "c-1"}
    async with database.changes(mongo, room) as change:
        with site.proxy.deaf("gateway-0"):
            tasks.spawn(alice.request("message.send", body), "never answered")
            stored = await change()
            await alice.close()
            alice = await hall.enter("alice", 1)
            ack = await alice.send(room, "hello", client_id="c-1")
    assert (ack.message_id, ack.seq, ack.rev, ack.duplicate) == (stored.id, 1, 1, True)
    for gateway in (0, 1):
        alice = await hall.enter("alice", gateway)
        assert await alice.send(room, "hello", client_id="c-1") == ack
    assert len(await database.read(mongo, [room])) == 1
    await bob.said(room, "hello")
    await alice.send(room, "the end")
    await bob.said(room, "the end")
    assert [content for _, _, content in bob.changes(room)] == ["hello", "the end"]


async def test_an_answer_that_never_comes(site: Site, hall: Hall, tmp_path: Path) -> None:
    """The gateway says so when the time is up, though nothing else happens on it; and the client repeats."""
    async with in_own_task(another_gateway(site.services, tmp_path, {"COMMAND_TIMEOUT": "2"})) as lonely:
        alice = await hall.enter_by("alice", lonely.url)
        room = await hall.room(alice)
        body = {"room_id": room, "content": "hello", "client_id": "c-1"}
        name = lonely.process.spec.env["INSTANCE"]
        with site.proxy.deaf(name), pytest.raises(ChatError, match=r"broker is away|No answer in time"):
            await alice.request("message.send", body)
        assert (await alice.send(room, "hello", client_id="c-1")).duplicate


async def test_a_client_id_is_never_forgotten(site: Site, hall: Hall) -> None:
    """Another message under the same one is a conflict, the same message the same ack; after a power cut as well."""
    alice = await hall.enter("alice", 0, 1)
    room = await hall.room(alice)
    ack = await alice.send(room, "hello", client_id="c-1")

    async def try_again(gateway: int) -> None:
        alice = await hall.enter("alice", gateway)
        with pytest.raises(ChatError, match=CONFLICT) as refusal:
            await alice.send(room, "something else", client_id="c-1")
        assert refusal.value.code is ErrorCode.CONFLICT
        assert await alice.send(room, "hello", client_id="c-1") == ack.model_copy(update={"duplicate": True})

    for gateway in (0, 1):
        await try_again(gateway)
    await site.kill_everything()
    await site.wait_ready()
    for gateway in (0, 1):
        await try_again(gateway)


@pytest.mark.parametrize("what", ["an edit", "a reaction"])
async def test_a_copy_that_was_stuck_on_its_way(site: Site, hall: Hall, mongo: Mongo, tasks: Tasks, what: str) -> None:
    """A gateway gets rid of a change when the client has long repeated it elsewhere and gone on: that is not undone."""
    alice, bob = await hall.enter("alice", 0), await hall.enter("bob", 0)
    room = await hall.room(alice, "bob")
    target = (await alice.send(room, "first")).message_id
    kind, more = ("message.edit", {"content": "second"}) if what == "an edit" else ("message.react", {"emoji": "+"})
    change = {"message_id": target, "client_id": "c-2", **more}
    with site.proxy.mute("gateway-0"):
        tasks.spawn(alice.request(kind, change), "never answered")
        await site.proxy.holding("gateway-0")
        await alice.close()
        alice = await hall.enter("alice", 1)
        assert (await alice.call(kind, change))["changed"]
        await (alice.edit(target, "third") if what == "an edit" else alice.unreact(target, "+"))
    await bob.send(room, "the end")  # by the same way, so behind the stuck one
    [message, _] = await database.read(mongo, [room])
    assert (message.content, message.users) == ("third" if what == "an edit" else "first", {})


async def test_neighbours_of_a_repetition(site: Site, mongo: Mongo) -> None:
    """A batch that holds one is refused by the database half way, and decided again: nobody else notices."""
    room = f"neighbours-{uuid4().hex[:8]}"
    async with writers(site.servers.amqp_url, mongo, ["writer"], ["alice"]) as asked:

        async def send(content: str, client_id: str) -> Mapping[str, Any]:
            command = SendMessage(room_id=room, content=content, client_id=client_id)
            return await asked.ask("writer", "alice", command)

        first = await send("repeated", "c-0")
        keys = ["c-1", "c-2", "c-0", "c-3", "c-0", "c-4"]  # the first leaves alone, the others as one batch
        answers = await asyncio.gather(*(send("repeated" if key == "c-0" else "new", key) for key in keys))
        other_body = await send("another", "c-0")
    acks = [answer["ok"] for answer in answers]
    assert [ack["duplicate"] for ack in acks] == [False, False, True, False, True, False]
    assert [ack["seq"] for ack in acks] == [2, 3, 1, 4, 1, 5]
    assert acks[2] == acks[4] == {**first["ok"], "duplicate": True}
    assert other_body["error"]["code"] == ErrorCode.CONFLICT
    assert [message.seq for message in await database.read(mongo, [room])] == [1, 2, 3, 4, 5]
