"""Rate limits: so many a minute, never more, and an honest answer to those who are too fast."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway import limits
from services.gateway.limits import RateLimit
from shared.contracts.errors import ChatError, ErrorCode


def allowed(limit: RateLimit, key: object, now: float) -> bool:
    """Whether one may be used now."""
    try:
        limit.take(key, now)
    except ChatError:
        return False
    return True


def test_a_minutes_worth_at_once_and_then_no_more() -> None:
    """Bursts are fine; the error says how many there may be and when the next one."""
    limit = RateLimit(60, "messages")
    assert all(allowed(limit, "alice", 0.0) for _ in range(60))
    with pytest.raises(ChatError) as caught:
        limit.take("alice", 0.0)
    assert caught.value.code is ErrorCode.RATE_LIMITED
    assert caught.value.retry_after == 1.0
    assert "messages: 60 a minute" in caught.value.message


def test_keys_do_not_share() -> None:
    """One user's haste is not another's."""
    limit = RateLimit(1, "messages")
    assert allowed(limit, "alice", 0.0)
    assert not allowed(limit, "alice", 0.0)
    assert allowed(limit, "bob", 0.0)


def test_zero_is_unlimited() -> None:
    """And keeps nothing in mind."""
    limit = RateLimit(0, "messages")
    assert all(allowed(limit, "alice", 0.0) for _ in range(1000))


@settings(max_examples=100)
@given(st.integers(1, 600), st.lists(st.floats(0, 30), max_size=80))
def test_never_more_than_the_burst_and_the_rate(per_minute: int, pauses: list[float]) -> None:
    """Whatever the rhythm: in any time, the burst and what has grown since."""
    limit, now, taken = RateLimit(per_minute, "messages"), 0.0, 0
    for pause in pauses:
        now += pause
        taken += sum(allowed(limit, "alice", now) for _ in range(per_minute // 10 + 1))
        assert taken <= per_minute + now * per_minute / 60 + 0.01


@settings(max_examples=100)
@given(st.integers(1, 1000), st.floats(0, 1e6))
def test_who_waits_as_told_is_let_through(per_minute: int, start: float) -> None:
    """The wait is long enough, and refused tries do not prolong it."""
    limit = RateLimit(per_minute, "messages")
    while allowed(limit, "alice", start):
        pass
    with pytest.raises(ChatError) as caught:
        limit.take("alice", start)
    wait = caught.value.retry_after
    assert wait is not None
    assert allowed(limit, "alice", start + wait)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound, the one unused longest is forgotten."""
    monkeypatch.setattr(limits, "MAX_BUCKETS", 2)
    limit = RateLimit(1, "messages")
    for key in ("a", "b", "c"):
        assert allowed(limit, key, 0.0)
    assert not allowed(limit, "c", 0.0)
    assert not allowed(limit, "b", 0.0)
    assert allowed(limit, "a", 0.0)
