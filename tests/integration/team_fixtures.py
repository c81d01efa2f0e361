"""Fixtures of the team dialect's tests: its clients, as its document has them."""

from contextlib import AsyncExitStack
from typing import Any

import pytest

from deploy.embedded.stack import Stack
from tests.conftest import TokenOf
from tests.harness.sio import People, SioPerson


@pytest.fixture
async def people(stack: Stack, token: TokenOf, closing: AsyncExitStack) -> People:
    async def connect(name: str, *, gateway: int = 0, **options: Any) -> SioPerson:
        auth = {"token": f"Bearer {token(name, name=name.title())}", "userId": name}
        person = SioPerson(stack.gateway_urls[gateway], **{"namespace": "/chat/", "auth": auth, **options})
        return await closing.enter_async_context(person)

    return connect
