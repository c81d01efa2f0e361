"""What is measured: a running server, how to start and stop it, and which processes it consists of."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from typing_extensions import override

from benchmarks.child import Child, free_port
from benchmarks.client import User
from benchmarks.codecs import Booking, Codec, Native, SocketIo
from deploy.embedded.stack import Stack
from shared.auth import issue_token

ROOT: Final = Path(__file__).parent.parent
PEER: Final = Path(__file__).parent / "peers" / "node"
TOKEN_TTL: Final = 24 * 3600
GATEWAY: Final = "gateway-0"
UPLOAD_RATE: Final = 256 * 1024
"""Bytes a second of one upload: 2 Mbit/s."""


class Target(ABC):
    """A server under test.

    `name` stands in the results; `trusted` says that a broken promise fails the benchmark.
    """

    name: str
    codec: Codec
    trusted = False

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def user(self, user_id: str) -> User:
        """A user whom this server will accept."""
        return User(user_id, issue_token(self._secret, sub=user_id, name=user_id, ttl=TOKEN_TTL))

    @abstractmethod
    async def start(self) -> None:
        """Start it and wait until it is ready."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop what `start` started."""

    @abstractmethod
    def base_url(self, index: int) -> str:
        """The HTTP base URL that the client of this index uses."""

    def groups(self) -> dict[str, list[int]]:
        """The processes that do the work, by what they are; empty where they are not ours to see."""
        return {}

    def front(self) -> int | None:
        """The pid of the process that holds the connections, if there is exactly one."""
        return None

    @abstractmethod
    async def renew_front(self) -> None:
        """Put a fresh process in front: memory freed by earlier runs would hide what connections cost."""

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """What goes on beside every run."""
        yield


class Running(Target):
    """A Parley that somebody else started."""

    name = "parley"
    codec = Native()
    trusted = True

    def __init__(self, url: str, secret: str) -> None:
        super().__init__(secret)
        self._url = url.rstrip("/")

    @override
    async def start(self) -> None:
        pass

    @override
    async def stop(self) -> None:
        pass

    @override
    def base_url(self, index: int) -> str:
        return self._url

    @override
    async def renew_front(self) -> None:
        pass


class Parley(Target):
    """A private Parley (`deploy.embedded.stack`): one gateway, one messages worker, no limits.

    Args:
        stack: not started yet; whoever made it stops it.
        name: in the results, where more than one is measured.
    """

    codec: Codec = Native()
    trusted = True

    def __init__(self, stack: Stack, name: str = "parley") -> None:
        super().__init__(stack.jwt_secret)
        self.name = name
        self._stack = stack

    @override
    async def start(self) -> None:
        pass

    @override
    async def stop(self) -> None:
        pass

    @override
    def base_url(self, index: int) -> str:
        return self._stack.gateway_urls[index % len(self._stack.gateway_urls)]

    @override
    def groups(self) -> dict[str, list[int]]:
        groups: dict[str, list[int]] = {}
        for name, pid in self._stack.pids.items():
            groups.setdefault(name.partition("-")[0], []).append(pid)
        return groups

    @override
    def front(self) -> int | None:
        return self._stack.pids.get(GATEWAY)

    @override
    async def renew_front(self) -> None:
        await self._stack.kill(GATEWAY, signal.SIGTERM)
        await self._stack.wait_ready(GATEWAY)


class Dialect(Parley):
    """The same Parley, its clients speaking Socket.IO."""

    codec = Booking()

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack, "socketio")


class Uploading(Parley):
    """The same Parley while files are uploaded beside (`benchmarks.uploads`).

    Args:
        number: how many at once, each at `UPLOAD_RATE`.
    """

    def __init__(self, stack: Stack, work: Path, number: int) -> None:
        super().__init__(stack, "uploading")
        command = (sys.executable, "-m", "benchmarks.uploads", self.base_url(0), str(number), str(UPLOAD_RATE))
        self._uploads = Child(command, work / "uploads.log", {"JWT_SECRET": stack.jwt_secret}, cwd=ROOT)

    @override
    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        await self._uploads.start()
        try:
            yield
        finally:
            await self._uploads.stop()


class Bare(Target):
    """aiohttp without broker and database (`benchmarks.bare`): the floor, and the generator's ceiling."""

    name = "bare"
    codec = Native()

    def __init__(self, work: Path, secret: str) -> None:
        super().__init__(secret)
        self._port = free_port()
        command = (sys.executable, "-m", "benchmarks.bare", str(self._port))
        self._server = Child(command, work / "bare.log", cwd=ROOT)

    @override
    async def start(self) -> None:
        await self._server.start(ready_url=f"{self.base_url(0)}/readyz")

    @override
    async def stop(self) -> None:
        await self._server.stop()

    @override
    def base_url(self, index: int) -> str:
        return f"http://127.0.0.1:{self._port}"

    @override
    def groups(self) -> dict[str, list[int]]:
        return {"server": [self._server.pid]}

    @override
    def front(self) -> int:
        return self._server.pid

    @override
    async def renew_front(self) -> None:
        await self.stop()
        await self.start()


def find_program(name: str, packages: str) -> str:
    """The path of a program that the peer needs.

    Raises:
        RuntimeError: where it is not installed; says what to install.
    """
    program = shutil.which(name)
    if program is None:
        raise RuntimeError(f"The peer needs {name}: install {packages}, or leave out --peer.")
    return program


class Redis:
    """A private redis-server on loopback that keeps nothing.

    Raises:
        RuntimeError: where redis-server is not installed.
    """

    def __init__(self, work: Path) -> None:
        program = find_program("redis-server", "redis (apt install redis-server)")
        self._port = free_port()
        options = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(work))
        self._server = Child((program, "--port", str(self._port), *options), work / "redis.log")
        self.url = f"redis://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Start it and wait until it takes connections."""
        await self._server.start(ready_port=self._port)

    async def stop(self) -> None:
        """Stop it."""
        await self._server.stop()

    @property
    def pid(self) -> int:
        """The pid of the running server."""
        return self._server.pid


async def install_peer(work: Path) -> None:
    """Install the peer's packages, once.

    Raises:
        RuntimeError: where Node is missing or npm fails; names the log.
    """
    if (PEER / "node_modules").is_dir():
        return
    npm = find_program("npm", "Node 20 with npm")
    log = work / "npm.log"
    print("installing the peer's packages …", file=sys.stderr)
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            npm, "ci", "--no-fund", "--no-audit", cwd=PEER, stdout=output, stderr=output
        )
    if await process.wait() != 0:
        raise RuntimeError(f"npm ci in {PEER} failed: see {log}")


class Peer(Target):
    """The usual Node stack (`peers/node`): as many processes as asked, behind the Redis adapter.

    Args:
        processes: with more than one, clients are spread over them.
        mongo: the database server, its URL and pid.
    """

    codec = SocketIo()

    def __init__(self, work: Path, secret: str, processes: int, mongo_url: str, mongod: int) -> None:
        super().__init__(secret)
        self.name = "peer" if processes == 1 else f"peer-{processes}proc"
        self._work = work
        self._mongod = mongod
        self._redis = Redis(work)
        self._ports = [free_port() for _ in range(processes)]
        env = {"NODE_ENV": "production", "MONGO_URL": mongo_url, "REDIS_URL": self._redis.url, "JWT_SECRET": secret}
        node = find_program("node", "Node 20")
        self._servers = [
            Child((node, str(PEER / "server.js")), work / f"{self.name}-{port}.log", {**env, "PORT": str(port)}, PEER)
            for port in self._ports
        ]

    @override
    async def start(self) -> None:
        await install_peer(self._work)
        await self._redis.start()
        for index, server in enumerate(self._servers):
            await server.start(ready_url=f"{self.base_url(index)}/health")

    @override
    async def stop(self) -> None:
        for server in self._servers:
            await server.stop()
        await self._redis.stop()

    @override
    def base_url(self, index: int) -> str:
        return f"http://127.0.0.1:{self._ports[index % len(self._ports)]}"

    @override
    def groups(self) -> dict[str, list[int]]:
        node = [server.pid for server in self._servers]
        return {"node": node, "redis": [self._redis.pid], "mongod": [self._mongod]}

    @override
    def front(self) -> int | None:
        return self._servers[0].pid if len(self._servers) == 1 else None

    @override
    async def renew_front(self) -> None:
        server = self._servers[0]
        await server.stop()
        await server.start(ready_url=f"{self.base_url(0)}/health")
