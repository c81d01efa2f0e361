"""Waveforms: the loudness of a sound over its time, however long it is and in whatever portions it comes."""

from array import array
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.media.processing.peaks import BUCKETS, FULL, Peaks


def test_of_nothing_there_is_none() -> None:
    assert Peaks(10).waveform() == ()


@pytest.mark.parametrize("samples", [2 * BUCKETS, 1000, 12_345, 300_000])
def test_a_sound_that_swells(samples: int) -> None:
    """Rises from left to right, whether its stretches were put together or not."""
    peaks = Peaks(2)
    peaks.add(array("h", [FULL * number // samples * (-1) ** number for number in range(samples)]))
    waveform = peaks.waveform()
    assert BUCKETS // 2 < len(waveform) <= BUCKETS
    assert list(waveform) == sorted(waveform)
    assert waveform[0] <= 2
    assert waveform[-1] >= 98


def test_what_is_left_out_is_as_loud_as_before() -> None:
    peaks = Peaks(5)
    peaks.skip(10)
    peaks.add(array("h", [FULL // 2] * 10))
    peaks.skip(20)
    peaks.add(array("h", [0] * 10))
    assert peaks.waveform() == (0, 0, *[50] * 6, 0, 0)


@given(st.lists(st.lists(st.integers(-FULL, FULL - 1), max_size=300), max_size=20), st.integers(1, 50))
def test_portions_make_no_difference(portions: list[list[int]], stretch: int) -> None:
    """Nor does anything leave the scale."""
    apart, together = Peaks(stretch), Peaks(stretch)
    for portion in portions:
        apart.add(array("h", portion))
    together.add(array("h", list(chain.from_iterable(portions))))
    assert apart.waveform() == together.waveform()
    assert len(apart.waveform()) <= BUCKETS
    assert all(0 <= value <= 100 for value in apart.waveform())
