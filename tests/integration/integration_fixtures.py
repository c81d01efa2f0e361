"""Fixtures of the tests of events from outside: another system, and who sees all rooms of the tenant."""

from collections.abc import Callable

import pytest

from tests.harness.rest import Api
from tests.harness.wire import Wire
from tests.integration.integration_client import Deliver, Outside, Rooms, by_amqp, by_rest

WAYS = ("amqp", "rest")


@pytest.fixture
def outside(tenant: str) -> Outside:
    """Another system."""
    return Outside(tenant)


@pytest.fixture
def service(api: Callable[..., Api]) -> Api:
    """Who may tell and see everything in the tenant."""
    return api("backend", roles=("service",))


@pytest.fixture
def rooms(service: Api) -> Rooms:
    """The tenant's rooms."""
    return Rooms(service)


@pytest.fixture(params=WAYS)
def tell(request: pytest.FixtureRequest, bus: Wire, service: Api) -> Deliver:
    """Tells events, by either way."""
    return by_amqp(bus) if request.param == "amqp" else by_rest(service)
