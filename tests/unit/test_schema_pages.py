"""The pages for browsers: one file each, nothing from outside, and a policy that says so."""

import gzip
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import sha256

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.gateway.dialects.choice import DIALECTS
from services.gateway.web.pages import add_pages, docs_page

OF_A_DIALECT = ("/dialects/booking/openapi.json", "/dialects/booking/asyncapi.json")
PATHS = ("/docs", "/openapi.json", "/asyncapi.json", *OF_A_DIALECT)

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client of an application that serves the pages and nothing else."""
    app = web.Application()
    add_pages(app, shards=4)
    headers = {"Accept-Encoding": "identity"}
    async with TestClient(TestServer(app), auto_decompress=False, headers=headers) as connected:
        yield connected


@pytest.mark.parametrize("path", PATHS)
async def test_pages_are_for_everybody(client: Client, path: str) -> None:
    """Without a token; HEAD works too."""
    response = await client.get(path)
    assert response.status == 200
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert (await client.head(path)).status == 200


async def test_documents_are_json(client: Client) -> None:
    """With the shards of the deployment."""
    assert (await (await client.get("/openapi.json")).json())["openapi"] == "3.1.0"
    assert "queue.commands.messages.3" in (await (await client.get("/asyncapi.json")).json())["channels"]


async def test_dialects_have_their_own(client: Client) -> None:
    """Every one; and the reader has a link to each."""
    page = await (await client.get("/docs")).text()
    for name in DIALECTS:
        assert f'href="?dialect={name}"' in page
        for kind, version in (("openapi", "3.1.0"), ("asyncapi", "3.0.0")):
            document = await (await client.get(f"/dialects/{name}/{kind}.json")).json()
            assert (document[kind], document["info"]["title"]) == (version, f"Parley: {name}")


@pytest.mark.parametrize("path", PATHS)
async def test_what_is_known_is_not_sent_again(client: Client, path: str) -> None:
    """By its ETag; another one gets the page."""
    etag = (await client.get(path)).headers["ETag"]
    again = await client.get(path, headers={"If-None-Match": etag})
    assert (again.status, await again.read(), again.headers["ETag"]) == (304, b"", etag)
    assert (await client.get(path, headers={"If-None-Match": '"other"'})).status == 200


@pytest.mark.parametrize("path", PATHS)
async def test_who_reads_gzip_gets_less(client: Client, path: str) -> None:
    """And what is inside is the same."""
    plain = await (await client.get(path)).read()
    response = await client.get(path, headers={"Accept-Encoding": "gzip"})
    assert response.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in response.headers["Vary"]
    small = await response.read()
    assert gzip.decompress(small) == plain
    assert len(small) < len(plain) / 2


class TestDocs:
    html = docs_page().body.decode()
    policy = docs_page().headers["Content-Security-Policy"]

    def test_it_loads_nothing_from_outside(self) -> None:
        """No address of anywhere else, no element that would fetch one."""
        assert not re.search(r"https?://|//[a-z]+\.", self.html)
        assert not re.findall(r"<(?:img|iframe|object|embed|base|form)\b|<script[^>]*src|@import|\burl\(", self.html)
        assert re.findall(r"<link[^>]*>", self.html) == ['<link rel="icon" href="data:,">']

    @pytest.mark.parametrize("kind", ["script", "style"])
    def test_only_its_own_script_and_style_may_run(self, kind: str) -> None:
        """By their hashes: a changed byte, or anything injected, is refused by the browser."""
        (content,) = re.findall(rf"<{kind}>(.*?)</{kind}>", self.html, re.DOTALL)
        digest = b64encode(sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in self.policy

    def test_everything_else_is_forbidden(self) -> None:
        """But for reading the two documents from the same place."""
        assert self.policy.startswith("default-src 'none'; ")
        assert "connect-src 'self'" in self.policy
        assert "unsafe" not in self.policy
        assert "frame-ancestors 'none'" in self.policy

    def test_nothing_is_shown_as_markup(self) -> None:
        """Names and descriptions are set as text."""
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", self.html)

    def test_no_inline_handlers_or_styles(self) -> None:
        """The policy would refuse them."""
        markup = re.sub(r"<(script|style)>.*?</\1>", "", self.html, flags=re.DOTALL)
        assert not re.search(r"\s(?:on\w+|style)=", markup)
