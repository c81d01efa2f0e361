"""What is asked for and withdrawn, from events in their order."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.rooms.notification_rules import Ended, tidings
from shared.contracts.base import Event
from shared.contracts.content import SenderView
from shared.contracts.messages import ReceiptsUpdated
from shared.contracts.notifications import ActNoted, MessageNoted, MessageUnnoted, Reason
from shared.contracts.rooms import MemberRemoved, RoomDeleted
from shared.contracts.timeline import ReceiptView

AT = "2026-01-01T00:00:00Z"


def told(event: Event, number: int = 0) -> dict[str, Any]:
    """The envelope of an event, as far as it is read."""
    return {"id": f"e{number}", "type": event.TYPE, "tenant": "t", "data": event.model_dump(mode="json")}


def noted(seq: int, *user_ids: str, room_id: str = "room") -> MessageNoted:
    """Message `m<seq>` concerns these."""
    return MessageNoted(
        room_id=room_id,
        message_id=f"m{seq}",
        seq=seq,
        sender=SenderView(id="alice"),
        preview="hi",
        reasons=dict.fromkeys(user_ids, Reason.MENTION),
    )


def read(user_id: str, seq: int, room_id: str = "room") -> ReceiptsUpdated:
    """Somebody has read up to here."""
    return ReceiptsUpdated(room_id=room_id, receipts=[ReceiptView(user_id=user_id, read_seq=seq, delivered_seq=seq)])


def wanted_after(*events: Event) -> set[str]:
    """The ids of what is still wanted."""
    return set(tidings(told(event, number) for number, event in enumerate(events)).wanted)


class TestWanted:
    def test_one_per_message_and_user(self) -> None:
        """Told twice it is one; it says who wrote what, and why it is told."""
        found = tidings([told(noted(1, "bob", "carol")), told(noted(1, "bob", "carol"))])
        assert set(found.wanted) == {"m1:bob", "m1:carol"}
        notification = found.wanted["m1:bob"]
        assert (notification.tenant, notification.request.reason, notification.request.preview) == (
            "t",
            Reason.MENTION,
            "hi",
        )

    def test_what_is_read_at_once_is_not_wanted(self) -> None:
        """Up to the mark, by this user, in this room."""
        assert wanted_after(noted(1, "bob", "carol"), noted(2, "bob"), read("bob", 1)) == {"m1:carol", "m2:bob"}
        assert wanted_after(noted(1, "bob"), read("bob", 1, room_id="other")) == {"m1:bob"}

    def test_what_was_read_before_does_not_count(self) -> None:
        """The order of events decides; a delivered mark is no read mark."""
        assert wanted_after(read("bob", 0), noted(1, "bob")) == {"m1:bob"}

    def test_the_deleted_and_the_cleared_concern_nobody(self) -> None:
        """One message, or all up to one."""
        assert wanted_after(
            noted(1, "bob"), noted(2, "bob"), noted(3, "bob"), MessageUnnoted(room_id="room", message_id="m2", seq=2)
        ) == {"m1:bob", "m3:bob"}
        assert wanted_after(noted(1, "bob"), noted(2, "bob"), MessageUnnoted(room_id="room", seq=1)) == {"m2:bob"}

    def test_who_is_out_is_told_nothing(self) -> None:
        """Removed from the room, or the room is no more."""
        out = MemberRemoved(room_id="room", version=2, user_id="bob")
        assert wanted_after(noted(1, "bob", "carol"), out) == {"m1:carol"}
        assert wanted_after(noted(1, "bob"), RoomDeleted(room_id="room", version=2, members=["bob"])) == set()


class TestEnded:
    def test_what_ended_is_withdrawn_from_what_stands(self) -> None:
        """Whatever was wanted before this batch."""
        found = tidings([told(read("bob", 3)), told(MemberRemoved(room_id="room", version=1, user_id="carol"))])
        assert found.ended == [Ended("room", user_id="bob", seq=3), Ended("room", user_id="carol")]


class TestOthers:
    def test_acts_are_for_the_audit(self) -> None:
        """With the id of their event, by which a repetition is known."""
        act = ActNoted(room_id="room", actor_id="root", act="message.delete", message_id="m1", target_id="bob", at=AT)
        [found] = tidings([told(act, 7)]).acts
        assert (found.id, found.tenant, found.noted) == ("e7", "t", act)

    def test_the_malformed_is_left_out_alone(self) -> None:
        """What else the batch holds counts."""
        broken = {"id": "x", "type": MessageNoted.TYPE, "data": {"room_id": "room"}}
        found = tidings([broken, {"type": "message.created", "data": {}}, told(noted(1, "bob"))])
        assert set(found.wanted) == {"m1:bob"}
        assert len(found.malformed) == 1


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("ab"), st.integers(1, 5)), max_size=20))
def test_after_everything_only_the_unread_is_wanted(steps: list[tuple[bool, str, int]]) -> None:
    """Against the plainest account of it: of each user's notes, those that no later mark covers."""
    expected: set[str] = set()
    events: list[Event] = []
    for is_note, user_id, seq in steps:
        if is_note:
            events.append(noted(seq, user_id))
            expected.add(f"m{seq}:{user_id}")
        else:
            events.append(read(user_id, seq))
            expected -= {f"m{number}:{user_id}" for number in range(1, seq + 1)}
    assert wanted_after(*events) == expected
