"""Giving a queue up at the moment at which the link breaks."""

import asyncio

from shared.bus.consumer import Consumer
from shared.bus.link import Link
from shared.bus.topology import DEFAULT, Queue
from shared.service import Tasks
from tests.faults.site import Site
from tests.harness.wire import wire

NAME = "releasing"
PATIENCE = 10.0


async def test_a_release_ends_with_the_link(site: Site, tasks: Tasks) -> None:
    """It waits until what was taken is settled; on a link that is gone nothing can be, and it comes again elsewhere."""
    queue = Queue(NAME, durable=False, exclusive=True)
    link = Link(site.proxy.url, NAME, [])
    consumer = Consumer(link, prefetch=10)
    await consumer.add(queue)
    tasks.spawn(link.run(), "link")
    await link.wait_up()
    async with wire(site.servers.amqp_url) as stranger:
        await stranger.publish(DEFAULT, NAME, b"never settled")
    async with asyncio.timeout(PATIENCE):
        await consumer.take(1)
        releasing = tasks.spawn(consumer.release(NAME), "release")
        site.proxy.cut(NAME)
        await releasing
