"""Pages of other origins, as browsers send their requests: who is let in, with what, and how the others are refused."""

from collections.abc import Awaitable, Callable

import pytest
from aiohttp import ClientSession, WSServerHandshakeError

from tests.conftest import TokenOf
from tests.harness.gateway import Gateway
from tests.harness.rest import Answer, Api

GatewayWith = Callable[..., Awaitable[Gateway]]
ApiOf = Callable[..., Api]

APP = "https://app.example.com"
STRANGER = "https://stranger.example"
HANDSHAKE = "/socket.io/?EIO=4&transport=polling"


async def preflight(caller: Api, path: str, origin: str, method: str = "POST") -> Answer:
    """What a browser asks before a request that a form could not send."""
    wanted = "authorization,content-type"
    return await caller(
        "OPTIONS", path, Origin=origin, Access_Control_Request_Method=method, Access_Control_Request_Headers=wanted
    )


@pytest.fixture
async def strict(gateway_with: GatewayWith) -> Gateway:
    """A gateway that lets one application in."""
    return await gateway_with(ALLOWED_ORIGINS=APP)


@pytest.mark.parametrize("path", ["/v1/rooms", "/chat/rooms", HANDSHAKE, "/nowhere"])
@pytest.mark.parametrize("origin", ["null", "http://localhost:5173"])
async def test_a_default_install_serves_any_page(api: ApiOf, path: str, origin: str) -> None:
    """A file's too: with the headers it asks for, and never with credentials."""
    answer = await preflight(api(None), path, origin)
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_answers_can_be_read(api: ApiOf) -> None:
    """Those that refuse, too, and what a browser would hide of them."""
    for path, status in ((HANDSHAKE, 200), ("/v1/rooms", 200), ("/v1/nowhere", 404), ("/chat/rooms/x", 404)):
        answer = await api("alice")("GET", path, Origin="null")
        assert answer.status == status, path
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]


async def test_who_is_no_page_needs_no_permission(strict: Gateway, api: ApiOf) -> None:
    """Services and telephones send no origin, and get no headers for pages."""
    answer = await api("alice", url=strict.url)("GET", "/v1/rooms")
    assert answer.status == 200
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_listed_page_may_bring_cookies(strict: Gateway, api: ApiOf, token: TokenOf) -> None:
    """And is named in the answer, which no cache may then give to another."""
    caller = api(None, url=strict.url)
    asked = await preflight(caller, "/v1/rooms", APP)
    assert (asked.status, asked.headers["Access-Control-Allow-Credentials"]) == (204, "true")
    answer = await caller("POST", "/v1/rooms", {}, Origin=APP, Cookie=f"token={token('alice')}")
    assert answer.status == 201
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert answer.headers["Vary"] == "Origin"


async def test_cookies_of_a_foreign_page_never_count(api: ApiOf, token: TokenOf) -> None:
    """Though any page may use the gateway with a token of its own."""
    caller = api(None)
    with_cookie = await caller("POST", "/v1/rooms", {}, Origin=STRANGER, Cookie=f"token={token('alice')}")
    assert with_cookie.status == 403
    with_token = await caller("POST", "/v1/rooms", {}, Origin=STRANGER, Authorization=f"Bearer {token('alice')}")
    assert with_token.status == 201


async def test_a_script_of_a_foreign_page_opens_no_session(api: ApiOf, token: TokenOf) -> None:
    """Browsers load scripts with cookies and without an origin: Engine.IO's answers are never made scripts (JSONP)."""
    answer = await api(None)("GET", f"{HANDSHAKE}&j=0", Cookie=f"token={token('alice')}")
    assert answer.status == 400
    assert answer.error == "invalid"


@pytest.mark.parametrize(
    ("path", "method", "words"),
    [
        ("/v1/rooms", "GET", {"error"}),
        (HANDSHAKE, "GET", {"error"}),
        ("/nowhere", "GET", {"error"}),
        ("/chat/rooms", "GET", {"statusCode", "message", "error", "timestamp", "path"}),
        ("/api/v2/chat/rooms", "GET", {"error", "details", "code"}),
        ("/chat/messages", "POST", {"statusCode", "message", "error", "timestamp", "path"}),
    ],
)
async def test_a_foreign_page_is_refused_in_the_words_of_the_path(
    strict: Gateway, api: ApiOf, path: str, method: str, words: set[str]
) -> None:
    """Asked first or not, token or not; and it is not allowed to read why."""
    caller = api("alice", url=strict.url)
    for answer in (await caller(method, path, Origin=STRANGER), await preflight(caller, path, STRANGER, method)):
        assert answer.status == 403
        assert set(answer.body) == words
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", ["/ws", "/socket.io/?EIO=4&transport=websocket"])
async def test_sockets_ask_for_the_origin_too(strict: Gateway, http: ClientSession, token: TokenOf, path: str) -> None:
    """Browsers let any page open a WebSocket: the server has to look."""
    headers = {"Authorization": f"Bearer {token('alice')}"}
    with pytest.raises(WSServerHandshakeError) as refused:
        await http.ws_connect(f"{strict.url}{path}", headers={**headers, "Origin": STRANGER})
    assert refused.value.status == 403
    for origin in (APP, strict.url):
        async with http.ws_connect(f"{strict.url}{path}", headers={**headers, "Origin": origin}) as socket:
            assert (await socket.receive(timeout=10)).data


@pytest.mark.parametrize("name", ["WEBSOCKET_CORS_ORIGIN", "FRONTEND_URL"])
async def test_the_documents_names_are_understood(gateway_with: GatewayWith, api: ApiOf, name: str) -> None:
    """As `ALLOWED_ORIGINS` is."""
    gateway = await gateway_with(**{name: f"{APP}/"})
    caller = api("alice", url=gateway.url)
    assert (await caller("GET", "/v1/rooms", Origin=APP)).status == 200
    assert (await caller("GET", "/v1/rooms", Origin=STRANGER)).status == 403
