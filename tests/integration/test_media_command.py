"""`python -m deploy.operator media`: what files take, what may go, and what does not fit together."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest

from deploy.embedded.config import REPOSITORY
from deploy.embedded.stack import Stack
from services.media.records import Media
from services.media.times import now
from shared.bus.consumer import Consumer
from shared.bus.topology import EVENTS, durable_queues
from shared.contracts.media_terms import MediaKind, VariantName
from tests.integration.media_site import SHARDS, Site, opened
from tests.integration.media_stores import pieces
from tests.integration.rooms_fixtures import rooms_servers

__all__ = ["rooms_servers"]

TEXT = b"What is written stays.\n" * 100


@pytest.fixture
def url(rooms_servers: Stack) -> str:
    """An empty database."""
    return rooms_servers.mongo_url.replace("/parley?", f"/operator-{uuid4().hex[:8]}?")


@pytest.fixture
async def site(rooms_servers: Stack, url: str) -> AsyncIterator[Site]:
    async with opened(rooms_servers.amqp_url, url) as site:
        yield site
        await site.mongo.database.client.drop_database(site.mongo.database.name)


async def media(url: str | None, *arguments: str, **env: str) -> tuple[int, str, str]:
    """Run the command; exit code, output, errors."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.operator", "media", *arguments),
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], **({"MONGO_URL": url} if url else {}), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output, errors = await child.communicate()
    assert child.returncode is not None
    return child.returncode, output.decode(), errors.decode()


async def told(url: str, *arguments: str, **env: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and findings of a command, as `--json` has them."""
    code, output, errors = await media(url, *arguments, "--json", **env)
    assert errors == ""
    return code, [orjson.loads(line) for line in output.splitlines()]


async def ready(site: Site) -> Media:
    done = await site.taken_in(TEXT, MediaKind.FILE, "text/plain")
    await site.work().look_at(done.id)
    return await site.now_is(done)


async def test_what_the_files_of_each_tenant_take_is_told(site: Site, url: str) -> None:
    for tenant in ("acme", "acme", "other"):
        await site.taken_in(TEXT, MediaKind.FILE, "text/plain", tenant=tenant)
    assert await told(url, "usage") == (
        0,
        [
            {"tenant": "acme", "files": 2, "bytes": 2 * len(TEXT)},
            {"tenant": "other", "files": 1, "bytes": len(TEXT)},
        ],
    )
    code, output, _ = await media(url, "usage")
    assert (code, output.splitlines()[-1]) == (0, f"3 files, {3 * len(TEXT)} bytes")


async def test_what_nobody_needs_is_removed_on_the_spot(site: Site, url: str, rooms_servers: Stack) -> None:
    """By MEDIA_KEEP_UNUSED, or by what the operator says; what messages show stays in any case."""
    servers = {"AMQP_URL": rooms_servers.amqp_url}
    unused, lately, shown = [await ready(site) for _ in range(3)]
    await site.change(unused, unused_since=now() - timedelta(days=2))
    await site.change(lately, unused_since=now() - timedelta(minutes=2))
    await site.change(shown, unused_since=None)
    found = {each["why"]: each for each in (await told(url, "collect", **servers))[1]}
    assert (found["unused"]["files"], found["unused"]["bytes"]) == (1, len(TEXT))
    assert await site.repository.known([unused.id, lately.id, shown.id]) == {lately.id, shown.id}
    code, output, _ = await media(url, "collect", "--unused", "60", **servers)
    assert (code, "1 files" in output) == (0, True)
    assert await site.repository.known([lately.id, shown.id]) == {shown.id}
    assert await site.bytes_of(shown) == TEXT


async def test_what_may_have_been_shown_meanwhile_is_kept(site: Site, url: str, rooms_servers: Stack) -> None:
    """Nobody reads what is told about files here: what waits may say that a message shows this one."""
    unused = await ready(site)
    await site.change(unused, unused_since=now() - timedelta(days=2))
    await site.publisher.publish(EVENTS, [("attached.room", b"[]")])
    code, output, errors = await media(url, "collect", AMQP_URL=rooms_servers.amqp_url)
    assert (code, "unused" in output, "events.media" in errors) == (1, False, True)
    assert await site.repository.known([unused.id]) == {unused.id}
    events = Consumer(site.link, 1)
    await events.add(next(queue for queue in durable_queues(SHARDS) if queue.name == "events.media"))
    site.link.reset("a new reader")
    await events.settle(await events.take(1))
    assert (await media(url, "collect", AMQP_URL=rooms_servers.amqp_url))[0] == 0
    assert await site.repository.known([unused.id]) == set()


async def test_all_is_well(site: Site, url: str) -> None:
    """Uploads under way and files that wait are where they should be, too."""
    await ready(site)
    await site.taken_in(TEXT, MediaKind.FILE, "text/plain")
    await site.coming(MediaKind.FILE, "text/plain")
    assert await told(url, "check", "--remove-bytes", "--remove-records") == (0, [])
    assert await media(url, "check") == (0, "0 findings, 0 removed\n", "")


async def test_what_does_not_fit_together_is_told_and_removed_when_asked(site: Site, url: str) -> None:
    """Bytes without a record on the one side, records without bytes, or without all of them, on the other."""
    whole, lost, cut, torn = [await ready(site) for _ in range(4)]
    stray = uuid4().hex
    await site.store.write(f"{stray}/original1", pieces(TEXT))
    await site.store.remove(lost.id)
    [*_, last] = cut.variants[VariantName.ORIGINAL].pieces
    await site.store.write(last.key, pieces(TEXT[:5]))
    await site.mongo.collection("media.chunks").delete_many({"files_id": {"$regex": f"^{torn.id}"}})
    expected = {stray: "bytes without a record"} | dict.fromkeys(
        [lost.id, cut.id, torn.id], "the original is not there"
    )

    code, found = await told(url, "check")
    assert (code, {each["media_id"] for each in found}) == (1, set(expected))
    assert all(expected[each["media_id"]] in each["what"] and not each["removed"] for each in found)

    code, found = await told(url, "check", "--remove-bytes")
    assert (code, {each["media_id"] for each in found if each["removed"]}) == (1, {stray})
    code, found = await told(url, "check", "--remove-records")
    assert (code, {each["media_id"] for each in found if each["removed"]}) == (0, {lost.id, cut.id, torn.id})
    assert await told(url, "check") == (0, [])
    assert await site.bytes_of(whole) == TEXT
    assert (await site.objects(cut), await site.repository.known([cut.id])) == (set(), set())


async def test_nothing_is_removed_where_nothing_fits(site: Site, url: str, tmp_path: Any) -> None:
    """It is another store, or another database, than the services'."""
    files = [await ready(site) for _ in range(2)]
    elsewhere = {"MEDIA_STORE": "directory", "UPLOAD_DIR": str(tmp_path)}
    code, _, errors = await media(url, "check", "--remove-records", **elsewhere)
    assert (code, "Nothing is removed" in errors) == (1, True)
    for media_id in [uuid4().hex for _ in range(2)]:
        (tmp_path / media_id[:2] / media_id).mkdir(parents=True)
        (tmp_path / media_id[:2] / media_id / "original1").write_bytes(TEXT)
    code, _, errors = await media(url, "check", "--remove-bytes", **elsewhere)
    assert (code, "Nothing is removed" in errors) == (1, True)
    assert len(list(tmp_path.glob("*/*/original1"))) == 2
    for each in files:
        assert await site.bytes_of(each) == TEXT


async def test_what_cannot_be_done_is_said_in_one_line(url: str, tmp_path: Any) -> None:
    """No database, no such bucket's name, no running stack, no broker."""
    nobody = "mongodb://127.0.0.1:9/parley?replicaSet=parley&serverSelectionTimeoutMS=300"
    for arguments, message in (
        ((nobody, {}), "the database is away"),
        ((url, {"MEDIA_STORE": "s3"}), "S3_BUCKET is not set"),
        ((None, {"PARLEY_DIR": str(tmp_path)}), "set MONGO_URL"),
    ):
        code, output, errors = await media(arguments[0], "usage", **arguments[1])
        assert (code, output, errors.count("\n")) == (1, "", 1), errors
        assert message in errors
    assert (await media(url, "collect", "--unused", "0"))[0] == 2
    code, output, errors = await media(url, "collect", AMQP_URL="amqp://127.0.0.1:9/")
    assert (code, output, errors.count("\n"), "the broker is away" in errors) == (1, "", 1, True), errors
