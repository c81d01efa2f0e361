"""What a messages worker remembers of who may enter where, and when it must not."""

import asyncio
from collections.abc import Callable

import pytest

from shared import access as module
from shared.access import AccessCache
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.membership import RoomAccess
from tests.unit.messages_world import access


class Rooms:
    """The rooms service's answers; counts the questions, and can be slow or away."""

    def __init__(self) -> None:
        self.existing = {"a": access("a"), "b": access("b")}
        self.asked: list[list[str]] = []
        self.away = False
        self.before_answer: Callable[[], object] = lambda: None

    async def ask(self, room_ids: list[str]) -> list[RoomAccess]:
        """The access of those that exist, as it is when the question arrives."""
        self.asked.append(room_ids)
        if self.away:
            raise ChatError(ErrorCode.TIMEOUT, "no answer")
        answer = [self.existing[room_id] for room_id in room_ids if room_id in self.existing]
        await asyncio.sleep(0)
        self.before_answer()
        return answer


@pytest.fixture
def rooms() -> Rooms:
    """Two rooms, a and b."""
    return Rooms()


@pytest.fixture
def cache(rooms: Rooms) -> AccessCache:
    """An empty cache."""
    return AccessCache(rooms.ask)


async def test_what_is_known_is_not_asked_for_again(cache: AccessCache, rooms: Rooms) -> None:
    """Only the missing ones are."""
    await cache.get({"a"})
    assert await cache.get({"a", "b"}) == rooms.existing
    assert rooms.asked == [["a"], ["b"]]
    assert cache.known(["a", "b", "c"]) == {"a", "b"}


async def test_a_room_that_does_not_exist_is_looked_up_each_time(cache: AccessCache, rooms: Rooms) -> None:
    """It may be made at any moment."""
    assert await cache.get({"new"}) == {"new": None}
    rooms.existing["new"] = access("new")
    assert (await cache.get({"new"}))["new"] == rooms.existing["new"]


async def test_a_change_makes_it_forget(cache: AccessCache, rooms: Rooms) -> None:
    """One room by its event, all of them where events may have been missed."""
    await cache.get({"a"})
    cache.invalidate("a")
    assert cache.known(["a"]) == set()
    await cache.get({"a"})
    cache.clear()
    assert cache.known(["a"]) == set()


@pytest.mark.parametrize("forget", [lambda cache: cache.invalidate("a"), lambda cache: cache.clear()])
async def test_an_answer_overtaken_by_a_change_is_not_kept(
    cache: AccessCache, rooms: Rooms, forget: Callable[[AccessCache], None]
) -> None:
    """It may be older than the change; what is asked for next time is newer."""
    rooms.before_answer = lambda: forget(cache)
    assert (await cache.get({"a"}))["a"] == rooms.existing["a"]
    assert cache.known(["a"]) == set()


async def test_another_rooms_change_does_not_matter(cache: AccessCache, rooms: Rooms) -> None:
    """Otherwise a busy deployment would remember nothing."""
    rooms.before_answer = lambda: cache.invalidate("b")
    await cache.get({"a"})
    assert cache.known(["a"]) == {"a"}


async def test_a_doubt_is_asked_for_afresh(cache: AccessCache, rooms: Rooms) -> None:
    """A refusal is never given from memory."""
    await cache.get({"a"})
    rooms.existing["a"] = rooms.existing["a"].model_copy(update={"version": 2})
    found = await cache.get({"a"}, fresh=True)
    assert found == {"a": rooms.existing["a"]} == await cache.get({"a"})


async def test_known_rooms_go_on_while_the_service_is_away(
    cache: AccessCache, rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown ones are absent from the answer, which is no refusal; for a while it does not even ask."""
    await cache.get({"a"})
    rooms.away = True
    assert await cache.get({"a", "b"}) == {"a": rooms.existing["a"]}
    assert await cache.get({"b"}) == {}
    assert len(rooms.asked) == 2
    monkeypatch.setattr(module, "PAUSE", 0.0)
    cache = AccessCache(rooms.ask)
    await cache.get({"b"})
    rooms.away = False
    assert (await cache.get({"b"}))["b"] == rooms.existing["b"]


async def test_patience_ends(cache: AccessCache, rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that does not come holds nobody up for long."""
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    never = asyncio.Event()

    async def silent(_room_ids: list[str]) -> list[RoomAccess]:
        await never.wait()
        return []

    assert await AccessCache(silent).get({"a"}) == {}


async def test_memory_is_bounded(cache: AccessCache, rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one looked up longest ago goes first."""
    monkeypatch.setattr(module, "MAX_ROOMS", 2)
    rooms.existing["c"] = access("c")
    for room_id in "abc":
        await cache.get({room_id})
    assert cache.known("abc") == {"b", "c"}
