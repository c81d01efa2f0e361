"""Compares the store with the collection: bytes of which there is no record, and records whose bytes are not there.

Neither comes about by itself: a file is written down before its first byte is kept, and forgotten after its last one
was removed. A restored backup, or somebody who has tidied up, makes both.
"""

from collections.abc import AsyncGenerator
from typing import NamedTuple

from services.media.collecting import Collector
from services.media.records import Media, Piece
from services.media.repository import Repository
from services.media.storage.store import NoObject, Store
from services.media.times import now
from shared.contracts.errors import ChatError
from shared.contracts.media_terms import MediaState, VariantName

PAGE = 200


class Compared(NamedTuple):
    """What was found out about one file."""

    media_id: str
    missing: tuple[str, ...] = ()
    """Keys of objects that are not there, or not as long as they should be."""
    lost: bool = False
    """Whether the original is among them: nothing is left worth keeping."""


class Check:
    """The comparison, and what can be done about what it finds."""

    def __init__(self, repository: Repository, store: Store, collector: Collector) -> None:
        self._repository = repository
        self._store = store
        self._collector = collector

    async def kept(self) -> AsyncGenerator[tuple[str, bool], None]:
        """The ids of which there are bytes, each once at least, and whether there is a record."""
        page: set[str] = set()
        async for media_id in self._store.kept():
            page.add(media_id)
            if len(page) >= PAGE:
                for each in await self._known(page):
                    yield each
                page.clear()
        for each in await self._known(page):
            yield each

    async def recorded(self) -> AsyncGenerator[Compared, None]:
        """All files that have bytes by their record, and which of those are not there."""
        after = ""
        while page := await self._repository.page(after, PAGE):
            for media in page:
                if _pieces(media):
                    yield await self._compared(media)
            after = page[-1].id

    async def remove_bytes(self, media_id: str) -> bool:
        """Remove bytes that nothing is known of; False where something is, by now."""
        if await self._repository.known([media_id]):
            return False
        await self._store.remove(media_id)
        return True

    async def remove_record(self, media_id: str) -> bool:
        """Remove a file whose bytes are not there, with what is left of it; whether there was one."""
        return await self._collector.remove(media_id, now()) is not None

    async def _known(self, media_ids: set[str]) -> list[tuple[str, bool]]:
        known = await self._repository.known(media_ids)
        return [(media_id, media_id in known) for media_id in sorted(media_ids)]

    async def _compared(self, media: Media) -> Compared:
        missing = [piece for piece in _pieces(media) if not await self._is_there(piece)]
        if missing:  # it may have been processed, or have gone, while it was looked at
            found = await self._repository.get(media.id)
            missing = [] if found is None else [piece for piece in missing if piece in _pieces(found)]
        lost = not set(missing).isdisjoint(_original(media))
        return Compared(media.id, tuple(piece.key for piece in missing), lost)

    async def _is_there(self, piece: Piece) -> bool:
        """Whether an object is there with its last byte."""
        last = max(piece.size - 1, 0)
        try:
            return sum([len(data) async for data in self._store.read(piece.key, last)]) == piece.size - last
        except NoObject:
            return False
        except ChatError:
            await self._store.prepare()  # the store itself is there, or this raises
            return False


def _pieces(media: Media) -> tuple[Piece, ...]:
    """All objects that a file has to have."""
    if media.state is not MediaState.READY:
        return media.pieces
    return tuple(dict.fromkeys(piece for variant in media.variants.values() for piece in variant.pieces))


def _original(media: Media) -> tuple[Piece, ...]:
    return media.variants[VariantName.ORIGINAL].pieces if media.state is MediaState.READY else media.pieces
