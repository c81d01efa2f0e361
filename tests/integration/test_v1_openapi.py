"""What the OpenAPI document of `/v1` promises, against made-up requests: no failure inside, no undocumented answer."""

import pytest

from deploy.embedded.stack import Stack
from services.gateway.schemas.examples import FILE, MESSAGE, ROOM
from services.gateway.schemas.openapi import openapi
from services.gateway.v1 import PASSES, ROUTES
from shared.auth import issue_token
from tests.harness.explorer import explore
from tests.harness.scene import OUTING, PARTICIPATION, scene
from tests.integration.media_client import png

DOCUMENT = openapi(ROUTES, PASSES)
CALLERS = {
    "GET /v1/audit": "admin",
    "POST /v1/integration/events": "service",
    "GET /v1/externals/{kind}/{id}/participations": "organizer",
    "PATCH /v1/participations/{participation_id}/status": "organizer",
}
"""Who asks; where it is not said, alice, who owns the room."""


OPERATIONS = [*((row.method, row.path) for row in ROUTES), *((row.method, row.path) for row in PASSES)]
EXAMPLES = 10
"""Requests per operation and kind."""


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=[" ".join(item) for item in OPERATIONS])
async def test_answers_are_as_documented(method: str, path: str, stack: Stack) -> None:
    """Whatever is asked, by somebody who may."""
    async with scene(stack) as people:
        caller = getattr(people, CALLERS.get(f"{method} {path}", "alice"))
        user = caller.ready["user"]
        file = await people.alice.upload(png()) if "media_id" in path else None
        await explore(
            DOCUMENT,
            method,
            path,
            url=stack.gateway_urls[0],
            token=issue_token(stack.jwt_secret, sub=user["id"], tenant=user["tenant"], roles=user["roles"]),
            tenant=user["tenant"],
            known={
                ROOM: people.room.id,
                MESSAGE: people.message.message_id,
                "7": OUTING,
                "p-1": PARTICIPATION,
                FILE: "" if file is None else file.id,
            },
            examples=EXAMPLES,
        )
