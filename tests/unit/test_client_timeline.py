"""The client's view of a room, held against a room that changes, streams that break, and answers that come in pages.

Whatever happens in whatever order, the application must have been told every message, in order, and no state twice.
"""

from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.client import timeline as module
from shared.client.timeline import CLEARED, RESET, Event, Position, Timeline
from shared.contracts.content import MessageType, MessageView, SenderView
from shared.contracts.timeline import RoomSyncView

ROOM = "room"
PAGE = 2


def message(seq: int, rev: int) -> MessageView:
    """A message as of a `rev`."""
    return MessageView(
        id=f"{seq:024x}", room_id=ROOM, seq=seq, rev=rev, type=MessageType.TEXT, content=f"{seq} at {rev}",
        sender=SenderView(id="alice"), created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


def live(view: MessageView, rev: int, kind: str = "message.updated") -> Event:
    """A change as the stream brings it."""
    return Event(kind, view.model_dump(mode="json"), ROOM, view.seq, rev)


def cleared(seq: int, rev: int, after: int) -> Event:
    """A clearing as the stream brings it."""
    return Event(CLEARED, {"room_id": ROOM, "seq": seq, "rev": rev}, ROOM, seq, after)


class Room:
    """The room as the server has it, and the stream of one gateway, which may miss changes and heal."""

    def __init__(self) -> None:
        self.epoch, self.rev = "a", 0
        self.messages: list[MessageView] = []
        self.cleared = 0
        self.stream: deque[Event] = deque()
        self.deaf = False
        self.told, self.told_seq, self.told_cleared = 0, 0, 0

    @property
    def standing(self) -> list[MessageView]:
        """The messages that were not cleared."""
        return self.messages[self.cleared :]

    def send(self) -> None:
        self.rev += 1
        self.messages.append(message(len(self.messages) + 1, self.rev))
        self._announce("message.created", self.messages[-1])

    def edit(self, which: int) -> None:
        if self.standing:
            self.rev += 1
            index = self.cleared + which % len(self.standing)
            self.messages[index] = message(index + 1, self.rev)
            self._announce("message.updated", self.messages[index])

    def clear(self) -> None:
        if self.standing:
            self.rev += 1
            self.cleared = len(self.messages)
            if not self.deaf:
                self.told, self.told_seq, self.told_cleared = self.rev, self.cleared, self.cleared
                self.stream.append(cleared(self.cleared, self.rev, self.rev))

    def purge(self) -> None:
        self.epoch, self.rev, self.cleared = self.epoch + "a", 0, 0
        self.messages.clear()

    def connect(self) -> None:
        """A new connection: it is told of changes from here on."""
        self.stream.clear()
        self.deaf, self.told, self.told_seq, self.told_cleared = False, self.rev, len(self.messages), self.cleared

    def heal(self) -> None:
        """The gateway fetches what it has missed: new messages by `seq`, then changes of older ones by `rev`."""
        self.deaf = False
        missed = [view for view in self.standing if view.rev > self.told]
        missed.sort(key=lambda view: (0, view.seq) if view.seq > self.told_seq else (1, view.rev))
        if self.cleared > self.told_cleared:
            self.stream.append(cleared(self.cleared, self.rev, self.told if missed else self.rev))
        for view in missed:
            kind = "message.created" if view.seq > self.told_seq else "message.updated"
            self.stream.append(live(view, self.rev if view is missed[-1] else self.told, kind))
        self.told, self.told_seq, self.told_cleared = self.rev, len(self.messages), self.cleared

    def give_up(self) -> None:
        """The gateway has missed too much to heal: its clients have to fetch it."""
        self.deaf, self.told, self.told_seq, self.told_cleared = False, self.rev, len(self.messages), self.cleared
        self.stream.append(Event("room.reset", {"epoch": self.epoch}, ROOM))

    def sync(self, cursor: str) -> RoomSyncView:
        epoch, rev = cursor.split(":")
        reset = epoch != self.epoch or int(rev) > self.rev
        changed = sorted((view for view in self.standing if view.rev > int(rev)), key=lambda view: view.rev)[:PAGE]
        shown = self.standing if reset else changed
        reached = changed[-1].rev if len(changed) == PAGE and not reset else self.rev
        return RoomSyncView(
            epoch=self.epoch, seq=len(self.messages), rev=self.rev, cursor=f"{self.epoch}:{reached}", reset=reset,
            has_more=reached < self.rev, messages=list(shown), cleared_seq=self.cleared,
        )  # fmt: skip

    def _announce(self, kind: str, view: MessageView) -> None:
        if not self.deaf:
            self.told, self.told_seq = self.rev, len(self.messages)
            self.stream.append(live(view, self.rev, kind))


class Reader:
    """A client as shared.client drives a timeline, one step at a time, and the application behind it."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.behind = False
        self.timeline = Timeline(ROOM)
        self.log: list[Event] = []
        self.work: Iterator[None] | None = None
        self.reconnect()

    def reconnect(self) -> None:
        self.timeline.drop_held()
        self.room.connect()
        self.work, self.behind = None, False
        standing = Position(self.room.epoch, len(self.room.messages), self.room.rev)
        if not self.timeline.meet(standing, self.room.cleared):
            self.fall_behind()

    def purge(self) -> None:
        self.room.purge()
        self.reconnect()

    def fall_behind(self) -> None:
        self.timeline.hold()
        self.behind = True
        self.work = self.work or self.resume()

    def resume(self) -> Iterator[None]:
        while self.behind:
            self.behind = False
            assert self.timeline.position is not None
            pages = [self.room.sync(self.timeline.position.cursor)]
            while pages[-1].has_more:
                yield
                pages.append(self.room.sync(pages[-1].cursor))
            for event in self.timeline.merge(pages):
                yield
                self.put(event)
            self.timeline.resumed(pages[-1])
            while not self.behind and (held := self.timeline.next_held()) is not None:
                self.put(held)
                yield
            self.behind = self.behind or not self.timeline.release()

    def put(self, event: Event) -> None:
        told = event if event.type == RESET else self.timeline.take(event)
        if told is not None:
            self.log.append(told)

    def step(self) -> None:
        if self.work is not None:
            self.work = self.work if next(self.work, "done") is None else None

    def arrive(self) -> None:
        if self.room.stream:
            event = self.room.stream.popleft()
            if event.type == "room.reset":
                self.fall_behind()
            elif self.timeline.holding:
                self.timeline.keep(event)
            else:
                self.put(event)

    def settle(self) -> None:
        self.room.heal()
        while self.work is not None or self.room.stream:
            self.step()
            self.arrive()


def check(reader: Reader) -> None:
    """The application has the room's state, was told of messages in order, and of no state twice."""
    state: dict[int, tuple[int, str]] = {}
    last = gone = 0
    for event in reader.log:
        if event.type == RESET:
            state = {item["seq"]: (item["rev"], item["content"]) for item in event.data["messages"]}
            last, gone = event.seq, event.data["cleared_seq"]
            continue
        if event.type == CLEARED:
            assert event.data["seq"] > gone
            gone = event.data["seq"]
            last = max(last, gone)
            state = {seq: it for seq, it in state.items() if seq > gone}
            continue
        assert event.seq > gone
        if event.type == "message.created":
            assert event.seq == last + 1
            last = event.seq
        assert event.data["rev"] > state.get(event.seq, (0, ""))[0]
        assert event.seq <= last
        state[event.seq] = (event.data["rev"], event.data["content"])
    assert state == {view.seq: (view.rev, view.content) for view in reader.room.standing}
    position = reader.timeline.position
    assert position == (reader.room.epoch, len(reader.room.messages), reader.room.rev)


ACTIONS: dict[str, Callable[[Reader, int], None]] = {
    "send": lambda reader, _: reader.room.send(),
    "edit": lambda reader, which: reader.room.edit(which),
    "clear": lambda reader, _: reader.room.clear(),
    "miss": lambda reader, _: setattr(reader.room, "deaf", True),
    "give up": lambda reader, _: reader.room.give_up(),
    "heal": lambda reader, _: reader.room.heal(),
    "arrive": lambda reader, _: reader.arrive(),
    "step": lambda reader, _: reader.step(),
    "reconnect": lambda reader, _: reader.reconnect(),
    "purge": lambda reader, _: reader.purge(),
}
STEPS = st.lists(st.tuples(st.sampled_from(sorted(ACTIONS)), st.integers(0, 5)), max_size=60)


@settings(max_examples=500, deadline=None)
@given(STEPS)
@example([("send", 0)] * 3 + [("reconnect", 0), ("step", 0), ("step", 0), ("step", 0), ("edit", 0), ("reconnect", 0)])
def test_nothing_is_missed_and_nothing_comes_twice(steps: list[tuple[str, int]]) -> None:
    """Any order of changes, losses, healings, reconnections and pages."""
    reader = Reader(Room())
    for action, number in steps:
        ACTIONS[action](reader, number)
    reader.settle()
    check(reader)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_what_is_held_back_is_bounded_and_fetched_again(steps: list[tuple[str, int]]) -> None:
    """The same with room for a single held change."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_HELD", 1)
        test_nothing_is_missed_and_nothing_comes_twice.hypothesis.inner_test(steps)  # type: ignore[attr-defined]


def test_a_client_begins_where_the_room_stands() -> None:
    """And is behind when the room stands elsewhere later."""
    timeline = Timeline(ROOM)
    assert timeline.holding
    assert timeline.meet(Position("a", 7, 9))
    assert (timeline.position, timeline.holding) == (Position("a", 7, 9), False)
    assert not timeline.meet(Position("a", 8, 10))
    assert Position("a", 8, 10).cursor == "a:10"


def test_a_snapshot_newer_than_its_cursor_is_not_told_again() -> None:
    """What happened between cursor and snapshot comes live as well."""
    timeline = Timeline(ROOM, Position("a", 5, 5))
    snapshot = RoomSyncView(
        epoch="b", seq=1, rev=1, cursor="b:1", reset=True, has_more=False, messages=[message(1, 1), message(2, 2)]
    )
    [event] = timeline.merge([snapshot])
    assert event.type == RESET
    timeline.resumed(snapshot)
    assert timeline.position == Position("b", 2, 1)
    assert timeline.take(live(message(2, 2), 2, "message.created")) is None
    edited = timeline.take(live(message(2, 3), 3))
    assert edited is not None
    assert timeline.position == Position("b", 2, 3)


def test_what_came_before_the_room_was_known_is_not_lost() -> None:
    """It is held back until the room's state is known."""
    timeline = Timeline(ROOM)
    timeline.keep(live(message(8, 10), 10))
    assert not timeline.meet(Position("a", 7, 9))
    held = timeline.next_held()
    assert held is not None
    assert timeline.take(held)
    assert timeline.next_held() is None
    assert timeline.release()
    assert not timeline.holding
