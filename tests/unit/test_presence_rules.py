"""Presence: whatever the order of reports, repetitions and sweeps, it ends right, and nobody is told of a blink."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.rooms import presence_rules as rules
from services.rooms.presence_rules import Presence, due_at, view_of
from shared.contracts.presence import PresenceStatus

ONLINE, AWAY, OFFLINE = PresenceStatus.ONLINE, PresenceStatus.AWAY, PresenceStatus.OFFLINE
GRACE = timedelta(seconds=5)
START = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
NOBODY = Presence(tenant="default", user_id="alice")


def at(seconds: float) -> datetime:
    """A moment of the story."""
    return START + timedelta(seconds=seconds)


def here(presence: Presence, gateway: str, number: int, seconds: float) -> Presence:
    """A gateway sees them."""
    return rules.sight(presence, gateway, number, here=True, now=at(seconds), grace=GRACE)


def gone(presence: Presence, gateway: str, number: int, seconds: float) -> Presence:
    """A gateway sees them no more."""
    return rules.sight(presence, gateway, number, here=False, now=at(seconds), grace=GRACE)


def settled(presence: Presence, seconds: float) -> Presence:
    """A sweep looks."""
    return rules.settle(presence, at(seconds), GRACE)


def chosen(presence: Presence, status: PresenceStatus, seconds: float) -> Presence:
    """They choose how to appear."""
    return rules.choose(presence, status, now=at(seconds), grace=GRACE)


# ── stories ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_devices_count_as_one_until_the_last_has_gone() -> None:
    """Only then does the grace time begin, and `last_seen` is when that was."""
    both = here(here(NOBODY, "g0", 1, 0), "g1", 1, 1)
    one = settled(gone(both, "g0", 2, 10), 100)
    assert (one.status, one.number, due_at(one, GRACE)) == (ONLINE, 1, None)
    none = gone(one, "g1", 2, 110)
    assert (none.status, due_at(none, GRACE)) == (ONLINE, at(115))
    assert settled(none, 114.9) == none
    over = settled(none, 115)
    assert (over.status, over.last_seen, over.number, due_at(over, GRACE)) == (OFFLINE, at(110), 2, None)


def test_a_short_reconnect_is_no_change() -> None:
    """Neither going nor coming is numbered, so neither is announced."""
    online = here(NOBODY, "g0", 1, 0)
    back = here(gone(online, "g0", 2, 10), "g1", 1, 14)
    assert settled(back, 60).number == online.number
    assert view_of(back).last_seen is None


def test_a_late_word_of_a_gateway_loses() -> None:
    """In both directions, and where it has said nothing else yet."""
    assert here(gone(NOBODY, "g0", 2, 0), "g0", 1, 1).status is OFFLINE
    online = here(NOBODY, "g0", 3, 0)
    assert gone(online, "g0", 2, 1) == online
    assert here(online, "g0", 3, 1) == online


def test_a_dead_gateway_ends_what_it_saw_when_it_was_last_heard() -> None:
    """Whoever has not come back by then has been away for longer than the grace time."""
    online = here(NOBODY, "g0", 1, 0)
    dead = rules.abandon(online, "g0", at(20), now=at(30), grace=GRACE)
    assert (dead.status, dead.last_seen) == (OFFLINE, at(20))
    assert rules.abandon(dead, "g0", at(20), now=at(40), grace=GRACE) == dead


def test_a_dead_gateway_does_not_outdo_a_later_farewell() -> None:
    """The last connection to end counts, wherever it was, whichever ending is heard of first."""
    both = here(here(NOBODY, "dead", 1, 0), "g1", 1, 0)
    after = rules.abandon(gone(both, "g1", 2, 29), "dead", at(20), now=at(30), grace=GRACE)
    assert (after.status, due_at(after, GRACE)) == (ONLINE, at(34))
    assert settled(after, 34).last_seen == at(29)


def test_a_choice_holds_while_connected_and_over_short_reconnects() -> None:
    """And is forgotten with the last connection."""
    away = chosen(here(NOBODY, "g0", 1, 0), AWAY, 1)
    assert (away.status, away.number) == (AWAY, 2)
    back = here(gone(away, "g0", 2, 10), "g1", 1, 12)
    assert settled(back, 60).status is AWAY
    over = settled(gone(back, "g1", 2, 100), 105)
    assert (over.status, over.chosen) == (OFFLINE, None)
    assert here(over, "g0", 3, 200).status is ONLINE


def test_who_appears_offline_leaves_no_trace_of_being_here() -> None:
    """They were last seen when they began to, and their real going changes nothing."""
    hidden = chosen(here(NOBODY, "g0", 1, 0), OFFLINE, 10)
    assert view_of(hidden).last_seen == at(10)
    over = settled(gone(hidden, "g0", 2, 50), 55)
    assert view_of(over) == view_of(hidden)
    assert (over.chosen, here(over, "g0", 3, 60).status) == (None, ONLINE)


def test_a_choice_may_come_before_its_connection_is_reported() -> None:
    """It holds for the grace time, and on if a connection is reported by then."""
    early = chosen(NOBODY, AWAY, 0)
    assert early.status is AWAY
    assert settled(here(early, "g0", 1, 1), 60).status is AWAY
    assert settled(early, 5).status is OFFLINE


@pytest.mark.parametrize("status", [ONLINE, AWAY])
def test_nobody_who_is_here_was_last_seen(status: PresenceStatus) -> None:
    """The time stands beside `offline` alone."""
    before = settled(gone(here(NOBODY, "g0", 1, 0), "g0", 2, 1), 10)
    assert view_of(before).last_seen == at(1)
    assert view_of(chosen(here(before, "g0", 3, 20), status, 21)).last_seen is None


# ── any order ────────────────────────────────────────────────────────────────────────────────────────────────────

GATEWAYS = ("g0", "g1", "g2")
reports = st.tuples(st.sampled_from(GATEWAYS), st.integers(0, 6), st.booleans())
deaths = st.tuples(st.just("dies"), st.sampled_from(GATEWAYS))
choices = st.tuples(st.just("chooses"), st.sampled_from(PresenceStatus))
looks = st.tuples(st.just("looks"))


def one_word_each(told: list[tuple[str, int, bool]]) -> list[tuple[str, int, bool]]:
    """A gateway never says two things under one number."""
    words: dict[tuple[str, int], bool] = {}
    return [(name, number, words.setdefault((name, number), seen)) for name, number, seen in told]


@given(st.lists(reports, max_size=12), st.randoms(use_true_random=False), st.floats(0.1, 3))
def test_the_greatest_number_of_each_gateway_decides(
    told: list[tuple[str, int, bool]], random: object, step: float
) -> None:
    """Whatever the order, however often, with sweeps in between."""
    told = one_word_each(told)
    shuffled = told + told[:3]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    presence, clock = NOBODY, 0.0
    for name, number, seen in shuffled:
        presence = rules.sight(presence, name, number, here=seen, now=at(clock), grace=GRACE)
        clock += step
        presence = settled(presence, clock)
    presence = settled(presence, clock + 6)
    latest = {name: max((number, seen) for other, number, seen in told if other == name)[1] for name, *_ in told}
    assert (presence.status is ONLINE) == any(latest.values())
    assert set(presence.seen) == {name for name, seen in latest.items() if seen}


@given(st.lists(st.one_of(reports, deaths, choices, looks), max_size=20), st.floats(0, 8))
def test_what_holds_at_every_moment(story: list[tuple[object, ...]], step: float) -> None:
    """Changes are numbered one by one, each waits to be told, and time has nothing left to do when it is not due."""
    presence, clock = NOBODY, 0.0
    for event in story:
        clock += step
        before, now = presence, at(clock)
        match event:
            case ("dies", str(name)):
                presence = rules.abandon(before, name, at(clock - 1), now=now, grace=GRACE)
            case ("chooses", PresenceStatus() as status):
                presence = rules.choose(before, status, now=now, grace=GRACE)
            case ("looks",):
                presence = rules.settle(before, now, GRACE)
            case (str(name), int(number), bool(seen)):
                presence = rules.sight(before, name, number, here=seen, now=now, grace=GRACE)
        assert presence.number == before.number + (presence.status is not before.status)
        assert (presence.untold_since == now) or presence.number == before.number
        if presence != before:
            due = due_at(presence, GRACE)
            if presence.seen:
                assert (presence.status, due) == (presence.chosen or ONLINE, None)
            assert due is None or due > now
            later = at(clock + 1000)
            assert due is not None or replace(rules.settle(presence, later, GRACE), chosen=None) == replace(
                presence, chosen=None
            )
    assert rules.settle(presence, at(clock + 6), GRACE).status is (
        (presence.chosen or ONLINE) if presence.seen else OFFLINE
    )
