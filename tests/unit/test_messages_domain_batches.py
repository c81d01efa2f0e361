"""However commands fall into batches, they come to the same; and what holds after any of them."""

from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.messages.state import Announcement, Clearing, Message, Plan, Request, Write
from shared.bus.codec import to_json
from shared.contracts.base import View
from shared.contracts.content import REQUIRED, Attachment, Location, MessageType, Part
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorView
from shared.contracts.messages import (
    ClearTimeline,
    DeleteMessage,
    EditMessage,
    MarkDelivered,
    MarkRead,
    MarkUnread,
    MessageCommand,
    ReactToMessage,
    ReportDelivered,
    SendMessage,
    TimelineCleared,
    TimelineEvent,
    UnreactToMessage,
)
from shared.contracts.timeline import ChangedView, ClearedView, SentView
from shared.ids import message_id
from tests.unit.messages_world import DIRECT, FOREIGN, MAX_LENGTH, ROOM, SESSION, START, World, changes

ROOMS = (ROOM, DIRECT, SESSION, FOREIGN, "gone")
USERS = ("olga", "mia", "max", "rita", "eve")
KEYS = ("c-1", "c-2")

room_ids = st.sampled_from(ROOMS)
contents = st.sampled_from(("hi", "@max there", "x" * (MAX_LENGTH + 1)))
metadata = st.sampled_from((None, {}, {"a": 1}))
# Messages that somebody may have written: most commands find one, some do not.
message_ids = st.builds(
    message_id, st.sampled_from((ROOM, DIRECT, SESSION)), st.sampled_from(("mia", "max")), st.sampled_from(KEYS)
)
emojis = st.sampled_from(("👍", "🎉"))
seqs = st.integers(0, 8)
more = st.fixed_dictionaries(
    {"room_id": room_ids},
    optional={
        "metadata": metadata,
        "client_id": st.sampled_from((*KEYS, None)),
        "reply_to": message_ids,
        "mentions": st.lists(st.sampled_from(USERS), max_size=3),
    },
)


def sent(kind: MessageType, content: str, rest: dict[str, Any]) -> SendMessage:
    """A message of any kind, with what its kind needs."""
    parts: dict[Part, Any] = {
        Part.CONTENT: None,
        Part.ATTACHMENT: Attachment(url="https://example.org/a.png", name="a.png"),
        Part.LOCATION: Location(latitude=48.2, longitude=16.4),
    }
    part = REQUIRED[kind]
    given = {} if part is Part.CONTENT else {part.value: parts[part]}
    return SendMessage(type=kind, content=content, **given, **rest)


commands: st.SearchStrategy[MessageCommand] = st.one_of(
    st.builds(sent, st.sampled_from(MessageType), contents, more),
    st.builds(EditMessage, message_id=message_ids, content=contents, metadata=metadata),
    st.builds(DeleteMessage, message_id=message_ids),
    st.builds(ReactToMessage, message_id=message_ids, emoji=emojis),
    st.builds(UnreactToMessage, message_id=message_ids, emoji=emojis),
    st.builds(ClearTimeline, room_id=room_ids, client_id=st.sampled_from((*KEYS, None))),
    st.builds(MarkRead, room_id=room_ids, seq=seqs),
    st.builds(MarkDelivered, room_id=room_ids, seq=seqs),
    st.builds(MarkUnread, room_id=room_ids, seq=seqs),
    st.builds(ReportDelivered, room_id=room_ids, delivered=st.dictionaries(st.sampled_from(USERS), seqs, min_size=1)),
)
actors = st.builds(
    Actor, id=st.sampled_from(USERS), roles=st.sampled_from(((), (), ("admin",), ("service",), ("assistant",)))
)
wishes = st.lists(st.tuples(actors, commands), max_size=25)


def requests_of(wanted: list[tuple[Actor, MessageCommand]]) -> list[Request]:
    """Requests with ids."""
    return [Request(f"r{number}", actor, command) for number, (actor, command) in enumerate(wanted)]


def comparable(decided: list[Plan]) -> tuple[dict[str, View | ErrorView], list[Announcement]]:
    """What callers and readers see of plans, in order."""
    answers = {
        key: answer.view() if isinstance(answer, ChatError) else answer
        for plan in decided
        for key, answer in plan.answers.items()
    }
    return answers, [item for plan in decided for item in plan.announcements]


def rev_of(write: Write) -> list[int]:
    """The rev that a write takes; none where it is the mere memory of a request that had nothing to change."""
    rev = write.state.view.rev if isinstance(write.state, Message) else write.state.rev
    return [] if rev in {write.previous, 0} else [rev]


def room_of(write: Write) -> str:
    """The room that a write is in."""
    return write.state.view.room_id if isinstance(write.state, Message) else write.state.room_id


def carried_out(requests: list[Request], cuts: list[int]) -> tuple[World, list[Plan]]:
    """The world and the plans after requests in batches that end at `cuts`."""
    world, plans = World(), []
    ends = [0, *sorted({min(cut, len(requests)) for cut in cuts}), len(requests)]
    for start, end in pairwise(ends):
        decided = world.plan(requests[start:end], START)
        world.apply(decided)
        plans.append(decided)
    return world, plans


@settings(max_examples=80, deadline=None)
@given(wishes, st.lists(st.integers(0, 25), max_size=6))
def test_batches_make_no_difference(wanted: list[tuple[Actor, MessageCommand]], cuts: list[int]) -> None:
    """One batch or several: the same answers, announcements, messages, positions and marks."""
    requests = requests_of(wanted)
    whole, split = carried_out(requests, []), carried_out(requests, cuts)
    assert whole[0] == split[0]
    assert comparable(whole[1]) == comparable(split[1])


@settings(max_examples=40, deadline=None)
@given(wishes, st.lists(st.integers(0, 25), max_size=3))
def test_positions_are_dense(wanted: list[tuple[Actor, MessageCommand]], cuts: list[int]) -> None:
    """Per room, messages are 1, 2, 3, … and so are changes, in the order in which they are written."""
    world, plans = carried_out(requests_of(wanted), cuts)
    for room_id in ROOMS:
        writes = [write for plan in plans for write in plan.writes if room_of(write) == room_id]
        revs = [rev for write in writes for rev in rev_of(write)]
        seqs_ = sorted(message.view.seq for message in world.messages.values() if message.view.room_id == room_id)
        assert revs == list(range(1, len(revs) + 1))
        assert seqs_ == list(range(1, len(seqs_) + 1))
        if revs:
            assert (world.timelines[room_id].seq, world.timelines[room_id].rev) == (len(seqs_), len(revs))


@settings(max_examples=40, deadline=None)
@given(wishes)
def test_every_write_is_announced_and_every_announcement_is_whole(wanted: list[tuple[Actor, MessageCommand]]) -> None:
    """Each meets its contract on the wire; its position is that of the message it shows."""
    _, (decided,) = carried_out(requests_of(wanted), [])
    shown, cleared = [], []
    for item in decided.announcements:
        assert type(item.event).model_validate_json(to_json(item.event)) == item.event
        if isinstance(item.event, TimelineEvent):
            view = item.event.message
            assert (item.room_id, item.seq, item.rev) == (view.room_id, view.seq, view.rev)
            assert (view.quote is None) == (view.reply_to is None)
            shown.append(view.model_copy(update={"quote": None}))
        elif isinstance(item.event, TimelineCleared):
            assert (item.room_id, item.seq, item.rev) == (item.event.room_id, item.event.seq, item.event.rev)
            cleared.append((item.room_id, item.rev))
        else:
            assert (item.seq, item.rev) == (None, None)
    assert all(view in shown for view in changes(decided))
    for write in decided.writes:
        if isinstance(write.state, Clearing) and write.state.rev:
            assert (write.state.room_id, write.state.rev) in cleared


@settings(max_examples=40, deadline=None)
@given(wishes)
def test_what_is_acked_as_done_is_written_and_nothing_else(wanted: list[tuple[Actor, MessageCommand]]) -> None:
    """As many changes as acks of something new; every request has exactly one answer."""
    requests = requests_of(wanted)
    _, (decided,) = carried_out(requests, [])
    assert list(decided.answers) == [request.id for request in requests]
    done = [
        answer
        for answer in decided.answers.values()
        if (isinstance(answer, SentView) and not answer.duplicate)
        or (isinstance(answer, ChangedView | ClearedView) and answer.changed)
    ]
    assert [answer.rev for answer in done] == [rev for write in decided.writes for rev in rev_of(write)]


@settings(max_examples=40, deadline=None)
@given(wishes)
def test_a_batch_that_comes_again_changes_nothing_that_was_done(wanted: list[tuple[Actor, MessageCommand]]) -> None:
    """After a crash between write and ack every send gets the ack it would have got, and no change is made twice.

    Only what was refused at first is judged anew: the message it is about may be there now.
    """
    requests = requests_of(wanted)
    world, (first,) = carried_out(requests, [])
    again = world.plan(requests, START)
    for key, answer in first.answers.items():
        repeated = again.answers[key]
        if isinstance(answer, SentView):
            assert repeated == answer.model_copy(update={"duplicate": True})
        elif isinstance(answer, ChangedView | ClearedView):
            assert isinstance(repeated, type(answer))
            assert not repeated.changed
    if not any(isinstance(answer, ChatError) for answer in first.answers.values()):
        assert again.writes == []


@settings(max_examples=40, deadline=None)
@given(wishes, st.lists(st.integers(0, 25), max_size=6))
def test_marks_only_grow_and_stay_within_the_room(wanted: list[tuple[Actor, MessageCommand]], cuts: list[int]) -> None:
    """Whatever is asked: what is read was delivered, and nothing beyond the last message was."""
    world, before = World(), dict[tuple[str, str], tuple[int, int]]()
    requests = requests_of(wanted)
    for start, end in pairwise([0, *sorted(set(cuts)), len(requests)]):
        world.apply(world.plan(requests[start : max(start, end)], START))
        for key, marks in world.marks.items():
            timeline = world.timelines.get(key[0])
            last = 0 if timeline is None else timeline.seq
            assert before.get(key, (0, 0)) <= (marks.read, marks.delivered)
            assert marks.read <= marks.delivered <= last
            before[key] = (marks.read, marks.delivered)


@settings(max_examples=40, deadline=None)
@given(wishes, st.integers(0, 25))
def test_the_beginning_of_a_batch_comes_to_the_beginning_of_its_plan(
    wanted: list[tuple[Actor, MessageCommand]], cut: int
) -> None:
    """So what the database has stored before it refused something can be planned, and answered, by itself."""
    requests = requests_of(wanted)
    whole, first = World().plan(requests, START), World().plan(requests[:cut], START)
    assert len(whole.ends) == len(requests)
    assert first.writes == whole.writes[: whole.ends[min(cut, len(requests)) - 1] if cut and requests else 0]
    assert first.announcements == whole.announcements[: len(first.announcements)]
    assert comparable([first])[0].items() <= comparable([whole])[0].items()
