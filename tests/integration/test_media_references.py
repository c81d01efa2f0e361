"""What is told about files in messages: in any order, twice, malformed. Real database, and the real queue."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.embedded.stack import Stack
from services.media import reference_store
from services.media.attaching import Cleared, Fact, Gone, Shown, Unshown
from services.media.collecting import Collector
from services.media.records import Media
from services.media.references import CaughtUp
from shared.bus.link import LOST, Link
from shared.bus.topology import Binding, Queue
from shared.mongo import Mongo
from shared.service import Tasks
from tests.harness.wire import Wire
from tests.integration.media_shelf import Shelf, eventually

pytest_plugins = ("tests.integration.media_fixtures",)

START = datetime.now(UTC).replace(microsecond=0)
"""Of late: what was unused for a day is collected by the service that runs beside the tests."""
EVENTS = "chat.events"


def after(seconds: float) -> datetime:
    """A time."""
    return START + timedelta(seconds=seconds)


def message_id() -> str:
    """A message."""
    return uuid4().hex[:24]


def room_id() -> str:
    """A room."""
    return f"room-{uuid4().hex[:12]}"


class Scene:
    """Two messages of a room show a file each, and the first is deleted, or the room is cleared up to it."""

    def __init__(self, first: Media, second: Media) -> None:
        self.room, self.one, self.two = room_id(), message_id(), message_id()
        self.first, self.second = first, second
        self.shown = Shown(self.one, first.id, self.room, 1, 1, after(1))
        self.also_shown = Shown(self.two, second.id, self.room, 2, 2, after(2))
        self.deleted = Unshown(self.one, self.room, 1, 3, after(3))
        self.cleared = Cleared(self.room, 1, after(4))


async def used(shelf: Shelf, *files: Media) -> list[bool]:
    """Whether each of the files is said to be shown."""
    found = await shelf.repository.find([media.id for media in files])
    return [found[media.id].unused_since is None for media in files]


async def tell(shelf: Shelf, facts: Sequence[Fact]) -> None:
    """Each by itself."""
    for fact in facts:
        await shelf.references.take_in([fact], after(60))


@pytest.mark.parametrize("end", ["deleted", "cleared"])
async def test_the_order_in_which_it_is_told_does_not_matter(shelf: Shelf, end: str) -> None:
    """Nor that some of it is told twice, nor whether it comes at once or one by one."""
    first, second = await shelf.ready("alice"), await shelf.ready("alice")
    for order in itertools.permutations(range(3)):
        scene = Scene(first, second)
        facts: list[Fact] = [scene.shown, scene.also_shown, getattr(scene, end)]
        told = [facts[place] for place in order]
        for again in ([], told[:1], told):
            await tell(shelf, told + again)
            assert await shelf.rooms_of(first) == set()
            assert await shelf.rooms_of(second) == {scene.room}
            assert await used(shelf, first, second) == [False, True]
        await shelf.references.take_in([*told, *reversed(told)], after(60))
        assert (await shelf.rooms_of(first), await shelf.rooms_of(second)) == (set(), {scene.room})
        await tell(shelf, [Gone(scene.room, after(5))])
        assert await used(shelf, first, second) == [False, False]


async def test_a_file_is_used_while_any_message_shows_it(shelf: Shelf) -> None:
    """And unused since the moment when the last one did not."""
    media, room, other = await shelf.ready("alice"), room_id(), room_id()
    one, two = message_id(), message_id()
    await tell(shelf, [Shown(one, media.id, room, 1, 1, after(1)), Shown(two, media.id, other, 1, 1, after(1))])
    assert await shelf.rooms_of(media) == {room, other}
    await tell(shelf, [Unshown(one, room, 1, 2, after(2))])
    assert (await used(shelf, media), await shelf.rooms_of(media)) == ([True], {other})
    await shelf.references.take_in([Unshown(two, other, 1, 2, after(3))], after(99))
    now = await shelf.repository.get(media.id)
    assert now is not None
    assert now.unused_since == after(99)
    await shelf.references.take_in([Unshown(two, other, 1, 2, after(3))], after(200))
    assert await shelf.repository.get(media.id) == now


async def test_a_room_that_was_deleted_begins_anew(shelf: Shelf) -> None:
    """What was told of the old one is void, however late; ids, `seq` and `rev` may come again in the new one."""
    media, room, message = await shelf.ready("alice"), room_id(), message_id()
    old: list[Fact] = [Shown(message, media.id, room, 40, 50, after(1)), Cleared(room, 39, after(2))]
    await tell(shelf, [*old, Gone(room, after(3))])
    assert await shelf.rooms_of(media) == set()
    new = Shown(message, media.id, room, 1, 1, after(4))
    await tell(shelf, [*old, new, Gone(room, after(3)), *old])
    assert (await shelf.rooms_of(media), await used(shelf, media)) == ({room}, [True])
    await tell(shelf, [Unshown(message, room, 1, 2, after(5))])
    assert (await shelf.rooms_of(media), await used(shelf, media)) == (set(), [False])


async def test_many_at_once(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than are changed in one go; of files that are not there nothing is made."""
    monkeypatch.setattr(reference_store, "AT_ONCE", 3)
    files = [await shelf.ready("alice") for _ in range(4)]
    room, nowhere = room_id(), uuid4().hex
    ids = [*(media.id for media in files), nowhere] * 2
    facts = [Shown(message_id(), media_id, room, seq, seq, after(seq)) for seq, media_id in enumerate(ids, 1)]
    await shelf.references.take_in(facts, after(60))
    assert await used(shelf, *files) == [True] * 4
    await shelf.references.take_in([Cleared(room, 9, after(60))], after(60))
    assert await used(shelf, *files) == [False, False, False, False]
    assert await shelf.references.rooms_of([nowhere]) == {nowhere: {room}}  # of seq 10
    await shelf.references.take_in([Gone(room, after(90))], after(90))
    assert await shelf.references.rooms_of([nowhere]) == {}
    assert await shelf.repository.known([nowhere]) == set()


OPERATIONS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["show", "delete", "clear"])), max_size=12)


@given(operations=OPERATIONS, shuffle=st.randoms(use_true_random=False))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_has_happened(shelf: Shelf, operations: list[tuple[int, str]], shuffle: Any) -> None:
    """Told in any order it comes to what it came to in the right one."""
    media, room = await shelf.ready("alice"), room_id()
    facts: list[Fact] = []
    alive: dict[str, int] = {}
    seq = 0
    for rev, (which, what) in enumerate(operations, 1):
        if what == "show":
            seq += 1
            message = message_id()
            alive[message] = seq
            facts.append(Shown(message, media.id, room, seq, rev, after(rev)))
        elif what == "delete" and alive:
            message = sorted(alive)[which % len(alive)]
            facts.append(Unshown(message, room, alive.pop(message), rev, after(rev)))
        elif what == "clear":
            alive.clear()
            facts.append(Cleared(room, seq, after(rev)))
    shuffle.shuffle(facts)
    half = len(facts) // 2
    await shelf.references.take_in(facts[:half], after(60))
    await shelf.references.take_in(facts, after(60))
    assert await shelf.rooms_of(media) == ({room} if alive else set())
    assert await used(shelf, media) == [bool(alive)]


# ── from the queue ───────────────────────────────────────────────────────────────────────────────────────────────────


def event(kind: str, room: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An event as the messages service tells it."""
    return {
        "specversion": "1.0", "id": uuid4().hex, "source": "/tests", "type": kind, "subject": room,
        "time": after(1).isoformat(), "tenant": "default", "data": {"room_id": room, **data}, **more,
    }  # fmt: skip


async def test_poison_is_put_aside_and_the_rest_goes_on(shelf: Shelf, bus: Wire) -> None:
    """Alone, with the reason; what is no batch at all as it is."""
    media, room = await shelf.ready("alice"), room_id()
    good = event("media.attached", room, {"rev": 1, "seq": 1, "message_id": message_id(), "media_id": media.id})
    poison = [
        event("media.attached", room, {"rev": 1, "seq": 1, "message_id": "no id", "media_id": media.id}),
        event("media.detached", room, {"rev": "many", "seq": 1, "message_id": message_id()}),
        event("media.cleared", room, {"rev": 1, "seq": 1}, time=None),
        event("media.cleared", room, {"rev": 2, "seq": 2, "wrong": 1}),
        {"type": 5, "room": room},
    ]
    torn = b"[" + room.encode()
    await bus.publish(EVENTS, "attached.0", torn)
    await bus.publish_batch(EVENTS, "attached.0", *poison, good)
    await shelf.shown_in(media, room)
    for item in poison:
        marker = (item.get("id") or room).encode()
        letter = await bus.dead(lambda dead, marker=marker: marker in dead.body and dead.body != torn)  # type: ignore[misc]
        assert letter.key == "attached.0"
        assert letter.reason
    assert "not JSON" in (await bus.dead(lambda dead: dead.body == torn)).reason


async def test_what_the_database_refuses_is_put_aside(shelf: Shelf, bus: Wire) -> None:
    """A number that no document holds, in the midst of good ones."""
    media, room = await shelf.ready("alice"), room_id()
    events = [
        event("media.attached", room, {"rev": rev, "seq": 1, "message_id": message_id(), "media_id": media.id})
        for rev in (1, 2**63, 2)
    ]
    await bus.publish_batch(EVENTS, "attached.0", *events)
    await shelf.shown_in(media, room)
    letter = await bus.dead(lambda dead: events[1]["id"].encode() in dead.body)
    assert events[0]["id"].encode() not in letter.body

    async def both() -> bool:
        return await shelf.refs.count_documents({"media_id": media.id}) == 2

    await eventually(both)


# ── what is not known yet ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def apart(stack: Stack, tenant: str) -> AsyncIterator[Shelf]:
    """Files in a database that no service looks after."""
    mongo = Mongo(stack.mongo_url.replace("/parley?", f"/told-{uuid4().hex[:8]}?"), "tests")
    made = Shelf(mongo, tenant)
    await made.prepare()
    yield made
    await mongo.database.client.drop_database(mongo.database.name)
    mongo.close()


async def test_nothing_is_collected_that_a_message_may_show(apart: Shelf, stack: Stack, bus: Wire) -> None:
    """While anything is in the queue, and until what was taken from it last is written down."""
    key = f"tests.{uuid4().hex}"
    queue = Queue(key, (Binding(EVENTS, key),), durable=False, arguments={"x-expires": 60_000})
    link, tasks = Link(stack.amqp_url, "tests", [queue]), Tasks()
    tasks.spawn(link.run(), "link")
    try:
        await link.wait_up()
        assert await link.waiting(key) == 0
        media, keep = await apart.ready("alice"), timedelta(hours=1)
        caught_up = CaughtUp(lambda _queue: link.waiting(key))
        collector = Collector(apart.repository, apart.store, keep, caught_up)
        later = datetime.now(UTC) + timedelta(hours=2)
        await bus.publish_batch(EVENTS, key, {})
        await eventually(lambda: _is(link.waiting(key), 1))
        for _ in range(2):
            await collector.collect(later)
        await bus.delete_queue(key)
        await collector.collect(later)  # the queue is not there: nothing is known of it
        assert await apart.repository.get(media.id) is not None
        link.reset("the queue is to be there again")
        await eventually(lambda: _is_declared(link, key))
        await collector.collect(later)
        assert await apart.repository.get(media.id) is not None
        await collector.collect(later)
        assert await apart.repository.get(media.id) is None
    finally:
        await tasks.close()


async def _is(answer: Awaitable[int], expected: int) -> bool:
    return await answer == expected


async def _is_declared(link: Link, key: str) -> bool:
    try:
        return await link.waiting(key) == 0
    except LOST:
        return False
