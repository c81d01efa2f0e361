"""The kinds of rows that protocols and APIs are tables of. A row says what is exposed under which name; no behaviour.

The native protocol (native.py) and `/v1` (v1.py) are rows, and so is everything generated from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.contracts.base import Command, Event, Model, Query, View

Contract = type[Command] | type[Query]


@dataclass(frozen=True, slots=True)
class On:
    """An incoming frame: its name, the contract its data must meet, and whether it counts as a message sent."""

    name: str
    contract: Contract
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Local:
    """An incoming frame that the gateway answers by itself."""

    name: str
    wire: type[Model]
    result: type[View]
    summary: str


@dataclass(frozen=True, slots=True)
class Emit:
    """An outgoing frame: which event it shows, under which name.

    `view` is what of the event is shown, where that is not all.
    """

    event: type[Event]
    name: str
    view: type[View] | None = None

    @property
    def in_room(self) -> bool:
        """Whether it is about a room, which then stands beside its data."""
        return "room_id" in self.event.model_fields


@dataclass(frozen=True, slots=True)
class Tell:
    """An outgoing frame that the gateway makes by itself: its data, and when it comes."""

    name: str
    view: type[View]
    summary: str
    in_room: bool = True


@dataclass(frozen=True, slots=True)
class Route:
    """A REST endpoint.

    The contract's fields come from the path, the query string (GET, DELETE) or the JSON body, and `fixed`.
    `unwrap` names the field of the result that is the response body; None gives the whole result.
    `gathers` names a field that holds a list: a body that is a list, or an object without that field, is what it holds.
    """

    method: str
    path: str
    contract: Contract
    summary: str
    status: int = 200
    fixed: Mapping[str, Any] = field(default_factory=dict)
    unwrap: str | None = None
    counted: bool = False
    gathers: str | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """A REST endpoint of the media service's, under the same path there: bytes go through, either way.

    `linked`: a signed link takes the place of a token. `public`: it takes no token at all.
    """

    method: str
    path: str
    summary: str
    linked: bool = False
    public: bool = False
