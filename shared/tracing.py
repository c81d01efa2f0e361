"""Trace context as the W3C recommendation writes it: made at the edge, carried on, never interpreted here."""

import itertools
import re
import secrets

_TRACEPARENT = re.compile(r"^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$")
_process = secrets.token_hex(8)
_count = itertools.count(secrets.randbits(32))


def new_traceparent() -> str:
    """A new trace: an id unique to this process's run and a running number, not sampled."""
    number = next(_count) & 0xFFFFFFFFFFFFFFFF
    return f"00-{_process}{number:016x}-{number or 1:016x}-00"


def accepted_traceparent(header: str | None) -> str:
    """The caller's trace context where it is well formed (W3C trace context, section 3.2), else a new one."""
    return header if header is not None and _TRACEPARENT.match(header) else new_traceparent()
