"""What clients and the database say, as the checker reads it: plain records, kept in memory and as JSON lines.

Imports nothing of the system under test: a record says what was seen, not what it ought to mean.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

SEND, EDIT, DELETE, REACT, UNREACT = "send", "edit", "delete", "react", "unreact"


@dataclass(frozen=True, slots=True)
class Asked:
    """A client is about to ask for something; from now on it may happen.

    Args:
        number: of this request among the client's.
        kind: SEND, EDIT, DELETE, REACT or UNREACT.
        target: the `client_id` of a SEND, the id of the message to change else.
        value: the content or the emoji.
    """

    at: float
    number: int
    kind: str
    room_id: str
    target: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """The final answer to a request, after all retries: a `result`, or the `error` code the client gave up with."""

    at: float
    number: int
    result: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """An event was handed to the application. `message` is the state it shows, where it shows one."""

    at: float
    type: str
    room_id: str = ""
    message: Mapping[str, Any] | None = None
    resumed: bool = False
    detail: Any = None


Entry = Asked | Answered | Told


@dataclass(slots=True)
class ClientLog:
    """All that one client has done and seen, in order."""

    user: str
    rooms: frozenset[str]
    entries: list[Entry] = field(default_factory=list)

    def save(self, directory: Path) -> None:
        """Write it to `<user>.jsonl`."""
        save(self.entries, directory / f"{self.user}.jsonl")


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as the database has it. `born` is the `rev` of its creation, `users` who chose which emoji."""

    id: str
    room_id: str
    seq: int
    rev: int
    born: int
    sender: str
    client_id: str
    content: str
    created_at: str
    deleted: bool = False
    users: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Written:
    """A change as the database's own journal has it. `state` is all of the message that readers see."""

    room_id: str
    rev: int
    id: str
    state: str = ""


def save(records: Iterable[Entry | Stored | Written], path: Path) -> None:
    """Write records as lines of JSON, each with what it is."""
    lines = ({"record": type(record).__name__, **asdict(record)} for record in records)
    path.write_bytes(b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines))
