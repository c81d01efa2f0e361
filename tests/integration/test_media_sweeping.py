"""What looks after files: it finds what was forgotten, and removes what nobody needs, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from deploy.embedded.stack import Stack
from services.media.collecting import REMEMBERED, Collected
from services.media.processing.product import Facts
from services.media.records import Media, Piece, Variant
from services.media.repository import Usage
from services.media.times import now
from shared.contracts.media_terms import MediaKind, MediaState, Refusal, VariantName
from tests.integration.media_site import FREELY, KEEP, Site, opened
from tests.integration.media_stores import pieces
from tests.integration.rooms_fixtures import rooms_servers

__all__ = ["rooms_servers"]

TEXT = b"What is written stays.\n" * 100
LONG_AGO = timedelta(days=3)
NOTHING = {"given up": Collected(), "unused": Collected(), "refused": Collected(), "left behind": Collected()}


@pytest.fixture
async def site(rooms_servers: Stack) -> AsyncIterator[Site]:
    """A site on an empty database."""
    url = rooms_servers.mongo_url.replace("/parley?", f"/sweep-{uuid4().hex[:8]}?")
    async with opened(rooms_servers.amqp_url, url) as site:
        yield site
        await site.mongo.database.client.drop_database(site.mongo.database.name)


async def pending(site: Site) -> Media:
    return await site.taken_in(TEXT, MediaKind.FILE, "text/plain")


async def ready(site: Site) -> Media:
    """A file that was processed and told about."""
    media = await pending(site)
    await site.work().look_at(media.id)
    await site.heard(media)
    return await site.now_is(media)


async def refused(site: Site, *, told: bool = True) -> Media:
    """A file that was refused."""
    media = await pending(site)
    assert await site.repository.begin_work(media.id, "worker", now(), now() + KEEP) is not None
    done = await site.repository.refuse(media.id, "worker", MediaState.FAILED, Refusal.DAMAGED, "It is.", now())
    assert done is not None
    if told:
        await site.ending.settle(done)
    return await site.now_is(media)


async def is_gone(site: Site, media: Media) -> bool:
    """Whether there is nothing of a file: no record, no byte, no event that will be."""
    return (await site.repository.known([media.id]), await site.objects(media)) == (set(), set())


# ── what was forgotten ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_file_that_nobody_was_asked_to_look_at_is_found(site: Site) -> None:
    """Its command was lost, or whoever had it died before beginning."""
    media = await pending(site)
    await site.serve(site.work())
    site.tasks.spawn(site.sweep().run(), "sweep")
    await site.change(media, worker_until=now() - timedelta(seconds=1))
    [event] = await site.heard(media)
    assert event["type"] == "media.ready"


async def test_a_file_whose_worker_has_died_is_found(site: Site) -> None:
    """As soon as its lease has ended; and not before."""
    media, working = await pending(site), await pending(site)
    await site.repository.begin_work(media.id, "dead", now(), now() + timedelta(seconds=0.5))
    await site.repository.begin_work(working.id, "alive", now(), now() + KEEP)
    await site.serve(site.work())
    site.tasks.spawn(site.sweep().run(), "sweep")
    await site.heard(media)
    assert (await site.now_is(media)).attempts == 2
    assert (await site.now_is(working)).worker == "alive"


async def test_who_was_asked_has_time_to_begin(site: Site) -> None:
    """A look does not ask for the same again and again."""
    media = await pending(site)
    await site.change(media, worker_until=now() - timedelta(seconds=1))
    sweep = site.sweep()
    await sweep.look(now())
    asked = (await site.now_is(media)).worker_until
    assert asked is not None
    assert asked > now()
    await sweep.look(now())
    assert (await site.now_is(media)).worker_until == asked


async def test_an_end_that_was_not_told_is(site: Site) -> None:
    """And what was not removed then is removed: the process died in between."""
    media = await pending(site)
    assert await site.repository.begin_work(media.id, "worker", now(), now() + KEEP) is not None
    key = f"{media.id}/original1"
    piece = Piece(key, await site.store.write(key, pieces(TEXT)))
    variants = {VariantName.ORIGINAL: Variant((piece,), "text/plain", "ab" * 32)}
    assert await site.repository.finish(media.id, "worker", variants, Facts(), "text/plain", now()) is not None
    failed = await refused(site, told=False)
    await site.sweep().look(now())
    assert not site.events  # those who have just ended their work tell of it themselves
    for each in (media, failed):
        await site.change(each, changed_at=now() - timedelta(minutes=1))
    await site.sweep().look(now())
    assert [event["type"] for event in await site.heard(media)] == ["media.ready"]
    assert [event["type"] for event in await site.heard(failed)] == ["media.failed"]
    assert (await site.objects(media), await site.objects(failed)) == ({"original1"}, set())
    await site.sweep().look(now())
    assert await site.heard(await refused(site))  # what is told last
    assert len(site.events) == 3


# ── what nobody needs ────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_upload_that_was_given_up_is_removed(site: Site) -> None:
    """With what has come of it, finished or not; one of which bytes still come is not."""
    given_up, coming = [await site.coming(MediaKind.FILE, "text/plain") for _ in range(2)]
    for media in (given_up, coming):
        key = f"{media.id}/upload0"
        piece = Piece(key, await site.store.write(key, pieces(TEXT)))
        await site.repository.add_piece(media.id, piece, 0, now(), now() + KEEP)
    await site.change(given_up, alive_until=now() - timedelta(seconds=1))
    assert (await site.collector.collect(now()))["given up"] == Collected(1, len(TEXT))
    assert await is_gone(site, given_up)
    assert (await site.now_is(coming)).received == len(TEXT)
    assert await site.repository.complete(replace(given_up, pieces=()), FREELY, now()) is None


async def test_a_file_that_no_message_shows_is_removed_in_time(site: Site) -> None:
    """What one shows is kept for ever, what was shown until lately a while; what goes counts no more."""
    unused, shown, lately = [await ready(site) for _ in range(3)]
    await site.change(unused, unused_since=now() - LONG_AGO)
    await site.change(shown, unused_since=None)
    before = await site.repository.used("acme")
    assert (await site.collector.collect(now()))["unused"] == Collected(1, len(TEXT))
    assert await is_gone(site, unused)
    assert await site.repository.used("acme") == Usage(before.files - 1, before.bytes - len(TEXT))
    for media in (shown, lately):
        assert await site.bytes_of(await site.now_is(media)) == TEXT
    assert await site.collector.collect(now()) == NOTHING


async def test_a_file_that_is_used_at_the_last_moment_stays(site: Site) -> None:
    """A look has found it, and then a message has come."""
    media = await ready(site)
    await site.change(media, unused_since=now() - LONG_AGO)
    [found] = await site.repository.unused(now() - KEEP, 10)
    await site.change(media, unused_since=None)
    where = {"state": "ready", "unused_since": {"$lt": now() - KEEP}}
    assert await site.collector.remove(found, now(), **where) is None
    assert await site.bytes_of(media) == TEXT


async def test_what_was_refused_is_forgotten_in_time(site: Site) -> None:
    old, young = [await refused(site) for _ in range(2)]
    await site.change(old, changed_at=now() - REMEMBERED - timedelta(seconds=1))
    assert (await site.collector.collect(now()))["refused"].files == 1
    assert await is_gone(site, old)
    assert (await site.now_is(young)).refusal is not None


async def test_a_removal_that_was_begun_is_ended(site: Site) -> None:
    """Whoever began it died; in between nobody sees the file any more."""
    media = await ready(site)
    assert await site.repository.begin_removal(media.id, now() - timedelta(minutes=5))
    assert await site.repository.get(media.id) is None
    assert await site.objects(media)
    assert (await site.collector.collect(now()))["left behind"].files == 1
    assert await is_gone(site, media)
    assert (await site.repository.used("acme")).files == 0


async def test_many_collect_at_once(site: Site) -> None:
    """Each file goes once, and is counted once."""
    files = [await ready(site) for _ in range(12)]
    for media in files:
        await site.change(media, unused_since=now() - LONG_AGO)
    collected = await asyncio.gather(*(site.collector.collect(now()) for _ in range(3)))
    assert sum(each["unused"].files for each in collected) == 12
    assert await site.repository.used("acme") == Usage(0, 0)
    for media in files:
        assert await is_gone(site, media)
