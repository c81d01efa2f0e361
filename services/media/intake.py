"""Takes files in: written down before their first byte is kept, looked at before the rest is, gone when it goes wrong.

Forms, bare bodies and resumable uploads all end here. What a dead process leaves behind is found by the sweep.
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from services.media.announcing import Announcer
from services.media.domain import Wish, in_words
from services.media.kinds import OCTETS, Limits, canonical, kind_of, size_limit
from services.media.names import safe_name
from services.media.records import Media, Piece
from services.media.refusals import Refused
from services.media.repository import OverQuota, Quota, Repository
from services.media.sniffing import HEAD, look_at
from services.media.storage.store import Store
from services.media.times import now
from shared import metrics
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.media_terms import MediaKind, MediaState, Refusal
from shared.logging import get_logger
from shared.mongo import PyMongoError
from shared.service import Tasks

log = get_logger(__name__)

ALIVE = timedelta(seconds=60)
"""How long an upload counts as under way of which nothing was heard."""

HEARTBEAT = 10.0
"""Seconds between two words that bytes still come."""

FIRST_NEWS = 1.0
"""Seconds after which an upload is told about at first; most are over by then."""

NEWS = 0.5
STRIPES = 64

_uploads = metrics.counter("media_uploads", "Files that were sent here", "outcome")
_received = metrics.counter("media_received_bytes", "Bytes of files that have come")


class Rules(NamedTuple):
    """What is taken."""

    sizes: Limits
    quota: Quota
    at_once: float
    extra: frozenset[str]
    """Media types besides the usual ones."""
    patience: timedelta
    """How long a resumable upload may rest."""


class Intake:
    """The way in of one process."""

    def __init__(self, store: Store, repository: Repository, announcer: Announcer, tasks: Tasks, rules: Rules) -> None:
        self._store = store
        self._repository = repository
        self._announcer = announcer
        self._tasks = tasks
        self._dropping: set[asyncio.Task[None]] = set()
        self._stripes = [asyncio.Lock() for _ in range(STRIPES)]
        self.rules = rules

    # ── in one go ────────────────────────────────────────────────────────────────────────────────────────────────

    async def take(self, actor: Actor, wish: Wish, chunks: AsyncIterator[bytes]) -> Media:
        """Take a whole file in; what it is then, waiting for its processing.

        Raises:
            Refused: it is not taken.
            ChatError: it broke off, or something needed is away.
        """
        self.check_length(wish.length, wish.kind)
        head, whole = await head_of(chunks)
        kind, mime_type = self.look(head, wish.name, wish.declared, wish.kind, whole=whole)
        self.check_length(wish.length, kind)
        media = await self.begin(actor, replace(wish, kind=kind), mime_type, now() + ALIVE)
        try:
            return await self._take_rest(media, wish, joined(head, chunks))
        except BaseException as error:
            _uploads.labels("refused" if isinstance(error, Refused) else "broken off").inc()
            self.drop_soon(media.id)
            raise

    async def _take_rest(self, media: Media, wish: Wish, chunks: AsyncIterator[bytes]) -> Media:
        digest = hashlib.sha256()
        piece = await self.keep(media, "upload", chunks, self.limit(media.kind), ALIVE, digest)
        if wish.sha256 not in (None, digest.hexdigest()):
            raise Refused(Refusal.CHECKSUM, "What has come is not what its checksum says: send it again.")
        return await self.complete(replace(media, sha256=digest.hexdigest(), pieces=(piece,)))

    # ── step by step ─────────────────────────────────────────────────────────────────────────────────────────────

    def limit(self, kind: MediaKind | None) -> float:
        """Bytes that a file may have, as far as its kind is known."""
        return size_limit(self.rules.sizes, kind)

    def check_length(self, length: int | None, kind: MediaKind | None) -> None:
        """Refuse a file that is said to be too large, or empty."""
        if length == 0:
            raise Refused(Refusal.EMPTY, "The file is empty.")
        if length is not None and length > self.limit(kind):
            raise self._too_large(kind)

    def look(
        self, head: bytes, name: str | None, declared: str | None, wanted: MediaKind | None, *, whole: bool
    ) -> tuple[MediaKind, str]:
        """Kind and media type of a file that begins so. Raises Refused where such are not taken."""
        return look_at(
            head[:HEAD], whole=whole, name=name or "", declared=declared, kind=wanted, extra=self.rules.extra
        )

    async def begin(
        self, actor: Actor, wish: Wish, mime_type: str | None, alive_until: datetime, *, resumable: bool = False
    ) -> Media:
        """Write a file down before its first byte is kept. Raises Refused where its owner may have no more."""
        at = now()
        mime_type = mime_type or canonical(wish.declared) or OCTETS
        media = Media(
            id=secrets.token_hex(16),
            tenant=actor.tenant,
            owner=actor.id,
            kind=wish.kind or kind_of(mime_type) or MediaKind.FILE,
            # What is not looked at yet keeps the ending it came with.
            name=safe_name(wish.name, OCTETS if resumable else mime_type),
            mime_type=mime_type,
            state=MediaState.UPLOADING,
            created_at=at,
            alive_until=alive_until,
            length=wish.length,
            resumable=resumable,
            wanted=wish.kind,
            declared=wish.declared,
            sha256=wish.sha256,
            changed_at=at,
        )
        async with self._stripes[hash((actor.tenant, actor.id)) % STRIPES]:  # else many at once would all be the last
            await self._admit(media)
        return media

    async def _admit(self, media: Media) -> None:
        if await self._repository.under_way(media.tenant, media.owner, media.created_at) >= self.rules.at_once:
            reason = f"{self.rules.at_once:.0f} uploads of yours are under way: end one of them first."
            raise Refused(Refusal.UPLOADS_AT_ONCE, reason)
        quota = self.rules.quota
        if quota.tenant_bytes != float("inf"):
            used = await self._repository.used(media.tenant)
            if used.bytes + (media.length or 0) >= quota.tenant_bytes:
                raise _over(OverQuota(daily=False))
        try:
            await self._repository.begin(media, quota)
        except OverQuota as error:
            raise _over(error) from error

    async def keep(
        self, media: Media, name: str, chunks: AsyncIterator[bytes], limit: float, alive: timedelta,
        *digests: "hashlib._Hash",
    ) -> Piece:  # fmt: skip
        """Keep what comes as an object, telling about it.

        Args:
            limit: bytes it may have, with those that are there.
            digests: are fed with it.
        """
        key = f"{media.id}/{name}"
        size = await self._store.write(key, self._watched(media, chunks, limit, alive, digests))
        return Piece(key, size)

    async def complete(self, media: Media) -> Media:
        """All of a file is here. Raises Refused where it is more than its owner may have."""
        try:
            done = await self._repository.complete(media, self.rules.quota, now())
        except OverQuota as error:
            raise _over(error) from error
        if done is None:
            raise given_up()
        _uploads.labels("taken").inc()
        self._tasks.spawn(self._hand_over(media.id), "hand over a file")
        return done

    async def _hand_over(self, media_id: str) -> None:
        try:
            await self._announcer.process(media_id)
        except ChatError as error:
            log.warning("a file is left for the sweep", media_id=media_id, error=error.message)

    def drop_soon(self, media_id: str) -> None:
        """Remove an upload and all of its bytes, unless it was complete already; goes on when the caller is gone."""
        self._soon(self.drop(media_id))

    def clear_soon(self, piece: Piece) -> None:
        """Remove an object that became no part of its upload."""
        self._soon(self._clear(piece))

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._tasks.spawn(work, "remove bytes")
        self._dropping.add(task)
        task.add_done_callback(self._dropping.discard)

    async def _clear(self, piece: Piece) -> None:
        try:
            await self._store.remove_object(piece.key)
        except ChatError as error:  # it goes with the rest of its file
            log.warning("an object is left", key=piece.key, error=error.message)

    async def drop(self, media_id: str) -> None:
        """See `drop_soon`; where that is not possible now, the sweep does."""
        try:
            if await self._repository.begin_removal(media_id, now(), state=str(MediaState.UPLOADING)):
                await self._store.remove(media_id)
                await self._repository.forget(media_id)
        except (PyMongoError, ChatError) as error:
            log.warning("an upload is left for the sweep", media_id=media_id, error=str(error)[:500])

    async def settle(self) -> None:
        """Return when all that is to be dropped is."""
        while self._dropping:
            await asyncio.wait(self._dropping)

    async def _watched(
        self, media: Media, chunks: AsyncIterator[bytes], limit: float, alive: timedelta,
        digests: tuple["hashlib._Hash", ...],
    ) -> AsyncIterator[bytes]:  # fmt: skip
        loop = asyncio.get_running_loop()
        received = media.received
        next_news = loop.time() + FIRST_NEWS
        next_beat = loop.time() + HEARTBEAT
        async for chunk in chunks:
            received += len(chunk)
            if received > limit:
                raise self._too_large(media.kind)
            for digest in digests:
                digest.update(chunk)
            _received.inc(len(chunk))
            yield chunk
            if loop.time() >= next_news:
                next_news = loop.time() + NEWS
                self._announcer.progressed(media, received, media.length)
            if loop.time() >= next_beat:
                next_beat = loop.time() + HEARTBEAT
                if not await self._repository.keep_alive(media.id, now(), now() + alive):
                    raise given_up()

    def _too_large(self, kind: MediaKind | None) -> Refused:
        what = "A file" if kind is None else f"A file of kind '{kind}'"
        return Refused(Refusal.TOO_LARGE, f"{what} may have {in_words(self.limit(kind))} at most.")


def given_up() -> ChatError:
    """The upload is none any more."""
    return ChatError(ErrorCode.NOT_FOUND, "This upload was given up, or removed: begin a new one.")


def _over(error: OverQuota) -> Refused:
    if error.daily:
        return Refused(Refusal.DAILY_LIMIT, "You have uploaded as much as one may in a day: try again tomorrow.")
    return Refused(Refusal.QUOTA, "The files of your organisation take all the space they may: remove some first.")


async def head_of(chunks: AsyncIterator[bytes]) -> tuple[bytes, bool]:
    """The beginning of a file, and whether that is all of it."""
    head = bytearray()
    async for chunk in chunks:
        head += chunk
        if len(head) > HEAD:
            return bytes(head), False
    return bytes(head), True


async def joined(head: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What was read of a file, and what is still to come."""
    yield head
    async for chunk in chunks:
        yield chunk
