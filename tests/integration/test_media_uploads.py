"""Files in one go, by forms and as bare bytes: what is taken, what is refused and why, what is left when it ends."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientConnectorError, ClientSession, FormData

from deploy.embedded.stack import Stack
from shared.auth import issue_token
from shared.service import Tasks
from tests.harness.rest import Answer
from tests.integration.media_client import Kept, MediaWith, Slow, Uploader, UploaderOf, form, png, text, until

pytest_plugins = ("tests.integration.media_fixtures",)


@pytest.fixture
def alice(uploader: UploaderOf) -> Uploader:
    """Alice, by the service's own port."""
    return uploader("alice")


PDF = b"%PDF-1.7\n1 0 obj <<>> endobj\ntrailer <<>>\n%%EOF\n"
MEGABYTE = 2**20


def reason(answer: Answer) -> tuple[int, str, str | None]:
    """Status, code and reason of a refusal."""
    details = answer.body["error"]["details"]
    return answer.status, answer.error, details["reason"] if isinstance(details, dict) else None


# ── what is taken ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_bare_bytes_become_a_file(alice: Uploader, kept: Kept, tenant: str) -> None:
    """Named by the query; the answer says where it is, and it waits for its processing, bytes and all."""
    picture = png(at_least=3 * MEGABYTE)
    answer = await alice.upload(picture, "?name=holiday.png", Content_Type="image/png")
    assert answer.status == 201, answer.body
    assert answer.headers["Location"] == f"/v1/media/{answer.body['id']}"
    assert {name: answer.body[name] for name in ("owner_id", "kind", "name", "mime_type", "size")} == {
        "owner_id": "alice", "kind": "image", "name": "holiday.png", "mime_type": "image/png", "size": len(picture),
    }  # fmt: skip
    [document] = await kept.media(tenant)
    assert document["sha256"] == hashlib.sha256(picture).hexdigest()


async def test_a_form_becomes_a_file(alice: Uploader) -> None:
    """With its parameters as fields before the file, or in the query."""
    answer = await alice.send("POST", "/v1/media", form(PDF, name="a.pdf", content_type="application/pdf", kind="file"))
    assert (answer.status, answer.body["kind"], answer.body["name"]) == (201, "file", "a.pdf")
    answer = await alice.send("POST", "/v1/media?kind=file&name=b.png", form(png()))
    assert (answer.status, answer.body["kind"], answer.body["name"]) == (201, "file", "b.png")


async def test_the_file_of_a_form_is_the_part_named_so_or_the_first_with_a_name(alice: Uploader) -> None:
    """Other fields, before and after it, are nobody's business."""
    made = FormData()
    made.add_field("csrf", "x" * 500)
    made.add_field("avatar", png(), filename="me.png", content_type="image/png")
    made.add_field("after", "y" * 500)
    answer = await alice.send("POST", "/v1/media", made)
    assert (answer.status, answer.body["name"]) == (201, "me.png")


async def test_content_disposition_names_bare_bytes(alice: Uploader) -> None:
    """As RFC 8187 writes names, too; never with a path."""
    given = "attachment; filename*=UTF-8''..%2F..%2Fpl%C3%A1n.txt"
    answer = await alice.upload(b"hello", Content_Disposition=given)
    assert (answer.status, answer.body["name"]) == (201, "plán.txt")


async def test_a_checksum_that_fits_is_no_hindrance(alice: Uploader) -> None:
    """In each of its places."""
    digest = hashlib.sha256(PDF).digest()
    answers = [
        await alice.upload(PDF, Content_Digest=f"sha-256=:{base64.b64encode(digest).decode()}:"),
        await alice.upload(PDF, f"?sha256={digest.hex().upper()}"),
        await alice.send("POST", "/v1/media", form(PDF, name="a.pdf", content_type="", sha256=digest.hex())),
    ]
    assert [answer.status for answer in answers] == [201] * 3


async def test_fifty_uploads_at_once(uploader: UploaderOf, kept: Kept, tenant: str) -> None:
    """Of ten users, each a megabyte: all are taken, each with its own bytes."""

    async def send(number: int) -> Answer:
        return await uploader(f"user-{number % 10}").upload(f"{number}\n".encode() + text(MEGABYTE))

    answers = await asyncio.gather(*(send(number) for number in range(50)))
    assert [answer.status for answer in answers] == [201] * 50
    documents = await kept.media(tenant)
    expected = {hashlib.sha256(f"{number}\n".encode() + text(MEGABYTE)).hexdigest() for number in range(50)}
    assert {document["sha256"] for document in documents} == expected


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────

REFUSED: dict[str, tuple[bytes, str, dict[str, str], tuple[int, str, str | None]]] = {
    "empty": (b"", "", {}, (400, "invalid", "empty")),
    "too large": (png(at_least=6 * MEGABYTE), "", {}, (413, "too_large", "too_large")),
    "unknown": (b"\x01\x02\x03\x04" * 100, "", {}, (400, "invalid", "unknown_type")),
    "a program": (b"MZ" + bytes(1000), "", {}, (400, "invalid", "type_refused")),
    "a page": (b"<!DOCTYPE html><script>alert(1)</script>", "", {}, (400, "invalid", "type_refused")),
    "not for its kind": (PDF, "?kind=image", {}, (400, "invalid", "type_refused")),
    "other than declared": (PDF, "", {"Content_Type": "image/png"}, (400, "invalid", "type_mismatch")),
    "other than named": (png(), "?name=a.pdf", {}, (400, "invalid", "type_mismatch")),
    "another checksum": (png(), f"?sha256={'0' * 64}", {}, (400, "invalid", "checksum")),
    "no kind": (png(), "?kind=picture", {}, (400, "invalid", None)),
    "no checksum": (png(), "?sha256=abc", {}, (400, "invalid", None)),
    "no digest": (png(), "", {"Content_Digest": "sha-256=:abc:"}, (400, "invalid", None)),
    "encoded": (png(), "", {"Content_Encoding": "br"}, (400, "invalid", None)),
    "another form": (b"--x--\r\n", "", {"Content_Type": "multipart/mixed; boundary=x"}, (400, "invalid", None)),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_a_refusal_says_why_and_leaves_nothing(what: str, alice: Uploader, kept: Kept, tenant: str) -> None:
    """In one word for programs; neither a document nor a byte is kept."""
    data, query, headers, expected = REFUSED[what]
    answer = await alice.upload(data, query, **headers)
    assert reason(answer) == expected, answer.body

    async def nothing() -> bool:
        return await kept.media(tenant) == []

    await until(nothing, "nothing is kept")


async def test_too_many_bytes_are_seen_while_they_come(alice: Uploader, kept: Kept, tenant: str) -> None:
    """Of a body that does not say how long it is, as of one that does."""
    slow = Slow(png(at_least=6 * MEGABYTE), 6 * MEGABYTE - 1)
    answer = await alice.upload(slow)
    assert reason(answer) == (413, "too_large", "too_large")

    async def nothing() -> bool:
        return await kept.media(tenant) == []

    await until(nothing, "nothing is kept")


async def test_each_kind_has_its_own_size(media_with: MediaWith) -> None:
    """UPLOAD_SIZES counts for what a file is, whatever is said of it; forms are told early, too."""
    media = await media_with(UPLOAD_SIZES="image=1000,file=2000000", MAX_UPLOAD_SIZE=500_000)
    assert reason(await media.alice.upload(png(at_least=1001))) == (413, "too_large", "too_large")
    assert (await media.alice.upload(png(at_least=1000))).status == 201
    assert (await media.alice.upload(text(1_900_000))).status == 201
    assert reason(await media.alice.send("POST", "/v1/media", form(text(2_100_000)))) == (413, "too_large", "too_large")


async def test_a_user_has_so_many_uploads_under_way(media_with: MediaWith) -> None:
    """Those that have ended do not count; other users are not concerned."""
    media = await media_with(UPLOADS_AT_ONCE=2)
    slow = [Slow(text(100_000), 50_000) for _ in range(2)]
    uploads = [Tasks().spawn(media.alice.upload(body), "upload") for body in slow]
    await asyncio.gather(*(body.stopped.wait() for body in slow))

    async def full() -> bool:
        return (await media.alice.upload(b"hello")).status == 429

    await until(full, "both are under way")
    assert reason(await media.alice.upload(b"hello")) == (429, "rate_limited", "uploads_at_once")
    assert reason(await media.alice.tus("POST", Upload_Length="10")) == (429, "rate_limited", "uploads_at_once")
    for body in slow:
        body.may_go_on.set()
    assert [answer.status for answer in await asyncio.gather(*uploads)] == [201, 201]
    assert (await media.alice.upload(b"hello")).status == 201


async def test_of_many_at_once_no_more_than_allowed_begin(media_with: MediaWith) -> None:
    """However they race."""
    media = await media_with(UPLOADS_AT_ONCE=3)
    answers = await asyncio.gather(*(media.alice.tus("POST", Upload_Length="10") for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [201] * 3 + [429] * 17


async def test_a_day_holds_so_many_files(media_with: MediaWith) -> None:
    """And so many bytes."""
    media = await media_with(UPLOADS_PER_DAY=2)
    answers = [await media.alice.upload(b"hello") for _ in range(3)]
    assert [answer.status for answer in answers] == [201, 201, 429]
    assert reason(answers[2]) == (429, "rate_limited", "daily_limit")


async def test_a_day_holds_so_many_bytes(media_with: MediaWith, kept: Kept, tenant: str) -> None:
    """What is over is removed, as if it had never come."""
    media = await media_with(UPLOAD_BYTES_PER_DAY=1000)
    assert (await media.alice.upload(text(600))).status == 201
    assert reason(await media.alice.upload(text(600))) == (429, "rate_limited", "daily_limit")

    async def one() -> bool:
        return len(await kept.media(tenant)) == 1

    await until(one, "the second is gone")


async def test_a_tenant_has_so_much_space(media_with: MediaWith, kept: Kept, tenant: str) -> None:
    """Known at once where the length is said, else at the end."""
    media = await media_with(TENANT_MEDIA_BYTES=1000)
    assert (await media.alice.upload(text(600))).status == 201
    assert reason(await media.alice.upload(text(600))) == (409, "conflict", "quota")
    slow = Slow(text(600), 300)
    slow.may_go_on.set()
    assert reason(await media.alice.upload(slow)) == (409, "conflict", "quota")

    async def one() -> bool:
        return len(await kept.media(tenant)) == 1

    await until(one, "the others are gone")


async def test_large_files_are_never_in_memory(media_with: MediaWith) -> None:
    """A process that takes five of them at once grows by less than half of one."""
    media = await media_with(MAX_UPLOAD_SIZE=100 * MEGABYTE, MEDIA_PROCESSES=1)
    size = 60
    line = text(MEGABYTE)

    async def lines() -> AsyncIterator[bytes]:
        for _ in range(size):
            yield line

    assert (await media.alice.upload(b"hello")).status == 201
    before = media.peak_bytes()
    answers = await asyncio.gather(*(media.alice.upload(lines()) for _ in range(5)))
    assert [answer.body["size"] for answer in answers] == [size * MEGABYTE] * 5
    assert media.peak_bytes() - before < size // 2 * MEGABYTE


# ── who asks, and what for ───────────────────────────────────────────────────────────────────────────────────────────


async def test_only_gateways_are_believed(stack: Stack, http: ClientSession, tenant: str) -> None:
    """No token of a user's, nothing made up, no other scheme, nobody at all."""
    user = issue_token(stack.jwt_secret, sub="alice", tenant=tenant)
    for given in (
        {},
        {"Authorization": f"Bearer {user}"},
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic eA=="},
    ):
        async with http.post(f"{stack.media_url}/v1/media", data=png(), headers=given) as response:
            body = await response.json()
            assert (response.status, body["error"]["code"]) == (401, "unauthenticated")
            assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("PUT", "/v1/media", 405, "invalid"),
        ("POST", "/v1/media/x/y/z", 404, "not_found"),
    ],
)
async def test_what_is_not_there_is_answered_as_everywhere(
    method: str, path: str, status: int, code: str, alice: Uploader
) -> None:
    """In the one shape of errors."""
    answer = await alice.send(method, path)
    assert (answer.status, answer.error) == (status, code)


@pytest.mark.parametrize(("length", "begins"), [(len(PDF), "HTTP/1.1 100 Continue"), (10**9, "HTTP/1.1 413 ")])
async def test_a_body_is_asked_for_only_where_it_is_wanted(length: int, begins: str, alice: Uploader) -> None:
    """Of clients that wait for it: `Expect: 100-continue`."""
    where = urlsplit(alice.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    headers = {**alice.headers, "Host": "x", "Expect": "100-continue", "Content-Length": str(length)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"POST /v1/media HTTP/1.1\r\n{lines}\r\n".encode())
    assert (await reader.readline()).decode().startswith(begins)
    if length == len(PDF):
        writer.write(PDF)
        assert await reader.readline() == b"\r\n"
        assert (await reader.readline()).startswith(b"HTTP/1.1 201 ")
    else:
        assert b"connection: close" in (await reader.readuntil(b"\r\n\r\n")).lower()
    writer.close()


async def test_large_headers_end_the_connection_only(alice: Uploader) -> None:
    """The process goes on."""
    answer = await alice.send("POST", "/v1/media", b"x", X_Large="x" * 20_000)
    assert answer.status == 400
    assert (await alice.upload(b"hello")).status == 201


# ── broken off ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def under_way(alice: Uploader, kept: Kept, tenant: str) -> tuple[asyncio.Task[Answer], str]:
    """Begin an upload of which a half has come; it, and its id."""
    upload = Tasks().spawn(alice.upload(Slow(png(at_least=2 * MEGABYTE), MEGABYTE)), "upload")

    async def begun() -> bool:
        return [document["state"] for document in await kept.media(tenant)] == ["uploading"]

    await until(begun, "it is under way")
    [document] = await kept.media(tenant)
    return upload, document["_id"]


async def nothing_left(kept: Kept, tenant: str, media_id: str) -> None:
    """Neither a document, nor an object, nor parts of one."""

    async def gone() -> bool:
        return await kept.media(tenant) == [] and await kept.bytes_of(media_id) == 0

    await until(gone, "nothing is left")


async def test_nothing_is_left_when_the_client_goes(alice: Uploader, kept: Kept, tenant: str) -> None:
    """In the middle of its file."""
    upload, media_id = await under_way(alice, kept, tenant)
    upload.cancel()
    await nothing_left(kept, tenant, media_id)


async def test_nothing_is_left_when_the_service_goes(media_with: MediaWith, kept: Kept, tenant: str) -> None:
    """Once its time to end is over; the client is told to send the file again."""
    media = await media_with(DRAIN_TIMEOUT=3)
    upload, media_id = await under_way(media.alice, kept, tenant)
    await media.terminate()
    answer = await upload
    assert (answer.status, answer.error) == (503, "unavailable")
    assert await kept.media(tenant) == []
    assert await kept.bytes_of(media_id) == 0


async def test_what_is_coming_is_taken_before_the_service_goes(media_with: MediaWith) -> None:
    """If it comes in time."""
    media = await media_with(DRAIN_TIMEOUT=20)
    slow = Slow(text(MEGABYTE), MEGABYTE // 2)
    upload = Tasks().spawn(media.alice.upload(slow), "upload")
    await slow.stopped.wait()
    going = Tasks().spawn(media.terminate(), "going")

    async def closed() -> bool:
        try:
            return (await media.alice.send("GET", "/", Connection="close")).status == 503
        except ClientConnectorError:
            return True

    await until(closed, "nobody new is let in")
    slow.may_go_on.set()
    assert (await upload).status == 201
    await going


async def test_a_body_that_is_shorter_than_it_says(stack: Stack, alice: Uploader, kept: Kept, tenant: str) -> None:
    """Ends with its connection, and leaves nothing."""
    where = urlsplit(stack.media_url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    head = f"POST /v1/media HTTP/1.1\r\nHost: x\r\nAuthorization: {alice.headers['Authorization']}\r\n"
    writer.write(f"{head}Content-Length: 100000\r\n\r\n".encode() + text(50_000))

    async def begun() -> bool:
        return len(await kept.media(tenant)) == 1

    await until(begun, "it is under way")
    [document] = await kept.media(tenant)
    writer.close()
    await nothing_left(kept, tenant, document["_id"])
    assert await reader.read() == b""
