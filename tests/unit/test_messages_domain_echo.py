"""The event as the answer: what is told to those who asked for an echo is what they would have been answered."""

from dataclasses import replace

import orjson
from hypothesis import given, settings

from shared.bus.codec import JSON, to_json
from shared.contracts.answers import ANSWERS
from shared.contracts.base import View
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError
from shared.contracts.messages import ClearTimeline, EditMessage, MarkRead, MessageCommand, ReactToMessage, SendMessage
from shared.contracts.timeline import ChangedView, ReceiptView
from tests.unit.messages_world import ROOM, START, World, only
from tests.unit.test_messages_domain_batches import requests_of, wishes


def as_json(answer: View | ChatError) -> JSON:
    """An answer as it comes off the wire."""
    data: JSON = orjson.loads(to_json(answer.view() if isinstance(answer, ChatError) else answer))
    return data


@settings(max_examples=60, deadline=None)
@given(wishes)
def test_an_echo_says_what_the_answer_would(wanted: list[tuple[Actor, MessageCommand]]) -> None:
    """Each request is answered once: by an announcement that names it, or else as without an echo."""
    requests = requests_of(wanted)
    answered = World().plan(requests, START)
    echoed = World().plan([replace(request, echo=True) for request in requests], START)
    told = {
        item.cause: ANSWERS[item.event.TYPE](orjson.loads(to_json(item.event)))
        for item in echoed.announcements
        if item.cause is not None
    }
    assert not told.keys() & echoed.answers.keys()
    direct = {key: as_json(answer) for key, answer in echoed.answers.items()}
    assert told | direct == {key: as_json(answer) for key, answer in answered.answers.items()}
    assert [item._replace(cause=None) for item in echoed.announcements] == answered.announcements


def test_what_has_changed_something_is_told() -> None:
    """A new message, an edit and a reaction: nobody is answered beside."""
    world = World()
    sent = world.send("mia", "hi")
    for command in (
        SendMessage(room_id=ROOM, content="there"),
        EditMessage(message_id=sent.message_id, content="hello"),
        ReactToMessage(message_id=sent.message_id, emoji="+"),
    ):
        decided = world.batch(replace(world.request("mia", command), echo=True))
        assert decided.answers == {}
        assert [item.cause for item in decided.announcements] == [f"r{world.requests}"]
    decided = world.batch(replace(world.request("olga", ClearTimeline(room_id=ROOM)), echo=True))
    assert (decided.answers, [item.cause for item in decided.announcements]) == ({}, [f"r{world.requests}"])


def test_a_mark_is_answered() -> None:
    """What is told of marks is told later, of many at once, so it answers nobody."""
    world = World()
    world.send("mia", "hi")
    decided = world.batch(replace(world.request("max", MarkRead(room_id=ROOM, seq=1)), echo=True))
    assert only(decided, ReceiptView) == ReceiptView(user_id="max", read_seq=1, delivered_seq=1)
    assert decided.announcements == []


def test_a_repetition_is_answered() -> None:
    """Its announcement is the one of the first time, so it cannot say that this was a duplicate."""
    world = World()
    first = world.send("mia", "hi", client_id="c-1")
    decided = world.batch(
        replace(world.request("mia", SendMessage(room_id=ROOM, content="hi", client_id="c-1")), echo=True)
    )
    (answer,) = decided.answers.values()
    assert answer == first.model_copy(update={"duplicate": True})
    assert [item.cause for item in decided.announcements] == [None]


def test_unchanged_is_answered() -> None:
    """An edit that changes nothing is announced, which does not say so."""
    world = World()
    sent = world.send("mia", "hi")
    edit = EditMessage(message_id=sent.message_id, content="hi")
    decided = world.batch(replace(world.request("mia", edit), echo=True))
    (answer,) = decided.answers.values()
    assert isinstance(answer, ChangedView)
    assert not answer.changed
