"""Fixtures of the media service's tests: users for whom gateways vouch, its collections, processes of their own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from aiohttp import ClientSession

from deploy.embedded.stack import Stack
from shared.contracts.envelope import Actor
from shared.mongo import Mongo
from tests.harness.own_task import in_own_task
from tests.integration.media_client import Kept, MediaProcess, MediaWith, Uploader, UploaderOf, media_process
from tests.integration.media_shelf import Shelf


@pytest.fixture
def uploader(stack: Stack, http: ClientSession, tenant: str) -> UploaderOf:
    """Makes callers of the stack's media process."""

    def make(sub: str) -> Uploader:
        return Uploader(http, stack.media_url, stack.jwt_secret, Actor(id=sub, tenant=tenant))

    return make


@pytest.fixture
async def kept(stack: Stack) -> AsyncIterator[Kept]:
    """What is in the database."""
    mongo = Mongo(stack.mongo_url, "tests")
    yield Kept(mongo)
    mongo.close()


@pytest.fixture
async def shelf(stack: Stack, tenant: str) -> AsyncIterator[Shelf]:
    """Files of this test's tenant, put where they lie without an upload."""
    mongo = Mongo(stack.mongo_url, "tests")
    made = Shelf(mongo, tenant)
    await made.prepare()
    yield made
    mongo.close()


@pytest.fixture
def media_with(stack: Stack, uploader: UploaderOf, tmp_path: Path, closing: AsyncExitStack) -> MediaWith:
    """Starts a media process beside the stack's.

    Its settings are given by name: `await media_with(UPLOADS_AT_ONCE=1)`.
    """

    async def start(*, restart: bool = False, **env: object) -> MediaProcess:
        settings = {name: str(value) for name, value in env.items()}
        root = tmp_path / f"media-{uuid4().hex[:6]}"
        described = media_process(stack, root, settings, restart=restart, alice=uploader("alice"))
        return await closing.enter_async_context(in_own_task(described))

    return start
