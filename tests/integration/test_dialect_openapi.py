"""What dialects' OpenAPI documents promise, against made-up requests: no failure inside, no undocumented answer."""

import pytest

from deploy.embedded.stack import Stack
from services.gateway.dialects.choice import DIALECTS
from services.gateway.schemas.dialects.openapi import openapi
from services.gateway.schemas.examples import MESSAGE, ROOM
from tests.conftest import ClientOf, TokenOf
from tests.harness.explorer import explore

EXAMPLES = 15
"""Requests per operation and kind."""

OPERATIONS = [
    (name, method, path)
    for name, dialect in DIALECTS.items()
    for path, item in openapi(dialect)["paths"].items()
    for method in item
]


@pytest.mark.parametrize(("name", "method", "path"), OPERATIONS, ids=[" ".join(item) for item in OPERATIONS])
async def test_answers_are_as_documented(
    name: str, method: str, path: str, stack: Stack, tenant: str, token: TokenOf, client: ClientOf
) -> None:
    """Whatever is asked, by a member of a room with a message."""
    alice = await client("alice", roles=("customer",))
    await client("bob", roles=("hotel_owner",))
    room = await alice.create_room(members=["bob"])
    sent = await alice.send(room.id, "Is there tea?")
    await explore(
        openapi(DIALECTS[name]),
        method,
        path,
        url=stack.gateway_urls[0],
        token=token("alice", roles=("customer",)),
        tenant=tenant,
        known={ROOM: room.id, MESSAGE: sent.message_id},
        examples=EXAMPLES,
    )
