"""`/openapi.json`, `/asyncapi.json` and `/docs`: built once at start, served to everybody as they are.

The documents of dialects are built when somebody first asks for them. `/docs?dialect=NAME` reads those.
The page brings its script and style along, and its policy allows those two by their hashes and nothing else.
"""

import asyncio
import gzip
from base64 import b64encode
from collections.abc import Callable
from functools import cache, partial
from hashlib import sha256
from pathlib import Path

import orjson
from aiohttp import hdrs, web

from services.gateway.dialects.choice import DIALECTS
from services.gateway.dialects.rows import Dialect
from services.gateway.schemas.asyncapi import asyncapi
from services.gateway.schemas.components import JSON
from services.gateway.schemas.dialects.asyncapi import asyncapi as sockets_of
from services.gateway.schemas.dialects.openapi import openapi as endpoints_of
from services.gateway.schemas.openapi import openapi
from services.gateway.v1 import PASSES, ROUTES

HERE = Path(__file__).parent
SHARED_HEADERS = {
    hdrs.CACHE_CONTROL: "no-cache",
    hdrs.VARY: hdrs.ACCEPT_ENCODING,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Page:
    """A body that never changes while the process lives."""

    def __init__(self, body: bytes, content_type: str, headers: dict[str, str] | None = None) -> None:
        self.body = body
        self.small = gzip.compress(body, mtime=0)
        self.headers = {**SHARED_HEADERS, hdrs.CONTENT_TYPE: content_type, **(headers or {})}
        self.etag = sha256(body).hexdigest()[:32]

    async def serve(self, request: web.Request) -> web.Response:
        """The page, compressed where the client can read it so; nothing but a 304 where it has it already."""
        if any(known.value in (self.etag, "*") for known in request.if_none_match or ()):
            response = web.Response(status=304, headers=self.headers)
        elif "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
            response = web.Response(body=self.small, headers={**self.headers, hdrs.CONTENT_ENCODING: "gzip"})
        else:
            response = web.Response(body=self.body, headers=self.headers)
        response.etag = self.etag
        return response


class LatePage:
    """A page that is built when somebody first asks for it."""

    def __init__(self, build: Callable[[], Page]) -> None:
        self._build = build
        self._page: Page | None = None

    async def serve(self, request: web.Request) -> web.Response:
        """The page; meanwhile others are served."""
        if self._page is None:
            self._page = await asyncio.to_thread(self._build)
        return await self._page.serve(request)


def add_pages(app: web.Application, shards: int) -> None:
    """Serve the pages of a deployment with so many shards."""
    for path, page in _pages(shards).items():
        app.router.add_get(path, page.serve)


@cache  # every listener has them
def _pages(shards: int) -> dict[str, Page | LatePage]:
    return {
        **_dialect_pages(),
        "/openapi.json": _document(openapi(ROUTES, PASSES)),
        "/asyncapi.json": _document(asyncapi(shards)),
        "/docs": docs_page(),
    }


def _dialect_pages() -> dict[str, LatePage]:
    pages = {}
    for name, dialect in DIALECTS.items():
        pages[f"/dialects/{name}/openapi.json"] = LatePage(partial(_made, endpoints_of, dialect))
        pages[f"/dialects/{name}/asyncapi.json"] = LatePage(partial(_made, sockets_of, dialect))
    return pages


def _made(document: Callable[[Dialect], JSON], dialect: Dialect) -> Page:
    return _document(document(dialect))


def docs_page() -> Page:
    """The reader of all these documents, in one file."""
    style, script = (_read(name) for name in ("docs.css", "docs.js"))
    html = _read("docs.html").replace("/* docs.css */", style).replace("/* docs.js */", script)
    links = (f'<a href="?dialect={name}">{name}</a>' for name in DIALECTS)
    html = html.replace("<!-- dialects -->", " ".join(links))
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(html.encode(), "text/html; charset=utf-8", {"Content-Security-Policy": policy})


def _document(content: JSON) -> Page:
    return Page(orjson.dumps(content), "application/json")


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """A source expression for one inline element (CSP level 3, section 2.3.1)."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
