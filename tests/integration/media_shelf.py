"""Files that are there, for tests of what becomes of them: written by the service's own store and records."""

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from services.media.processing.product import Facts
from services.media.records import Media, Piece, Variant
from services.media.reference_store import ReferenceStore
from services.media.repository import Quota, Repository
from services.media.storage.gridfs import GridFSStore
from shared.contracts.media_terms import MediaKind, MediaState, Refusal, VariantName
from shared.mongo import Mongo

FREELY = Quota(float("inf"), float("inf"), float("inf"))
MINUTE = timedelta(minutes=1)
PATIENCE = 15.0
PICTURE = b"\x89PNG not really, but nobody looks any more "


class Shelf:
    """Puts files where the service finds them.

    Args:
        tenant: whose they are.
    """

    def __init__(self, mongo: Mongo, tenant: str) -> None:
        self.repository = Repository(mongo)
        self.references = ReferenceStore(mongo)
        self.store = GridFSStore(mongo)
        self.media = mongo.collection("media")
        self.refs = mongo.collection("media_refs")
        self._tenant = tenant

    async def prepare(self) -> None:
        """Create indexes."""
        for part in (self.repository, self.references, self.store):
            await part.prepare()

    async def coming(self, owner: str, **particulars: Any) -> Media:
        """A file of which nothing has come yet."""
        now = datetime.now(UTC)
        fields: dict[str, Any] = {
            "id": uuid4().hex, "tenant": self._tenant, "owner": owner, "kind": MediaKind.IMAGE, "name": "cat.png",
            "mime_type": "image/png", "state": MediaState.UPLOADING, "created_at": now, "alive_until": now + MINUTE,
        }  # fmt: skip
        media = Media(**(fields | particulars))
        await self.repository.begin(media, FREELY)
        return media

    async def pending(self, owner: str, **particulars: Any) -> Media:
        """A file that somebody works on for ever."""
        media = await self.coming(owner, **particulars)
        now = datetime.now(UTC)
        assert await self.repository.complete(media, FREELY, now) is not None
        working = await self.repository.begin_work(media.id, "tests", now, now + 60 * MINUTE)
        assert working is not None
        return working

    async def failed(self, owner: str) -> Media:
        """A file that was refused."""
        media, now = await self.pending(owner), datetime.now(UTC)
        reason, why = Refusal.DAMAGED, "It ends too early."
        refused = await self.repository.refuse(media.id, "tests", MediaState.FAILED, reason, why, now)
        assert refused is not None
        return refused

    async def ready(
        self,
        owner: str,
        data: bytes = PICTURE,
        *,
        cuts: tuple[int, ...] = (),
        others: Mapping[VariantName, bytes] | None = None,
        **particulars: Any,
    ) -> Media:
        """A file that can be seen.

        Args:
            cuts: where its bytes are cut into pieces.
            others: its forms beside the original.
        """
        media = await self.pending(owner, **particulars)
        ends = [0, *cuts, len(data)]
        parts = [data[start:end] for start, end in itertools.pairwise(ends)]
        variants = {VariantName.ORIGINAL: await self._kept(media, media.mime_type, data, parts)}
        for name, form in (others or {}).items():
            variants[name] = await self._kept(media, "image/webp", form, [form])
        facts = Facts(width=640, height=480, placeholder="LEHV6nWB2yk8")
        done = await self.repository.finish(media.id, "tests", variants, facts, media.mime_type, datetime.now(UTC))
        assert done is not None
        return done

    async def _kept(self, media: Media, mime_type: str, data: bytes, parts: list[bytes]) -> Variant:
        pieces = []
        for part in parts:
            key = f"{media.id}/{uuid4().hex}"
            pieces.append(Piece(key, await self.store.write(key, _once(part))))
        return Variant(tuple(pieces), mime_type, hashlib.sha256(data).hexdigest(), 640, 480)

    async def forgotten(self, media: Media) -> None:
        """Remove a file as the sweep does."""
        assert await self.repository.begin_removal(media.id, datetime.now(UTC))
        await self.store.remove(media.id)
        await self.repository.forget(media.id)

    async def rooms_of(self, media: Media) -> set[str]:
        """The rooms in which it is known to be shown."""
        return (await self.references.rooms_of([media.id])).get(media.id, set())

    async def shown_in(self, media: Media, *rooms: str) -> None:
        """Return once it is known to be shown there, and nowhere else, and that it is used or not."""

        async def known() -> bool:
            now = await self.repository.get(media.id)
            assert now is not None
            return await self.rooms_of(media) == set(rooms) and (now.unused_since is None) is bool(rooms)

        await eventually(known)


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Return once something holds that only asking shows."""
    async with asyncio.timeout(PATIENCE):
        while not await holds():  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.02)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
