"""A room with everybody who can stand in some relation to it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from deploy.embedded.stack import Stack
from shared.auth import issue_token
from shared.contracts.membership import RoomView
from shared.contracts.timeline import SentView
from tests.harness.person import Person

UNKNOWN_MESSAGE = "0" * 24
OUTING = "o-1"
PARTICIPATION = "p-bob"


def told(type: str, **data: str) -> dict[str, Any]:
    """An event from outside."""
    return {"specversion": "1.0", "id": f"e-{type}", "source": "/scene", "type": type, "data": data}


OUTSIDE = [
    told("sortie.created", sortie_id=OUTING, titre="Plage", createur_id="organizer"),
    told("participation.requested", participation_id=PARTICIPATION, sortie_id=OUTING, user_id="bob"),
]


@dataclass(frozen=True, slots=True)
class Scene:
    """All connected to the first gateway, whoever follows the room has been told of `message`, alice's first one."""

    alice: Person
    """The owner."""
    bob: Person
    """A member."""
    reader: Person
    """A member who is read-only."""
    outsider: Person
    """Of the same tenant, not a member."""
    foreigner: Person
    """Of another tenant."""
    admin: Person
    """Of the same tenant, not a member, with the global role `admin`."""
    organizer: Person
    """Of the same tenant, not a member; owns the outing `OUTING`, in which bob wishes to take part."""
    service: Person
    """Of the same tenant, not a member, with the global role `service`: has told of the outing."""
    room: RoomView
    message: SentView


@asynccontextmanager
async def scene(stack: Stack) -> AsyncIterator[Scene]:
    """Set it up in tenants of its own."""
    home, abroad = f"t-{uuid4().hex[:12]}", f"t-{uuid4().hex[:12]}"
    async with AsyncExitStack() as held:

        async def person(sub: str, tenant: str = home, *roles: str) -> Person:
            token = issue_token(stack.jwt_secret, sub=sub, tenant=tenant, roles=roles, name=sub.capitalize())
            return await held.enter_async_context(Person(stack.gateway_urls[0], token))

        alice, bob, reader = await person("alice"), await person("bob"), await person("reader")
        room = await alice.create_room(name="scene", members=["bob"])
        await alice.call("member.add", {"room_id": room.id, "user_id": "reader", "role": "read_only"})
        for member in (alice, bob, reader):
            await member.expect("room.subscribed", room_id=room.id)
        service = await person("service", home, "service")
        applied = await service.request("integration.apply", {"events": OUTSIDE})
        assert all(result["effective"] for result in applied["results"]), applied
        message = await alice.send(room.id, "first")
        for member in (alice, bob, reader):
            await member.said(room.id, "first")
        yield Scene(
            alice=alice,
            bob=bob,
            reader=reader,
            outsider=await person("outsider"),
            foreigner=await person("alice", abroad),
            admin=await person("admin", home, "admin"),
            organizer=await person("organizer"),
            service=service,
            room=room,
            message=message,
        )
