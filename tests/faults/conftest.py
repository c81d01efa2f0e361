"""A site for these tests alone: they kill its processes. One after the other, each leaves it whole."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import uuid4

import pytest

from shared.mongo import Mongo
from shared.service import Tasks
from tests.faults.people import Hall, hall
from tests.faults.site import Site, site
from tests.harness.own_task import in_own_task


@pytest.fixture(scope="session")
def faults_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the site's logs are, and those of clients that saw something wrong."""
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="session")
async def _site(faults_root: Path) -> AsyncIterator[Site]:
    async with in_own_task(site(faults_root)) as running:
        yield running


@pytest.fixture(name="site")
async def whole_site(_site: Site) -> Site:
    """The site, with everything ready."""
    await _site.wait_ready()
    return _site


@pytest.fixture
async def mongo(site: Site) -> AsyncIterator[Mongo]:
    """The site's database."""
    database = Mongo(site.servers.mongo_url, "tests")
    yield database
    database.close()


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints, though pytest captures what passing tests say: figures are what these tests are for."""

    def say(text: str) -> None:
        with capsys.disabled():
            print("\n" + text, flush=True)  # noqa: T201

    return say


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    """Owns what runs beside the test."""
    owner = Tasks()
    yield owner
    await owner.close()


@pytest.fixture(name="hall")
async def own_hall(site: Site) -> AsyncIterator[Hall]:
    """A place for this test's own people."""
    async with hall(site, f"t-{uuid4().hex[:12]}") as people:
        yield people
