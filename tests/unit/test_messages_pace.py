"""When moved marks are told: once per room and second, all of them, and to those who may know."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.messages import pace as module
from services.messages.pace import MAX_IN_EVENT, PACE, Change, Key, Pace, events
from services.messages.state import Marks, Moved
from shared.contracts.membership import Role
from shared.contracts.messages import ReceiptsUpdated
from shared.contracts.timeline import ReceiptView
from tests.unit.messages_world import access

SHARED, PRIVATE = Change(Moved(shared=True)), Change(Moved(private=True))


class TestPace:
    def test_the_first_change_is_due_at_once(self) -> None:
        """And what follows within the second waits for its end, together."""
        pace = Pace()
        pace.note(("r", "max"), SHARED)
        assert pace.due(10.0) == {("r", "max"): SHARED}
        pace.note(("r", "max"), SHARED)
        pace.note(("r", "mia"), PRIVATE)
        pace.note(("r", "max"), Change(reported=7))
        assert pace.due(10.0 + PACE / 2) == {}
        assert len(pace) == 2
        told = pace.due(10.0 + PACE)
        assert told == {("r", "max"): Change(Moved(shared=True), 7), ("r", "mia"): PRIVATE}
        assert len(pace) == 0

    def test_what_was_read_in_several_steps_is_told_from_the_first(self) -> None:
        """Whoever shows single messages as read must know of all of them."""
        pace = Pace()
        for moved in (Moved(shared=True, read_from=3), Moved(shared=True, read_from=5), Moved(shared=True)):
            pace.note(("r", "max"), Change(moved))
        assert pace.due(1.0) == {("r", "max"): Change(Moved(shared=True, read_from=3))}

    def test_rooms_do_not_wait_for_each_other(self) -> None:
        """One was told a moment ago, the other was not."""
        pace = Pace()
        pace.note(("a", "max"), SHARED)
        pace.due(1.0)
        pace.note(("a", "max"), SHARED)
        pace.note(("b", "max"), SHARED)
        assert list(pace.due(1.5)) == [("b", "max")]

    def test_everything_leaves_at_the_end(self) -> None:
        """A room that is handed over waits for no second."""
        pace = Pace()
        pace.note(("a", "max"), SHARED)
        pace.due(1.0)
        pace.note(("a", "max"), PRIVATE)
        assert pace.everything() == {("a", "max"): PRIVATE}
        assert len(pace) == 0

    def test_a_purged_room_is_forgotten(self) -> None:
        """Nothing of it is stored any more."""
        pace = Pace()
        pace.note(("a", "max"), SHARED)
        pace.note(("b", "max"), SHARED)
        pace.drop("a")
        assert list(pace.everything()) == [("b", "max")]

    def test_it_takes_no_more_than_it_can_hold(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who waits already still gets on."""
        monkeypatch.setattr(module, "MAX_WAITING", 1)
        pace = Pace()
        assert pace.note(("a", "max"), SHARED)
        assert not pace.note(("a", "mia"), SHARED)
        assert pace.note(("a", "max"), Change(reported=3))
        assert pace.due(0.0) == {("a", "max"): Change(Moved(shared=True), 3)}


steps = st.lists(
    st.tuples(st.sampled_from((0.0, 0.125, 0.5, 0.875, 1.0)), st.sampled_from("ab"), st.sampled_from("xyz")),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_a_room_is_told_once_a_second_and_nothing_is_left_out(wanted: list[tuple[float, str, str]]) -> None:
    """However the changes fall: never two events within the pace, and at the end everything has been told."""
    pace, now = Pace(), 0.0
    told: dict[str, list[float]] = {"a": [], "b": []}
    waiting: set[Key] = set()
    for number, (pause, room_id, user_id) in enumerate(wanted, start=1):
        now += pause
        pace.note((room_id, user_id), Change(reported=number))
        waiting.add((room_id, user_id))
        due = pace.due(now)
        assert due.keys() <= waiting
        waiting -= due.keys()
        for room in {key[0] for key in due}:
            told[room].append(now)
    for times in told.values():
        assert all(later - earlier >= PACE for earlier, later in pairwise(times))
    assert pace.due(now + PACE).keys() == waiting
    assert len(pace) == 0


class TestEvents:
    room = access("r", max=Role.MEMBER, mia=Role.OWNER)

    def told(self, changes: dict[str, tuple[Marks, Moved]], max_members: int = 2) -> list[ReceiptsUpdated]:
        """The events for a room of two."""
        return events(self.room, changes, max_members)

    def test_all_of_a_small_room_are_told(self) -> None:
        """In one event; where from somebody sees it as unread is not in it."""
        changes = {
            "max": (Marks(3, 4, 1), Moved(shared=True)),
            "mia": (Marks(5, 5), Moved(shared=True, read_from=2)),
        }
        (event,) = self.told(changes)
        assert event.everyone
        assert event.receipts == [
            ReceiptView(user_id="max", read_seq=3, delivered_seq=4),
            ReceiptView(user_id="mia", read_seq=5, delivered_seq=5, read_from=2),
        ]

    def test_what_is_private_goes_to_its_owner_alone(self) -> None:
        """Beside what everybody may know."""
        changes = {
            "max": (Marks(3, 4, 1), Moved(private=True)),
            "mia": (Marks(5, 5), Moved(shared=True)),
        }
        shared, alone = self.told(changes)
        assert (shared.everyone, [item.user_id for item in shared.receipts]) == (True, ["mia"])
        assert (alone.everyone, [(item.user_id, item.unread_from) for item in alone.receipts]) == (False, [("max", 1)])

    def test_in_a_large_room_each_one_is_told_of_oneself(self) -> None:
        """Every event says so."""
        changes = {"max": (Marks(3, 4, 1), Moved(shared=True, private=True)), "mia": (Marks(5, 5), Moved(shared=True))}
        (event,) = self.told(changes, max_members=1)
        assert not event.everyone
        assert [(item.user_id, item.unread_from) for item in event.receipts] == [("max", 1), ("mia", None)]

    def test_who_has_left_is_left_out(self) -> None:
        """And where nothing is news, nothing is told."""
        assert self.told({"eve": (Marks(1, 1), Moved(shared=True)), "max": (Marks(1, 1), Moved())}) == []

    def test_an_event_has_a_size(self) -> None:
        """A room of thousands is told in several."""
        people = {f"u{number}": Role.MEMBER for number in range(MAX_IN_EVENT + 1)}
        changes = {who: (Marks(1, 1), Moved(shared=True)) for who in people}
        told = events(access("r").model_copy(update={"members": people}), changes, max_members=10)
        assert [len(event.receipts) for event in told] == [MAX_IN_EVENT, 1]
