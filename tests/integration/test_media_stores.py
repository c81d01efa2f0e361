"""What every store of files holds to, whichever it is: an object is there as a whole, or not at all."""

import asyncio
import json
import sys
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.embedded.ports import find_free
from deploy.embedded.stack import Stack
from services.media.storage.store import CHUNK, NoObject, Store
from shared.contracts.errors import ChatError, ErrorCode
from shared.settings import SettingsError
from tests.integration.media_stores import body, opened, pieces
from tests.integration.rooms_client import free_port

MIB = 1024 * 1024
PATIENCE = 30.0

MOST_HELD = {"gridfs": 4 * MIB, "directory": 2 * MIB, "s3": 32 * MIB}
"""Bytes a writer or reader may take at once: S3's parts have 5 MiB, of which the driver makes copies."""

Place = dict[str, Any]


@pytest.fixture(scope="module")
async def bucket(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """A server that speaks S3, in a process of its own, and an empty bucket."""
    port = free_port()
    log = (tmp_path_factory.mktemp("s3") / "server.log").open("wb")
    arguments = ("-m", "moto.server", "-H", "127.0.0.1", "-p", str(port))
    server = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=log, stderr=log)
    url, name = f"http://127.0.0.1:{port}", "files"
    try:
        async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as http:
            while True:
                with suppress(aiohttp.ClientConnectionError):
                    async with http.put(f"{url}/{name}") as answer:
                        assert answer.status == 200, await answer.text()
                        break
                await asyncio.sleep(0.1)  # another process's state
        yield {"s3_endpoint": url, "s3_bucket": name, "s3_access_key": "key", "s3_secret_key": "secret"}
    finally:
        server.terminate()
        await server.wait()
        log.close()


@pytest.fixture(params=["gridfs", "directory", "s3"])
async def place(request: pytest.FixtureRequest, stack: Stack, tmp_path: Path, bucket: Place) -> Place:
    """The settings of a store; no other test's files are in it, or none that matters."""
    chosen: Place = {"media_store": request.param}
    if request.param == "gridfs":
        host = stack.mongo_url.replace("/parley?", f"/stores-{uuid4().hex[:8]}?")
        return {**chosen, "mongo_url": host}
    if request.param == "directory":
        return {**chosen, "upload_dir": str(tmp_path / "files")}
    return {**chosen, **bucket}


@pytest.fixture
async def store(place: Place, closing: AsyncExitStack) -> Store:
    """A store, ready."""
    return await closing.enter_async_context(opened(place))


@pytest.fixture
def media_id() -> str:
    """A file's id."""
    return uuid4().hex


async def got(store: Store, key: str, start: int = 0, length: int | None = None) -> bytes:
    """What is read, in pieces that are not too large."""
    found = [data async for data in store.read(key, start, length)]
    assert all(0 < len(data) <= CHUNK for data in found)
    return b"".join(found)


async def kept(store: Store) -> set[str]:
    """The ids of which there is anything."""
    return {media_id async for media_id in store.kept()}


async def nothing_is_left(store: Store, media_id: str, *names: str) -> bool:
    """Whether a file is gone without a trace once it was removed."""
    for name in names:
        with pytest.raises(NoObject):
            await got(store, f"{media_id}/{name}")
    await store.remove(media_id)
    return media_id not in await kept(store)


@pytest.mark.parametrize("size", [0, 1, 255 * 1024, 255 * 1024 + 1, CHUNK, 3 * MIB, 5 * MIB, 5 * MIB + 1])
async def test_what_is_written_is_read(store: Store, media_id: str, size: int) -> None:
    """Sizes at which chunks and parts begin and end, and none at all."""
    key, data = f"{media_id}/original", body(size)
    assert await store.write(key, pieces(data)) == size
    assert await got(store, key) == data
    await store.remove_object(key)
    assert await nothing_is_left(store, media_id, "original")


@pytest.mark.parametrize("size", [1, 700, 300_000, 8 * MIB])
async def test_a_source_may_give_pieces_of_any_size(store: Store, media_id: str, size: int) -> None:
    """Empty ones among them."""
    key, data = f"{media_id}/original", body(9 * MIB if size > 1 else 2000)

    async def source() -> AsyncIterator[bytes]:
        yield b""
        async for piece in pieces(data, size):
            yield piece
            yield b""

    assert await store.write(key, source()) == len(data)
    assert await got(store, key) == data


async def test_any_range_can_be_read(store: Store, media_id: str) -> None:
    """Also one that has nothing, or goes past the end; as Python's slices do."""
    key, size = f"{media_id}/original", 600_000
    data = body(size)
    await store.write(key, pieces(data))
    marks = (0, 1, 261_119, 261_120, 261_121, 599_999, 600_000, 700_000)
    for start in marks:
        assert await got(store, key, start) == data[start:]
        for length in (0, 1, 261_120, 300_000, 600_000, 700_000):
            assert await got(store, key, start, length) == data[start : start + length], (start, length)


async def test_an_empty_object_has_empty_ranges_only(store: Store, media_id: str) -> None:
    key = f"{media_id}/original"
    assert await store.write(key, pieces(b"")) == 0
    assert [await got(store, key, *span) for span in ((0, None), (0, 0), (0, 5), (5, None), (5, 5))] == [b""] * 5


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
async def test_ranges_are_slices(store: Store, data: st.DataObject) -> None:
    """Whatever the sizes of object, pieces and range."""
    size = data.draw(st.integers(0, 700_000))
    start = data.draw(st.integers(0, size + 10))
    length = data.draw(st.none() | st.integers(0, size + 10))
    key, content = f"{uuid4().hex}/original", body(size)
    await store.write(key, pieces(content, data.draw(st.integers(1000, 400_000))))
    assert await got(store, key, start, length) == content[start : None if length is None else start + length]


async def test_large_objects_pass_through_little_memory(store: Store, place: Place, media_id: str) -> None:
    """20 MiB in, 20 MiB out, far less held at any time."""
    key, size = f"{media_id}/original", 20 * MIB
    block = body(64 * 1024)

    async def source() -> AsyncIterator[bytes]:
        for _ in range(size // len(block)):
            yield block

    await got_nothing_yet(store, key)  # what is loaded once is loaded now
    tracemalloc.start()
    try:
        assert await store.write(key, source()) == size
        written = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        read = 0
        async for data in store.read(key):
            assert data == (block * (len(data) // len(block) + 2))[read % len(block) :][: len(data)]
            read += len(data)
        assert read == size
        peaks = written, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert max(peaks) < MOST_HELD[place["media_store"]], peaks


async def got_nothing_yet(store: Store, key: str) -> None:
    with pytest.raises(NoObject):
        await got(store, key)


async def test_what_is_not_there_cannot_be_read(store: Store, media_id: str) -> None:
    """Whichever part of it is asked for; another name of the same file, or a name that begins alike."""
    await store.write(f"{media_id}/original", pieces(b"there"))
    for name in ("origina", "originals", "small"):
        for start, length in ((0, None), (0, 0), (3, 2)):
            with pytest.raises(NoObject):
                await got(store, f"{media_id}/{name}", start, length)
    await store.remove_object(f"{media_id}/origina")
    assert await got(store, f"{media_id}/original") == b"there"


async def test_removing_removes_all_of_one_file_and_nothing_of_others(store: Store) -> None:
    """An object alone, or a file with all it has; twice, too."""
    one, other = sorted((uuid4().hex, uuid4().hex))
    for media_id in (one, other):
        for name in ("original", "small", "p0"):
            await store.write(f"{media_id}/{name}", pieces(body(300_000)))
    for _ in range(2):
        await store.remove_object(f"{one}/small")
        await got_nothing_yet(store, f"{one}/small")
    assert await got(store, f"{one}/original") == body(300_000)
    for _ in range(2):
        assert await nothing_is_left(store, one)
        await store.remove(one)
        await got_nothing_yet(store, f"{one}/original")
    assert await got(store, f"{other}/small") == body(300_000)
    assert (one in await kept(store), other in await kept(store)) == (False, True)


@pytest.mark.parametrize("size", [10, 600_000, 6 * MIB])
async def test_a_source_that_fails_leaves_nothing(store: Store, media_id: str, size: int) -> None:
    """Its error is passed on; before that, some had been written."""
    key = f"{media_id}/original"

    async def source() -> AsyncIterator[bytes]:
        async for piece in pieces(body(size)):
            yield piece
        raise LookupError("the client has gone")

    with pytest.raises(LookupError, match="the client has gone"):
        await store.write(key, source())
    assert await nothing_is_left(store, media_id, "original")


@pytest.mark.parametrize("size", [0, 10, 600_000, 6 * MIB])
async def test_a_write_that_is_cancelled_leaves_nothing(store: Store, media_id: str, size: int) -> None:
    key, waits = f"{media_id}/original", asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        async for piece in pieces(body(size)):
            yield piece
        waits.set()
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        write = tasks.create_task(store.write(key, source()))
        await waits.wait()
        write.cancel()
    assert write.cancelled()
    assert await nothing_is_left(store, media_id, "original")


@pytest.mark.parametrize("size", [600_000, 6 * MIB])
async def test_a_write_may_be_cancelled_at_any_moment(store: Store, size: int) -> None:
    """Also while the store itself is at work: then it either was written, or there is nothing."""
    cancelled = 0
    for pause in range(12):
        media_id = uuid4().hex
        async with asyncio.TaskGroup() as tasks:
            write = tasks.create_task(store.write(f"{media_id}/original", pieces(body(size))))
            await asyncio.sleep(0.004 * pause)
            write.cancel()
        cancelled += write.cancelled()
        if write.cancelled():
            assert await nothing_is_left(store, media_id, "original")
        else:
            assert await got(store, f"{media_id}/original") == body(size)
    assert cancelled


async def test_an_object_is_replaced_as_a_whole(store: Store, media_id: str) -> None:
    """By a longer one, by a shorter one; what was there before leaves no trace."""
    key = f"{media_id}/original"
    for turn, size in enumerate((300_000, 6 * MIB, 10)):
        data = body(size, turn)
        assert await store.write(key, pieces(data)) == size
        assert await got(store, key) == data
    await store.remove_object(key)
    assert await nothing_is_left(store, media_id, "original")


async def test_of_writes_at_the_same_time_one_stays(store: Store, media_id: str) -> None:
    """And nothing of the others in it."""
    key = f"{media_id}/original"
    bodies = [body(600_000 + 1000 * turn, turn) for turn in range(5)]
    assert await asyncio.gather(*(store.write(key, pieces(data)) for data in bodies)) == [*map(len, bodies)]
    assert await got(store, key) in bodies
    assert await nothing_is_left(store, media_id)


@pytest.mark.parametrize("size", [10, 2 * MIB, 6 * MIB])
async def test_a_writer_that_is_killed_leaves_nothing_that_can_be_read(
    store: Store, place: Place, media_id: str, size: int
) -> None:
    """What it had written is found by its file's id, removed with it, and in nobody's way."""
    key = f"{media_id}/original"
    arguments = ("-m", "tests.integration.media_stores", json.dumps(place), key, str(size))
    writer = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    assert writer.stdout is not None
    async with asyncio.timeout(PATIENCE):
        assert await writer.stdout.readline() == b"written\n"
    writer.kill()
    await writer.wait()
    await got_nothing_yet(store, key)
    if size > 5 * MIB or (size > CHUNK and place["media_store"] != "s3"):
        async with asyncio.timeout(PATIENCE):
            while media_id not in await kept(store):  # noqa: ASYNC110 - what a majority has follows in a moment
                await asyncio.sleep(0.02)
    await store.write(key, pieces(b"again"))
    assert await got(store, key) == b"again"
    await store.remove_object(key)
    assert await nothing_is_left(store, media_id, "original")


async def test_the_files_kept_are_known(store: Store) -> None:
    """Each by its id, whatever it consists of."""
    before = await kept(store)
    ids = {uuid4().hex for _ in range(5)}
    for number, media_id in enumerate(sorted(ids)):
        for name in ("original", "small")[: 1 + number % 2]:
            await store.write(f"{media_id}/{name}", pieces(body(number * 200_000)))
    assert await kept(store) - before == ids


NO_KEYS = (
    "", "original", "../../etc/passwd", "{id}", "{id}/", "{id}/../other", "{id}/a/b", "{id}/.part", "A{id}/original",
    "{id}/original\n", "{id}/\0", "/{id}/original", "{id}/" + "a" * 65,
)  # fmt: skip


async def test_what_is_no_key_is_refused(store: Store, media_id: str) -> None:
    """Before anything is looked for by it."""
    for pattern in NO_KEYS:
        key = pattern.replace("{id}", media_id)
        for use in (store.write(key, pieces(b"bytes")), got(store, key), store.remove_object(key)):
            with pytest.raises(ValueError, match="is no key"):
                await use
    for name in ("", "..", "../..", media_id[1:], f"{media_id}\n", f"{media_id}/", media_id[:-1] + "G", "*" * 32):
        with pytest.raises(ValueError, match="is no media id"):
            await store.remove(name)


async def test_a_store_that_is_prepared_again_keeps_what_it_has(store: Store, place: Place, media_id: str) -> None:
    await store.write(f"{media_id}/original", pieces(b"bytes"))
    async with opened(place) as another:
        await another.check()
        assert await got(another, f"{media_id}/original") == b"bytes"
        assert media_id in await kept(another)
    await store.check()


async def test_a_store_that_is_away_is_unavailable(stack: Stack, tmp_path: Path) -> None:
    """To all who ask, in the one way they know."""
    nobody = find_free()
    away = {"s3_endpoint": f"http://127.0.0.1:{nobody}", "s3_access_key": "key", "s3_secret_key": "secret"}
    with pytest.raises(ChatError) as refused:
        async with opened({"media_store": "s3", "s3_bucket": "files", **away}):
            pass
    assert refused.value.code is ErrorCode.UNAVAILABLE
    async with opened({"media_store": "directory", "upload_dir": str(tmp_path / "files")}) as store:
        (tmp_path / "files").rmdir()
        (tmp_path / "files").write_bytes(b"")
        with pytest.raises(OSError, match="cannot be written to"):
            await store.check()
        with pytest.raises(ChatError) as refused:
            await store.write(f"{uuid4().hex}/original", pieces(b"bytes"))
    assert refused.value.code is ErrorCode.UNAVAILABLE


async def test_settings_that_cannot_be_used_are_told_at_the_start(bucket: Place, tmp_path: Path) -> None:
    """By the name of what is wrong."""
    (tmp_path / "file").write_bytes(b"")
    wrong: dict[str, Place] = {
        "S3_BUCKET is not set": {"media_store": "s3"},
        "S3_SECRET_KEY": {**bucket, "media_store": "s3", "s3_secret_key": ""},
        "there is no bucket 'nobodys'": {**bucket, "media_store": "s3", "s3_bucket": "nobodys"},
        "cannot be used": {**bucket, "media_store": "s3", "s3_endpoint": "no address"},
        "UPLOAD_DIR": {"media_store": "directory", "upload_dir": str(tmp_path / "file" / "below")},
    }
    for what, place in wrong.items():
        with pytest.raises(SettingsError, match=what):
            async with opened(place):
                pass
