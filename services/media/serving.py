"""`GET` and `HEAD /v1/media/{id}/{variant}`: the bytes of a file, for who may see it and for who has a signed link.

What is served never changes, and nothing of it is trusted: browsers are told to take it for what it was found to be,
to show only what cannot act, and to let nothing in it act.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from http import HTTPStatus

from aiohttp import hdrs, web

from services.media.access import Access, no_file
from services.media.http import asker_of, error_response
from services.media.kinds import AUDIO, DECODED, VIDEO
from services.media.names import disposition, safe_name
from services.media.ranges import CONDITIONS, Part, Represented, part_of
from services.media.records import Media, Piece, Variant
from services.media.repository import Repository
from services.media.storage.store import NoObject, Store
from shared import metrics
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.media import MEDIA_PATH
from shared.contracts.media_terms import MediaState, VariantName
from shared.links import Links
from shared.logging import get_logger

log = get_logger(__name__)

PATH = MEDIA_PATH + "{media_id:[0-9a-f]{32}}/{variant}"

STALLED = 60.0
"""Seconds in which a client has to take a chunk; who takes none holds a store's reader for nothing."""

NOT_YET = 2.0
"""Seconds after which to ask again for a file that is not ready."""

SAFE = DECODED | VIDEO | AUDIO
"""Media types that are shown in place: pictures, sound and films, in which nothing can act."""

_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
}

_served = metrics.counter("media_served", "Answers to requests for files", "status")
_sent = metrics.counter("media_sent_bytes", "Bytes of files that were sent")
_sending = metrics.gauge("media_sending", "Files that are being sent now")


class Serving:
    """Serves files from a store."""

    def __init__(self, repository: Repository, access: Access, store: Store, links: Links) -> None:
        self._repository = repository
        self._access = access
        self._store = store
        self._links = links

    def add_routes(self, app: web.Application) -> None:
        """Serve it."""
        app.router.add_get(PATH, self.serve)  # and HEAD

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """A form of a file, or the part of it that is asked for. Raises ChatError."""
        name = request.match_info["variant"]
        media, cache = await self._admitted(request, name)
        variant = _variant(media, name)
        whole = Represented(f'"{variant.sha256}"', media.created_at.replace(microsecond=0), variant.size)
        asked = {name: ", ".join(request.headers.getall(name)) for name in CONDITIONS if name in request.headers}
        part = part_of(whole, asked, ranges=request.method == hdrs.METH_GET)
        _served.labels(str(part.status.value)).inc()
        headers = _headers(media, name, variant, whole, part) | {hdrs.CACHE_CONTROL: cache}
        if part.status is HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            error = ChatError(ErrorCode.INVALID, f"The file has {whole.size} bytes: none of them are in this range.")
            response = error_response(error, part.status)
            response.headers.update({name: headers[name] for name in (hdrs.CONTENT_RANGE, hdrs.ACCEPT_RANGES)})
            return response
        if part.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            return web.Response(status=part.status, headers=headers)
        if request.method == hdrs.METH_HEAD:
            return web.Response(status=part.status, headers=headers | {hdrs.CONTENT_LENGTH: str(part.length)})
        return await self._send(request, media, variant, part, headers)

    # ── who may ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _admitted(self, request: web.Request, name: str) -> tuple[Media, str]:
        """The file, and how long it may be kept: as long as a link works; by a token it is asked for every time."""
        media_id = request.match_info["media_id"]
        expires = self._link(request, media_id, name)
        if expires is not None:
            media = await self._repository.get(media_id)
            if media is None:
                raise no_file(media_id)
            return media, f"private, max-age={max(expires - int(time.time()), 0)}, immutable"
        actor = asker_of(request)
        if actor is None:
            if "signature" in request.query:
                raise ChatError(
                    ErrorCode.FORBIDDEN, "This link works no more, or is none of this server's: get a new one."
                )
            raise ChatError(ErrorCode.UNAUTHENTICATED, "There is neither a token nor a signed link.")
        media = await self._repository.get(media_id)
        return await self._access.require_soon(actor, media_id, media), "private, no-cache"

    def _link(self, request: web.Request, media_id: str, name: str) -> int | None:
        """Until when the request's link works; None where it has none, or none that works."""
        expires, signature = request.query.get("expires", ""), request.query.get("signature", "")
        if name not in _NAMES or not (expires.isascii() and expires.isdigit() and len(expires) < 16):
            return None
        until = int(expires)
        return until if self._links.holds(media_id, VariantName(name), until, signature, time.time()) else None

    # ── bytes ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _send(
        self, request: web.Request, media: Media, variant: Variant, part: Part, headers: dict[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=part.status, headers=headers)
        response.content_length = part.length
        with _sending.track_inprogress():
            await self._stream(request, response, media, variant, part)
        return response

    async def _stream(
        self, request: web.Request, response: web.StreamResponse, media: Media, variant: Variant, part: Part
    ) -> None:
        async with _closing(self._bytes(variant.pieces, part)) as chunks:
            try:
                # Before anything is said: what is not there can still be told so.
                chunk = await anext(chunks, b"")
            except NoObject as error:
                raise no_file(media.id) from error
            await response.prepare(request)
            try:
                while chunk:
                    async with asyncio.timeout(STALLED):
                        await response.write(chunk)
                    _sent.inc(len(chunk))
                    chunk = await anext(chunks, b"")
                await response.write_eof()
            except (NoObject, ChatError, TimeoutError, ConnectionError) as error:
                # What is promised cannot be kept any more, or nobody takes it: the length tells the client.
                log.info("file not sent to its end", media=media.id, error=f"{type(error).__name__}: {error}"[:200])
                if request.transport is not None:
                    request.transport.abort()

    async def _bytes(self, pieces: Iterable[Piece], part: Part) -> AsyncGenerator[bytes, None]:
        """The bytes of a part, from as many objects as it lies in. Raises NoObject, also where one is too short."""
        skip, left = part.start, part.length
        for key, size in pieces:
            if skip >= size:
                skip -= size
                continue
            if not left:
                return
            wanted = min(size - skip, left)
            async with _closing(self._store.read(key, skip, wanted)) as chunks:
                async for chunk in chunks:
                    yield chunk
                    wanted -= len(chunk)
                    left -= len(chunk)
            if wanted:
                raise NoObject(key)
            skip = 0


_NAMES = frozenset(VariantName)


def _variant(media: Media, name: str) -> Variant:
    """A form of a file that is ready. Raises ChatError."""
    if media.state in (MediaState.UPLOADING, MediaState.PENDING):
        raise ChatError(ErrorCode.UNAVAILABLE, f"File '{media.id}' is not ready yet.", retry_after=NOT_YET)
    if media.refusal is not None:
        reason, message = media.refusal
        raise ChatError(
            ErrorCode.NOT_FOUND, f"File '{media.id}' was refused: {message}", details={"reason": reason.value}
        )
    variant = media.variants.get(VariantName(name)) if name in _NAMES else None
    if variant is None:
        there = [each.value for each in media.variants]
        raise ChatError(
            ErrorCode.NOT_FOUND, f"File '{media.id}' has no '{name}'; it has {', '.join(there)}.", details=there
        )
    return variant


def _headers(media: Media, name: str, variant: Variant, whole: Represented, part: Part) -> dict[str, str]:
    """All that is said of a file beside how long it may be kept."""
    headers = {
        **_SECURITY,
        hdrs.ETAG: whole.tag,
        hdrs.LAST_MODIFIED: whole.last_modified,
        hdrs.ACCEPT_RANGES: "bytes",
    }
    if part.status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        headers[hdrs.CONTENT_TYPE] = variant.mime_type
        headers[hdrs.CONTENT_DISPOSITION] = disposition(_name(media, name, variant), inline=variant.mime_type in SAFE)
    content_range = part.content_range(whole.size)
    return headers if content_range is None else {**headers, hdrs.CONTENT_RANGE: content_range}


def _name(media: Media, name: str, variant: Variant) -> str:
    """What a form of a file is saved as: `cat.png`, and `cat-small.webp`."""
    if name == VariantName.ORIGINAL:
        return safe_name(media.name, variant.mime_type)
    stem, dot, _ = media.name.rpartition(".")
    return safe_name(f"{stem if dot else media.name}-{name}", variant.mime_type)


@asynccontextmanager
async def _closing(chunks: AsyncIterator[bytes]) -> AsyncIterator[AsyncIterator[bytes]]:
    """Chunks that are let go of in good order, however they are left."""
    try:
        yield chunks
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()
