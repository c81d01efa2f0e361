"""Ephemeral events of a room: who is typing. Never stored, never repaired."""

from typing import ClassVar

from shared.contracts.base import Event


class Typing(Event):
    """A member started or stopped typing. Expires by itself at the readers."""

    TYPE: ClassVar = "typing"
    TOPIC: ClassVar = "typing"

    room_id: str
    user_id: str
    typing: bool


EVENTS: dict[str, type[Event]] = {Typing.TYPE: Typing}
