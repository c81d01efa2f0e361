"""The two shapes of a file that is sent in one go: a multipart form (RFC 7578), or the bare bytes. Decides nothing.

A form's fields before its file are read like the parameters in the query; of what comes after it only the shape counts.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from aiohttp import BodyPartReader, MultipartReader, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.multipart import content_disposition_filename, parse_content_disposition
from aiohttp.streams import StreamReader

from services.media.bodies import chunks_of, coming
from services.media.domain import Wish, digest_named, kind_named, sha256_named
from services.media.storage.store import CHUNK
from shared.contracts.errors import ChatError, ErrorCode

FILE = "file"
FORM = "multipart/form-data"
MAX_FIELD = 1024
MAX_FIELDS = 32
MAX_OVERHEAD = 64 * 1024
"""Bytes of a form that are not the file's: boundaries, headers, fields."""

READ = CHUNK // 4
TAKEN_ENCODINGS = frozenset({"", "7bit", "8bit", "binary"})


class Incoming(NamedTuple):
    """A file that is coming."""

    wish: Wish
    chunks: AsyncIterator[bytes]


async def incoming(request: web.Request, content: StreamReader) -> Incoming:
    """What is sent here, up to where the file begins; its bytes follow as they come.

    Raises:
        ChatError: `invalid`, where it cannot be read.
    """
    if request.content_type == FORM:
        return await _form(request, content)
    if request.content_type.startswith("multipart/"):
        raise _invalid(f"The body is {request.content_type[:100]}: send {FORM}, or the bytes of a file.")
    given = request.headers.get(hdrs.CONTENT_DISPOSITION)
    name = content_disposition_filename(parse_content_disposition(given)[1]) if given is not None else None
    wish = Wish(
        kind=kind_named(request.query.get("kind")),
        name=request.query.get("name") or name,
        declared=request.headers.get(hdrs.CONTENT_TYPE),
        sha256=sha256_named(request.query.get("sha256")) or digest_named(request.headers.get("Content-Digest")),
        length=request.content_length,
    )
    return Incoming(wish, chunks_of(content))


async def _form(request: web.Request, content: StreamReader) -> Incoming:
    with _readable():
        reader = MultipartReader(request.headers, content)
    given = {name: request.query[name] for name in ("kind", "name", "sha256") if name in request.query}
    part = await _next(reader)
    for _ in range(MAX_FIELDS):
        if part is None:
            raise _invalid(f"The form has no file: a part named '{FILE}', or one with a file name.")
        if _is_file(part):
            break
        given[_name_of(part)] = await _field(part)
        part = await _next(reader)
    else:
        raise _invalid(f"More than {MAX_FIELDS} fields come before the file.")
    wish = Wish(
        kind=kind_named(given.get("kind")),
        name=given.get("name") or _file_name_of(part),
        declared=part.headers.get(hdrs.CONTENT_TYPE),
        sha256=sha256_named(given.get("sha256")) or digest_named(part.headers.get("Content-Digest")),
    )
    return Incoming(wish, _file(reader, part))


async def _file(reader: MultipartReader, part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await _read(part, READ):
        yield chunk
    left = MAX_OVERHEAD
    while (after := await _next(reader)) is not None:
        if _is_file(after):
            raise _invalid("The form has several files: send one at a time.")
        while chunk := await _read(after, MAX_FIELD):
            left -= len(chunk)
            if left < 0:
                raise _invalid("Too much comes after the file.")
        left -= MAX_FIELD


async def _next(reader: MultipartReader) -> BodyPartReader | None:
    with _readable():
        async with coming():
            part = await reader.next()
    if isinstance(part, MultipartReader):
        raise _invalid("The form holds another form: send the file as a part of its own.")
    if part is not None and part.headers.get(hdrs.CONTENT_TRANSFER_ENCODING, "").lower() not in TAKEN_ENCODINGS:
        raise _invalid("Content-Transfer-Encoding is not taken in forms (RFC 7578 section 4.7).")
    if part is not None and hdrs.CONTENT_ENCODING in part.headers:
        raise _invalid("Content-Encoding is not taken in forms: send the file as it is.")
    return part


async def _read(part: BodyPartReader, size: int) -> bytes:
    with _readable():
        while not part.at_eof():
            async with coming():
                chunk = await part.read_chunk(size)
            if chunk:  # it may be empty before the end
                return chunk
    return b""


async def _field(part: BodyPartReader) -> str:
    value = bytearray()
    while chunk := await _read(part, MAX_FIELD):
        value += chunk
        if len(value) > MAX_FIELD:
            raise _invalid(f"The field '{_name_of(part)}' is longer than {MAX_FIELD} bytes.")
    with _readable():
        return value.decode()


def _is_file(part: BodyPartReader) -> bool:
    return _name_of(part) == FILE or _file_name_of(part) is not None


def _name_of(part: BodyPartReader) -> str:
    with _readable():
        return (part.name or "")[:100]


def _file_name_of(part: BodyPartReader) -> str | None:
    with _readable():
        return part.filename


@contextmanager
def _readable() -> Iterator[None]:
    """What a reader raises over a form that is none, as the error that is answered."""
    try:
        yield
    except (ValueError, RuntimeError, AssertionError, LookupError, HttpProcessingError) as error:
        raise _invalid("The body is no multipart form, or ends too early: mind its boundaries and headers.") from error


def _invalid(message: str) -> ChatError:
    return ChatError(ErrorCode.INVALID, message)
