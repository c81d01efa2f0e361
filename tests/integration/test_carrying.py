"""When nothing more comes or goes: a request that is being carried is given up, and whoever waits for it is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientError, ClientSession, web

from deploy.embedded import ports
from services.gateway.carrying import Carrier, Target, expect_later
from services.gateway.rest import answer_errors
from shared.auth import Vouchers
from shared.settings import DEVELOPMENT_SECRET
from tests.harness.depot import Depot, depot

PATIENCE = 0.4
PATH = "/v1/media"


@asynccontextmanager
async def door(media: Depot, patience: float = PATIENCE) -> AsyncIterator[str]:
    """A server that carries everything; its address."""
    carrier = Carrier(media.url, Vouchers(DEVELOPMENT_SECRET), patience=patience)

    async def handle(request: web.Request) -> web.StreamResponse:
        async with carrier.carry(request, Target(PATH, None)) as carried:
            return await carried.hand_back()

    app = web.Application(middlewares=[answer_errors])
    app.router.add_route("*", PATH, handle, expect_handler=expect_later)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    port = ports.find_free()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}{PATH}"
    finally:
        await runner.cleanup()
        await carrier.close()


async def some_then_nothing() -> AsyncIterator[bytes]:
    """A body that does not end."""
    yield b"x" * 1000
    await asyncio.Event().wait()


async def silent(_request: web.Request) -> web.StreamResponse:
    """No answer."""
    await asyncio.Event().wait()
    return web.Response()


async def test_a_client_that_sends_nothing_more() -> None:
    """Is told so, and the media service is not kept waiting."""
    async with depot() as media, door(media) as url, ClientSession() as http:
        async with http.post(url, data=some_then_nothing()) as response:
            error = (await response.json())["error"]
            assert (response.status, error["code"], error["message"]) == (
                504,
                "timeout",
                "Nothing more came of the body.",
            )
        await media.until(lambda: bool(media.ended))
        assert media.ended != ["answered"]


@pytest.mark.parametrize("body", [b"", b"x" * 100_000])
async def test_a_media_service_that_says_nothing(body: bytes) -> None:
    """Is not waited for without end."""
    async with (
        depot(silent) as media,
        door(media) as url,
        ClientSession() as http,
        http.post(url, data=body) as response,
    ):
        error = (await response.json())["error"]
        assert (response.status, error["code"], error["message"]) == (504, "timeout", "No answer in time.")


async def test_an_answer_that_stops() -> None:
    """Is broken off, as more of it was promised."""

    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "2000"})
        await response.prepare(request)
        await response.write(b"x" * 1000)
        return await silent(request)

    async with depot(half) as media, door(media) as url, ClientSession() as http, http.get(url) as response:
        assert response.status == 200
        with pytest.raises(ClientError):
            await response.read()


async def test_what_goes_on_slowly_goes_on() -> None:
    """Patience counts from the last byte, not from the first."""

    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(6):
            yield b"x" * 1000
            await asyncio.sleep(PATIENCE / 3)

    async with (
        depot() as media,
        door(media) as url,
        ClientSession() as http,
        http.post(url, data=slowly()) as response,
    ):
        assert (response.status, await response.json()) == (201, {"length": 6000})


async def test_one_that_cannot_be_reached() -> None:
    """Is unavailable, at once."""
    async with depot() as media:
        media.url = "http://127.0.0.1:9"
        async with door(media) as url, ClientSession() as http, http.post(url, data=b"x") as response:
            assert (response.status, (await response.json())["error"]["code"]) == (503, "unavailable")
