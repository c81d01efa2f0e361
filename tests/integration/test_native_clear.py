"""A conversation is cleared at once: for who is there, who comes back, and who asks; soon in the database, too."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from deploy.embedded.stack import Stack
from services.messages.archive import Archive
from services.messages.repository import Fenced, Head, Repository
from services.messages.state import Clearing, Message, Revision, Timeline, Write
from shared.contracts.content import MessageType, MessageView, SenderView
from shared.contracts.errors import ChatError, ErrorCode
from shared.mongo import Document, Mongo
from tests.conftest import ClientOf
from tests.harness.person import Person
from tests.harness.rest import Api
from tests.integration.test_native_rooms import refusal, room_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def mongo(stack: Stack) -> AsyncIterator[Mongo]:
    """The stack's database."""
    opened = Mongo(stack.mongo_url, "tests")
    yield opened
    opened.close()


async def room_with_three(alice: Person, bob: Person) -> tuple[str, list[str]]:
    """A room in which alice has said "1", "2" and "3", and the ids of that."""
    room = await room_of(alice, bob)
    ids = [(await alice.send(room, str(number), client_id=f"c-{number}")).message_id for number in (1, 2, 3)]
    await bob.said(room, "3")
    return room, ids


async def test_everybody_is_told_once(client: ClientOf, stack: Stack) -> None:
    """At both gateways, in one change; what comes next goes on counting."""
    alice, bob = await client("alice"), await client("bob", url=stack.gateway_urls[1])
    room, _ = await room_with_three(alice, bob)
    cleared = await alice.clear(room)
    assert (cleared.seq, cleared.rev, cleared.changed) == (3, 4, True)
    for person in (alice, bob):
        event = await person.expect("timeline.cleared", room_id=room)
        assert (event.seq, event.rev, event.data["seq"], event.data["by"]) == (3, 4, 3, "alice")
    assert (await alice.clear(room)).changed is False
    sent = await bob.send(room, "4")
    assert (sent.seq, sent.rev) == (4, 5)
    assert (await bob.said(room, "4")).rev == 5
    assert [event.type for event in bob.log if event.type == "timeline.cleared"] == ["timeline.cleared"]


async def test_nothing_of_it_is_left_to_ask_for(client: ClientOf, api: Callable[..., Api]) -> None:
    """Whichever way one asks; nothing of it can be changed or answered."""
    alice, bob = await client("alice"), await client("bob")
    room, ids = await room_with_three(alice, bob)
    await alice.edit(ids[0], "one")
    assert (await api("alice")("POST", f"/v1/rooms/{room}/clear")).body["changed"] is True
    for asked in ({}, {"before": 3}, {"after": 0}, {"around": 2}):
        page = await bob.history(room, **asked)
        assert (page.messages, page.has_before, page.has_after) == ([], False, False), asked
    [state] = (await api("bob")("POST", "/v1/rooms/states", {"room_ids": [room]})).body["states"]
    assert (state["seq"], state["cleared_seq"], state["unread"], state.get("last_message")) == (3, 3, 0, None)
    for target in ids:
        for kind in ("message.get", "revisions.get", "message.delete"):
            assert await refusal(alice, kind, message_id=target) is ErrorCode.NOT_FOUND
        assert await refusal(alice, "message.edit", message_id=target, content="x") is ErrorCode.NOT_FOUND
    again = await alice.send(room, "2", client_id="c-2")
    assert (again.message_id, again.seq, again.duplicate) == (ids[1], 2, True)
    await alice.send(room, "4")
    page = await bob.history(room)
    assert ([message.seq for message in page.messages], page.has_before) == ([4], False)
    [room_now] = [it for it in (await client("bob")).ready["rooms"] if it["id"] == room]
    assert (room_now["cleared_seq"], room_now["unread"], room_now["last_message"]["content"]) == (3, 1, "4")


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_an_old_cursor_catches_up(client: ClientOf, limit: int) -> None:
    """Page by page, up to the end: what is new, and up to where all is gone."""
    alice, bob = await client("alice"), await client("bob")
    room, _ = await room_with_three(alice, bob)
    await alice.clear(room)

    async def catch_up(cursor: str) -> tuple[list[int], str, set[int]]:
        seqs: list[int] = []
        cleared: set[int] = set()
        for _ in range(10):
            page = (await bob.sync({room: cursor}, limit=limit)).rooms[room]
            assert not page.reset
            seqs += [message.seq for message in page.messages]
            cursor = page.cursor
            cleared.add(page.cleared_seq)
            if not page.has_more:
                return seqs, cursor, cleared
        raise AssertionError("the pages do not end")

    assert await catch_up("0:2") == ([], "0:4", {3})
    await alice.send(room, "4")
    await alice.send(room, "5")
    assert await catch_up("0:2") == ([4, 5], "0:6", {3})
    assert await catch_up("0:6") == ([], "0:6", {3})
    snapshot = (await bob.sync({room: None})).rooms[room]
    assert ([message.seq for message in snapshot.messages], snapshot.cleared_seq) == ([4, 5], 3)


async def test_who_was_away_hears_of_it(client: ClientOf) -> None:
    """The reference client tells it before what is new; who has heard of it is not told again."""
    alice, bob = await client("alice"), await client("bob")
    room, _ = await room_with_three(alice, bob)
    before = bob.positions
    await bob.close()
    await alice.clear(room)
    await alice.send(room, "4")
    again = await client("bob", positions=before)
    event = await again.expect("timeline.cleared", room_id=room)
    assert (event.data["seq"], event.resumed) == (3, True)
    await again.said(room, "4")
    await again.live(room, alice)
    assert [event.type for event in again.log if event.room_id == room][:2] == ["timeline.cleared", "message.created"]
    assert again.positions[room].rev == (await alice.sync({room: None})).rooms[room].rev


async def test_amid_talk_everybody_ends_with_the_same(client: ClientOf, stack: Stack) -> None:
    """Two talk and edit while the third clears: all have in the end what the server has, and nobody was told wrong."""
    alice, bob = await client("alice"), await client("bob", url=stack.gateway_urls[1])
    carol = await client("carol")
    room = await room_of(alice, bob, carol)

    async def talk(person: Person) -> None:
        for number in range(40):
            sent = await person.send(room, f"{number}")
            with suppress(ChatError):  # it may have been cleared by now
                await person.edit(sent.message_id, f"{number}!")

    async def clear() -> list[int]:
        return [(await alice.clear(room)).seq for _ in range(10)]

    _, _, cleared = await asyncio.gather(talk(bob), talk(carol), clear())
    assert cleared == sorted(cleared)
    for person in (alice, bob, carol):
        await person.live(room, alice)
    page = await alice.history(room, limit=200)
    expected = {message.seq: message.content for message in page.messages}
    assert min(expected) > cleared[-1]
    for person in (alice, bob, carol):
        assert conversation(person, room) == expected


def conversation(person: Person, room: str) -> dict[int, str]:
    """What an application has that follows the events: content by `seq`."""
    state: dict[int, str] = {}
    for event in person.log:
        if event.room_id != room or not event.is_change:
            continue
        if event.type == "timeline.cleared":
            state = {seq: content for seq, content in state.items() if seq > event.data["seq"]}
        else:
            state[event.seq] = event.data["content"]
    return state


async def test_gateways_that_have_missed_it_tell_it_all_the_same(
    client: ClientOf, stack: Stack, mongo: Mongo, tenant: str
) -> None:
    """A writer stores it and dies before it can announce it: the next message shows the gap, and they heal."""
    alice, bob = await client("alice"), await client("bob", url=stack.gateway_urls[1])
    room, _ = await room_with_three(alice, bob)
    await Repository(mongo).write([Write(Clearing(room, tenant, 3, 4, (4,), "alice", NOW), None)])
    sent = await alice.send(room, "4")
    assert (sent.seq, sent.rev) == (4, 5)
    for person in (alice, bob):
        event = await person.expect("timeline.cleared", room_id=room)
        assert (event.data["seq"], event.resumed) == (3, False)
        assert (await person.said(room, "4")).rev == 5
        kinds = [event.type for event in person.log if event.room_id == room and event.is_change]
        assert kinds == ["message.created"] * 3 + ["timeline.cleared", "message.created"]
    assert bob.positions[room].rev == 5


async def test_the_database_forgets_as_well(client: ClientOf, mongo: Mongo) -> None:
    """The messages keep their ids and places, and nothing of what they said."""
    alice, bob = await client("alice"), await client("bob")
    room, ids = await room_with_three(alice, bob)
    await alice.edit(ids[0], "one")
    await bob.react(ids[1], "+")
    await alice.send(room, "@bob", reply_to=ids[0], metadata={"a": 1})
    await alice.clear(room)
    messages, revisions = mongo.collection("messages"), mongo.collection("revisions")
    async with asyncio.timeout(20):
        # It happens behind the scenes: only looking shows it.
        while await messages.find_one({"room_id": room, "unswept": True}) is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    left = await messages.find({"room_id": room, "seq": {"$gt": 0}}).sort("seq", 1).to_list(None)
    assert [(item["seq"], item["content"]) for item in left] == [(1, ""), (2, ""), (3, ""), (4, "")]
    assert not {"metadata", "reactions", "mentions", "reply_to"} & {name for item in left for name in item}
    assert [item["_id"] for item in left[:3]] == ids
    assert await revisions.count_documents({"room_id": room}) == 0


# ── at the repository: what a crash leaves behind ────────────────────────────────────────────────────────────────


def stored(room: str, seq: int, rev: int, *, content: str = "one", edited: int = 0) -> Message:
    """A message as it is stored."""
    view = MessageView(
        id=f"{seq:04x}{room[-20:]}", room_id=room, seq=seq, rev=rev, type=MessageType.TEXT, content=content,
        sender=SenderView(id="alice"), created_at=NOW, edited_at=NOW if edited else None,
    )  # fmt: skip
    born = 1 if seq == 1 else rev
    return Message(view, "t", "", born=born, revs=tuple(sorted({born, rev})), edited=edited)


async def test_a_revision_whose_edit_was_never_made_is_not_shown(mongo: Mongo) -> None:
    """It holds what the message says still. Once the edit is made after all, it is one revision, not two."""
    repository, archive, room = Repository(mongo), Archive(mongo), uuid4().hex
    first = stored(room, 1, 1)
    await repository.write([Write(first, None)])
    revision = Revision(first.view.id, room, 1, 1, "one", None, NOW, NOW)
    await archive.keep([revision])  # and the process dies
    assert await archive.revisions(first) == []
    reacted = stored(room, 1, 2)
    await repository.write([Write(reacted, 1)])
    assert await archive.revisions(reacted) == []
    await archive.keep([revision])
    edited = stored(room, 1, 3, content="two", edited=3)
    await repository.write([Write(edited, 2)])
    [shown] = await archive.revisions((await repository.messages([first.view.id]))[first.view.id])
    assert (shown.rev, shown.content) == (1, "one")


async def test_a_writer_that_has_not_heard_of_the_clearing_is_fenced(mongo: Mongo) -> None:
    """Whatever it writes takes a rev that is taken: a message, a change, or a clearing of its own."""
    repository, room = Repository(mongo), uuid4().hex
    first = stored(room, 1, 1)
    clearing = Clearing(room, "t", 1, 2, (2,), "alice", NOW)
    await repository.write([Write(first, None), Write(clearing, None)])
    for late in (
        Write(stored(room, 2, 2), None),
        Write(stored(room, 1, 2, content="two"), 1),
        Write(clearing, None),
        Write(replace(clearing, rev=3, revs=(2, 3)), 1),
    ):
        with pytest.raises(Fenced):
            await repository.write([late])
    [head] = (await repository.heads([room])).values()
    assert (head.timeline, head.last) == (Timeline("0", 1, 2, 1), None)
    assert await repository.clearings([room]) == {room: clearing}


async def test_where_a_room_stands_is_known_with_and_without_its_summary(mongo: Mongo) -> None:
    """What was cleared is not the last message, whatever the summary has seen of it."""
    repository, room = Repository(mongo), uuid4().hex
    first = stored(room, 1, 1)
    await repository.write([Write(first, None)])
    await repository.summarise({room: Head(Timeline("0", 1, 1), first)})
    await repository.write([Write(Clearing(room, "t", 1, 2, (2,), "alice", NOW), None)])
    for _ in range(2):
        head = (await repository.heads([room]))[room]
        assert (head.timeline, head.last) == (Timeline("0", 1, 2, 1), None)
        await repository.summarise({room: head})
    summary = await mongo.collection("room_state").find_one({"_id": room})
    assert summary is not None
    assert (summary["cleared"], summary["last"]) == (1, None)
    second = stored(room, 2, 3)
    await repository.write([Write(second, None)])
    head = (await repository.heads([room]))[room]
    assert (head.timeline, head.last) == (Timeline("0", 2, 3, 1), second)


async def test_a_sweep_that_was_interrupted_is_finished_by_whoever_comes(mongo: Mongo) -> None:
    """It goes on where the other one died; a purge takes clearing and revisions with the rest."""
    repository, archive, room = Repository(mongo), Archive(mongo), uuid4().hex
    await repository.write([Write(stored(room, seq, seq), None) for seq in (1, 2, 3)])
    await repository.write([Write(Clearing(room, "t", 2, 4, (4,), "alice", NOW, swept=1), None)])
    kept = Revision(stored(room, 3, 3).view.id, room, 3, 3, "one", None, NOW, NOW)
    await archive.keep([kept, kept._replace(message_id=stored(room, 2, 2).view.id, seq=2, rev=2)])
    for _ in range(2):
        await archive.sweep()
        left = await mongo.collection("messages").find({"room_id": room, "seq": {"$gt": 0}}).sort("seq").to_list(None)
        assert [item["content"] for item in left] == ["one", "", "one"]
    assert [item["seq"] async for item in mongo.collection("revisions").find({"room_id": room})] == [3]
    assert await repository.purge(room, NOW, "new") == 4
    await archive.purge(room, NOW)
    assert await mongo.collection("revisions").count_documents({"room_id": room}) == 0
    assert (await repository.heads([room]))[room].timeline == Timeline("new", 0, 0, 0)


async def test_rooms_given_a_new_epoch_are_still_cleared(mongo: Mongo) -> None:
    """As docs/operations.md says it is done after an older state was restored."""
    repository, room = Repository(mongo), uuid4().hex
    await repository.write([Write(stored(room, 1, 1), None), Write(Clearing(room, "t", 1, 2, (2,), "x", NOW), None)])
    group = {
        "_id": "$room_id",
        "seq": {"$max": "$seq"},
        "rev": {"$max": "$rev"},
        "cleared": {"$max": {"$ifNull": ["$cleared", 0]}},
    }
    pipeline: list[Document] = [
        {"$match": {"room_id": room}},
        {"$group": group},
        {"$set": {"epoch": "r1"}},
        {"$merge": "room_state"},
    ]
    await mongo.collection("messages").aggregate(pipeline).to_list(None)
    assert (await repository.heads([room]))[room].timeline == Timeline("r1", 1, 2, 1)
