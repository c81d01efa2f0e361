"""A whole Parley to be broken: broker and database, a proxy before the broker, and the services behind it.

Says how to reach each part and how to hurt it; when, and what must hold, is the tests' business.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded import probes
from deploy.embedded.ports import LOOPBACK, Ports, find_free
from deploy.embedded.stack import Stack
from shared.auth import issue_token
from tests.faults.proxy import Proxy
from tests.harness.gateway import LIMITS
from tests.harness.own_task import in_own_task

GATEWAYS = WORKERS = 2
READY_TIMEOUT = 60.0
LOOK_EVERY = 0.05

SHARDS = 4
SHARD = "commands.messages."
"""The queues of the shards, each with its number."""

SERVERS = ("rabbitmq", "mongod")
"""The processes of the first stack; all others are services."""


@dataclass(frozen=True, slots=True)
class Site:
    """What runs. Names are those of the processes: `messages-0`, `gateway-1`, `rooms-0`, `rabbitmq`, `mongod`."""

    servers: Stack
    services: Stack
    proxy: Proxy
    root: Path

    @property
    def urls(self) -> list[str]:
        """`http://host:port` of every gateway."""
        return self.services.gateway_urls

    @property
    def workers(self) -> list[str]:
        """The messages workers."""
        return [f"messages-{index}" for index in range(WORKERS)]

    @property
    def gateways(self) -> list[str]:
        """The gateways."""
        return [f"gateway-{index}" for index in range(GATEWAYS)]

    def token(self, sub: str, tenant: str) -> str:
        """A user's token."""
        return issue_token(self.services.jwt_secret, sub=sub, tenant=tenant)

    async def send_signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process; return once it is dead where it is to die of it."""
        await self._stack_of(name).kill(name, number)

    async def kill(self, *names: str) -> None:
        """SIGKILL processes at once, and return when they are dead. The stack starts them again."""
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(self.send_signal(name, signal.SIGKILL))

    async def kill_everything(self) -> None:
        """As a power cut does."""
        await self.kill(*self.services.pids, *SERVERS)

    async def close_connections(self, name: str) -> None:
        """Let the broker close a process's connection politely, as an operator would (AMQP Connection.Close)."""
        expression = (
            '[rabbit_networking:close_connection(Pid, <<"fault">>) || '
            "[{pid, Pid}, {client_properties, Properties}] "
            "<- rabbit_networking:connection_info_all([pid, client_properties]), "
            '{<<"connection_name">>, longstr, Name} <- Properties, '
            f'Name =:= <<"{name}">>].'
        )
        await self.rabbitmqctl("eval", expression)

    async def writers(self) -> dict[int, str]:
        """Shard -> the worker whose consumer the broker has made the active one."""
        consumers, channels = await asyncio.gather(
            self.rabbitmqctl("list_consumers", "--no-table-headers", "queue_name", "channel_pid", "active"),
            self.rabbitmqctl("list_channels", "--no-table-headers", "pid", "name"),
        )
        names = self.proxy.names
        # A channel is named after its connection: `127.0.0.1:40312 -> 127.0.0.1:5672 (3)`.
        ports = {pid: int(name.split(" ")[0].rpartition(":")[2]) for pid, name in _rows(channels)}
        return {
            int(queue.removeprefix(SHARD)): names.get(ports.get(channel, 0), "unknown")
            for queue, channel, active in _rows(consumers)
            if queue.startswith(SHARD) and active == "true"
        }

    async def even_shards(self, workers: int) -> dict[int, str]:
        """The writers, as soon as so many workers share the shards evenly."""
        while True:
            writers = await self.writers()
            shares = Counter(writers.values()).values()
            if len(writers) == SHARDS and len(shares) == workers and max(shares) - min(shares) <= 1:
                return writers

    async def rabbitmqctl(self, *arguments: str) -> str:
        """Run RabbitMQ's command line tool on this site's node; what it prints.

        Raises:
            RuntimeError: with what it complains of.
        """
        child = await asyncio.create_subprocess_exec(
            "/usr/lib/rabbitmq/bin/rabbitmqctl", "--quiet", *arguments,
            env=_environment_of(self.servers.pids["rabbitmq"]),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await child.communicate()
        if child.returncode:
            raise RuntimeError(f"rabbitmqctl {arguments[0]}: {said.decode()}")
        return said.decode()

    async def wait_ready(self) -> None:
        """Return once every process answers that all its links work.

        Raises:
            TimeoutError: naming what is missing.
        """
        ports = self.services.ports
        wanted = [ports.rooms, ports.media, *(ports.messages(index) for index in range(WORKERS)), *ports.listeners()]
        missing: list[str] = ["nothing was asked"]
        try:
            async with asyncio.timeout(READY_TIMEOUT):
                while missing:
                    await asyncio.sleep(LOOK_EVERY)
                    answers = await asyncio.gather(*(probes.readyz(LOOPBACK, port)() for port in wanted))
                    missing = [answer for answer in answers if answer is not None]
        except TimeoutError:
            raise TimeoutError(f"not everything became ready again: {missing}") from None

    def _stack_of(self, name: str) -> Stack:
        return self.servers if name in SERVERS else self.services


def _rows(table: str) -> list[list[str]]:
    return [line.split("\t") for line in table.splitlines() if line]


def _environment_of(pid: int) -> dict[str, str]:
    """A process's environment: the broker's names the node, its cookie and its name server."""
    environment = Path(f"/proc/{pid}/environ").read_bytes()
    return dict(item.split("=", 1) for item in os.fsdecode(environment).split("\0") if "=" in item)


@asynccontextmanager
async def site(root: Path) -> AsyncIterator[Site]:
    """Run one, with its logs in `<root>/servers/log` and `<root>/services/log`."""
    port = find_free(GATEWAYS, WORKERS)
    servers = Stack(root / "servers", port=port, servers_only=True)
    async with in_own_task(servers), Proxy(Ports(port).amqp).listening() as proxy:
        env = {**LIMITS, "AMQP_URL": proxy.url, "MONGO_URL": servers.mongo_url}
        services = Stack(root / "services", port=port, gateways=GATEWAYS, workers=WORKERS, env=env)
        async with in_own_task(services):
            yield Site(servers, services, proxy, root)
