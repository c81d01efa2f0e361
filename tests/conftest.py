"""Fixtures over one real stack, started once: two gateways, two messages workers, rooms, media, broker, database.

Every test has a tenant of its own, in which user names are free: `alice` of one test never meets that of another.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import pytest
from aiohttp import ClientSession
from hypothesis import settings

from deploy.embedded import ports
from deploy.embedded.stack import Stack
from shared.auth import issue_token
from tests.harness.gateway import LIMITS, Gateway, gateway
from tests.harness.own_task import in_own_task
from tests.harness.person import Person
from tests.harness.rawsocket import RawSocket
from tests.harness.rest import Api
from tests.harness.wire import Wire, wire

# Hypothesis holds each example to 200 ms by default, which a busy machine misses whatever the code does.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """The shared stack. Nobody kills its processes: who wants to starts another one."""
    described = Stack(tmp_path_factory.mktemp("stack"), port=ports.find_free(2, 2), gateways=2, workers=2, env=LIMITS)
    async with in_own_task(described) as running:
        yield running


@pytest.fixture(scope="session")
async def bus(stack: Stack) -> AsyncIterator[Wire]:
    """The broker, for publishing raw AMQP messages and reading the dead letters."""
    async with in_own_task(wire(stack.amqp_url)) as connected:
        yield connected


@pytest.fixture
def tenant() -> str:
    """This test's own tenant."""
    return f"t-{uuid4().hex[:12]}"


class TokenOf(Protocol):
    """Issues a token; claims as `shared.auth.issue_token` takes them."""

    def __call__(self, sub: str, **claims: Any) -> str: ...


@pytest.fixture
def token(stack: Stack, tenant: str) -> TokenOf:
    """Issues tokens for users of this test's tenant."""

    def issue(sub: str, **claims: Any) -> str:
        return issue_token(stack.jwt_secret, sub=sub, **{"tenant": tenant, **claims})

    return issue


@pytest.fixture
async def closing() -> AsyncIterator[AsyncExitStack]:
    """Holds what the test opens, and closes it, latest first."""
    async with AsyncExitStack() as held:
        yield held


class ClientOf(Protocol):
    """Connects a user; `options` are those of shared.client.Client."""

    def __call__(
        self, sub: str, *, url: str | list[str] | None = None, roles: tuple[str, ...] = (), **options: Any
    ) -> Awaitable[Person]: ...


@pytest.fixture
def client(stack: Stack, token: TokenOf, closing: AsyncExitStack) -> ClientOf:
    """Connects users by the reference client, by default to the stack's first gateway."""

    async def connect(
        sub: str, *, url: str | list[str] | None = None, roles: tuple[str, ...] = (), **options: Any
    ) -> Person:
        person = Person(url or stack.gateway_urls[0], lambda: token(sub, roles=roles), **options)
        return await closing.enter_async_context(person)

    return connect


class SocketOf(Protocol):
    """Opens a bare socket: with `sub`'s token as Bearer header, or as the options say (`ws_connect`'s)."""

    def __call__(self, sub: str | None = None, *, url: str | None = None, **options: Any) -> Awaitable[RawSocket]: ...


@pytest.fixture
async def http(closing: AsyncExitStack) -> ClientSession:
    """An HTTP session without any default."""
    return await closing.enter_async_context(ClientSession())


@pytest.fixture
def socket(stack: Stack, token: TokenOf, http: ClientSession, closing: AsyncExitStack) -> SocketOf:
    """Opens bare WebSockets, by default to the stack's first gateway."""

    async def connect(sub: str | None = None, *, url: str | None = None, **options: Any) -> RawSocket:
        if sub is not None:
            options["headers"] = {"Authorization": f"Bearer {token(sub)}", **options.get("headers", {})}
        opened = http.ws_connect(f"{url or stack.gateway_urls[0]}/ws", **{"max_msg_size": 0, **options})
        return RawSocket(await closing.enter_async_context(opened))

    return connect


@pytest.fixture
def api(stack: Stack, token: TokenOf, http: ClientSession) -> Callable[..., Api]:
    """Makes REST callers: `api("alice")`, `api("root", roles=("admin",))`, `api(None)` without a token."""

    def caller(sub: str | None, *, url: str | None = None, **claims: Any) -> Api:
        return Api(http, url or stack.gateway_urls[0], None if sub is None else token(sub, **claims))

    return caller


@pytest.fixture
def gateway_with(stack: Stack, tmp_path: Path, closing: AsyncExitStack) -> Callable[..., Awaitable[Gateway]]:
    """For tests that need other limits: starts a gateway beside the stack.

    Its settings are given by name: `await gateway_with(MESSAGES_PER_MINUTE=3)`.
    """

    async def start(**env: object) -> Gateway:
        settings = {name: str(value) for name, value in env.items()}
        root = tmp_path / f"gateway-{uuid4().hex[:6]}"
        return await closing.enter_async_context(in_own_task(gateway(stack, root, settings)))

    return start
