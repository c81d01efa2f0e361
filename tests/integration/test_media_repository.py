"""The media service's collections on the real database: who may change what, when, and what it counts for."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from deploy.embedded.stack import Stack
from services.media.processing.product import Facts
from services.media.records import Media, Piece, Variant
from services.media.repository import OverQuota, Quota, Repository, Usage
from shared.contracts.media_terms import MediaKind, MediaState, Refusal, VariantName
from shared.mongo import Mongo

NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FREELY = Quota(float("inf"), float("inf"), float("inf"))


@pytest.fixture
async def repository(stack: Stack) -> AsyncIterator[Repository]:
    mongo = Mongo(stack.mongo_url.replace("/parley?", f"/media-{uuid4().hex[:8]}?"), "test")
    made = Repository(mongo)
    await made.prepare()
    yield made
    await mongo.database.client.drop_database(mongo.database.name)
    mongo.close()


def coming(**particulars: object) -> Media:
    """A file that is being uploaded."""
    fields = {
        "id": uuid4().hex,
        "tenant": "acme",
        "owner": "alice",
        "kind": MediaKind.FILE,
        "name": "notes.txt",
        "mime_type": "text/plain",
        "state": MediaState.UPLOADING,
        "created_at": NOW,
        "alive_until": NOW + MINUTE,
    }
    return Media(**{**fields, **particulars})  # type: ignore[arg-type]


async def taken_in(repository: Repository, size: int = 100, **particulars: object) -> Media:
    """A file of which all has come."""
    media = coming(**particulars)
    await repository.begin(media, FREELY)
    media = coming(id=media.id, pieces=(Piece(f"{media.id}/0", size),), **particulars)
    done = await repository.complete(media, FREELY, NOW)
    assert done is not None
    return done


def original(media: Media, size: int) -> dict[VariantName, Variant]:
    return {VariantName.ORIGINAL: Variant((Piece(f"{media.id}/o", size),), "text/plain", "ab" * 32, 3, 4)}


async def test_a_file_comes_back_as_it_was_written(repository: Repository) -> None:
    media = coming(length=12, resumable=True, declared="text/plain", pieces=(Piece("a/b", 5),), facts=Facts(width=3))
    await repository.begin(media, FREELY)
    assert await repository.get(media.id) == media


async def test_a_file_goes_from_upload_to_ready(repository: Repository) -> None:
    media = await taken_in(repository)
    assert media.state is MediaState.PENDING
    until = NOW + 2 * MINUTE
    taken = await repository.begin_work(media.id, "one", NOW, until)
    assert taken is not None
    assert taken.attempts == 1
    facts = Facts(duration=1.5, waveform=(1, 2))
    ready = await repository.finish(media.id, "one", original(media, 40), facts, "text/plain", NOW)
    assert ready is not None
    assert (ready.state, ready.size, ready.facts, ready.announced) == (MediaState.READY, 40, facts, False)
    assert await repository.used("acme") == Usage(1, 40)


async def test_only_one_works_on_a_file_until_its_time_is_over(repository: Repository) -> None:
    media = await taken_in(repository)
    assert await repository.begin_work(media.id, "one", NOW, NOW + MINUTE)
    assert await repository.begin_work(media.id, "two", NOW, NOW + MINUTE) is None
    later = NOW + 2 * MINUTE
    assert await repository.waiting(later, 9) == [media.id]
    second = await repository.begin_work(media.id, "two", later, later + MINUTE)
    assert second is not None
    assert second.attempts == 2
    assert await repository.finish(media.id, "one", original(media, 1), Facts(), "text/plain", later) is None
    assert not await repository.keep_working(media.id, "one", later + MINUTE)
    assert await repository.finish(media.id, "two", original(media, 1), Facts(), "text/plain", later)


async def test_a_file_that_was_just_published_is_left_to_its_command(repository: Repository) -> None:
    media = await taken_in(repository)
    assert await repository.waiting(NOW, 9) == []
    assert await repository.begin_work(media.id, "one", NOW, NOW + MINUTE)


async def test_a_refused_file_counts_no_more(repository: Repository) -> None:
    media = await taken_in(repository)
    await repository.begin_work(media.id, "one", NOW, NOW + MINUTE)
    refused = await repository.refuse(media.id, "one", MediaState.FAILED, Refusal.DAMAGED, "It ends early.", NOW)
    assert refused is not None
    assert refused.refusal == (Refusal.DAMAGED, "It ends early.")
    assert await repository.used("acme") == Usage(0, 0)
    assert [it.id for it in await repository.untold(NOW + MINUTE, 9)] == [media.id]
    await repository.told(media.id)
    assert await repository.untold(NOW + MINUTE, 9) == []


async def test_pieces_are_added_where_the_upload_stands(repository: Repository) -> None:
    media = coming(resumable=True, length=10)
    await repository.begin(media, FREELY)
    first = await repository.add_piece(media.id, Piece("x/1", 4), 0, NOW, NOW + MINUTE)
    assert first is not None
    assert await repository.add_piece(media.id, Piece("x/2", 9), 0, NOW, NOW + MINUTE) is None
    second = await repository.add_piece(media.id, Piece("x/3", 6), 4, NOW, NOW + MINUTE)
    assert second is not None
    assert second.pieces == (Piece("x/1", 4), Piece("x/3", 6))


async def test_a_days_limits_hold(repository: Repository) -> None:
    quota = Quota(2, 150, float("inf"))
    for _ in range(2):
        await repository.begin(coming(), quota)
    with pytest.raises(OverQuota) as refused:
        await repository.begin(coming(), quota)
    assert refused.value.daily
    await repository.begin(coming(owner="bob"), quota)


async def test_what_would_be_too_much_stays_an_upload(repository: Repository) -> None:
    media = coming(pieces=(Piece("x/1", 200),))
    await repository.begin(media, FREELY)
    with pytest.raises(OverQuota) as refused:
        await repository.complete(media, Quota(9, float("inf"), 150), NOW)
    assert not refused.value.daily
    stays = await repository.get(media.id)
    assert stays is not None
    assert stays.state is MediaState.UPLOADING
    assert await repository.used("acme") == Usage(0, 0)


async def test_many_at_once_are_all_counted(repository: Repository) -> None:
    await asyncio.gather(*(taken_in(repository, 10) for _ in range(50)))
    assert await repository.used("acme") == Usage(50, 500)


async def test_what_is_being_removed_is_not_there(repository: Repository) -> None:
    media = await taken_in(repository)
    assert not await repository.begin_removal(media.id, NOW, state="ready")
    assert await repository.begin_removal(media.id, NOW, state="pending")
    assert not await repository.begin_removal(media.id, NOW)
    assert await repository.get(media.id) is None
    assert await repository.begin_work(media.id, "one", NOW, NOW + MINUTE) is None
    assert await repository.known([media.id]) == {media.id}
    assert await repository.left(NOW + MINUTE, 9) == [media.id]
    await repository.forget(media.id)
    await repository.forget(media.id)
    assert await repository.known([media.id]) == set()
    assert await repository.used("acme") == Usage(0, 0)


async def test_an_upload_that_rests_is_not_under_way(repository: Repository) -> None:
    """So a client that has lost its resumable uploads can begin new ones."""
    media = coming(resumable=True, length=10, alive_until=NOW + 60 * MINUTE, changed_at=NOW)
    await repository.begin(media, FREELY)
    assert await repository.under_way("acme", "alice", NOW) == 1
    later = NOW + 2 * MINUTE
    assert await repository.under_way("acme", "alice", later) == 0
    assert await repository.keep_alive(media.id, later, later + 60 * MINUTE)
    assert await repository.under_way("acme", "alice", later) == 1


async def test_uploads_that_are_given_up_are_found(repository: Repository) -> None:
    media = coming(changed_at=NOW)
    await repository.begin(media, FREELY)
    assert await repository.under_way("acme", "alice", NOW) == 1
    assert await repository.abandoned(NOW, 9) == []
    later = NOW + 2 * MINUTE
    assert await repository.abandoned(later, 9) == [media.id]
    assert await repository.under_way("acme", "alice", later) == 0
