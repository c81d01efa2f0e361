"""A gateway of its own beside the shared stack, for tests that need other limits or end the process."""

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.embedded import ports, services
from deploy.embedded.home import Home
from deploy.embedded.ports import Ports
from deploy.embedded.process import Process
from deploy.embedded.stack import Stack

START = 30.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway."""

    url: str
    process: Process
    said: list[str]
    """What its supervisor has reported, line by line."""

    async def terminate(self) -> None:
        """SIGTERM, and return once it has ended."""
        await self.process.kill(signal.SIGTERM)

    def resident_bytes(self) -> int:
        """Memory the process occupies now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


@asynccontextmanager
async def gateway(stack: Stack, root: Path, env: Mapping[str, str], *, restart: bool = False) -> AsyncIterator[Gateway]:
    """Run a gateway on the stack's broker, with the stack's settings and `env` on top.

    Args:
        root: an empty directory for its log.
        restart: start it again when it dies.
    """
    port = ports.find_free()
    config = replace(stack.config, port=port, gateways=1, root=root)
    links = {
        "AMQP_URL": stack.amqp_url,
        "MONGO_URL": stack.mongo_url,
        "MEDIA_URL": env.get("MEDIA_URL", stack.media_url),
    }
    [spec] = services.gateways(config, Ports(port), {**LIMITS, **env}, links)
    # Its queues bear its name; the stack has a gateway-0 already.
    spec = replace(spec, name="gateway", env={**spec.env, "INSTANCE": f"gateway-{port}"})
    home = Home(root)
    home.acquire()
    said: list[str] = []
    process = Process(spec, home, restart=restart, report=said.append)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(process.supervise())
            try:
                await process.wait_ready(START)
                yield Gateway(f"http://{config.reachable_host}:{port}", process, said)
            finally:
                await process.stop()
    finally:
        home.release()


LIMITS = {
    "MESSAGES_PER_MINUTE": "0",
    "CONNECTIONS_PER_USER": "0",
    "CONNECTIONS_PER_MINUTE_PER_IP": "0",
    "DRAIN_TIMEOUT": "5",
}
"""Settings of the shared stack: limits are lifted where they are not what is tested."""
