"""What tests of the media service share: callers of its port, files, and a look at what is kept."""

import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import ClientSession, FormData
from PIL import Image

from shared.auth import Vouchers
from shared.contracts.envelope import Actor
from tests.harness.rest import Answer

KEPT = ("fs.files", "media.files")


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
        return await self.send(
            "POST", f"/v1/media{query}", data, **{"Content_Type": "application/octet-stream", **headers}
        )


def png(width: int = 8, height: int = 8, *, at_least: int = 0) -> bytes:
    """A picture, with bytes after its end where it has to be larger."""
    written = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 60)).save(written, "PNG")
    return written.getvalue().ljust(at_least, b"\0")


def text(size: int) -> bytes:
    """Text of so many bytes."""
    return (b"All work and no play makes Jack a dull boy.\n" * (size // 44 + 1))[:size]


def form(data: bytes, *, name: str = "a.png", **fields: str) -> FormData:
    """A multipart form, its fields first."""
    made = FormData()
    for field, value in fields.items():
        made.add_field(field, value)
    made.add_field("file", data, filename=name, content_type="image/png")
    return made


async def slowly(data: bytes, chunk: int, wait: Any) -> AsyncIterator[bytes]:
    """Data in parts, with `await wait(sent)` before each."""
    for start in range(0, len(data), chunk):
        await wait(start)
        yield data[start : start + chunk]
