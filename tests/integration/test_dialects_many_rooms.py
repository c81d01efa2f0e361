"""Who is in more rooms than one question brings is shown them all."""

import asyncio
from collections.abc import Callable

from tests.conftest import ClientOf
from tests.harness.rest import Api

MANY = 510


async def test_lists_show_all_rooms(client: ClientOf, api: Callable[..., Api]) -> None:
    """Whole, where the list has no pages; else by the pages and the total."""
    owner = await client("alice")
    made: set[str] = set()
    for start in range(0, MANY, 30):
        rooms = await asyncio.gather(*(owner.create_room(members=["bob"]) for _ in range(start, start + 30)))
        made |= {room.id for room in rooms}
    bob = api("bob")
    assert {room["id"] for room in (await bob("GET", "/chat")).body} == made
    assert {room["id"] for room in (await bob("GET", "/api/v2/chat/rooms")).body["rooms"]} == made
    seen: list[str] = []
    for page in range(1, 8):
        answer = (await bob("GET", f"/chat/rooms?page={page}&limit=100")).body
        assert answer["total"] == len(made)
        seen += [room["id"] for room in answer["rooms"]]
    assert (len(seen), set(seen)) == (len(made), made)
