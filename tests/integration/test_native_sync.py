"""The past, asked for: pages of the history, and what has changed since a cursor."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.contracts.content import MessageView
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.timeline import RoomSyncView
from tests.conftest import ClientOf
from tests.harness.person import Person

JSON = dict[str, Any]


async def room_with(owner: Person, messages: int) -> tuple[str, list[str]]:
    """A room, and the ids of so many messages in it, which say "1", "2" and so on."""
    room = (await owner.create_room(members=["bob"])).id
    sent = [await owner.send(room, str(number)) for number in range(1, messages + 1)]
    return room, [answer.message_id for answer in sent]


# ── history ──────────────────────────────────────────────────────────────────────────────────────────────────────

PAGES: list[tuple[dict[str, int], list[int], bool, bool]] = [
    ({}, list(range(1, 11)), False, False),
    ({"limit": 3}, [8, 9, 10], True, False),
    ({"before": 4}, [1, 2, 3], False, True),
    ({"before": 6, "limit": 2}, [4, 5], True, True),
    ({"before": 1}, [], False, True),
    ({"before": 0}, [], False, True),
    ({"before": 99, "limit": 1}, [10], True, False),
    ({"after": 8}, [9, 10], True, False),
    ({"after": 0, "limit": 2}, [1, 2], False, True),
    ({"after": 4, "limit": 2}, [5, 6], True, True),
    ({"after": 10}, [], True, False),
    ({"after": 99}, [], True, False),
    ({"around": 5, "limit": 3}, [4, 5, 6], True, True),
    ({"around": 5, "limit": 4}, [4, 5, 6, 7], True, True),
    ({"around": 5, "limit": 1}, [5], True, True),
    ({"around": 1, "limit": 4}, [1, 2, 3], False, True),
    ({"around": 10, "limit": 4}, [9, 10], True, False),
    ({"around": 0, "limit": 4}, [1, 2], False, True),
]


EMPTY: list[JSON] = [
    {}, {"before": 5}, {"after": 0}, {"around": 1}, {"offset": 0}, {"before_time": "2026-01-01T00:00:00Z"},
]  # fmt: skip


async def test_history_is_paged_before_after_and_around(client: ClientOf) -> None:
    """Every page of the table, with what lies on both sides of it."""
    alice = await client("alice")
    room, _ = await room_with(alice, 10)
    for asked, seqs, before, after in PAGES:
        page = await alice.history(room, **asked)
        shown = ([message.seq for message in page.messages], page.has_before, page.has_after)
        assert shown == (seqs, before, after), asked


async def test_history_is_counted_from_the_latest(client: ClientOf) -> None:
    """By a number of messages to pass over; every page says how many there are, deleted ones among them."""
    alice = await client("alice")
    room, sent = await room_with(alice, 5)
    await alice.call("message.delete", {"message_id": sent[1]})
    counted: list[tuple[JSON, list[int], bool, bool]] = [
        ({"offset": 0, "limit": 2}, [4, 5], True, False),
        ({"offset": 2, "limit": 2}, [2, 3], True, True),
        ({"offset": 4, "limit": 2}, [1], False, True),
        ({"offset": 5, "limit": 2}, [], False, True),
        ({"offset": 99}, [], False, True),
    ]
    for asked, seqs, before, after in counted:
        page = await alice.history(room, **asked)
        shown = ([message.seq for message in page.messages], page.has_before, page.has_after, page.total)
        assert shown == (seqs, before, after, 5), asked
    await alice.call("timeline.clear", {"room_id": room})
    await alice.send(room, "anew")
    assert (await alice.history(room, offset=0)).total == 1
    assert (await alice.history(room, offset=1)).messages == []


async def test_history_is_walked_by_time(client: ClientOf) -> None:
    """Each page before the time of the oldest one known: every message comes once, even those of one instant."""
    alice = await client("alice")
    room = (await alice.create_room()).id
    await asyncio.gather(*(alice.send(room, str(number)) for number in range(40)))
    await alice.send(room, "last")
    walked: list[MessageView] = []
    moment = datetime.now(UTC) + timedelta(minutes=1)
    while True:
        page = await alice.history(room, before_time=moment.isoformat(), limit=3)
        if not page.messages:
            break
        assert all(message.created_at < moment for message in page.messages)
        assert page.has_after == bool(walked)
        walked = [*page.messages, *walked]
        moment = page.messages[0].created_at
    assert [message.seq for message in walked] == list(range(1, 42))
    assert not page.has_before


async def test_the_history_of_an_empty_room_is_empty(client: ClientOf) -> None:
    """Nothing, before nothing, after nothing."""
    alice = await client("alice")
    room, _ = await room_with(alice, 0)
    for asked in EMPTY:
        page = await alice.history(room, **asked)
        assert (page.messages, page.has_before, page.has_after) == ([], False, False), asked


async def test_a_whole_history_is_walked_both_ways(client: ClientOf) -> None:
    """Page by page, nothing twice and nothing left out."""
    alice = await client("alice")
    room, _ = await room_with(alice, 7)
    back: list[int] = []
    page = await alice.history(room, limit=2)
    while page.messages:
        back = [message.seq for message in page.messages] + back
        page = await alice.history(room, before=back[0], limit=2)
    forth: list[int] = []
    page = await alice.history(room, after=0, limit=2)
    while page.messages:
        forth += [message.seq for message in page.messages]
        page = await alice.history(room, after=forth[-1], limit=2)
    assert back == forth == list(range(1, 8))


# ── sync ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def page_since(person: Person, room: str, cursor: str | None, **limit: int) -> RoomSyncView:
    """One page of what has changed in a room."""
    return (await person.sync({room: cursor}, **limit)).rooms[room]


def contents(page: RoomSyncView) -> list[tuple[int, int, str]]:
    """(seq, rev, content) of its messages."""
    return [(message.seq, message.rev, message.content) for message in page.messages]


async def test_sync_tells_the_latest_state_of_all_that_has_changed(client: ClientOf) -> None:
    """Edits, reactions, deletions and new messages, each message once, ascending by `rev`."""
    alice, bob = await client("alice"), await client("bob")
    room, ids = await room_with(alice, 4)
    before = (await page_since(bob, room, None)).cursor
    await alice.edit(ids[0], "one")
    await alice.edit(ids[0], "ONE")
    await bob.react(ids[1], "👍")
    await alice.delete(ids[2])
    await alice.send(room, "5")
    page = await page_since(bob, room, before)
    assert (page.reset, page.has_more, page.seq, page.rev) == (False, False, 5, 9)
    assert contents(page) == [(1, 6, "ONE"), (2, 7, "2"), (3, 8, ""), (5, 9, "5")]
    assert page.messages[1].reactions[0].users == ("bob",)
    assert page.messages[2].deleted_at is not None
    nothing = await page_since(bob, room, page.cursor)
    assert (nothing.messages, nothing.cursor, nothing.has_more) == ([], page.cursor, False)


async def test_sync_is_paged_and_never_ends_at_a_full_page(client: ClientOf) -> None:
    """Only a page that is not full proves that it was the last."""
    alice = await client("alice")
    room, _ = await room_with(alice, 6)
    cursor, pages = "0:0", []
    while True:
        page = await page_since(alice, room, cursor, limit=3)
        pages.append([message.seq for message in page.messages])
        cursor = page.cursor
        if not page.has_more:
            break
    # The second page holds all there was; the third says that nothing has changed behind it meanwhile.
    assert pages == [[1, 2, 3], [4, 5, 6], []]


@pytest.mark.parametrize("cursor", [None, "zzzzzzzz:3", "0:99"], ids=["none", "of another epoch", "of the future"])
async def test_a_cursor_that_means_nothing_is_answered_with_a_snapshot(client: ClientOf, cursor: str | None) -> None:
    """An explicit reset, never a part in silence."""
    alice = await client("alice")
    room, _ = await room_with(alice, 5)
    page = await page_since(alice, room, cursor, limit=2)
    assert (page.reset, page.has_more, page.seq, page.rev) == (True, False, 5, 5)
    assert [message.seq for message in page.messages] == [4, 5]
    assert (await page_since(alice, room, page.cursor)).messages == []


async def test_one_sync_serves_many_rooms_and_names_those_it_may_not(client: ClientOf) -> None:
    """A closed room spoils nothing for the others."""
    alice, bob = await client("alice"), await client("bob")
    mine, _ = await room_with(bob, 1)
    shared, _ = await room_with(alice, 2)
    closed = (await alice.create_room()).id
    answer = await bob.sync({mine: "0:0", shared: "0:1", closed: "0:0", "nowhere": None})
    assert {room: contents(page) for room, page in answer.rooms.items()} == {mine: [(1, 1, "1")], shared: [(2, 2, "2")]}
    assert answer.errors == {closed: "forbidden", "nowhere": "not_found"}


async def test_who_asks_together_from_the_same_place_is_told_the_same_if_they_may_read(client: ClientOf) -> None:
    """The read is shared, the right to it is not: an outsider gets no page."""
    people = [await client(name) for name in ("alice", "bob")]
    mallory = await client("mallory")
    room, _ = await room_with(people[0], 3)
    places = ["0:0", "0:1", None]
    asked = [(person, place) for _ in range(5) for place in places for person in (*people, mallory)]
    answers = await asyncio.gather(*(person.sync({room: place}) for person, place in asked))
    for (person, place), answer in zip(asked, answers, strict=True):
        if person in people:
            seqs = [2, 3] if place == "0:1" else [1, 2, 3]
            assert [message.seq for message in answer.rooms[room].messages] == seqs
        else:
            assert (answer.rooms, answer.errors) == ({}, {room: "forbidden"})


async def test_a_room_made_anew_is_another_history(client: ClientOf) -> None:
    """New epoch, counted from 1; an old cursor gets a reset."""
    alice, service = await client("alice"), await client("service", roles=("service",))
    room = (await alice.create_room(type="direct", members=["bob"])).id
    old = await alice.send(room, "old")
    cursor = (await page_since(alice, room, None)).cursor
    await service.call("room.delete", {"room_id": room})
    await alice.expect("room.deleted", room_id=room)
    assert (await alice.create_room(type="direct", members=["bob"])).id == room
    # The old timeline is removed soon, by its own writer.
    while await exists(alice, old.message_id):
        pass
    page = await page_since(alice, room, cursor)
    assert (page.reset, page.seq, page.rev, page.messages) == (True, 0, 0, [])
    assert page.epoch != cursor.split(":")[0]
    new: Any = await alice.send(room, "new")
    assert (new.seq, new.rev) == (1, 1)
    assert contents(await page_since(alice, room, page.cursor)) == [(1, 1, "new")]


async def exists(person: Person, message_id: str) -> bool:
    """Whether a message can still be read."""
    try:
        await person.request("message.get", {"message_id": message_id})
    except ChatError as error:
        return error.code is not ErrorCode.NOT_FOUND
    return True
