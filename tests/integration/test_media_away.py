"""While the media service does not answer, messages that show files are refused at once, and nothing else waits."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
from aiohttp import ClientSession

from deploy.embedded import ports
from deploy.embedded.stack import Stack
from services.messages.files import PATIENCE, PAUSE
from shared.auth import issue_token
from shared.mongo import Mongo
from tests.harness.gateway import LIMITS
from tests.harness.own_task import in_own_task
from tests.harness.rest import Answer, Api
from tests.integration.media_shelf import Shelf, eventually

TEXT = {"content": "plain"}


@pytest.fixture(scope="module")
async def lone(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack whose media service may be stopped."""
    described = Stack(tmp_path_factory.mktemp("lone"), port=ports.find_free(1, 1), gateways=1, workers=1, env=LIMITS)
    async with in_own_task(described) as running:
        yield running


async def test_only_messages_that_show_files_notice(lone: Stack) -> None:
    """Once they wait for a moment, then they are refused at once; and go on when it is back, retries included."""
    async with AsyncExitStack() as held:
        http = await held.enter_async_context(ClientSession())
        token = issue_token(lone.jwt_secret, sub="alice", tenant=(tenant := f"t-{uuid4().hex[:8]}"))
        rest = Api(http, lone.gateway_urls[0], token)
        mongo = Mongo(lone.mongo_url, "tests")
        held.callback(mongo.close)
        shelf = Shelf(mongo, tenant)
        media = await shelf.ready("alice")
        room = (await rest("POST", "/v1/rooms", {"type": "group", "name": "Tea"})).body["id"]

        async def send(body: Mapping[str, object]) -> tuple[Answer, float]:
            begun = time.monotonic()
            return await rest("POST", f"/v1/rooms/{room}/messages", body), time.monotonic() - begun

        picture = {"type": "image", "attachment": {"media_id": media.id}, "client_id": "c"}
        sent, _ = await send(picture)
        assert sent.status == 201, sent.body
        await lone.kill("media-0", signal.SIGSTOP)
        try:
            (first, waited), (beside, held_up) = await asyncio.gather(send({**picture, "client_id": "d"}), send(TEXT))
            assert (first.error, beside.status) == ("unavailable", 201)
            assert max(waited, held_up) < PATIENCE + 1
            begun = time.monotonic()
            while time.monotonic() < begun + PAUSE / 2:
                (again, waited), (beside, held_up) = await asyncio.gather(
                    send({**picture, "client_id": "d"}), send(TEXT)
                )
                assert (again.error, beside.status) == ("unavailable", 201)
                assert max(waited, held_up) < PATIENCE / 2
            retry, _ = await send(picture)
            assert retry.body == {**sent.body, "duplicate": True}
        finally:
            await lone.kill("media-0", signal.SIGCONT)

        async def taken() -> bool:
            return (await send({**picture, "client_id": "d"}))[0].status == 201

        await eventually(taken)
