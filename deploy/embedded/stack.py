"""One whole Parley on this machine: broker, database, services, started in order, watched, stopped in order.

The composition root of embedded mode, for the command line, tests and benchmarks alike:

    async with Stack(tmp_path, port=ports.find_free(), workers=2) as stack:
        await stack.kill("messages-0")
        await stack.wait_ready("messages-0")
"""

import asyncio
import resource
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Self

from deploy.embedded import mongod, rabbitmq, services
from deploy.embedded.config import REPOSITORY, Config
from deploy.embedded.errors import EmbeddedError
from deploy.embedded.home import Home
from deploy.embedded.ports import LOOPBACK, Ports, busy
from deploy.embedded.process import Process, Progress, Spec

READY_TIMEOUT = 60.0
LEFTOVER_GRACE = 15.0
# Every connection is a file; 65,536 is what mongod and RabbitMQ recommend, and far more makes Erlang start slowly.
OPEN_FILES = 65_536
ADVICE = "Stop what holds them (`ss -ltnp` names it), or choose another PORT and PARLEY_DIR."


class Stack:
    """A private stack in a directory of its own.

    Args:
        root: data, logs and pid files; data found there is used again.
        port: gateway 0's port; the others follow from it (`deploy.embedded.ports`).
        gateways: how many gateway processes.
        workers: how many messages processes.
        restart: start again what dies.
        env: settings for the services, on top of this process's environment. AMQP_URL, MONGO_URL, HOST and JWT_SECRET
            are taken from here alone: a URL means "use that server and start none".
        servers_only: start broker and database, no service.
        code: a checkout whose services are run, if not this one's.

    Raises:
        EmbeddedError: if the numbers or settings make no sense.
    """

    def __init__(
        self,
        root: Path,
        *,
        port: int,
        gateways: int = 1,
        workers: int = 1,
        restart: bool = True,
        env: Mapping[str, str] | None = None,
        servers_only: bool = False,
        code: Path = REPOSITORY,
    ) -> None:
        self._env = dict(env or {})
        self._servers_only = servers_only
        self.config = replace(
            Config.from_env(self._env),
            root=root,
            port=port,
            gateways=gateways,
            workers=workers,
            restart=restart,
            code=code,
        )
        self.ports = Ports(port, gateways, workers)
        self.home = Home(root)
        self._stages: list[list[Process]] = []
        self._owner = AsyncExitStack()
        self._report: Progress = print

    @property
    def amqp_url(self) -> str:
        """Where the broker is."""
        return self.config.amqp_url or rabbitmq.url(self.ports)

    @property
    def mongo_url(self) -> str:
        """Where the database is; its path names the database."""
        return self.config.mongo_url or mongod.url(self.ports)

    @property
    def gateway_urls(self) -> list[str]:
        """`http://host:port` of every gateway."""
        host = self.config.reachable_host
        return [services.origin(host, self.ports.gateway(i)) for i in range(self.config.gateways)]

    @property
    def media_url(self) -> str:
        """Where the media service takes and gives files."""
        return services.origin(LOOPBACK, self.ports.media_files)

    @property
    def jwt_secret(self) -> str:
        """What tokens for this stack are signed with."""
        return self.config.jwt_secret

    @property
    def pids(self) -> dict[str, int]:
        """Living processes by name."""
        return {process.spec.name: process.pid for process in self._processes() if process.pid is not None}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, progress: Progress = print) -> None:
        """Start everything and return when all of it is ready; on failure nothing is left running.

        Args:
            progress: told what happens, line by line, for as long as the stack runs.

        Raises:
            AlreadyRunning: if the directory has a living supervisor.
            EmbeddedError: if a port is in use, or a server is missing and cannot be installed.
            StartFailed: if a process does not become ready; with the end of its log.
        """
        self._report = progress
        self.home.acquire()
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop everything: gateways, then the other services, then broker and database. Harmless when stopped."""
        if not self.home.held:
            return
        try:
            for stage in reversed(self._stages):
                async with asyncio.TaskGroup() as group:
                    for process in stage:
                        group.create_task(process.stop())
            self._stages.clear()
            await self._owner.aclose()
        finally:
            self.home.release()

    async def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to a process; after SIGKILL or SIGTERM, return once it is dead.

        Returns:
            The pid it had.

        Raises:
            EmbeddedError: if there is no such process, or it is not running.
        """
        return await self._process(name).kill(number)

    async def wait_ready(self, name: str, timeout: float = READY_TIMEOUT) -> None:  # noqa: ASYNC109 - see Process
        """Wait until a process, restarted if need be, is ready.

        Raises:
            EmbeddedError: if there is no such process, it is dead for good, or not ready after `timeout` seconds.
        """
        await self._process(name).wait_ready(timeout)

    async def _start(self) -> None:
        self._describe()
        if ended := await self.home.clear_leftovers(LEFTOVER_GRACE):
            self._report(f"ended {ended} processes that a killed supervisor had left running")
        self._check_ports()
        _set_file_limit()
        tasks = await self._owner.enter_async_context(asyncio.TaskGroup())
        name_server, servers = await self._servers()
        await self._bring_up(tasks, name_server)
        await self._bring_up(tasks, servers)
        if not self._servers_only:
            await self._bring_up(tasks, *self._services())

    def _check_ports(self) -> None:
        taken = [] if self.config.amqp_url else busy(self.ports.broker())
        taken += [] if self.config.mongo_url else busy(self.ports.database())
        if not self._servers_only:
            taken += busy(self.ports.operations() | self.ports.files()) + busy(self.ports.listeners(), self.config.host)
        if taken:
            raise EmbeddedError("\n  ".join(["nothing was started, as these ports cannot be had:", *taken, ADVICE]))

    async def _servers(self) -> tuple[list[Spec], list[Spec]]:
        """The broker's name server, and broker and database: those of them that are ours to start."""
        name_server, servers = [], []
        if self.config.amqp_url is None:
            epmd, node = rabbitmq.specs(await rabbitmq.find(self._report, self.home), self.home, self.ports)
            name_server.append(epmd)
            servers.append(node)
        if self.config.mongo_url is None:
            servers.append(mongod.spec(await mongod.find(self._report, self.home), self.home, self.ports))
        return name_server, servers

    def _services(self) -> tuple[list[Spec], list[Spec]]:
        """The services behind the gateways, and the gateways."""
        links = {"AMQP_URL": self.amqp_url, "MONGO_URL": self.mongo_url, "MEDIA_URL": self.media_url}
        return (
            services.workers(self.config, self.ports, self._env, links),
            services.gateways(self.config, self.ports, self._env, links, team_port=self._team_port()),
        )

    def _team_port(self) -> int:
        """Where gateway 0 can listen for clients of `team`; 0: nowhere, as somebody else does. Nobody has to."""
        taken = busy({self.ports.team: "gateway-0, for clients of `team`"}, self.config.host)
        if taken:
            self._report(f"{taken[0]}; they can use port {self.config.port}")
        return 0 if taken else self.ports.team

    async def _bring_up(self, tasks: asyncio.TaskGroup, *stages: list[Spec]) -> None:
        """Start all of some stages at once and wait until all are ready; they stop one stage after the other."""
        begun = [[self._process_of(spec) for spec in stage] for stage in stages]
        self._stages += begun
        self._describe()
        processes = [process for stage in begun for process in stage]
        for process in processes:
            tasks.create_task(process.supervise(), name=process.spec.name)
        try:
            async with asyncio.TaskGroup() as waiting:
                for process in processes:
                    waiting.create_task(process.wait_ready(READY_TIMEOUT))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    def _describe(self) -> None:
        ports = {process.spec.name: process.spec.port for process in self._processes()}
        self.home.describe({"host": self.config.reachable_host, "ports": ports})

    def _process_of(self, spec: Spec) -> Process:
        return Process(spec, self.home, restart=self.config.restart, report=self._report)

    def _processes(self) -> list[Process]:
        return [process for stage in self._stages for process in stage]

    def _process(self, name: str) -> Process:
        for process in self._processes():
            if process.spec.name == name:
                return process
        raise EmbeddedError(
            f"no process {name!r} here: {', '.join(p.spec.name for p in self._processes()) or 'none runs'}"
        )


def _set_file_limit() -> None:
    """Let this process and all it starts open `OPEN_FILES` files, or as many as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
