"""Contracts of the media service, which owns nothing yet and therefore takes no commands."""

from shared.contracts.base import Command, Event, Query

COMMANDS: dict[str, type[Command]] = {}
QUERIES: dict[str, type[Query]] = {}
EVENTS: dict[str, type[Event]] = {}
