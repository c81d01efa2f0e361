"""Workers come and go while everybody talks: shards move, and no message notices."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from time import monotonic

from deploy.embedded import services
from deploy.embedded.home import Home
from deploy.embedded.ports import Ports, find_free
from deploy.embedded.process import Process
from tests.faults import report
from tests.faults.campaign import Round
from tests.faults.site import Site
from tests.harness.gateway import LIMITS
from tests.harness.own_task import in_own_task

THIRD = "messages-2"
EVEN_WITHIN = 10.0
TAKEN_WITHIN = 5.0
START = 30.0


@asynccontextmanager
async def third_worker(site: Site, root: Path) -> AsyncIterator[Process]:
    """One more messages worker, which nobody starts again when it dies."""
    config, links = site.services.config, {"AMQP_URL": site.proxy.url, "MONGO_URL": site.servers.mongo_url}
    [*_, spec] = services.workers(replace(config, workers=1, root=root), Ports(find_free()), LIMITS, links)
    home = Home(root)
    home.acquire()
    spec = replace(spec, name=THIRD, env={**spec.env, "INSTANCE": THIRD})
    process = Process(spec, home, restart=False, report=lambda _line: None)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(process.supervise())
            try:
                await process.wait_ready(START)
                yield process
            finally:
                await process.stop()
    finally:
        home.release()


async def even(site: Site, workers: int) -> str:
    """Wait until each of so many workers has its share of the shards; how long it took, and who has what."""
    began = monotonic()
    async with asyncio.timeout(EVEN_WITHIN):
        writers = await site.even_shards(workers)
    return f"shards even after {monotonic() - began:.1f} s: {writers}"


async def test_a_worker_comes_dies_comes_again_and_leaves(
    site: Site, faults_root: Path, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    """Even within 10 s of its coming, all taken over within 5 s of its death; ordered and complete throughout."""
    third: list[Process] = []

    async def comes(site: Site, _random: Random) -> str:
        context = in_own_task(third_worker(site, tmp_path / str(len(third))))
        third.append(await workers.enter_async_context(context))
        return await even(site, 3)

    async def dies(_site: Site, _random: Random) -> str:
        await third[-1].kill(signal.SIGKILL)
        return f"SIGKILL {THIRD}"

    async def leaves(site: Site, _random: Random) -> str:
        await third[-1].kill(signal.SIGTERM)
        return await even(site, 2)

    strikes = [("comes", comes), ("dies", dies), ("comes again", comes), ("leaves", leaves)]
    async with AsyncExitStack() as workers:
        outcome = await Round(site, "rebalancing", Random(2), faults_root / "clients").run(strikes)
    tell(report.of_round("rebalancing", outcome))
    assert outcome.broken == []
    [recovery] = [felt.seconds for felt in outcome.felt if felt.name == "dies"]
    assert recovery is not None
    assert recovery < TAKEN_WITHIN
