"""What tests of the media service share: callers of its port, files, and a look at what is kept."""

import asyncio
import io
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
from aiohttp import ClientSession, FormData
from PIL import Image

from deploy.embedded import ports, services
from deploy.embedded.home import Home
from deploy.embedded.ports import Ports
from deploy.embedded.process import Process
from deploy.embedded.stack import Stack
from services.media.storage.gridfs import GridFSStore
from shared.auth import Vouchers
from shared.contracts.envelope import Actor
from shared.mongo import Mongo
from tests.harness.rest import Answer

START = 30.0
TUS = {"Tus_Resumable": "1.0.0"}
OCTETS = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Uploader:
    """Somebody for whom a gateway vouches."""

    http: ClientSession
    url: str
    secret: str
    actor: Actor

    @property
    def headers(self) -> dict[str, str]:
        """Who asks."""
        return {"Authorization": f"Bearer {Vouchers(self.secret).issue(self.actor)}"}

    async def send(self, method: str, path: str, data: Any = None, **headers: str) -> Answer:
        """Send a request; names of headers with `_` for `-`."""
        named = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.request(method, f"{self.url}{path}", data=data, headers=named) as response:
            content = await response.read()
            parsed = orjson.loads(content) if response.content_type == "application/json" and content else content
            return Answer(response.status, parsed, dict(response.headers))

    async def upload(self, data: Any, query: str = "", **headers: str) -> Answer:
        """Send the bare bytes of a file."""
        return await self.send("POST", f"/v1/media{query}", data, **{"Content_Type": OCTETS, **headers})

    async def tus(self, method: str, path: str = "", data: Any = None, **headers: str) -> Answer:
        """Send a request about a resumable upload."""
        return await self.send(method, f"/v1/uploads{path}", data, **{**TUS, **headers})

    async def create(self, length: int, **headers: str) -> str:
        """Begin a resumable upload: its path below /v1/uploads."""
        answer = await self.tus("POST", Upload_Length=str(length), **headers)
        assert answer.status == 201, answer.body
        return answer.headers["Location"].removeprefix("/v1/uploads")

    async def patch(self, path: str, offset: int, data: Any, **headers: str) -> Answer:
        """Send more of a resumable upload."""
        more = {"Upload_Offset": str(offset), "Content_Type": "application/offset+octet-stream", **headers}
        return await self.tus("PATCH", path, data, **more)

    async def offset(self, path: str) -> int:
        """Where a resumable upload stands."""
        answer = await self.tus("HEAD", path)
        assert answer.status == 200, answer.status
        return int(answer.headers["Upload-Offset"])


class Kept:
    """What the database has of files, bytes included (the stack keeps them in GridFS)."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo

    async def media(self, tenant: str, **where: Any) -> list[dict[str, Any]]:
        """The files of a tenant."""
        return await self._mongo.collection("media").find({"tenant": tenant, **where}).to_list(None)

    async def content(self, pieces: list[list[Any]]) -> bytes:
        """The bytes of a file."""
        store = GridFSStore(self._mongo)
        return b"".join([chunk for key, _ in pieces async for chunk in store.read(key)])

    async def objects(self, media_id: str) -> list[str]:
        """The objects of a file."""
        return [found["filename"] for found in await self.files(media_id)]

    async def bytes_of(self, media_id: str) -> int:
        """How many objects and parts of objects there are of a file."""
        found = await self.files(media_id)
        chunks = await self._mongo.collection("media.chunks").count_documents({"files_id": {"$regex": media_id}})
        return len(found) + chunks

    async def files(self, media_id: str) -> list[dict[str, Any]]:
        """The objects of a file, as GridFS describes them."""
        return await self._mongo.collection("media.files").find({"filename": {"$regex": media_id}}).to_list(None)


@dataclass(frozen=True, slots=True)
class MediaProcess:
    """A media process of a test's own; `alice` sends to it."""

    url: str
    process: Process
    log: Path
    alice: Uploader

    def peak_bytes(self) -> int:
        """The most memory the process has had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    async def terminate(self) -> None:
        """SIGTERM, and return once it has ended."""
        await self.process.kill(signal.SIGTERM)


@asynccontextmanager
async def media_process(
    stack: Stack, root: Path, env: Mapping[str, str], *, restart: bool, alice: Uploader
) -> AsyncIterator[MediaProcess]:
    """Run a media process on the stack's servers."""
    port = ports.find_free()
    config = replace(stack.config, port=port, root=root)
    links = {"AMQP_URL": stack.amqp_url, "MONGO_URL": stack.mongo_url}
    behind = services.workers(config, Ports(port), {"DRAIN_TIMEOUT": "5", **env}, links)
    spec = next(spec for spec in behind if spec.name == "media-0")
    spec = replace(spec, name="media", env={**spec.env, "INSTANCE": f"media-{port}"})
    home = Home(root)
    home.acquire()
    process = Process(spec, home, restart=restart, report=lambda _: None)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(process.supervise())
            try:
                await process.wait_ready(START)
                url = services.origin(ports.LOOPBACK, Ports(port).media_files)
                yield MediaProcess(url, process, home.log_path("media"), replace(alice, url=url))
            finally:
                await process.stop()
    finally:
        home.release()


UploaderOf = Callable[[str], Uploader]
"""Makes a caller of the stack's media process."""

MediaWith = Callable[..., Awaitable[MediaProcess]]
"""Starts a media process beside the stack's, with settings given by name."""


async def until(holds: Callable[[], Awaitable[bool]], what: str, within: float = 15.0) -> None:
    """Return once something holds; what is waited for sends no event."""
    async with asyncio.timeout(within):
        while not await holds():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
    assert what


def png(width: int = 8, height: int = 8, *, at_least: int = 0) -> bytes:
    """A picture, with bytes after its end where it has to be larger."""
    written = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 60)).save(written, "PNG")
    return written.getvalue().ljust(at_least, b"\0")


def text(size: int) -> bytes:
    """Text of so many bytes."""
    return (b"All work and no play makes Jack a dull boy.\n" * (size // 44 + 1))[:size]


def form(data: bytes, *, name: str = "a.png", content_type: str = "image/png", **fields: str) -> FormData:
    """A multipart form, its fields first."""
    made = FormData()
    for field, value in fields.items():
        made.add_field(field, value)
    made.add_field("file", data, filename=name, content_type=content_type)
    return made


class Slow:
    """A body that comes up to a point, and then only when it may."""

    def __init__(self, data: bytes, stops_at: int) -> None:
        self._data = data
        self._stops_at = stops_at
        self.stopped = asyncio.Event()
        self.may_go_on = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data[: self._stops_at]
        self.stopped.set()
        await self.may_go_on.wait()
        yield self._data[self._stops_at :]
