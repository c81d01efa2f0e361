"""Work on files: what becomes of each kind, whoever dies, stalls or is away meanwhile. Real processing throughout."""

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image

from deploy.embedded.stack import Stack
from services.media.processing.product import Bounds, Product
from services.media.records import Media
from services.media.repository import Usage
from services.media.times import now
from services.media.work import ATTEMPTS
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.media_terms import MediaKind, MediaState, Refusal, VariantName
from tests.integration.media_site import BOUNDS, PATIENCE, Site, opened
from tests.integration.rooms_fixtures import rooms_servers

__all__ = ["rooms_servers"]

PLACE = b"48 degrees north"
TEXT = b"What is written stays.\n" * 1000
JPEG, PLAIN = "image/jpeg", "text/plain"


@pytest.fixture(scope="module")
def database(rooms_servers: Stack) -> str:
    """A database of this module's own, on the servers that no service uses."""
    return rooms_servers.mongo_url.replace("/parley?", f"/work-{uuid4().hex[:8]}?")


@pytest.fixture
async def site(rooms_servers: Stack, database: str) -> AsyncIterator[Site]:
    async with opened(rooms_servers.amqp_url, database) as site:
        yield site


def picture(width: int = 1600, height: int = 900) -> bytes:
    """A photograph that says where it was taken."""
    image = Image.effect_mandelbrot((width, height), (-2, -1.5, 1, 1.5), 50).convert("RGB")
    exif = Image.Exif()
    exif[0x010E] = PLACE.decode()
    file = BytesIO()
    image.save(file, "JPEG", exif=exif)
    return file.getvalue()


PHOTO = picture()


class Gate:
    """Processing that waits until it is let on: then it is the real one."""

    def __init__(self) -> None:
        self.waits = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, source: Path, room: Path, kind: MediaKind, mime_type: str) -> Product:
        from services.media.processing.parent import process

        self.waits.set()
        await self.open.wait()
        return await process(source, room, kind, mime_type, BOUNDS)


class Scanner:
    """Says of every file the same."""

    def __init__(self, finding: str | ChatError | None) -> None:
        self.finding = finding
        self.looked_at: list[bytes] = []

    async def scan(self, path: Path) -> str | None:
        self.looked_at.append(await asyncio.to_thread(path.read_bytes))
        if isinstance(self.finding, ChatError):
            raise self.finding
        return self.finding


async def as_told(site: Site, media: Media) -> Media:
    """The file when its owner has been told what became of it, and all is done that is done then."""
    await site.heard(media)

    async def settled() -> bool:
        return (await site.now_is(media)).announced

    await site.until(settled)
    return await site.now_is(media)


# ── what becomes of files ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_picture_becomes_ready(site: Site) -> None:
    """In all its forms, without what it said of its place; the upload is gone, and counts no more."""
    before = await site.repository.used("acme")
    media = await site.taken_in(PHOTO, MediaKind.IMAGE, JPEG)
    await site.work().look_at(media.id)
    done = await as_told(site, media)
    assert (done.state, done.worker, done.attempts) == (MediaState.READY, None, 1)
    assert (done.facts.width, done.facts.height) == (1600, 900)
    assert done.facts.placeholder is not None
    assert {VariantName.ORIGINAL, VariantName.SMALL, VariantName.MEDIUM, VariantName.LARGE} <= set(done.variants)
    size = 0
    for name, variant in done.variants.items():
        data = await site.bytes_of(done, name)
        size += len(data)
        assert (len(data), hashlib.sha256(data).hexdigest()) == (variant.size, variant.sha256)
        assert Image.open(BytesIO(data)).size == (variant.width, variant.height)
        assert PLACE not in data
    assert await site.objects(media) == {f"{name}1" for name in done.variants}
    assert await site.repository.used("acme") == Usage(before.files + 1, before.bytes + size)
    [event] = await site.heard(media)
    assert (event["type"], event["subject"], event["tenant"]) == ("media.ready", "alice", "acme")
    assert event["data"]["media"]["variants"][0]["url"].startswith(f"/v1/media/{media.id}/")


async def test_what_is_no_picture_is_served_as_it_came(site: Site) -> None:
    media = await site.taken_in(TEXT, MediaKind.FILE, PLAIN)
    await site.work().look_at(media.id)
    done = await as_told(site, media)
    assert (done.state, done.mime_type) == (MediaState.READY, PLAIN)
    assert done.variants[VariantName.ORIGINAL].pieces == media.pieces
    assert done.variants[VariantName.ORIGINAL].sha256 == hashlib.sha256(TEXT).hexdigest()
    assert await site.bytes_of(done) == TEXT


async def test_a_damaged_picture_is_refused(site: Site) -> None:
    """Its owner is told why; nothing of it is kept, and it counts no more."""
    before = await site.repository.used("acme")
    media = await site.taken_in(PHOTO[: len(PHOTO) // 3], MediaKind.IMAGE, JPEG)
    await site.work().look_at(media.id)
    done = await as_told(site, media)
    assert done.state is MediaState.FAILED
    assert done.refusal is not None
    assert done.refusal[0] is Refusal.DAMAGED
    assert (await site.objects(media), await site.repository.used("acme")) == (set(), before)
    [event] = await site.heard(media)
    assert (event["type"], event["data"]["media"]["refusal"]["reason"]) == ("media.failed", "damaged")


async def test_what_the_scanner_finds_is_refused_unseen(site: Site) -> None:
    """The scanner sees all of it, and nothing else is done with it."""
    scanner, gate = Scanner("Eicar-Test-Signature"), Gate()
    media = await site.taken_in(TEXT, MediaKind.FILE, PLAIN)
    await site.work(gate, scanner=scanner).look_at(media.id)
    done = await as_told(site, media)
    assert done.state is MediaState.INFECTED
    assert done.refusal is not None
    assert "Eicar-Test-Signature" in done.refusal[1]
    assert (scanner.looked_at, gate.waits.is_set()) == ([TEXT], False)
    assert await site.objects(media) == set()


async def test_other_bytes_than_the_checksum_says_are_refused(site: Site) -> None:
    media = await site.taken_in(TEXT, MediaKind.FILE, PLAIN, sha256="ab" * 32)
    await site.work().look_at(media.id)
    done = await as_told(site, media)
    assert done.refusal is not None
    assert (done.state, done.refusal[0]) == (MediaState.FAILED, Refusal.CHECKSUM)


async def test_what_takes_too_long_is_tried_three_times(site: Site) -> None:
    """With pauses in between; then it is refused."""
    work = site.work(bounds=Bounds(BOUNDS.memory, 0.01, BOUNDS.pixels))
    media = await site.taken_in(PHOTO, MediaKind.IMAGE, JPEG)
    for attempt in range(1, ATTEMPTS):
        await work.look_at(media.id)
        left = await site.now_is(media)
        assert (left.state, left.worker, left.attempts) == (MediaState.PENDING, None, attempt)
        assert left.worker_until is not None
        assert left.worker_until > now()
        assert await site.bytes_of_upload(left) == PHOTO
    await work.look_at(media.id)
    done = await as_told(site, media)
    assert done.refusal is not None
    assert (done.state, done.refusal[0]) == (MediaState.FAILED, Refusal.UNPROCESSABLE)
    assert await site.objects(media) == set()


async def test_what_kills_its_workers_is_refused_in_the_end(site: Site) -> None:
    """Also where none of them could say so."""
    media = await site.taken_in(TEXT, MediaKind.FILE, PLAIN)
    for worker in range(ATTEMPTS):
        died = now() - timedelta(seconds=1)
        assert await site.repository.begin_work(media.id, f"dead-{worker}", died, died) is not None
    gate = Gate()
    await site.work(gate).look_at(media.id)
    done = await as_told(site, media)
    assert done.refusal is not None
    assert (done.refusal[0], gate.waits.is_set()) == (Refusal.UNPROCESSABLE, False)


async def test_what_is_away_is_not_the_files_fault(site: Site) -> None:
    """However often it is: the file waits, and becomes ready when all is there again."""
    scanner = Scanner(ChatError(ErrorCode.UNAVAILABLE, "The virus scanner is away."))
    work = site.work(scanner=scanner)
    media = await site.taken_in(TEXT, MediaKind.FILE, PLAIN)
    for _ in range(ATTEMPTS + 2):
        await work.look_at(media.id)
        left = await site.now_is(media)
        assert (left.state, left.worker, left.attempts) == (MediaState.PENDING, None, 0)
    scanner.finding = None
    await work.look_at(media.id)
    assert (await as_told(site, media)).state is MediaState.READY


# ── who works on them ────────────────────────────────────────────────────────────────────────────────────────────


async def test_one_works_on_a_file_for_as_long_as_it_takes(site: Site) -> None:
    """Longer than a lease, too; others leave it alone."""
    gate, lease = Gate(), timedelta(seconds=0.6)
    media = await site.taken_in(TEXT, MediaKind.FILE, PLAIN)
    first = site.tasks.spawn(site.work(gate, lease=lease).look_at(media.id), "first")
    await gate.waits.wait()
    began = now()
    while now() - began < 3 * lease:
        await site.work(lease=lease).look_at(media.id)
        assert (await site.now_is(media)).state is MediaState.PENDING
        await asyncio.sleep(0.05)
    gate.open.set()
    await first
    done = await as_told(site, media)
    assert (done.state, done.attempts) == (MediaState.READY, 1)


async def test_a_worker_whose_lease_has_ended_has_no_say(site: Site) -> None:
    """Another one has taken the file: what the first would have made of it is nowhere."""
    gate = Gate()
    media = await site.taken_in(PHOTO, MediaKind.IMAGE, JPEG)
    first = site.tasks.spawn(site.work(gate, lease=timedelta(seconds=3)).look_at(media.id), "first")
    await gate.waits.wait()
    await site.change(media, worker_until=now() - timedelta(seconds=1))  # as if it had stood still
    await site.work().look_at(media.id)
    done = await as_told(site, media)
    gate.open.set()
    await first
    assert await site.now_is(media) == done
    assert (done.state, done.attempts) == (MediaState.READY, 2)
    assert await site.objects(media) >= {f"{name}2" for name in done.variants}
    assert len(await site.heard(media)) == 1


async def test_a_file_that_is_removed_meanwhile_stays_so(site: Site) -> None:
    gate = Gate()
    media = await site.taken_in(TEXT, MediaKind.FILE, PLAIN)
    working = site.tasks.spawn(site.work(gate).look_at(media.id), "work")
    await gate.waits.wait()
    assert await site.collector.remove(media.id, now()) is not None
    gate.open.set()
    await working
    assert (await site.repository.get(media.id), await site.repository.known([media.id])) == (None, set())
    assert not [event for event in site.events if media.id in str(event)]


async def test_who_is_stopped_leaves_a_file_to_others_at_once(site: Site) -> None:
    gate = Gate()
    media = await site.taken_in(TEXT, MediaKind.FILE, PLAIN)
    working = site.tasks.spawn(site.work(gate).look_at(media.id), "work")
    await gate.waits.wait()
    working.cancel()
    await asyncio.wait([working])
    left = await site.now_is(media)
    assert (left.state, left.worker, left.attempts) == (MediaState.PENDING, None, 0)
    await site.work().look_at(media.id)
    assert (await as_told(site, media)).state is MediaState.READY


async def test_who_is_stopped_ends_though_it_cannot_let_go(site: Site) -> None:
    """The database is not to be reached any more: the work ends all the same, and is not taken up again."""
    gate = Gate()
    await site.serve(site.work(gate, at_once=1))
    media = await site.taken_in(TEXT, MediaKind.FILE, PLAIN)
    await site.announcer.process(media.id)
    await gate.waits.wait()
    site.mongo.close()
    async with asyncio.timeout(PATIENCE):
        await site.tasks.close()


async def test_what_is_asked_for_is_done(site: Site) -> None:
    """By the command, as uploads ask for it; asked for twice, it is done once. No more at a time than may be."""
    running, most = 0, 0

    async def counted(source: Path, room: Path, kind: MediaKind, mime_type: str) -> Product:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            await asyncio.sleep(0.05)
            return Product()
        finally:
            running -= 1

    await site.serve(site.work(counted, at_once=2))
    files = [await site.taken_in(TEXT, MediaKind.FILE, PLAIN) for _ in range(8)]
    for media in files:
        await site.announcer.process(media.id)
        await site.announcer.process(media.id)
    for media in files:
        assert (await as_told(site, media)).attempts == 1
    assert most == 2


async def test_commands_for_what_is_not_there_are_harmless(site: Site) -> None:
    await site.serve(site.work())
    media = await site.taken_in(TEXT, MediaKind.FILE, PLAIN)
    await site.announcer.process(uuid4().hex, media.id, uuid4().hex)
    assert (await as_told(site, media)).state is MediaState.READY


# ── a process that is killed ─────────────────────────────────────────────────────────────────────────────────────


async def test_another_process_finishes_what_a_killed_one_has_begun(
    rooms_servers: Stack, site: Site, database: str
) -> None:
    """It dies when it has kept some forms of a picture: nobody sees those, the picture becomes ready all the same."""

    async def started(*how: str) -> Any:
        arguments = ("-m", "tests.integration.media_site", rooms_servers.amqp_url, database, "2", *how)
        child = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
        assert child.stdout is not None
        async with asyncio.timeout(PATIENCE):
            assert await child.stdout.readline() == b"ready\n"
        return child

    dying = await started("stall")
    media = await site.taken_in(PHOTO, MediaKind.IMAGE, JPEG)
    await site.announcer.process(media.id)
    async with asyncio.timeout(PATIENCE):
        assert await dying.stdout.readline() == b"working\n"

    async def half_done() -> bool:
        return len({name for name in await site.objects(media) if name.endswith("1") and not name.startswith("up")}) > 1

    await site.until(half_done)
    dying.kill()
    await dying.wait()
    left = await site.now_is(media)
    assert (left.state, left.variants, left.attempts) == (MediaState.PENDING, {}, 1)
    heir = await started()
    try:
        done = await as_told(site, media)
    finally:
        heir.kill()
        await heir.wait()
    assert (done.state, done.attempts) == (MediaState.READY, 2)
    for name, variant in done.variants.items():
        assert hashlib.sha256(await site.bytes_of(done, name)).hexdigest() == variant.sha256
    assert await site.objects(media) == {f"{name}2" for name in done.variants}
