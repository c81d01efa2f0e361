"""At the door of Socket.IO: the ways to give a token, and what a client is told where it is not let in."""

from typing import Any

import pytest

from tests.conftest import TokenOf
from tests.e2e.conftest import Connect
from tests.e2e.runtimes import Node, OnPage, Runtime


@pytest.mark.parametrize("kind", ["auth", "bearer in auth", "query"])
async def test_ways_to_give_a_token(
    runtime: Runtime, transports: dict[str, Any], connect: Connect, token: TokenOf, kind: str
) -> None:
    """In the handshake's `auth`, with and without its scheme, and in the query string."""
    given: dict[str, Any] = {
        "auth": {"auth": {"token": token("alice")}},
        "bearer in auth": {"auth": {"token": f"Bearer {token('alice')}"}},
        "query": {"auth": {}, "query": {"token": token("alice")}},
    }[kind]
    alice = await connect(runtime, "alice", **transports, **given)
    assert (await alice.expect("connected"))["userId"] == "alice"


async def test_a_token_in_a_header(node: Node, transports: dict[str, Any], connect: Connect, token: TokenOf) -> None:
    """`extraHeaders`, without `auth`."""
    headers = {"Authorization": f"Bearer {token('alice')}"}
    alice = await connect(node, "alice", **transports, auth={}, extraHeaders=headers)
    assert (await alice.expect("connected"))["userId"] == "alice"


async def test_a_token_in_a_pages_header(page: OnPage, connect: Connect, token: TokenOf) -> None:
    """A browser sends `extraHeaders` with requests only, and what has begun with one stays let in when it upgrades."""
    headers = {"Authorization": f"Bearer {token('alice')}"}
    alice = await connect(page, "alice", auth={}, extraHeaders=headers)
    assert (await alice.expect("connected"))["userId"] == "alice"
    assert await alice.expect("@upgrade") == "websocket"


async def test_a_token_in_a_cookie(page: OnPage, transports: dict[str, Any], connect: Connect, token: TokenOf) -> None:
    """Of a page that comes from the gateway itself."""
    await page.page.context.add_cookies([{"name": "token", "value": token("alice"), "url": page.page.url}])
    alice = await connect(page, "alice", **transports, auth={})
    assert (await alice.expect("connected"))["userId"] == "alice"


@pytest.mark.parametrize("kind", ["missing", "malformed", "foreign", "expired"])
async def test_without_a_valid_token_the_reason_is_told(
    runtime: Runtime, transports: dict[str, Any], connect: Connect, token: TokenOf, kind: str
) -> None:
    """As `connect_error`, in words and with the error's code."""
    auth = {
        "missing": {},
        "malformed": {"token": "abc"},
        "foreign": {"token": token("alice")[:-6] + "AAAAAA"},
        "expired": {"token": token("alice", ttl=-3600)},
    }[kind]
    alice = await connect(runtime, "alice", **transports, auth=auth)
    error = await alice.expect("@connect_error")
    assert "token" in error["message"].lower()
    assert error["data"]["code"] == "unauthenticated"
    assert not alice.all("@connect")
