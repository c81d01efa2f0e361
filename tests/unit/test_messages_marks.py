"""Marks by themselves: where they move and where not, what counts as unread, how far a message has got."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.messages import marks as rules
from services.messages.state import Marks, Moved
from shared.contracts.envelope import Actor
from shared.contracts.errors import ErrorCode
from shared.contracts.membership import Role
from shared.contracts.messages import MarkDelivered, MarkRead, MarkUnread, ReportDelivered, SendMessage
from shared.contracts.timeline import DeliveredView, ReceiptView, Status
from tests.unit.messages_world import LIMITS, ROOM, World, access, only, refused

GATEWAY = Actor(id="gateway", roles=("service",))

Mark = MarkRead | MarkDelivered | MarkUnread


@pytest.fixture
def world() -> World:
    """A room with five messages of Mia's."""
    world = World()
    for _ in range(5):
        world.send("mia")
    return world


def receipt(world: World, command: Mark, who: str = "max") -> tuple[int, int]:
    """Read and delivered after a command."""
    view = only(world.do(who, command), ReceiptView)
    assert view.user_id == who
    return view.read_seq, view.delivered_seq


class TestMarks:
    def test_what_is_read_was_delivered(self, world: World) -> None:
        """Reading moves both marks, delivery one."""
        assert receipt(world, MarkDelivered(room_id=ROOM, seq=2)) == (0, 2)
        assert receipt(world, MarkRead(room_id=ROOM, seq=3)) == (3, 3)
        assert receipt(world, MarkDelivered(room_id=ROOM, seq=5)) == (3, 5)

    def test_marks_never_go_back(self, world: World) -> None:
        """A late or repeated mark changes nothing, and there is nothing to tell of it."""
        receipt(world, MarkRead(room_id=ROOM, seq=4))
        decided = world.do("max", MarkRead(room_id=ROOM, seq=2))
        assert only(decided, ReceiptView).read_seq == 4
        assert (decided.marks, decided.moved) == ({}, {})

    def test_marks_never_go_beyond_the_last_message(self, world: World) -> None:
        """A mark ahead of the room would hide what is yet to come."""
        assert receipt(world, MarkRead(room_id=ROOM, seq=2**53)) == (5, 5)

    def test_a_message_of_the_same_batch_can_be_read(self, world: World) -> None:
        """The last message is the last one so far, batch included."""
        world.batch(
            world.request("mia", SendMessage(room_id=ROOM, content="hi")),
            world.request("max", MarkRead(room_id=ROOM, seq=6)),
        )
        assert world.marks[ROOM, "max"] == Marks(6, 6)

    def test_marks_of_one_batch_build_on_each_other(self, world: World) -> None:
        """Only the last state is stored and told."""
        decided = world.batch(*(world.request("max", MarkRead(room_id=ROOM, seq=seq)) for seq in (1, 3, 2)))
        assert decided.marks == {(ROOM, "max"): Marks(3, 3)}
        assert decided.moved == {(ROOM, "max"): Moved(shared=True, read_from=1)}

    def test_where_reading_has_gone_on_is_told(self, world: World) -> None:
        """What has only arrived is no reading; what was read before is not newly read."""
        decided = world.do("max", MarkDelivered(room_id=ROOM, seq=2))
        assert decided.moved == {(ROOM, "max"): Moved(shared=True)}
        world.do("max", MarkRead(room_id=ROOM, seq=2))
        decided = world.do("max", MarkRead(room_id=ROOM, seq=4))
        assert decided.moved == {(ROOM, "max"): Moved(shared=True, read_from=3)}

    def test_marks_are_no_change_of_the_timeline(self, world: World) -> None:
        """No rev is spent on them, and no event of the timeline tells them."""
        before = world.timelines[ROOM]
        decided = world.do("rita", MarkRead(room_id=ROOM, seq=1))
        assert (decided.announcements, decided.writes, world.timelines[ROOM]) == ([], [], before)

    @pytest.mark.parametrize("command", [MarkRead, MarkDelivered, MarkUnread])
    def test_only_members_have_marks(self, world: World, command: type[Mark]) -> None:
        """Whoever reads along by a global role leaves no trace."""
        refused(world.do("eve", command(room_id=ROOM, seq=1)), ErrorCode.FORBIDDEN)
        refused(world.do(GATEWAY, command(room_id=ROOM, seq=1)), ErrorCode.FORBIDDEN)


class TestUnread:
    def test_it_is_ones_own_business(self, world: World) -> None:
        """What others know of one's reading stays; reading anything ends it."""
        receipt(world, MarkRead(room_id=ROOM, seq=5))
        decided = world.do("max", MarkUnread(room_id=ROOM, seq=2))
        assert only(decided, ReceiptView) == ReceiptView(user_id="max", read_seq=5, delivered_seq=5, unread_from=2)
        assert decided.moved == {(ROOM, "max"): Moved(private=True)}
        decided = world.do("max", MarkRead(room_id=ROOM, seq=1))
        assert world.marks[ROOM, "max"] == Marks(5, 5)
        assert decided.moved == {(ROOM, "max"): Moved(private=True)}

    def test_writing_and_delivery_do_not_end_it(self, world: World) -> None:
        """Only reading does."""
        world.do("max", MarkUnread(room_id=ROOM, seq=2))
        world.do("max", MarkDelivered(room_id=ROOM, seq=3))
        assert world.marks[ROOM, "max"] == Marks(0, 3, 2)
        assert Marks(0, 3, 2).reached(9) == Marks(9, 9, 2)

    @pytest.mark.parametrize(
        ("marks", "cleared", "seen"),
        [
            (Marks(3, 5), 0, 3),
            (Marks(3, 5, 2), 0, 1),
            (Marks(3, 5, 9), 0, 3),
            (Marks(3, 5, 0), 0, 0),
            (Marks(3, 5), 4, 4),
            (Marks(3, 5, 1), 2, 2),
        ],
    )
    def test_what_counts_as_seen(self, marks: Marks, cleared: int, seen: int) -> None:
        """The pointer only ever shows more as unread, and what was cleared is never unread."""
        assert rules.seen(marks, cleared) == seen


class TestReports:
    def test_members_are_taken_and_others_passed_over(self, world: World) -> None:
        """Within what there is; nothing is stored with the batch, so it costs the messages in it nothing."""
        report = ReportDelivered(room_id=ROOM, delivered={"max": 3, "rita": 99, "eve": 4})
        decided = world.do(GATEWAY, report)
        assert only(decided, DeliveredView) == DeliveredView(room_id=ROOM, recorded=True)
        assert decided.reported == {(ROOM, "max"): 3, (ROOM, "rita"): 5}
        assert (decided.marks, decided.moved, decided.announcements) == ({}, {}, [])

    def test_reports_of_one_batch_come_to_the_furthest(self, world: World) -> None:
        """Two gateways report the same member."""
        reports = [ReportDelivered(room_id=ROOM, delivered={"max": seq}) for seq in (2, 4, 3)]
        decided = world.batch(*(world.request(GATEWAY, report) for report in reports))
        assert decided.reported == {(ROOM, "max"): 4}

    def test_a_large_room_records_none(self, world: World) -> None:
        """And says so."""
        crowd = {f"u{number}": Role.MEMBER for number in range(LIMITS.receipts + 1)}
        world.access[ROOM] = access(ROOM).model_copy(update={"members": crowd})
        decided = world.do(GATEWAY, ReportDelivered(room_id=ROOM, delivered={"u1": 1}))
        assert only(decided, DeliveredView) == DeliveredView(room_id=ROOM, recorded=False)
        assert decided.reported == {}

    @pytest.mark.parametrize("roles", [(), ("admin",), ("assistant",)])
    def test_only_services_report(self, world: World, roles: tuple[str, ...]) -> None:
        """A member could otherwise say what others have got."""
        report = ReportDelivered(room_id=ROOM, delivered={"max": 1})
        refused(world.do(Actor(id="olga", roles=roles), report), ErrorCode.FORBIDDEN)


marks_of_somebody = st.builds(Marks, st.integers(0, 6), st.integers(0, 6)).map(
    lambda marks: marks._replace(delivered=max(marks.read, marks.delivered))
)
seqs = st.integers(0, 9)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from((rules.read, rules.delivered, rules.unread)), seqs), max_size=12), seqs)
def test_read_and_delivered_only_grow(steps: list[tuple[rules.Move, int]], last: int) -> None:
    """Whatever is asked: what is read was delivered, and nothing beyond the last message was."""
    marks = Marks()
    for move, seq in steps:
        after = move(marks, seq, last)
        assert marks.read <= after.read <= after.delivered <= last
        assert marks.delivered <= after.delivered
        marks = after


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from("abcd"), marks_of_somebody), st.integers(1, 6))
def test_a_message_has_got_as_far_as_the_last_of_its_readers(others: dict[str, Marks], seq: int) -> None:
    """Nobody to reach means that it was merely sent."""
    view = rules.status("m", seq, others)
    assert view.read_by == sorted(who for who, marks in others.items() if marks.read >= seq)
    assert set(view.read_by) <= set(view.delivered_to) <= set(others)
    least = min((marks.read >= seq) + (marks.delivered >= seq) for marks in others.values()) if others else 0
    assert view.status is (Status.SENT, Status.DELIVERED, Status.READ)[least]
