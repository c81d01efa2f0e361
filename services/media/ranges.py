"""What of a file a request gets: preconditions and ranges as RFC 9110 has them (sections 13 and 14). Pure.

Files never change, so their tags are strong and their times exact.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from http import HTTPStatus
from typing import NamedTuple

CONDITIONS = (
    "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Range",
)  # fmt: skip
"""The headers that are heeded."""

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_RANGE = re.compile(r"bytes[ \t]*=[ \t]*([0-9]*)[ \t]*-[ \t]*([0-9]*)[ \t]*", re.IGNORECASE)
_MANY_DIGITS = 18
"""A number of more is past the end of everything."""


@dataclass(frozen=True, slots=True)
class Represented:
    """What is asked for, as a whole."""

    tag: str
    """Strong, with its quotes."""
    modified: datetime
    size: int

    @property
    def last_modified(self) -> str:
        """As a header says it."""
        return format_datetime(self.modified.astimezone(UTC), usegmt=True)


class Part(NamedTuple):
    """What is answered: a status, and which bytes."""

    status: HTTPStatus
    start: int = 0
    length: int = 0

    def content_range(self, size: int) -> str | None:
        """The `Content-Range` header, where there is one."""
        if self.status is HTTPStatus.PARTIAL_CONTENT:
            return f"bytes {self.start}-{self.start + self.length - 1}/{size}"
        return f"bytes */{size}" if self.status is HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE else None


def part_of(whole: Represented, headers: Mapping[str, str], *, ranges: bool = True) -> Part:
    """What of the whole a request with these headers gets.

    Args:
        ranges: whether parts can be asked for: by GET only.
    """
    refused = _precondition(whole, headers)
    if refused is not None:
        return Part(refused)
    wanted = headers.get("Range")
    if ranges and wanted is not None and _still_the_same(whole, headers.get("If-Range")):
        return _part(wanted, whole.size)
    return Part(HTTPStatus.OK, 0, whole.size)


def _precondition(whole: Represented, headers: Mapping[str, str]) -> HTTPStatus | None:
    """What to answer instead, in the order of section 13.2.2; None where nothing stands against it."""
    match, none_match = headers.get("If-Match"), headers.get("If-None-Match")
    if match is not None:
        if not _names(match, whole.tag, weak=False):
            return HTTPStatus.PRECONDITION_FAILED
    elif (since := _date(headers.get("If-Unmodified-Since"))) is not None and whole.modified > since:
        return HTTPStatus.PRECONDITION_FAILED
    if none_match is not None:
        return HTTPStatus.NOT_MODIFIED if _names(none_match, whole.tag, weak=True) else None
    since = _date(headers.get("If-Modified-Since"))
    return HTTPStatus.NOT_MODIFIED if since is not None and whole.modified <= since else None


def _names(field: str, tag: str, *, weak: bool) -> bool:
    """Whether a list of entity tags has this one, or is `*`. Commas may be part of a tag."""
    if field.strip() == "*":
        return True
    found = _TAG.findall(field)
    return tag in found or (weak and f"W/{tag}" in found)


def _still_the_same(whole: Represented, field: str | None) -> bool:
    """Whether what the client has a part of is this; a tag must be strong, a time exact."""
    if field is None:
        return True
    field = field.strip()
    if field.startswith(('"', "W/")):
        return field == whole.tag
    return _date(field) == whole.modified


def _part(wanted: str, size: int) -> Part:
    """One range; what is none, or several of them, is not heeded, as section 14.2 allows."""
    found = _RANGE.fullmatch(wanted.strip())
    if found is None or found[1] == found[2] == "":
        return Part(HTTPStatus.OK, 0, size)
    first, last = _number(found[1]), _number(found[2])
    if first is None:
        start, end = max(size - (last or 0), 0), size
    else:
        start, end = first, size if last is None else min(last + 1, size)
        if last is not None and last < first:
            return Part(HTTPStatus.OK, 0, size)
    if start >= end:
        return Part(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
    return Part(HTTPStatus.PARTIAL_CONTENT, start, end - start)


def _number(digits: str) -> int | None:
    """A number; None where there is none."""
    if not digits:
        return None
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= _MANY_DIGITS else 10**_MANY_DIGITS


def _date(field: str | None) -> datetime | None:
    """A time; None where there is none, or nothing that is one."""
    if field is None:
        return None
    try:
        moment = parsedate_to_datetime(field)
    except (ValueError, OverflowError, IndexError):
        return None
    return moment if moment.tzinfo is not None else None
