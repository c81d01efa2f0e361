"""Learns that a process's own queue of events was full and has dropped some, so that what they told can be fetched.

Without this a gap would be noticed with the next event of the same room only, which may never come.
"""

import asyncio
from collections.abc import Callable, Mapping

from shared.bus.consumer import Consumer
from shared.bus.topology import overflow_queue
from shared.logging import get_logger

log = get_logger(__name__)

PAUSE = 1.0
"""Seconds between looks: who is already too slow is not to fetch everything for every event that is dropped."""


async def watch_overflows(consumer: Consumer, missed: Mapping[str, Callable[[], None]]) -> None:
    """Make good what was dropped, for ever.

    Args:
        consumer: one of its own.
        missed: by the name given to `shared.bus.topology.events_queue`, what to do when that queue has dropped events.
    """
    fetch = {overflow_queue(name).name: work for name, work in missed.items()}
    for name in missed:
        await consumer.add(overflow_queue(name))
    while True:
        deliveries = await consumer.take(len(fetch))
        for queue in {delivery.queue for delivery in deliveries}:
            log.warning("events were dropped", queue=queue)
            fetch[queue]()
        await consumer.settle(deliveries)
        await asyncio.sleep(PAUSE)
