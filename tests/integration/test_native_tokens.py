"""Who may open a native WebSocket: where the token may stand, what it must be, and how long it lasts."""

import base64
import time
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from aiohttp import ClientSession

from deploy.embedded.stack import Stack
from shared.auth import LEEWAY, issue_token
from shared.contracts.errors import CloseCode, ErrorCode
from tests.conftest import SocketOf, TokenOf
from tests.harness.gateway import Gateway, gateway
from tests.harness.own_task import in_own_task
from tests.harness.rawsocket import RawSocket, code_of


@pytest.fixture(scope="module")
async def proxied(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A gateway that trusts its proxy's tenant header, and pages of another origin."""
    env = {"TRUST_TENANT_HEADER": "1", "ALLOWED_ORIGINS": "https://app.example, https://other.example"}
    root: Path = tmp_path_factory.mktemp("proxied")
    async with in_own_task(gateway(stack, root, env)) as running:
        yield running


async def refused(socket: RawSocket, code: ErrorCode, close: int) -> str:
    """The connection is refused with an error frame and the close code; the error's message."""
    frame = await socket.receive()
    assert code_of(frame) is code
    assert "id" not in frame or frame["id"] is None
    assert await socket.closed() == close
    message: str = frame["error"]["message"]
    return message


# ── where it may stand ───────────────────────────────────────────────────────────────────────────────────────────


async def test_in_the_query(socket: SocketOf, token: TokenOf, tenant: str) -> None:
    """For clients that cannot set headers."""
    opened = await socket(params={"token": token("alice", name="Alice")})
    user = (await opened.ready())["user"]
    assert (user["id"], user["name"], user["tenant"]) == ("alice", "Alice", tenant)


async def test_in_the_subprotocols_which_are_not_echoed(socket: SocketOf, token: TokenOf) -> None:
    """Browsers can set these; the answer must not repeat the token."""
    opened = await socket(protocols=("parley.v1", f"bearer.{token('alice')}"))
    assert (await opened.ready())["user"]["id"] == "alice"
    assert opened.socket.protocol == "parley.v1"


@pytest.mark.parametrize("name", ["token", "jwt"])
async def test_in_a_cookie_of_the_same_site(socket: SocketOf, token: TokenOf, stack: Stack, name: str) -> None:
    """Where the Origin header names this very host."""
    headers = {"Cookie": f"{name}={token('alice')}", "Origin": stack.gateway_urls[0]}
    assert (await (await socket(headers=headers)).ready())["user"]["id"] == "alice"


@pytest.mark.parametrize("origin", [{}, {"Origin": "https://evil.example"}, {"Origin": "null"}])
async def test_not_in_a_cookie_of_another_site(socket: SocketOf, token: TokenOf, origin: dict[str, str]) -> None:
    """Else every page could chat in its visitors' names."""
    opened = await socket(headers={"Cookie": f"token={token('alice')}", **origin})
    assert "ALLOWED_ORIGINS" in await refused(opened, ErrorCode.FORBIDDEN, CloseCode.FORBIDDEN)


async def test_in_a_cookie_of_an_allowed_origin(proxied: Gateway, socket: SocketOf, token: TokenOf) -> None:
    """As ALLOWED_ORIGINS says."""
    headers = {"Cookie": f"token={token('alice')}", "Origin": "https://other.example"}
    assert (await (await socket(url=proxied.url, headers=headers)).ready())["user"]["id"] == "alice"


# ── what it must be ──────────────────────────────────────────────────────────────────────────────────────────────


def unsigned(sub: str) -> str:
    """A token of algorithm `none` (RFC 8725 section 2.1)."""
    parts = ({"alg": "none", "typ": "JWT"}, {"sub": sub, "exp": int(time.time()) + 60})
    return ".".join(base64.urlsafe_b64encode(orjson.dumps(part)).decode().rstrip("=") for part in parts) + "."


async def test_without_a_token_nobody_comes_in(socket: SocketOf) -> None:
    """4401, and the message says where a token may stand."""
    message = await refused(await socket(), ErrorCode.UNAUTHENTICATED, CloseCode.UNAUTHENTICATED)
    assert "?token=" in message


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("garbage", "not valid"),
        (unsigned("alice"), "not valid"),
        (issue_token("another secret, which is long enough!", sub="alice"), "not valid"),
        (issue_token("parley-embedded-development-secret!", sub="alice", ttl=-60), "expired"),
        (issue_token("parley-embedded-development-secret!", sub="has space"), "claim 'sub'"),
    ],
    ids=["garbage", "unsigned", "wrong secret", "expired", "unusable claim"],
)
async def test_a_bad_token_is_refused_with_the_reason(socket: SocketOf, bad: str, why: str) -> None:
    """Which does not repeat the token."""
    message = await refused(await socket(params={"token": bad}), ErrorCode.UNAUTHENTICATED, CloseCode.UNAUTHENTICATED)
    assert why in message
    assert bad not in message


async def test_the_tenant_header_must_agree_with_the_token(socket: SocketOf, tenant: str) -> None:
    """4403 where it does not."""
    assert (await (await socket("alice", headers={"x-tenant-tag": tenant})).ready())["user"]["tenant"] == tenant
    other = await socket("alice", headers={"x-tenant-tag": "another"})
    await refused(other, ErrorCode.FORBIDDEN, CloseCode.FORBIDDEN)


async def test_a_trusted_tenant_header_decides_for_tokens_without_the_claim(
    proxied: Gateway, socket: SocketOf, token: TokenOf, tenant: str
) -> None:
    """But never against a claim, and only where it is trusted."""
    open_token = {"token": token("alice", tenant=None)}
    opened = await socket(url=proxied.url, params=open_token, headers={"x-tenant-tag": tenant})
    assert (await opened.ready())["user"]["tenant"] == tenant
    claimed = await socket("alice", url=proxied.url, headers={"x-tenant-tag": "another"})
    await refused(claimed, ErrorCode.FORBIDDEN, CloseCode.FORBIDDEN)
    untrusting = await socket(params=open_token, headers={"x-tenant-tag": tenant})
    await refused(untrusting, ErrorCode.FORBIDDEN, CloseCode.FORBIDDEN)


# ── how long it lasts ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_connection_ends_with_its_token_unless_it_is_renewed(socket: SocketOf, token: TokenOf) -> None:
    """4401 for one of two with the same token, while the renewed one goes on."""
    brief = {"token": token("alice", ttl=3 - LEEWAY)}
    renewed, other = await socket(params=brief), await socket(params=brief)
    await renewed.ready()
    await other.ready()
    answer = await renewed.ask("auth.refresh", {"token": token("alice", ttl=60)})
    assert answer["data"]["expires"] > time.time() + 50
    assert await other.closed() == CloseCode.UNAUTHENTICATED
    assert (await renewed.ask("ping"))["type"] == "ack"


async def test_a_renewal_must_be_ones_own(socket: SocketOf, token: TokenOf) -> None:
    """A refused renewal changes nothing."""
    alice = await socket("alice")
    await alice.ready()
    for bad, code in [
        (token("bob"), ErrorCode.FORBIDDEN),
        (token("alice", tenant="another"), ErrorCode.FORBIDDEN),
        (token("alice", ttl=-60), ErrorCode.UNAUTHENTICATED),
        ("garbage", ErrorCode.UNAUTHENTICATED),
    ]:
        assert code_of(await alice.ask("auth.refresh", {"token": bad})) is code
    assert (await alice.ask("ping"))["type"] == "ack"


async def test_a_renewed_token_changes_what_one_may_do(socket: SocketOf, token: TokenOf, http: ClientSession) -> None:
    """Its roles count from the next frame."""
    alice, bob = await socket("alice"), await socket("bob")
    await alice.ready()
    await bob.ready()
    room = (await alice.ask("room.create", {"name": "closed"}))["data"]["room"]
    assert code_of(await bob.ask("room.get", {"room_id": room["id"]})) is ErrorCode.FORBIDDEN
    await bob.ask("auth.refresh", {"token": token("bob", roles=["admin"])})
    assert (await bob.ask("room.get", {"room_id": room["id"]}))["data"]["name"] == "closed"
