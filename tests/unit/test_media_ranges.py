"""What of a file a request gets: ranges and preconditions as RFC 9110 has them."""

from datetime import UTC, datetime
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.media.ranges import CONDITIONS, Part, Represented, part_of

TAG = '"abc"'
WHOLE = Represented(TAG, datetime(2026, 1, 5, 9, 30, tzinfo=UTC), 1000)
MODIFIED = "Mon, 05 Jan 2026 09:30:00 GMT"
BEFORE, AFTER = "Mon, 05 Jan 2026 09:29:59 GMT", "Mon, 05 Jan 2026 09:30:01 GMT"
ALL = Part(HTTPStatus.OK, 0, 1000)
NONE = Part(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
SAME, FAILED = Part(HTTPStatus.NOT_MODIFIED), Part(HTTPStatus.PRECONDITION_FAILED)


def some(start: int, length: int) -> Part:
    """A part."""
    return Part(HTTPStatus.PARTIAL_CONTENT, start, length)


@pytest.mark.parametrize(
    ("field", "part"),
    [
        ("bytes=0-0", some(0, 1)),
        ("bytes=0-499", some(0, 500)),
        ("bytes=500-999", some(500, 500)),
        ("bytes=-500", some(500, 500)),
        ("bytes=500-", some(500, 500)),
        ("bytes=0-", some(0, 1000)),
        ("bytes=-2000", some(0, 1000)),
        ("bytes=999-5000", some(999, 1)),
        ("Bytes = 1 - 2 ", some(1, 2)),
        (f"bytes=1-{'9' * 5000}", some(1, 999)),
        (f"bytes=-{'9' * 5000}", some(0, 1000)),
        (f"bytes={'0' * 5000}1-1", some(1, 1)),
        ("bytes=1000-", NONE),
        ("bytes=1000-1001", NONE),
        ("bytes=-0", NONE),
        (f"bytes={'9' * 5000}-", NONE),
        ("bytes=0-0,5-6", ALL),
        ("bytes=5-4", ALL),
        ("bytes=-", ALL),
        ("bytes=a-b", ALL),
        ("bytes=--5", ALL),
        ("bytes", ALL),
        ("", ALL),
        ("items=0-5", ALL),
        ("bytes=٣-٤", ALL),
    ],
)
def test_ranges(field: str, part: Part) -> None:
    """One range; several, and what is none, are not heeded. Only GET has any."""
    assert part_of(WHOLE, {"Range": field}) == part
    assert part_of(WHOLE, {"Range": field}, ranges=False) == ALL


@pytest.mark.parametrize(
    ("headers", "part"),
    [
        ({"If-None-Match": TAG}, SAME),
        ({"If-None-Match": "*"}, SAME),
        ({"If-None-Match": f'"x", W/"y" ,{TAG}'}, SAME),
        ({"If-None-Match": f"W/{TAG}"}, SAME),
        ({"If-None-Match": '"x,abc"'}, ALL),
        ({"If-None-Match": "abc"}, ALL),
        ({"If-None-Match": ""}, ALL),
        ({"If-None-Match": '"x"', "If-Modified-Since": AFTER}, ALL),
        ({"If-Modified-Since": MODIFIED}, SAME),
        ({"If-Modified-Since": AFTER}, SAME),
        ({"If-Modified-Since": BEFORE}, ALL),
        ({"If-Modified-Since": "yesterday"}, ALL),
        ({"If-Modified-Since": "Mon, 99 Jan 2026 09:30:00 GMT"}, ALL),
        ({"If-Match": TAG}, ALL),
        ({"If-Match": "*"}, ALL),
        ({"If-Match": f"W/{TAG}"}, FAILED),
        ({"If-Match": '"x"'}, FAILED),
        ({"If-Match": '"x"', "If-None-Match": TAG}, FAILED),
        ({"If-Unmodified-Since": MODIFIED}, ALL),
        ({"If-Unmodified-Since": BEFORE}, FAILED),
        ({"If-Match": TAG, "If-Unmodified-Since": BEFORE}, ALL),
        ({"If-None-Match": TAG, "Range": "bytes=0-1"}, SAME),
        ({"If-Range": TAG, "Range": "bytes=0-1"}, some(0, 2)),
        ({"If-Range": f"W/{TAG}", "Range": "bytes=0-1"}, ALL),
        ({"If-Range": '"x"', "Range": "bytes=0-1"}, ALL),
        ({"If-Range": MODIFIED, "Range": "bytes=0-1"}, some(0, 2)),
        ({"If-Range": AFTER, "Range": "bytes=0-1"}, ALL),
        ({"If-Range": "nothing", "Range": "bytes=5000-"}, ALL),
        ({"If-Range": TAG}, ALL),
    ],
)
def test_preconditions(headers: dict[str, str], part: Part) -> None:
    """In their order: tags before times, and a range only of what is still the same."""
    assert part_of(WHOLE, headers) == part


@given(st.dictionaries(st.sampled_from(CONDITIONS), st.text(max_size=60)), st.integers(0, 5))
def test_nothing_that_is_sent_breaks_it(headers: dict[str, str], size: int) -> None:
    """A part always lies within the whole."""
    whole = Represented(TAG, WHOLE.modified, size)
    part = part_of(whole, headers)
    assert 0 <= part.start <= part.start + part.length <= size
    assert (part.status is HTTPStatus.PARTIAL_CONTENT) <= (part.length > 0)


@given(st.integers(1, 300), st.integers(0, 400), st.integers(0, 400))
def test_ranges_are_those_of_the_bytes(size: int, one: int, other: int) -> None:
    """As Python slices them."""
    data = bytes(number % 251 for number in range(size))
    whole = Represented(TAG, WHOLE.modified, size)

    def got(field: str) -> bytes:
        part = part_of(whole, {"Range": field})
        return data[part.start : part.start + part.length]

    first, last = sorted((one, other))
    assert got(f"bytes={first}-{last}") == data[first : last + 1]
    assert got(f"bytes={first}-") == data[first:]
    assert got(f"bytes=-{last}") == (data[-last:] if last else b"")


def test_times_and_ranges_as_headers_say_them() -> None:
    """In the one form of section 5.6.7."""
    assert WHOLE.last_modified == MODIFIED
    assert some(5, 2).content_range(1000) == "bytes 5-6/1000"
    assert NONE.content_range(1000) == "bytes */1000"
    assert ALL.content_range(1000) is None
