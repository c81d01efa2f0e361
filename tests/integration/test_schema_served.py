"""The running gateway serves its documents, and has everything they promise at its place."""

from typing import Any

import pytest
from aiohttp import ClientSession

from deploy.embedded.stack import Stack
from services.gateway.schemas.openapi import OPERATIONS, openapi
from services.gateway.v1 import PASSES, ROUTES
from shared.ids import message_id

PLACES = {
    "room_id": "room", "user_id": "bob", "message_id": message_id("room", "bob", "c-1"), "emoji": "x",
    "action": "read", "media_id": "0" * 32, "variant": "small", "kind": "event", "id": "1", "participation_id": "1",
}  # fmt: skip
ENDPOINTS = [(method, path) for path, item in openapi(ROUTES, PASSES)["paths"].items() for method in item]


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/asyncapi.json"])
async def test_documents_are_served_to_everybody(stack: Stack, http: ClientSession, path: str) -> None:
    """Without a token."""
    async with http.get(stack.gateway_urls[0] + path) as response:
        assert response.status == 200


async def test_the_served_document_is_the_generated_one(stack: Stack, http: ClientSession) -> None:
    """Whoever has one need not fetch the other."""
    async with http.get(f"{stack.gateway_urls[0]}/openapi.json") as response:
        served: Any = await response.json()
    assert served == openapi(ROUTES, PASSES)


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
async def test_what_is_documented_is_there(stack: Stack, http: ClientSession, method: str, path: str) -> None:
    """And asks for a token first, but for what says that it needs none."""
    async with http.request(method, stack.gateway_urls[0] + path.format(**PLACES)) as response:
        told_to_all = {"get": 200, "options": 204}[method] if path in OPERATIONS or method == "options" else 401
        assert response.status == told_to_all
