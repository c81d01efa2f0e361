"""How a gateway passes requests about files on: every byte, nothing of the token, and no more memory than a little."""

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
from aiohttp import ClientConnectionError, ClientError, ClientPayloadError, ClientSession, StreamReader, web

from tests.conftest import TokenOf
from tests.harness.depot import Depot
from tests.harness.gateway import Gateway
from tests.harness.rest import Api

pytest_plugins = ("tests.integration.depot_fixtures",)

ApiOf = Callable[..., Api]

FILE = "0" * 32
ORIGINAL = f"/v1/media/{FILE}/original"
LINK = f"{ORIGINAL}?expires=99&signature=abc"
MANY = 96 * 2**20
"""Bytes of a large file; a gateway may grow by a fraction of them."""

GROWTH = 24 * 2**20


async def pieces(size: int, digest: "hashlib._Hash | None" = None) -> AsyncIterator[bytes]:
    """A body that nobody holds as a whole."""
    for _ in range(size // 65_536):
        piece = os.urandom(16) * 4096
        if digest is not None:
            digest.update(piece)
        yield piece


async def read_slowly(content: StreamReader, digest: "hashlib._Hash", gateway: Gateway) -> int:
    """Take a body with pauses, which is what is tested; the most bytes of memory the gateway had in any."""
    read = most = 0
    async for chunk in content.iter_chunked(262_144):
        digest.update(chunk)
        read += len(chunk)
        if read % 2**23 < len(chunk):
            await asyncio.sleep(0.05)
            most = max(most, gateway.resident_bytes())
    return most


class TestUp:
    """Requests with a body."""

    async def test_every_byte_arrives_and_little_of_it_is_kept(
        self, gateway: Gateway, media: Depot, http: ClientSession, token: TokenOf
    ) -> None:
        """Though the media service is slower than the client."""
        expected, got, most = hashlib.sha256(), hashlib.sha256(), 0
        before = gateway.resident_bytes()

        async def slowly(request: web.Request) -> web.StreamResponse:
            nonlocal most
            most = await read_slowly(request.content, got, gateway)
            return web.json_response({}, status=201)

        media.answer = slowly
        headers = {"Authorization": f"Bearer {token('alice')}"}
        async with http.post(f"{gateway.url}/v1/media", data=pieces(MANY, expected), headers=headers) as response:
            assert response.status == 201
        assert got.digest() == expected.digest()
        assert most - before < GROWTH

    async def test_who_asks_is_vouched_for_and_their_token_stays(
        self, gateway: Gateway, media: Depot, http: ClientSession, token: TokenOf, tenant: str
    ) -> None:
        """In whatever way it came; headers that are nobody's business stay, too."""
        secret = token("alice", name="Alice")
        ways: list[tuple[str, dict[str, str]]] = [
            ("", {"Authorization": f"Bearer {secret}"}),
            (f"token={secret}&", {}),
            ("", {"Cookie": f"token={secret}", "Origin": gateway.url}),
        ]
        noise = {"X-Forwarded-For": "1.2.3.4", "X-Secret": "no", "Prefer": "wait=5", "Upload-Offset": "0"}
        for query, headers in ways:
            url = f"{gateway.url}/v1/media?{query}kind=file&name=%C3%A4+b%26c"
            async with http.post(url, data=b"x", headers={**headers, **noise}) as response:
                assert response.status == 201
            seen = media.last
            assert seen.target == "/v1/media?kind=file&name=%C3%A4+b%26c"
            assert (seen.actor.id, seen.actor.tenant, seen.actor.name) == ("alice", tenant, "Alice")
            assert secret not in str(seen)
            assert not {"Cookie", "Origin", "X-Forwarded-For", "X-Secret"} & seen.headers.keys()
            assert (seen.headers["Prefer"], seen.headers["Upload-Offset"]) == ("wait=5", "0")
            assert "traceparent" in seen.headers

    async def test_a_body_of_known_length_keeps_it(self, alice: Api, media: Depot) -> None:
        """As the media service may refuse it by that; one without stays one without."""
        answer = await alice("POST", "/v1/media", raw=b"12345", Content_Type="text/plain")
        assert (answer.status, answer.body) == (201, {"length": 5})
        assert media.last.headers["Content-Length"] == "5"
        assert media.last.headers["Content-Type"] == "text/plain"
        assert "Transfer-Encoding" not in media.last.headers
        assert (await alice("POST", "/v1/uploads", Upload_Length="9")).body == {"length": 0}

    @pytest.mark.parametrize("chunked", [True, False])
    async def test_a_refusal_comes_before_all_is_sent(
        self, gateway: Gateway, media: Depot, http: ClientSession, token: TokenOf, chunked: bool
    ) -> None:
        """The client hears it while it still sends, and nobody is left waiting."""

        async def refuse(_request: web.Request) -> web.StreamResponse:
            return web.json_response({"error": {"code": "too_large"}}, status=413)

        media.answer = refuse
        headers = {"Authorization": f"Bearer {token('alice')}"}
        if not chunked:
            headers["Content-Length"] = str(MANY)
        async with asyncio.timeout(15):
            async with http.post(f"{gateway.url}/v1/media", data=pieces(MANY), headers=headers) as response:
                assert response.status == 413
                assert (await response.json())["error"]["code"] == "too_large"
        async with http.get(f"{gateway.url}/readyz") as ready:
            assert ready.status == 200

    async def test_a_body_is_asked_for_when_it_is_wanted(self, gateway: Gateway, media: Depot, token: TokenOf) -> None:
        """`Expect: 100-continue`: who is refused has sent nothing."""

        async def refuse(_request: web.Request) -> web.StreamResponse:
            return web.json_response({"error": {}}, status=413)

        async def say(first: bytes, then: bytes) -> tuple[bytes, bytes]:
            host, port = gateway.url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(first)
            told = await reader.readline()
            if b"100" in told:
                await reader.readline()
                writer.write(then)
                final = await reader.readline()
            else:
                final = told
            writer.close()
            return told, final

        head = (
            f"POST /v1/media HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token('alice')}\r\n"
            "Content-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        ).encode()
        async with asyncio.timeout(10):
            assert await say(head, b"body") == (b"HTTP/1.1 100 Continue\r\n", b"HTTP/1.1 201 Created\r\n")
            media.answer = refuse
            told, _ = await say(head, b"body")
            assert told.startswith(b"HTTP/1.1 413 ")
            told, _ = await say(head.replace(b"Bearer ", b"Bearer x"), b"body")
            assert told.startswith(b"HTTP/1.1 401 ")

    async def test_a_client_that_goes_ends_the_upload_there(
        self, gateway: Gateway, media: Depot, http: ClientSession, token: TokenOf
    ) -> None:
        """So that the media service does not wait for what will not come."""
        gone = asyncio.Event()

        async def half() -> AsyncIterator[bytes]:
            yield b"x" * 100_000
            await media.until(lambda: bool(media.seen))
            gone.set()
            await asyncio.Event().wait()
            yield b"never"

        headers = {"Authorization": f"Bearer {token('alice')}"}
        sending = asyncio.ensure_future(http.post(f"{gateway.url}/v1/media", data=half(), headers=headers))  # noqa: TID251
        await gone.wait()
        sending.cancel()
        await media.until(lambda: bool(media.ended))
        assert media.ended != ["answered"]

    async def test_a_media_service_that_goes_is_unavailable(self, alice: Api, media: Depot) -> None:
        """With the error that says so, in the middle of a body and before."""

        async def vanish(request: web.Request) -> web.StreamResponse:
            await request.content.readany()
            assert request.transport is not None
            request.transport.abort()
            raise ConnectionError

        media.answer = vanish
        answer = await alice("POST", "/v1/media", raw=b"x" * 2_000_000)
        assert (answer.status, answer.error, answer.body["error"]["retryable"]) == (503, "unavailable", True)
        assert answer.headers["Retry-After"]

    async def test_an_encoded_body_is_refused(self, alice: Api, media: Depot) -> None:
        """Its bytes are not the file's."""
        answer = await alice("POST", "/v1/media", raw=b"x", Content_Encoding="gzip")
        assert (answer.status, answer.error) == (400, "invalid")
        assert not media.seen


class TestDown:
    """Answers with a body."""

    async def test_every_byte_comes_back_and_little_of_it_is_kept(
        self, gateway: Gateway, media: Depot, http: ClientSession, token: TokenOf
    ) -> None:
        """Though the client is slower than the media service."""
        expected, got = hashlib.sha256(), hashlib.sha256()
        before = gateway.resident_bytes()

        async def serve(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Length": str(MANY), "ETag": '"e"', "Set-Cookie": "a=b"})
            await response.prepare(request)
            async for piece in pieces(MANY, expected):
                await response.write(piece)
            return response

        media.answer = serve
        headers = {"Authorization": f"Bearer {token('alice')}"}
        async with http.get(f"{gateway.url}{ORIGINAL}", headers=headers) as response:
            assert (response.status, response.headers["ETag"]) == (200, '"e"')
            assert "Set-Cookie" not in response.headers
            most = await read_slowly(response.content, got, gateway)
        assert got.digest() == expected.digest()
        assert most - before < GROWTH

    @pytest.mark.parametrize("length", [{"Content-Length": "1000000"}, {}])
    async def test_what_breaks_off_looks_broken(
        self, gateway: Gateway, media: Depot, http: ClientSession, token: TokenOf, length: dict[str, str]
    ) -> None:
        """Never as though that had been all."""
        came = asyncio.Event()

        async def vanish(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers=length)
            await response.prepare(request)
            await response.write(b"x" * 200_000)
            await came.wait()
            assert request.transport is not None
            request.transport.abort()
            return response

        media.answer = vanish
        headers = {"Authorization": f"Bearer {token('alice')}"}
        async with http.get(f"{gateway.url}{ORIGINAL}", headers=headers) as response:
            assert response.status == 200
            await response.content.readany()
            came.set()
            with pytest.raises((ClientPayloadError, ClientError)):
                await response.read()

    async def test_a_client_that_goes_ends_the_download_there(
        self, gateway: Gateway, media: Depot, http: ClientSession, token: TokenOf
    ) -> None:
        async def endless(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            while True:
                await response.write(b"x" * 65_536)

        media.answer = endless
        response = await http.get(f"{gateway.url}{ORIGINAL}", headers={"Authorization": f"Bearer {token('alice')}"})
        await response.content.readany()
        response.close()
        await media.until(lambda: bool(media.ended))
        assert media.ended != ["answered"]

    async def test_conditions_and_ranges_go_through(self, alice: Api, media: Depot) -> None:
        """And so do the answers that have no body, with the headers of the body they have not."""

        async def answer(request: web.Request) -> web.StreamResponse:
            if request.headers.get("If-None-Match") == '"e"':
                return web.Response(status=304, headers={"ETag": '"e"'})
            if request.headers.get("Range") == "bytes=2-4":
                return web.Response(status=206, body=b"cde", headers={"Content-Range": "bytes 2-4/6"})
            if "Range" in request.headers:
                return web.Response(status=416, headers={"Content-Range": "bytes */6"})
            headers = {"Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff", "Content-Disposition": "inline"}
            return web.Response(body=b"abcdef", headers=headers, content_type="image/png")

        media.answer = answer
        whole = await alice("GET", ORIGINAL)
        assert (whole.status, whole.body, whole.headers["Content-Length"]) == (200, b"abcdef", "6")
        head = await alice("HEAD", ORIGINAL)
        assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", "6")
        for name in ("Accept-Ranges", "X-Content-Type-Options", "Content-Disposition", "Content-Type"):
            assert head.headers[name] == whole.headers[name]
        part = await alice("GET", ORIGINAL, Range="bytes=2-4")
        assert (part.status, part.body, part.headers["Content-Range"]) == (206, b"cde", "bytes 2-4/6")
        none = await alice("GET", ORIGINAL, Range="bytes=9-")
        assert (none.status, none.headers["Content-Range"]) == (416, "bytes */6")
        same = await alice("GET", ORIGINAL, If_None_Match='"e"')
        assert (same.status, same.body, same.headers["Etag"]) == (304, b"", '"e"')


class TestDoor:
    """Who is let in, and how many."""

    async def test_a_signed_link_needs_no_token(self, gateway: Gateway, api: ApiOf, media: Depot) -> None:
        """Nobody is vouched for then: the media service looks at the link."""
        answer = await api(None, url=gateway.url)("GET", LINK, Cookie="token=not-one")
        assert answer.status == 201
        assert media.last.target == LINK
        assert "Authorization" not in media.last.headers

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", ORIGINAL),
            ("GET", f"{ORIGINAL}?expires=99"),
            ("POST", "/v1/media?expires=99&signature=abc"),
            ("POST", "/v1/uploads"),
            ("PATCH", f"/v1/uploads/{FILE}"),
            ("GET", f"{LINK}&token=nonsense"),
        ],
    )
    async def test_others_are_refused_here(
        self, gateway: Gateway, api: ApiOf, media: Depot, method: str, path: str
    ) -> None:
        answer = await api(None, url=gateway.url)(method, path)
        assert (answer.status, answer.error) == (401, "unauthenticated")
        assert not media.seen

    async def test_what_the_server_takes_is_told_to_everybody(self, gateway: Gateway, api: ApiOf, media: Depot) -> None:
        """Clients of resumable uploads ask for it before they have said who they are."""

        async def tell(_request: web.Request) -> web.StreamResponse:
            return web.Response(status=204, headers={"Tus-Version": "1.0.0", "Tus-Max-Size": "5"})

        media.answer = tell
        answer = await api(None, url=gateway.url)("OPTIONS", "/v1/uploads", Origin="https://app.example")
        assert (answer.status, answer.headers["Tus-Version"], answer.headers["Tus-Max-Size"]) == (204, "1.0.0", "5")
        assert "Upload-Offset" in answer.headers["Access-Control-Expose-Headers"]
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Authorization" not in media.last.headers

    async def test_a_path_does_not_lead_anywhere_else(self, alice: Api, media: Depot) -> None:
        """What stands in a path stays one part of it."""
        await alice("GET", "/v1/media/a%2Fb%3Fc/original%2F..%2Fx")
        assert media.last.target == "/v1/media/a%2Fb%3Fc/original%2F..%2Fx"

    async def test_no_more_than_so_many_are_under_way(
        self, gateway: Gateway, media: Depot, http: ClientSession, alice: Api, token: TokenOf
    ) -> None:
        """Those on top are told to come again, and can when others have ended."""
        go = asyncio.Event()

        async def wait(_request: web.Request) -> web.StreamResponse:
            await go.wait()
            return web.Response()

        media.answer = wait
        headers = {"Authorization": f"Bearer {token('alice')}"}
        async with asyncio.TaskGroup() as group:
            for _ in range(256):
                group.create_task(http_get(f"{gateway.url}{ORIGINAL}", headers))
            await media.until(lambda: len(media.seen) == 256)
            refused = await alice("GET", ORIGINAL)
            assert (refused.status, refused.error) == (503, "overloaded")
            go.set()
        assert (await alice("GET", ORIGINAL)).status == 200


async def http_get(url: str, headers: dict[str, str]) -> None:
    """A download by a client of its own."""
    async with ClientSession() as session, session.get(url, headers=headers) as response:
        assert response.status == 200


async def is_ready(gateway: Gateway) -> bool:
    """Whether a gateway takes new requests."""
    with suppress(ClientConnectionError):
        async with ClientSession() as session, session.get(f"{gateway.url}/readyz") as response:
            return response.status == 200
    return False


async def test_a_stop_waits_for_what_is_under_way(
    gateway: Gateway, media: Depot, http: ClientSession, token: TokenOf
) -> None:
    """An upload that ends in time is answered."""

    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 10
        while await is_ready(gateway):  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.02)
        yield b"y" * 10

    async def stop() -> None:
        await media.until(lambda: bool(media.seen))
        await gateway.process.kill(signal.SIGTERM)

    headers = {"Authorization": f"Bearer {token('alice')}"}
    async with asyncio.TaskGroup() as group:
        group.create_task(stop())
        async with http.post(f"{gateway.url}/v1/media", data=body(), headers=headers) as response:
            assert (response.status, await response.json()) == (201, {"length": 20})
