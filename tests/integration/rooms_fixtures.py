"""Fixtures of the rooms service's tests: servers for the session, the service for a module, a caller for a test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.embedded.ports import find_free
from deploy.embedded.stack import Stack
from shared.mongo import Mongo
from tests.harness.own_task import in_own_task
from tests.integration.rooms_client import Caller, RoomsProcess


@pytest.fixture(scope="session")
async def rooms_servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Broker and database; what dies is started again."""
    servers = Stack(tmp_path_factory.mktemp("rooms-servers"), port=find_free(), servers_only=True)
    async with in_own_task(servers) as running:
        yield running


@pytest.fixture(scope="session")
def rooms_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the service logs."""
    return tmp_path_factory.mktemp("rooms-log") / "rooms.log"


@pytest.fixture(scope="module")
async def rooms_process(rooms_servers: Stack, rooms_log: Path) -> AsyncIterator[RoomsProcess]:
    """The service, ready."""
    async with RoomsProcess(rooms_servers.amqp_url, rooms_servers.mongo_url, rooms_log) as process:
        yield process


@pytest.fixture
async def caller(rooms_servers: Stack) -> AsyncIterator[Caller]:
    """Somebody to ask the service."""
    async with Caller(rooms_servers.amqp_url) as caller:
        yield caller


@pytest.fixture
async def rooms_database(rooms_servers: Stack) -> AsyncIterator[Mongo]:
    """The service's database, to put into it what the service itself would not."""
    database = Mongo(rooms_servers.mongo_url, "tests")
    yield database
    database.close()
