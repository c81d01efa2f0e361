"""docs/protocol.md says everything that can be said: frame types, routes and room types."""

import re
from itertools import takewhile
from pathlib import Path

from services.gateway import native
from services.gateway.v1 import ROUTES
from shared.contracts.membership import RoomType
from shared.permissions import POLICIES, Key

TEXT = (Path(__file__).parents[2] / "docs/protocol.md").read_text()
CODE = re.compile(r"`([^`]+)`")
KEYS = {"per pair": Key.PAIR, "per `client_id`": Key.CLIENT, "per object of another system": Key.EXTERNAL}


def table(heading: str, chapter: str) -> list[list[str]]:
    """The cells of the table that begins with a heading."""
    lines = TEXT.partition(f"\n## {chapter}\n")[2].partition(heading)[2].splitlines()[2:]
    rows = takewhile(lambda line: line.startswith("|"), lines)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in rows]


def test_every_frame_type_is_mentioned() -> None:
    """Whatever a client can send or get."""
    names = {*native.ON, *native.LOCAL, *native.EMIT, *native.TELL}
    assert {name for name in names if not re.search(rf"[`\"]{re.escape(name)}[`\"]", TEXT)} == set()


def test_every_route_stands_beside_its_frame_type() -> None:
    """The table of REST names each frame type that has a route, once."""
    spoken = CODE.findall(" ".join(row[0] for row in table("| socket | REST |", "REST")))
    assert sorted(spoken) == sorted(route.contract.TYPE for route in ROUTES)


def test_room_types_are_as_their_policies_say() -> None:
    """All of them, and what makes each one and the same."""
    told = {
        RoomType(name): KEYS[row[1]]
        for row in table("| `type` | there is one |", "Rooms")
        for name in CODE.findall(row[0])
    }
    assert told == {kind: policy.key for kind, policy in POLICIES.items()}
