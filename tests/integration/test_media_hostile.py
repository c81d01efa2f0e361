"""Forms that are none, and uploads in any order: always answered, never wrong, nothing left of what is refused."""

import asyncio
import base64
import hashlib
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.harness.rest import Answer
from tests.integration.media_client import Kept, Uploader, UploaderOf, png, text

pytest_plugins = ("tests.integration.media_fixtures",)


@pytest.fixture
def alice(uploader: UploaderOf) -> Uploader:
    """Alice, by the service's own port."""
    return uploader("alice")


FORM = "multipart/form-data; boundary=x"
PICTURE = png()

DISPOSITION = b"Content-Disposition: form-data; name="
FILE_PART = b"--x\r\n" + DISPOSITION + b'"file"\r\n\r\n'
KIND_PART = b"--x\r\n" + DISPOSITION + b'"kind"\r\n\r\n'
NESTED = b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n" + DISPOSITION + b'"file"\r\n\r\n'
ENCODED = b"--x\r\nContent-Transfer-Encoding: base64\r\n" + DISPOSITION + b'"file"\r\n\r\n'
END = b"\r\n--x--\r\n"

BROKEN: dict[str, tuple[bytes, str]] = {
    "no boundary": (b"--x\r\n", "multipart/form-data"),
    "too long a boundary": (b"--x\r\n", f"multipart/form-data; boundary={'x' * 71}"),
    "nothing": (b"", FORM),
    "only an end": (b"--x--\r\n", FORM),
    "no boundary in it": (b"hello" * 1000, FORM),
    "no headers": (b"--x\r\n\r\nhello" + END, FORM),
    "headers without an end": (b"--x\r\n" + DISPOSITION, FORM),
    "a header that is none": (b"--x\r\nnonsense\r\n\r\nhello" + END, FORM),
    "a header too long": (b"--x\r\nX-Y: " + b"y" * 20_000 + b"\r\n\r\nhello" + END, FORM),
    "too many headers": (b"--x\r\n" + b"X-Y: z\r\n" * 500 + b"\r\nhello" + END, FORM),
    "no file": (KIND_PART + b"image" + END, FORM),
    "no end": (FILE_PART + PICTURE, FORM),
    "another end": (FILE_PART + b"hello\r\n--y--\r\n", FORM),
    "a boundary that goes on": (FILE_PART + b"hello\r\n--xyz\r\n", FORM),
    "a form in it": (NESTED + b"--y\r\n\r\nhello\r\n--y--" + END, FORM),
    "two files": (FILE_PART + b"hello\r\n" + FILE_PART + b"hello" + END, FORM),
    "a huge field": (KIND_PART + b"y" * 100_000 + END, FORM),
    "too many fields": (b"".join([KIND_PART + b"image\r\n"] * 100) + b"--x--\r\n", FORM),
    "much after the file": (FILE_PART + b"hello\r\n" + KIND_PART + b"z" * 200_000 + END, FORM),
    "base64": (ENCODED + b"aGk=" + END, FORM),
    "no text in a field": (KIND_PART + b"\xff\xfe" + END, FORM),
    "another charset": (b"--x\r\n" + DISPOSITION + b'"_charset_"\r\n\r\n\xff' + END, FORM),
}


async def refused(alice: Uploader, body: bytes, content_type: str) -> Answer:
    """Send a form; see that it is answered as errors are."""
    answer = await alice.send("POST", "/v1/media", body, Content_Type=content_type)
    assert answer.status in {400, 413}, answer.body
    assert answer.body["error"]["message"]
    return answer


@pytest.mark.parametrize("what", BROKEN)
async def test_a_form_that_is_none(what: str, alice: Uploader, kept: Kept, tenant: str) -> None:
    """Says so, and leaves nothing."""
    await refused(alice, *BROKEN[what])
    async with asyncio.timeout(10):
        while await kept.media(tenant):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


PARTS = st.sampled_from([
    b"--x\r\n", b"--x--\r\n", b"\r\n", b"--y\r\n", b"--x", b"\r\n--x\r\n", b"\0", b"hello", b"Content-Length: 5\r\n",
    DISPOSITION + b'"file"; filename="a.txt"\r\n', DISPOSITION + b'"kind"\r\n',
    b"Content-Disposition: ;;;=\r\n", b"Content-Type: text/plain\r\n", b"Content-Type: multipart/mixed; boundary=x\r\n",
    b"Content-Type: /\r\n", b"X\r\n", b": \r\n", b"\xff" * 10, b"y" * 9000,
])  # fmt: skip


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(PARTS, st.binary(max_size=40)), max_size=15).map(b"".join))
@example(b"--x--")
@example(b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n\r\n--x--\r\n')
async def test_any_form_is_answered(alice: Uploader, body: bytes) -> None:
    """Taken or refused, and never by an error of ours; what is taken is no longer than what was sent."""
    answer = await alice.send("POST", "/v1/media", body, Content_Type=FORM)
    assert answer.status in {201, 400, 413, 429}, answer.body
    if answer.status == 201:
        assert answer.body["size"] <= len(body)
    else:
        assert answer.body["error"]["code"] in {"invalid", "too_large", "rate_limited"}


STEPS = st.one_of(
    st.tuples(st.just("patch"), st.integers(0, 40), st.integers(-3, 3), st.sampled_from(["none", "right", "wrong"])),
    st.tuples(st.just("drop"), st.integers(1, 40), st.just(0), st.just("none")),
    st.tuples(st.just("head"), st.just(0), st.just(0), st.just("none")),
    st.tuples(st.just("over"), st.just(0), st.just(0), st.just("none")),
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, min_size=3, max_size=12))
async def test_an_upload_stands_where_it_should(alice: Uploader, kept: Kept, steps: list[Any]) -> None:
    """A model of one upload, whatever is sent to it in whatever order: its offset, and in the end its bytes."""
    data = text(100)
    path = await alice.create(len(data))
    media_id, offset = path.removeprefix("/"), 0
    for step, size, shift, sums in steps:
        if offset == len(data):
            break
        if step == "head":
            assert await alice.offset(path) == offset
        elif step == "over":
            assert (await alice.patch(path, offset, data[offset:] + b"x")).status == 413
        elif step == "drop":
            offset = await _dropped(alice, path, offset, data[offset : offset + size], len(data) - offset)
        else:
            offset = await _patched(alice, path, offset, shift, data[max(offset + shift, 0) :][:size], sums)
    assert await alice.offset(path) == offset
    if offset < len(data):
        assert (await alice.patch(path, offset, data[offset:])).status == 204
    assert await alice.offset(path) == len(data)
    [document] = await kept.media(alice.actor.tenant, _id=media_id)
    assert document["state"] in {"pending", "ready"}
    assert await kept.content(document["pieces"] or document["variants"]["original"]["pieces"]) == data


async def _patched(alice: Uploader, path: str, has: int, shift: int, part: bytes, sums: str) -> int:
    given = {"right": part, "wrong": part + b"!"}.get(sums)
    headers = {}
    if given is not None:
        headers["Upload_Checksum"] = f"sha1 {base64.b64encode(hashlib.sha1(given).digest()).decode()}"
    answer = await alice.patch(path, max(has + shift, 0), part, **headers)
    if max(has + shift, 0) != has:
        assert answer.status == 409
        return has
    if sums == "wrong":
        assert answer.status == 460
        return has
    assert (answer.status, answer.headers["Upload-Offset"]) == (204, str(has + len(part)))
    return has + len(part)


async def _dropped(alice: Uploader, path: str, offset: int, part: bytes, promised: int) -> int:
    """Hang up in the middle; where the upload stands then, which is anywhere up to there."""
    where = urlsplit(alice.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    head = {
        "Host": "x", "Tus-Resumable": "1.0.0", "Upload-Offset": str(offset), "Content-Length": str(promised),
        "Content-Type": "application/offset+octet-stream", **alice.headers,
    }  # fmt: skip
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    writer.write(f"PATCH /v1/uploads{path} HTTP/1.1\r\n{lines}\r\n".encode() + part)
    writer.write_eof()
    await reader.read()  # until the other side has noticed
    writer.close()
    stands = await alice.offset(path)
    assert offset <= stands <= offset + len(part)
    return stands
