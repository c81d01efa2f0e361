"""Resumable uploads by tus 1.0.0: their whole life, what breaks off, who races, and every refusal."""

import asyncio
import base64
import hashlib
import signal
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import pytest

from shared.service import Tasks
from tests.integration.media_client import Kept, MediaWith, Slow, Uploader, UploaderOf, png, text, until

pytest_plugins = ("tests.integration.media_fixtures",)


@pytest.fixture
def alice(uploader: UploaderOf) -> Uploader:
    """Alice, by the service's own port."""
    return uploader("alice")


PATCHES = "application/offset+octet-stream"
NOWHERE = f"/{'0' * 32}"


def metadata(**fields: str) -> dict[str, str]:
    """`Upload-Metadata` as a header."""
    items = (f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields.items())
    return {"Upload_Metadata": ",".join(items)}


def checksum(data: bytes, algorithm: str = "sha256") -> dict[str, str]:
    """`Upload-Checksum` as a header."""
    return {"Upload_Checksum": f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"}


# ── a life ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_options_say_what_is_spoken(alice: Uploader) -> None:
    """Without a version of one's own, and of every path."""
    for path in ("", NOWHERE):
        answer = await alice.send("OPTIONS", f"/v1/uploads{path}")
        assert answer.status == 204
        assert answer.headers["Tus-Version"] == answer.headers["Tus-Resumable"] == "1.0.0"
        assert set(answer.headers["Tus-Extension"].split(",")) == {
            "creation", "creation-with-upload", "termination", "checksum", "expiration",
        }  # fmt: skip
        assert answer.headers["Tus-Checksum-Algorithm"] == "sha1,sha256"
        assert answer.headers["Tus-Max-Size"] == "5242880"


async def test_a_file_comes_in_parts(alice: Uploader, kept: Kept, tenant: str) -> None:
    """Each is known by its offset; with the last it is a file, of the kind that it is."""
    picture = png(at_least=1_000_000)
    path = await alice.create(len(picture), **metadata(filename="a.png", filetype="image/png"))
    offset = 0
    for end in (5, 300_000, 300_001, len(picture)):
        assert await alice.offset(path) == offset
        answer = await alice.patch(path, offset, picture[offset:end])
        assert (answer.status, answer.headers["Upload-Offset"]) == (204, str(end))
        offset = end
    answer = await alice.tus("HEAD", path)
    assert answer.headers["Upload-Offset"] == answer.headers["Upload-Length"] == str(len(picture))
    assert answer.headers["Cache-Control"] == "no-store"
    [document] = await kept.media(tenant)
    assert document["_id"] == path.removeprefix("/")
    assert (document["kind"], document["mime_type"], document["name"]) == ("image", "image/png", "a.png")
    assert document["state"] != "uploading"


async def test_the_first_bytes_may_come_with_the_creation(alice: Uploader) -> None:
    """All of them, too."""
    data = text(20_000)
    answer = await alice.tus("POST", "", data[:9000], Upload_Length="20000", Content_Type=PATCHES)
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, "9000")
    path = answer.headers["Location"].removeprefix("/v1/uploads")
    assert (await alice.patch(path, 9000, data[9000:])).status == 204
    answer = await alice.tus("POST", "", data, Upload_Length="20000", Content_Type=PATCHES, **checksum(data))
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, "20000")
    assert "Upload-Expires" not in answer.headers


async def test_an_upload_says_when_it_is_given_up(media_with: MediaWith) -> None:
    """Later with every part; from then on it is gone."""
    media = await media_with(MEDIA_UPLOAD_PATIENCE=3)
    answer = await media.alice.tus("POST", Upload_Length="10")
    first = parsedate_to_datetime(answer.headers["Upload-Expires"])
    path = answer.headers["Location"].removeprefix("/v1/uploads")
    later = await media.alice.patch(path, 0, b"hello")
    assert parsedate_to_datetime(later.headers["Upload-Expires"]) >= first

    async def gone() -> bool:
        return (await media.alice.tus("HEAD", path)).status in {404, 410}

    await until(gone, "it has expired")
    assert (await media.alice.patch(path, 5, b"hello")).status in {404, 410}


async def test_an_upload_can_be_given_up(alice: Uploader, kept: Kept, tenant: str) -> None:
    """With all its bytes; once it is complete it is a file, which is removed as such."""
    path = await alice.create(10)
    assert (await alice.patch(path, 0, b"hello")).status == 204
    assert len(await kept.objects(path.removeprefix("/"))) == 1
    assert (await alice.tus("DELETE", path)).status == 204
    assert await kept.media(tenant) == []
    assert await kept.bytes_of(path.removeprefix("/")) == 0
    assert (await alice.tus("HEAD", path)).status == 404
    done = await alice.create(5)
    assert (await alice.patch(done, 0, b"hello")).status == 204
    assert (await alice.tus("DELETE", done)).status == 409


async def test_methods_can_be_named_by_a_header(alice: Uploader) -> None:
    """For clients that know POST only."""
    path = await alice.create(10)
    more = {"Upload_Offset": "0", "Content_Type": PATCHES, "X_HTTP_Method_Override": "PATCH"}
    assert (await alice.tus("POST", path, b"hello", **more)).headers["Upload-Offset"] == "5"
    assert (await alice.tus("POST", path, X_HTTP_Method_Override="DELETE")).status == 204
    assert (await alice.tus("POST", path, X_HTTP_Method_Override="TRACE")).status == 405


# ── broken off ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def dropped(
    alice: Uploader, path: str, offset: int, data: bytes, promised: int, kept: Callable[[], Awaitable[bool]]
) -> None:
    """Send a part of a request, and hang up once some of it is kept."""
    where = urlsplit(alice.url)
    _, writer = await asyncio.open_connection(where.hostname, where.port)
    head = {
        "Host": "x", "Tus-Resumable": "1.0.0", "Upload-Offset": str(offset), "Content-Type": PATCHES,
        "Content-Length": str(promised), **alice.headers,
    }  # fmt: skip
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    writer.write(f"PATCH /v1/uploads{path} HTTP/1.1\r\n{lines}\r\n".encode() + data)
    await writer.drain()
    await until(kept, "some of it is kept")
    writer.close()


async def test_what_has_come_of_a_part_is_kept(alice: Uploader, kept: Kept) -> None:
    """HEAD says how much that is, and the rest goes on from there: nothing is sent twice, nothing is missing."""
    data = text(1_000_000)
    path = await alice.create(len(data))

    async def begun() -> bool:
        return await kept.bytes_of(path.removeprefix("/")) > 0

    await dropped(alice, path, 0, data[:400_000], len(data), begun)

    async def known() -> bool:
        return await alice.offset(path) > 0

    await until(known, "what came is kept")
    offset = await alice.offset(path)
    assert 0 < offset <= 400_000
    assert (await alice.patch(path, offset, data[offset:])).status == 204
    assert len(await kept.objects(path.removeprefix("/"))) == 2


async def test_what_came_with_a_checksum_is_kept_whole_or_not_at_all(alice: Uploader, kept: Kept) -> None:
    """A part of it cannot be checked."""
    data = text(300_000)
    path = await alice.create(len(data))
    slow = Slow(data, 200_000)
    patch = Tasks().spawn(alice.patch(path, 0, slow, **checksum(data)), "patch")
    await slow.stopped.wait()
    patch.cancel()
    assert await alice.offset(path) == 0

    async def nothing() -> bool:
        return await kept.bytes_of(path.removeprefix("/")) == 0

    await until(nothing, "no bytes are left of it")


async def test_an_upload_outlives_the_service(media_with: MediaWith) -> None:
    """Killed between two parts."""
    media = await media_with(restart=True)
    data = text(500_000)
    path = await media.alice.create(len(data))
    assert (await media.alice.patch(path, 0, data[:200_000])).status == 204
    await media.process.kill(signal.SIGKILL)
    await media.process.wait_ready(30)
    assert await media.alice.offset(path) == 200_000
    assert (await media.alice.patch(path, 200_000, data[200_000:])).status == 204


async def test_what_has_come_is_kept_when_the_service_ends(media_with: MediaWith, alice: Uploader) -> None:
    """In the middle of a part: another process knows where it stands."""
    media = await media_with(DRAIN_TIMEOUT=3)
    data = text(2_000_000)
    path = await media.alice.create(len(data))
    slow = Slow(data, 1_000_000)
    patch = Tasks().spawn(media.alice.patch(path, 0, slow), "patch")
    await slow.stopped.wait()
    await media.terminate()
    assert (await patch).status == 503
    offset = await alice.offset(path)
    assert 0 < offset <= 1_000_000
    assert (await alice.patch(path, offset, data[offset:])).status == 204


async def test_a_new_request_ends_the_one_before(alice: Uploader) -> None:
    """Which may be of a connection that is long lost, as nobody has noticed yet."""
    data = text(600_000)
    path = await alice.create(len(data))
    slow = Slow(data, 300_000)
    before = Tasks().spawn(alice.patch(path, 0, slow), "patch")
    await slow.stopped.wait()

    async def here() -> bool:
        return await alice.offset(path) > 0

    await until(here, "it is known")
    offset = await alice.offset(path)
    assert (await alice.patch(path, offset, data[offset:])).status == 204
    assert (await before).status == 503


# ── races ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_of_parts_at_the_same_time_one_goes_on(alice: Uploader, kept: Kept) -> None:
    """The others are told so, or where it stands; their bytes are gone, and the file is whole."""
    data = text(100_000)
    path = await alice.create(len(data))
    offset = 0
    while offset < len(data):
        parts = [data[offset : offset + 25_000] for _ in range(8)]
        answers = await asyncio.gather(*(alice.patch(path, offset, part) for part in parts))
        statuses = {answer.status for answer in answers}
        assert statuses <= {204, 409, 503}, statuses
        offset = await alice.offset(path)
    assert offset == len(data)
    media_id = path.removeprefix("/")

    async def whole() -> bool:
        lengths: list[int] = [item["length"] for item in await kept.files(media_id)]
        return sum(lengths) == len(data)

    await until(whole, "only what belongs to it is kept")


async def test_two_processes_do_not_mix_an_upload(media_with: MediaWith, alice: Uploader, kept: Kept) -> None:
    """The database knows where it stands, whoever is asked."""
    other = await media_with()
    data = text(200_000)
    path = await alice.create(len(data))
    slow = [Slow(data[:100_000], 50_000), Slow(data[:100_000], 50_000)]
    patches = [
        Tasks().spawn(one.patch(path, 0, body), "patch") for one, body in zip((alice, other.alice), slow, strict=True)
    ]
    for body in slow:
        await body.stopped.wait()
        body.may_go_on.set()
    assert sorted([(await patch).status for patch in patches]) == [204, 409]
    assert (await other.alice.patch(path, 100_000, data[100_000:])).status == 204

    async def two() -> bool:
        return len(await kept.objects(path.removeprefix("/"))) == 2

    await until(two, "the piece that came too late is gone")


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
async def test_other_versions_are_refused(method: str, alice: Uploader) -> None:
    """With the one that is spoken."""
    path = await alice.create(10)
    for version in ("0.2.2", ""):
        answer = await alice.tus(method, "" if method == "POST" else path, Tus_Resumable=version)
        assert (answer.status, answer.headers["Tus-Version"]) == (412, "1.0.0")
    assert await alice.offset(path) == 0


CREATIONS: dict[str, tuple[dict[str, str], int]] = {
    "no length": ({}, 400),
    "a length to come": ({"Upload_Defer_Length": "1"}, 400),
    "a negative length": ({"Upload_Length": "-1"}, 400),
    "no number": ({"Upload_Length": "1e3"}, 400),
    "nothing": ({"Upload_Length": "0"}, 400),
    "too much": ({"Upload_Length": "5242881"}, 413),
    "no base64": ({"Upload_Length": "1", "Upload_Metadata": "filename %%%"}, 400),
    "a key twice": ({"Upload_Length": "1", "Upload_Metadata": "a YQ==,a YQ=="}, 400),
    "no kind": ({"Upload_Length": "1", **metadata(kind="picture")}, 400),
}


@pytest.mark.parametrize("what", CREATIONS)
async def test_a_creation_that_is_none(what: str, alice: Uploader, kept: Kept, tenant: str) -> None:
    """Says why, in the headers of the protocol, and leaves nothing."""
    headers, status = CREATIONS[what]
    answer = await alice.tus("POST", **headers)
    assert (answer.status, answer.headers["Tus-Resumable"]) == (status, "1.0.0")
    assert answer.body["error"]["message"]
    assert await kept.media(tenant) == []


PARTS: dict[str, tuple[bytes, dict[str, str], int]] = {
    "another offset": (b"x", {"Upload_Offset": "4"}, 409),
    "no offset": (b"x", {"Upload_Offset": ""}, 400),
    "a negative offset": (b"x", {"Upload_Offset": "-5"}, 400),
    "another type": (b"x", {"Content_Type": "application/octet-stream"}, 415),
    "more than is left": (b"x" * 6, {}, 413),
    "another checksum": (b"x", checksum(b"y"), 460),
    "another checksum by sha1": (b"x", checksum(b"y", "sha1"), 460),
    "an unknown algorithm": (b"x", {"Upload_Checksum": "md5 YQ=="}, 400),
    "no checksum": (b"x", {"Upload_Checksum": "sha1 %"}, 400),
}


@pytest.mark.parametrize("what", PARTS)
async def test_a_part_that_is_none(what: str, alice: Uploader, kept: Kept) -> None:
    """Is not kept, and the upload stands where it stood."""
    data, headers, status = PARTS[what]
    path = await alice.create(10)
    assert (await alice.patch(path, 0, b"hello")).status == 204
    answer = await alice.patch(path, 5, data, **headers)
    assert (answer.status, answer.headers["Tus-Resumable"]) == (status, "1.0.0"), answer.body
    assert await alice.offset(path) == 5

    async def one() -> bool:
        return len(await kept.objects(path.removeprefix("/"))) == 1

    await until(one, "its bytes are gone")


async def test_more_than_is_left_is_seen_while_it_comes(alice: Uploader) -> None:
    """Where its length is not said."""
    path = await alice.create(100_000)
    slow = Slow(text(150_000), 50_000)
    slow.may_go_on.set()
    assert (await alice.patch(path, 0, slow)).status == 413
    assert await alice.offset(path) == 0


async def test_right_checksums_are_taken(alice: Uploader) -> None:
    """By both algorithms."""
    path = await alice.create(10)
    assert (await alice.patch(path, 0, b"hello", **checksum(b"hello", "sha1"))).status == 204
    assert (await alice.patch(path, 5, b"world", **checksum(b"world"))).status == 204


async def test_uploads_of_others_are_not_there(alice: Uploader, uploader: UploaderOf) -> None:
    """Nor is one that never was."""
    path = await alice.create(10)
    bob = uploader("bob")
    for somewhere in (path, NOWHERE):
        for answer in (await bob.tus("HEAD", somewhere), await bob.tus("DELETE", somewhere)):
            assert answer.status == 404
        assert (await bob.patch(somewhere, 0, b"x")).status == 404
    assert await alice.offset(path) == 0


async def test_a_file_is_looked_at_as_soon_as_its_beginning_is_here(alice: Uploader, kept: Kept, tenant: str) -> None:
    """And refused then, not when all of it has come; the upload is gone."""
    path = await alice.create(1_000_000, **metadata(filename="a.png"))
    answer = await alice.patch(path, 0, b"MZ" + bytes(10_000))
    assert (answer.status, answer.body["error"]["details"]["reason"]) == (400, "type_refused")
    assert (await alice.tus("HEAD", path)).status == 404
    assert await kept.media(tenant) == []


async def test_a_file_that_comes_byte_by_byte_is_looked_at_in_the_end(alice: Uploader, kept: Kept, tenant: str) -> None:
    """No beginning escapes by being small."""
    path = await alice.create(4, **metadata(filetype="image/png"))
    for offset, byte in enumerate((b"t", b"e", b"x")):
        assert (await alice.patch(path, offset, byte)).status == 204
    answer = await alice.patch(path, 3, b"t")
    assert (answer.status, answer.body["error"]["details"]["reason"]) == (400, "type_mismatch")
    assert await kept.media(tenant) == []


async def test_a_kind_has_its_size(media_with: MediaWith) -> None:
    """Known at the creation where it is said, else when the file is looked at."""
    media = await media_with(UPLOAD_SIZES="image=1000")
    assert (await media.alice.tus("POST", Upload_Length="1001", **metadata(kind="image"))).status == 413
    path = await media.alice.create(1001)
    answer = await media.alice.patch(path, 0, png(at_least=1001))
    assert (answer.status, answer.body["error"]["details"]["reason"]) == (413, "too_large")
