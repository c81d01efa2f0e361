"""`/v1/uploads`: resumable uploads by tus 1.0.0. What headers mean stands in services.media.resuming.

Every request's bytes are an object of their own in the store. Where an upload stands is written down in the database
only, and added to by whoever knows where it stood: of requests at the same time one goes on, the others are told so.
What has come of a request that broke off is kept. A new request for an upload ends the one before, which may be one
whose client is long gone (the connection of a mobile phone is known to be lost only when something is sent by it).
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from types import MappingProxyType

from aiohttp import hdrs, web
from aiohttp.streams import StreamReader

from services.media import resuming as rules
from services.media.bodies import Bodies, BrokenOff, chunks_of, cut, expect_later
from services.media.http import Handler, actor_of, error_response, failure_of
from services.media.intake import Intake, head_of, joined
from services.media.names import safe_name
from services.media.records import Media
from services.media.refusals import Refused
from services.media.repository import Repository
from services.media.sniffing import HEAD
from services.media.storage.store import Store
from services.media.times import now
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.media_terms import MediaState

PATH = "/v1/uploads"
UPLOAD_ID = r"{media_id:[0-9a-f]{32}}"
OVERRIDE = "X-HTTP-Method-Override"
MAX_SIZE = "Tus-Max-Size"

GRACE = 0.5
"""Seconds a request has to end by itself when another one comes for its upload."""

_ALWAYS = MappingProxyType({rules.RESUMABLE: rules.VERSION, hdrs.CACHE_CONTROL: "no-store"})
_REFUSED = frozenset({MediaState.FAILED, MediaState.INFECTED})


class Tus:
    """Takes files that come in parts."""

    def __init__(self, intake: Intake, repository: Repository, store: Store, bodies: Bodies) -> None:
        self._intake = intake
        self._repository = repository
        self._store = store
        self._bodies = bodies
        self._coming: dict[tuple[str, str, str], _Coming] = {}
        """By upload, tenant and user."""

    def add_routes(self, app: web.Application) -> None:
        """Serve them."""
        add = partial(app.router.add_route, expect_handler=expect_later)
        for path in (PATH, f"{PATH}/{UPLOAD_ID}"):
            add(hdrs.METH_OPTIONS, path, self.describe)
        add(hdrs.METH_POST, PATH, self._answering(self.create))
        one = {hdrs.METH_HEAD: self.tell, hdrs.METH_PATCH: self.go_on, hdrs.METH_DELETE: self.end}
        for method, handler in one.items():
            add(method, f"{PATH}/{UPLOAD_ID}", self._answering(handler))
        overridden = {method: self._answering(handler) for method, handler in one.items()}

        async def override(request: web.Request) -> web.StreamResponse:
            """For clients that know no other methods (section "X-HTTP-Method-Override")."""
            handler = overridden.get(request.headers.get(OVERRIDE, "").upper())
            if handler is None:
                raise web.HTTPMethodNotAllowed(request.method, list(one))
            return await handler(request)

        add(hdrs.METH_POST, f"{PATH}/{UPLOAD_ID}", override)

    def _answering(self, handler: Handler) -> Handler:
        """With what tus wants in every answer, refusals included."""

        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                rules.check_version(request.headers.get(rules.RESUMABLE))
                response = await handler(request)
            except Exception as error:  # noqa: BLE001 - as everywhere, with the headers of the protocol
                status = error.status if isinstance(error, rules.TusError) else None
                response = error_response(failure_of(error, request), status)
                if status == 412:
                    response.headers["Tus-Version"] = rules.VERSION
            response.headers.update(_ALWAYS)
            return response

        return answer

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def describe(self, _request: web.Request) -> web.Response:
        """What is spoken here."""
        headers = {
            rules.RESUMABLE: rules.VERSION,
            "Tus-Version": rules.VERSION,
            "Tus-Extension": rules.EXTENSIONS,
            "Tus-Checksum-Algorithm": ",".join(rules.ALGORITHMS),
        }
        largest = self._intake.limit(None)
        if largest != float("inf"):
            headers[MAX_SIZE] = str(int(largest))
        return web.Response(status=204, headers=headers)

    async def create(self, request: web.Request) -> web.Response:
        """Begin an upload, perhaps with its first bytes."""
        actor = actor_of(request)
        length = rules.length_named(request.headers)
        wish = rules.wish_named(request.headers.get(rules.UPLOAD_METADATA), length)
        self._intake.check_length(length, wish.kind)
        checksum = rules.checksum_named(request.headers.get(rules.UPLOAD_CHECKSUM))
        brings = request.can_read_body
        if brings:
            rules.check_type(request.content_type)
            rules.room_left(length, 0, 0, request.content_length)
        media = await self._intake.begin(actor, wish, None, self._until(), resumable=True)
        if brings:
            try:
                media = await self._receive(request, media, checksum)
            except BaseException:
                self._intake.drop_soon(media.id)  # nobody knows of it
                raise
        headers = {hdrs.LOCATION: f"{PATH}/{media.id}", **_where(media)}
        return web.Response(status=201, headers=headers)

    async def tell(self, request: web.Request) -> web.Response:
        """Where an upload stands."""
        actor = actor_of(request)
        await self._end_others(request, actor)
        media = await self._upload(request, actor)
        if media.state is MediaState.UPLOADING and media.received == media.length:
            media = await self._finish_left(media)
        headers = {rules.UPLOAD_LENGTH: str(media.length), **_where(media)}
        return web.Response(status=200, headers=headers)

    async def go_on(self, request: web.Request) -> web.Response:
        """Take more of an upload."""
        actor = actor_of(request)
        rules.check_type(request.content_type)
        offset = rules.number_named(rules.UPLOAD_OFFSET, request.headers.get(rules.UPLOAD_OFFSET))
        checksum = rules.checksum_named(request.headers.get(rules.UPLOAD_CHECKSUM))
        async with self._alone(request, actor):
            media = await self._upload(request, actor)
            rules.check_offset(_offset(media), offset)
            rules.room_left(media.length or 0, offset, len(media.pieces), request.content_length)
            if media.state is MediaState.UPLOADING:
                media = await self._receive(request, media, checksum)
        return web.Response(status=204, headers=_where(media))

    async def end(self, request: web.Request) -> web.Response:
        """Give an upload up."""
        actor = actor_of(request)
        await self._end_others(request, actor)
        media = await self._upload(request, actor)
        if media.state is not MediaState.UPLOADING:
            raise ChatError(
                ErrorCode.CONFLICT, f"The upload is complete: remove the file /v1/media/{media.id} instead."
            )
        await self._intake.drop(media.id)
        return web.Response(status=204)

    @asynccontextmanager
    async def _alone(self, request: web.Request, actor: Actor) -> AsyncIterator[None]:
        """Go on with an upload when nothing else comes for it, until somebody else wants to."""
        await self._end_others(request, actor)
        media_id = request.match_info["media_id"]
        coming = self._coming[media_id, actor.tenant, actor.id] = _Coming(request.content)
        try:
            yield
        finally:
            coming.ended.set()
            del self._coming[media_id, actor.tenant, actor.id]

    async def _end_others(self, request: web.Request, actor: Actor) -> None:
        key = (request.match_info["media_id"], actor.tenant, actor.id)
        while (before := self._coming.get(key)) is not None:
            await before.end()

    async def _upload(self, request: web.Request, actor: Actor) -> Media:
        """The upload a request is about. Raises ChatError where it is none of the caller's, or none any more."""
        media_id = request.match_info["media_id"]
        media = await self._repository.get(media_id)
        if media is None or not media.resumable or (media.tenant, media.owner) != (actor.tenant, actor.id):
            raise ChatError(ErrorCode.NOT_FOUND, "There is no such upload of yours.")
        if media.state in _REFUSED or (media.state is MediaState.UPLOADING and media.alive_until <= now()):
            raise rules.TusError(410, ErrorCode.NOT_FOUND, "This upload has expired, or its file was refused.")
        return media

    # ── bytes ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _receive(self, request: web.Request, media: Media, checksum: rules.Checksum | None) -> Media:
        """Take what a request brings; the upload as it is then."""
        async with self._bodies.reading(request) as content:
            try:
                media = await self._add(media, content, checksum)
                return await self._finish(media) if media.received == media.length else media
            except Refused:
                await self._intake.drop(media.id)
                raise

    async def _add(self, media: Media, content: StreamReader, checksum: rules.Checksum | None) -> Media:
        """Keep what comes as a piece; the upload with it. Raises BrokenOff once that is kept."""
        left = (media.length or 0) - media.received
        part = _Part(content, left, keeps_fragment=checksum is None)
        chunks = part.chunks()
        head, _ = await head_of(chunks)
        if head:
            if not media.pieces and len(head) >= min(HEAD, left):
                self._intake.look(head, media.name, media.declared, media.wanted, whole=len(head) == left)
            media = await self._keep(media, joined(head, chunks), checksum)
        elif (
            checksum is not None and hashlib.new(checksum.algorithm, usedforsecurity=False).digest() != checksum.digest
        ):
            raise rules.wrong_checksum()
        if part.broken is not None:
            raise part.broken
        return media

    async def _keep(self, media: Media, chunks: AsyncIterator[bytes], checksum: rules.Checksum | None) -> Media:
        digests = [] if checksum is None else [hashlib.new(checksum.algorithm, usedforsecurity=False)]
        alive = self._intake.rules.patience
        piece = await self._intake.keep(media, secrets.token_hex(12), chunks, float("inf"), alive, *digests)
        if checksum is not None and digests[0].digest() != checksum.digest:
            self._intake.clear_soon(piece)
            raise rules.wrong_checksum()
        added = await self._repository.add_piece(media.id, piece, media.received, now(), self._until())
        if added is None:
            self._intake.clear_soon(piece)
            raise ChatError(ErrorCode.CONFLICT, "Another request has gone on with this upload: ask where it stands.")
        return added

    async def _finish(self, media: Media) -> Media:
        """All of an upload has come; the file as it is then. Raises Refused."""
        kind, mime_type = self._intake.look(
            await self._head(media), media.name, media.declared, media.wanted, whole=(media.length or 0) <= HEAD
        )
        self._intake.check_length(media.length, kind)
        name = safe_name(media.name, mime_type)
        try:
            return await self._intake.complete(replace(media, kind=kind, mime_type=mime_type, name=name))
        except ChatError:
            done = await self._repository.get(media.id)
            if done is None or done.state is MediaState.UPLOADING:
                raise
            return done  # somebody else was faster

    async def _finish_left(self, media: Media) -> Media:
        """As `_finish`, where whoever was to do it has died."""
        try:
            return await self._finish(media)
        except Refused:
            await self._intake.drop(media.id)
            raise

    async def _head(self, media: Media) -> bytes:
        head = bytearray()
        for piece in media.pieces:
            async for chunk in self._store.read(piece.key, 0, HEAD - len(head)):
                head += chunk
            if len(head) >= HEAD:
                break
        return bytes(head)

    def _until(self) -> datetime:
        return now() + self._intake.rules.patience


class _Part:
    """What one request brings of an upload.

    Args:
        left: bytes it may bring.
        keeps_fragment: whether it is of use when it breaks off.
    """

    def __init__(self, content: StreamReader, left: int, *, keeps_fragment: bool) -> None:
        self._content = content
        self._left = left
        self._keeps_fragment = keeps_fragment
        self.broken: BrokenOff | None = None
        """How it ended before its end."""

    async def chunks(self) -> AsyncIterator[bytes]:
        """Its bytes, as they come."""
        came = 0
        try:
            async for chunk in chunks_of(self._content):
                came += len(chunk)
                if came > self._left:
                    raise ChatError(ErrorCode.TOO_LARGE, f"More has come than the {self._left} bytes that were left.")
                yield chunk
        except BrokenOff as error:
            if not self._keeps_fragment:
                raise
            self.broken = error


class _Coming:
    """A request that brings bytes of an upload."""

    def __init__(self, content: StreamReader) -> None:
        self._content = content
        self.ended = asyncio.Event()

    async def end(self) -> None:
        """Let it end, and return when what it brought is kept."""
        try:
            async with asyncio.timeout(GRACE):  # a lost connection is often noticed just now
                await self.ended.wait()
        except TimeoutError:
            if not self._content.is_eof():
                cut(self._content, "Another request goes on with this upload.")
            await self.ended.wait()


def _offset(media: Media) -> int:
    """Bytes that have come."""
    return media.received if media.state is MediaState.UPLOADING else media.length or 0


def _where(media: Media) -> dict[str, str]:
    """Where an upload stands, and until when it waits for the rest."""
    headers = {rules.UPLOAD_OFFSET: str(_offset(media))}
    if media.state is MediaState.UPLOADING:
        headers[rules.UPLOAD_EXPIRES] = format_datetime(media.alive_until.astimezone(UTC), usegmt=True)
    return headers
