"""What the services have logged: no fault is a reason for an error, least of all for a command that is set aside."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

EXPECTED = frozenset({"aiormq.connection"})
"""The AMQP driver calls it an error when the broker closes a connection."""


def errors(directory: Path, since: datetime) -> list[str]:
    """The errors since a moment, and whatever was said otherwise than as a line of JSON."""
    return [
        f"{path.stem} logged: {orjson.dumps(line).decode()}"
        for path in sorted(directory.glob("*.log"))
        for line in _lines(path)
        if _is_error(line) and datetime.fromisoformat(line["timestamp"]) >= since
    ]


def _is_error(line: dict[str, Any]) -> bool:
    return line["level"] in {"error", "critical"} and line.get("logger") not in EXPECTED


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_bytes().splitlines():
        try:
            yield orjson.loads(line)
        except orjson.JSONDecodeError:
            # Cut short by a kill, or not the service's own words.
            yield {"level": "error", "timestamp": "9999-01-01T00:00:00Z", "event": line.decode(errors="replace")}
