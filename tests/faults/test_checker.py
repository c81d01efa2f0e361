"""The judge is judged: it accepts a faultless run, and objects to each way in which a run can be wrong."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.faults.checker import check, given_up
from tests.faults.record import DELETE, EDIT, REACT, SEND, UNREACT, Answered, Asked, ClientLog, Stored, Told, Written

ROOM, OTHER = "room", "other"
ALICE, BOB = "alice", "bob"


def stored(seq: int, **fields: Any) -> Stored:
    """Alice's message number `seq`, as the database has it."""
    return Stored(
        **{
            "id": f"id-{seq}", "room_id": ROOM, "seq": seq, "rev": seq, "born": seq, "sender": ALICE,
            "client_id": f"c-{seq}", "content": f"text {seq}", "created_at": f"t{seq}", **fields,
        }
    )  # fmt: skip


def told(message: Stored, type: str = "message.created") -> Told:
    """The event that shows a message in this state."""
    view = {
        "id": message.id,
        "seq": message.seq,
        "rev": message.rev,
        "content": message.content,
        "reactions": [{"emoji": emoji, "users": list(users)} for emoji, users in message.users.items()],
        **({"deleted_at": "now"} if message.deleted else {}),
    }
    return Told(0.0, type, message.room_id, view)


@dataclass
class Run:
    """A faultless run: Alice has written three messages, edited the second and deleted the third; Bob has reacted."""

    alice: list[Asked | Answered | Told] = field(default_factory=list)
    bob: list[Asked | Answered | Told] = field(default_factory=list)
    stored: list[Stored] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)

    def __post_init__(self) -> None:
        one, two, three = stored(1), stored(2), stored(3)
        edited = replace(two, rev=4, content="better")
        deleted = replace(three, rev=5, content="", deleted=True)
        liked = replace(one, rev=6, users={"+": (BOB,)})
        self.stored = [liked, edited, deleted]
        self.written = [Written(ROOM, message.rev, message.id) for message in (one, two, three, edited, deleted, liked)]
        for number, message in enumerate((one, two, three), start=1):
            self.alice += asks(number, SEND, message.client_id, message.content, ack(message))
        self.alice += asks(4, EDIT, two.id, "better") + asks(5, DELETE, three.id)
        self.bob += asks(1, REACT, one.id, "+")
        for entries in (self.alice, self.bob):
            entries += [told(one), told(two), told(three)]
            entries += [told(edited, "message.updated"), told(deleted, "message.deleted")]
            entries.append(told(liked, "message.reacted"))

    @property
    def seen(self) -> list[Told]:
        """What Bob was told."""
        return [entry for entry in self.bob if isinstance(entry, Told)]

    def told_to_bob(self, *entries: Told) -> None:
        """Let Bob be told this, and nothing else."""
        self.bob = [entry for entry in self.bob if not isinstance(entry, Told)] + list(entries)

    def check(self) -> list[str]:
        """What the checker objects to."""
        rooms = frozenset({ROOM})
        return check([ClientLog(ALICE, rooms, self.alice), ClientLog(BOB, rooms, self.bob)], self.stored, self.written)


def ack(message: Stored) -> dict[str, Any]:
    """The ack of the send of a message."""
    return {"message_id": message.id, "seq": message.seq, "rev": message.born, "created_at": message.created_at}


def asks(
    number: int, kind: str, target: str, value: str = "", result: dict[str, Any] | None = None, *, error: str = ""
) -> list[Asked | Answered | Told]:
    """A request with its answer."""
    return [Asked(number, number, kind, ROOM, target, value), Answered(number, number, result or {}, error)]


def test_a_faultless_run_is_accepted() -> None:
    """Else every objection below would prove nothing."""
    assert Run().check() == []


def test_what_was_never_acked_may_be_stored_or_not() -> None:
    """A client that gave up has been promised nothing."""
    run = Run()
    run.alice += asks(6, SEND, "c-6", "who knows", error="timeout") + asks(7, EDIT, "id-2", "worse", error="timeout")
    assert run.check() == []
    run.stored[1] = replace(run.stored[1], content="worse", rev=7)
    for entries in (run.alice, run.bob):
        entries.append(told(run.stored[1], "message.updated"))
    assert run.check() == []
    assert len(given_up([ClientLog(ALICE, frozenset({ROOM}), run.alice)])) == 2


def test_a_state_may_be_skipped_and_told_twice() -> None:
    """Clients are promised states, not every step to them."""
    run = Run()
    one, two, three, edited, deleted, liked = run.seen
    run.told_to_bob(one, replace(two, message=edited.message), three, deleted, edited, liked)
    assert run.check() == []


def _lost(run: Run) -> None:
    del run.stored[2]
    run.alice = [entry for entry in run.alice if not (isinstance(entry, Told) and "id-3" in str(entry.message))]
    run.told_to_bob(*(entry for entry in run.seen if "id-3" not in str(entry.message)))


def _stored_twice(run: Run) -> None:
    run.stored.append(replace(stored(4), client_id="c-1", content="text 1"))


def _same_seq(run: Run) -> None:
    run.stored[2] = replace(run.stored[2], seq=2)


def _same_rev(run: Run) -> None:
    run.stored[2] = replace(run.stored[2], rev=4)


def _same_id(run: Run) -> None:
    run.stored.append(replace(run.stored[0], seq=4, rev=9))


def _hole(run: Run) -> None:
    run.stored[2] = replace(run.stored[2], seq=4)


def test_a_message_may_be_stored_again_as_it_is() -> None:
    """With what only the service keeps of it."""
    run = Run()
    run.written.insert(4, run.written[3])
    assert run.check() == []


def _changed_in_place(run: Run) -> None:
    run.written.insert(4, replace(run.written[3], state="other"))


def _rev_left_out(run: Run) -> None:
    del run.written[3]


def _rev_stored_late(run: Run) -> None:
    run.written[3:5] = run.written[4:2:-1]


def _never_sent(run: Run) -> None:
    run.stored.append(stored(4, client_id="c-4"))


def _wrong_content(run: Run) -> None:
    run.stored[0] = replace(run.stored[0], content="text l")


def _nobody_deleted(run: Run) -> None:
    run.stored[0] = replace(run.stored[0], content="", deleted=True)


def _acked_otherwise(run: Run) -> None:
    run.alice += asks(6, SEND, "c-1", "text 1", {**ack(stored(1)), "seq": 7})


def _acked_under_another_name(run: Run) -> None:
    run.stored[0] = replace(run.stored[0], client_id="c-0")


def _edit_undone(run: Run) -> None:
    run.stored[1] = replace(run.stored[1], content="text 2")


def _deletion_undone(run: Run) -> None:
    run.stored[2] = replace(run.stored[2], content="text 3", deleted=False)


def _reaction_undone(run: Run) -> None:
    run.stored[0] = replace(run.stored[0], users={})


def _reaction_returned(run: Run) -> None:
    run.bob += asks(2, UNREACT, "id-1", "+")


def _gap(run: Run) -> None:
    run.told_to_bob(*(entry for entry in run.seen if "id-2" not in str(entry.message)))


def _end_missing(run: Run) -> None:
    run.told_to_bob(*run.seen[:2], *run.seen[3:4], run.seen[5])


def _told_twice(run: Run) -> None:
    run.bob.append(run.seen[0])


def _swapped(run: Run) -> None:
    one, two, *rest = run.seen
    run.told_to_bob(two, one, *rest)


def _foreign_message(run: Run) -> None:
    run.bob.append(told(stored(4)))


def _foreign_room(run: Run) -> None:
    run.bob.append(told(replace(stored(1), room_id=OTHER)))


def _changed_before_created(run: Run) -> None:
    one, two, three, edited, deleted, liked = run.seen
    run.told_to_bob(one, edited, two, three, deleted, liked)


def _started_afresh(run: Run) -> None:
    run.bob.append(Told(9.0, "reset", ROOM, detail={"rev": 6}))


def _last_state_missing(run: Run) -> None:
    run.told_to_bob(*(entry for entry in run.seen if entry.type != "message.reacted"))


def _wrong_state(run: Run) -> None:
    run.told_to_bob(*run.seen[:-1], told(replace(run.stored[0], content="text l"), "message.reacted"))


@pytest.mark.parametrize(
    ("spoil", "objection"),
    [
        (_lost, "lost: alice's c-3"),
        (_stored_twice, "('room', 'alice', 'c-1') is stored 2 times"),
        (_same_seq, "twice [2]"),
        (_same_rev, "rev ('room', 4) is stored 2 times"),
        (_same_id, "message id id-1 is stored 2 times"),
        (_hole, "missing [3]"),
        (_changed_in_place, "change 5 was stored as rev 4"),
        (_rev_left_out, "change 4 was stored as rev 5"),
        (_rev_stored_late, "change 4 was stored as rev 5"),
        (_never_sent, "was never sent"),
        (_wrong_content, "which nobody wrote"),
        (_nobody_deleted, "nobody asked for it"),
        (_acked_otherwise, "got different acks"),
        (_acked_under_another_name, "alice's c-1 was acked as"),
        (_edit_undone, "ended as 'text 2'; the acked changes leave ['better']"),
        (_deletion_undone, "ended as 'text 3'"),
        (_reaction_undone, "bob's + ended as False"),
        (_reaction_returned, "bob's + ended as True"),
        (_gap, "bob in room: never told [(2, 'id-2')]"),
        (_end_missing, "bob in room: never told [(3, 'id-3')]"),
        (_told_twice, "bob in room: told twice [(1, 'id-1')]"),
        (_swapped, "told in another order: at 1 (2, 'id-2')"),
        (_foreign_message, "told, but not stored [(4, 'id-4')]"),
        (_foreign_room, "where they are no member"),
        (_changed_before_created, "a change of id-2 before they were told of the message"),
        (_started_afresh, "bob was told to start room afresh"),
        (_last_state_missing, "bob shows id-1"),
        (_wrong_state, "bob shows id-1"),
    ],
)
def test_each_breach_is_found(spoil: Callable[[Run], None], objection: str) -> None:
    """And named."""
    run = Run()
    spoil(run)
    broken = run.check()
    assert any(objection in sentence for sentence in broken), broken
