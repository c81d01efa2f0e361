"""The loudness of a sound over its time, taken in as it is decoded, in little memory however long it is. Pure."""

from collections.abc import Sequence
from itertools import pairwise

BUCKETS = 100
"""Values of a waveform."""

FULL = 32_768
"""The loudest a sample of 16 bits can be."""


class Peaks:
    """The loudest sample of each of up to 2 * BUCKETS stretches of time, which become longer as more comes."""

    def __init__(self, samples: int) -> None:
        """Begin with stretches of so many samples."""
        self._stretch = samples
        self._peaks: list[int] = []
        self._open = 0
        """Samples of the last stretch that have come."""

    def add(self, samples: Sequence[int]) -> None:
        """Take in what comes next, of 16 bits each."""
        at = 0
        while at < len(samples):
            part = samples[at : at + self._stretch - self._open]
            self._raise(_loudest(part), len(part))
            at += len(part)

    def skip(self, samples: int) -> None:
        """Let time pass of which nothing is known: it is as loud as what came before it."""
        while samples > 0:
            part = min(samples, self._stretch - self._open)
            self._raise(self._peaks[-1] if self._peaks else 0, part)
            samples -= part

    def _raise(self, peak: int, samples: int) -> None:
        if self._open == 0:
            self._peaks.append(0)
        self._peaks[-1] = max(self._peaks[-1], peak)
        self._open += samples
        if self._open >= self._stretch:
            self._open = 0
            if len(self._peaks) == 2 * BUCKETS:
                self._peaks = [max(self._peaks[at : at + 2]) for at in range(0, 2 * BUCKETS, 2)]
                self._stretch *= 2

    def waveform(self) -> tuple[int, ...]:
        """The loudness over time, from 0 to 100: BUCKETS values, or fewer of what is very short."""
        count = len(self._peaks)
        buckets = min(BUCKETS, count)
        edges = [count * number // buckets for number in range(buckets + 1)] if buckets else []
        return tuple(min(100, round(100 * max(self._peaks[start:end]) / FULL)) for start, end in pairwise(edges))


def _loudest(samples: Sequence[int]) -> int:
    highest, lowest = max(samples), min(samples)
    return max(highest, -lowest)
