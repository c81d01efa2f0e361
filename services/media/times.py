"""The time, as this service writes it down."""

from datetime import UTC, datetime


def now() -> datetime:
    """Now, as precise as the database keeps it."""
    at = datetime.now(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
