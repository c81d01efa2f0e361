"""A gateway beside the shared stack that passes requests on to a server which answers as told (tests.harness.depot)."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from tests.harness.depot import Depot, depot
from tests.harness.gateway import Gateway
from tests.harness.rest import Api

GatewayWith = Callable[..., Awaitable[Gateway]]
ApiOf = Callable[..., Api]


@pytest.fixture
async def media(closing: AsyncExitStack) -> Depot:
    """A server in the place of the media service."""
    return await closing.enter_async_context(depot())


@pytest.fixture
async def gateway(media: Depot, gateway_with: GatewayWith) -> Gateway:
    """A gateway that passes requests on to it."""
    return await gateway_with(MEDIA_URL=media.url)


@pytest.fixture
def alice(gateway: Gateway, api: ApiOf) -> Api:
    """Somebody with a token."""
    return api("alice", url=gateway.url)
