"""Rate limits: token buckets, bounded in number."""

from math import ceil

from shared.contracts.errors import ChatError, ErrorCode

MAX_BUCKETS = 100_000
WHOLE = 1 - 1e-6
"""What counts as one: who has waited as long as they were told must not fail by the last bit of a float."""


class RateLimit:
    """So many a minute per key, with the whole minute's worth as burst; 0 means unlimited.

    Args:
        what: names the limited thing in the error.
    """

    def __init__(self, per_minute: int, what: str) -> None:
        self._capacity = float(per_minute)
        self._per_second = per_minute / 60
        self._what = what
        self._buckets: dict[object, tuple[float, float]] = {}

    def take(self, key: object, now: float) -> None:
        """Use one.

        Raises:
            ChatError: `rate_limited`, with the seconds until the next one.
        """
        if not self._capacity:
            return
        level, at = self._buckets.pop(key, (self._capacity, now))
        level = min(self._capacity, level + (now - at) * self._per_second)
        allowed = level >= WHOLE
        if len(self._buckets) >= MAX_BUCKETS:
            # The one unused longest is full again or nearly so.
            del self._buckets[next(iter(self._buckets))]
        self._buckets[key] = (max(0.0, level - 1) if allowed else level, now)
        if not allowed:
            wait = (1 - level) / self._per_second
            raise ChatError(
                ErrorCode.RATE_LIMITED,
                f"Too many {self._what}: {self._capacity:g} a minute are allowed.",
                retry_after=ceil(wait * 1000) / 1000,
            )
