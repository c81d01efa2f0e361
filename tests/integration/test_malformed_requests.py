"""Whatever is sent to `/v1` gets a precise error in the one shape, and never a 500."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, urlsplit

import orjson
import pytest
from aiohttp import ClientSession
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from deploy.embedded.stack import Stack
from services.gateway.rows import Route
from services.gateway.v1 import ROUTES
from shared.auth import issue_token
from shared.contracts.errors import ERRORS, ErrorCode
from tests.harness.own_task import in_own_task
from tests.integration.test_malformed_frames import FOR_CI, TEXTS, VALID, VALUES

JSON = dict[str, Any]
Call = tuple[Route, str, bytes]


@pytest.fixture(scope="module")
async def session() -> AsyncIterator[ClientSession]:
    """An HTTP session for all examples."""
    async with in_own_task(ClientSession()) as opened:
        yield opened


@pytest.fixture(scope="module")
def bearer(stack: Stack) -> dict[str, str]:
    """The header of somebody who is in no room."""
    return {"Authorization": f"Bearer {issue_token(stack.jwt_secret, sub='mallory', tenant='malformed')}"}


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """A request to some route: its path filled with anything, its query or body in order but for a field or two."""
    route = draw(st.sampled_from(ROUTES))
    path, data = route.path, {}
    for field in route.contract.model_fields:
        if f"{{{field}}}" in path:
            wild = draw(TEXTS.filter(bool) | st.just(VALID.get(field)))
            path = path.replace(f"{{{field}}}", quote(str(wild), safe="").replace(".", "%2E"))
        elif field in VALID and draw(st.booleans()):
            data[field] = VALID[field]
    for field in draw(st.lists(st.sampled_from([*route.contract.model_fields, "more", "$where"]), max_size=2)):
        data[field] = draw(VALUES)
    if route.method in {"GET", "DELETE"}:
        query = "&".join(
            f"{quote(str(name))}={quote(str(value).encode(errors='replace'))}" for name, value in data.items()
        )
        return route, f"{path}?{query}", b""
    text = json.dumps(data, ensure_ascii=False).encode(errors="surrogatepass")
    return route, path, draw(st.just(text) | st.binary(max_size=50))


def check(status: int, body: Any, about: object) -> None:
    """A success, or an error in the one shape whose status is that of its code."""
    if status < 400:
        return
    assert body.keys() == {"error"}, (about, body)
    error = body["error"]
    code = ErrorCode(error["code"])
    assert code not in {ErrorCode.INTERNAL, ErrorCode.UNAUTHENTICATED, ErrorCode.TIMEOUT}, (about, body)
    assert status == ERRORS[code].status, (about, body)
    assert len(error["message"]) > 10, (about, body)


@FOR_CI
@given(made=st.lists(calls(), min_size=10, max_size=10))
async def test_no_request_is_beyond_an_answer(
    stack: Stack, session: ClientSession, bearer: dict[str, str], made: list[Call]
) -> None:
    """Every route, with anything in its path, query and body."""

    async def one(call: Call) -> None:
        route, path, body = call
        url = URL(f"{stack.gateway_urls[0]}{path}", encoded=True)
        async with session.request(route.method, url, data=body, headers=bearer) as response:
            check(response.status, orjson.loads(await response.read()), call)

    await asyncio.gather(*(one(call) for call in made))


@pytest.mark.parametrize("number", ["--5", "²", "٣", "1e3", "0x10", "9" * 30, "-9", "NaN", "", "1.5"])
async def test_what_is_no_number_in_a_query_is_invalid(
    stack: Stack, session: ClientSession, bearer: dict[str, str], number: str
) -> None:
    """What does not read as a whole number, or is out of bounds, is refused by the name of its parameter."""
    url = URL(f"{stack.gateway_urls[0]}/v1/rooms?limit={quote(number)}", encoded=True)
    async with session.get(url, headers=bearer) as response:
        body = await response.json()
    assert (response.status, body["error"]["code"]) == (400, "invalid")
    assert body["error"]["details"][0]["field"] == "limit"


BOMB = zlib.compress(b"[" * 50_000_000)

BODIES: dict[str, tuple[list[str], bytes, int]] = {
    "no JSON": ([], b"hello", 400),
    "a list": ([], b"[]", 400),
    "invalid UTF-8": ([], b'{"name":"\xff"}', 400),
    "nested": ([], b'{"metadata":' + b'{"a":' * 5000, 400),
    "too large": ([], b'{"name":"' + b"x" * 70_000 + b'"}', 413),
    "no gzip": (["Content-Encoding: gzip"], b"hello", 400),
    "no deflate": (["Content-Encoding: deflate"], b"hello", 400),
    "a bomb": (["Content-Encoding: deflate"], BOMB, 413),
    "a key of odd bytes": (["Idempotency-Key: \xff\xfe"], b"{}", 400),
    "a key too long": ([f"Idempotency-Key: {'k' * 129}"], b"{}", 400),
    "a trace of nonsense": (["traceparent: 00-zz-zz-zz"], b"{}", 201),
    "multipart": (["Content-Type: multipart/form-data; boundary=x"], b"--x--", 400),
}


@pytest.mark.parametrize("case", BODIES)
async def test_a_body_that_is_not_what_it_says_is_refused(stack: Stack, bearer: dict[str, str], case: str) -> None:
    """Encodings, sizes and headers: refused by their name and without taking much memory or time."""
    headers, body, status = BODIES[case]
    found, answer = await raw(stack, "POST", "/v1/rooms", bearer, headers, body)
    assert found == status
    check(found, orjson.loads(answer), case)


HTTP: dict[str, tuple[str, str, list[str], bytes]] = {
    "chunks of nonsense": ("POST", "/v1/rooms", ["Transfer-Encoding: chunked"], b"zz\r\nhello"),
    "two lengths": ("POST", "/v1/rooms", ["Content-Length: 2"], b"{}{}"),
    "length and chunks": ("POST", "/v1/rooms", ["Transfer-Encoding: chunked"], b"2\r\n{}\r\n0\r\n\r\n"),
    "a method of its own": ("CHAT", "/v1/rooms", [], b""),
    "odd bytes in the path": ("GET", "/v1/rooms/\xff\xfe", [], b""),
    "no WebSocket": ("GET", "/ws", [], b""),
    "a WebSocket of tomorrow": ("GET", "/ws", ["Upgrade: websocket", "Sec-WebSocket-Version: 99"], b""),
    "a header too long": ("GET", "/v1/rooms", [f"X: {'x' * 20_000}"], b""),
    "a header of control characters": ("GET", "/v1/rooms", ["X: \x01"], b""),
}


@pytest.mark.parametrize("case", HTTP)
async def test_what_is_no_http_is_a_bad_request(stack: Stack, bearer: dict[str, str], case: str) -> None:
    """Below the API: refused by the server itself, which goes on."""
    found, _ = await raw(stack, *HTTP[case][:2], bearer, *HTTP[case][2:])
    assert found == 400
    assert (await raw(stack, "GET", "/v1/rooms", bearer, [], b""))[0] == 200


async def test_what_is_not_there_is_said_so(stack: Stack, session: ClientSession) -> None:
    """Unknown paths and wrong methods, in the same shape as all errors."""
    async with session.get(f"{stack.gateway_urls[0]}/v1/nothing") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (404, "not_found")
    async with session.delete(f"{stack.gateway_urls[0]}/v1/rooms") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (405, "invalid")
        assert response.headers["Allow"] == "GET, POST"


async def raw(
    stack: Stack, method: str, path: str, bearer: dict[str, str], headers: list[str], body: bytes
) -> tuple[int, bytes]:
    """Send a request byte by byte as described; status and body of the answer."""
    address = urlsplit(stack.gateway_urls[0])
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {address.netloc}", "Connection: close", *headers]
    lines += [f"{name}: {value}" for name, value in bearer.items()] + [f"Content-Length: {len(body)}"] * bool(body)
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
    try:
        async with asyncio.timeout(15):
            head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.transport.abort()
    return int(head.split(b" ")[1]), rest
