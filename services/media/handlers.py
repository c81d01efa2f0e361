"""Questions about files, and their removal by who owns them."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from services.media.access import Access, no_file
from services.media.records import Media, view_of
from services.media.reference_store import ReferenceStore
from services.media.repository import Repository
from services.media.storage.store import Store
from shared.contracts.base import Command, Query, View
from shared.contracts.envelope import Actor, RequestEnvelope
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.media import FindMedia, GetMedia, MediaListView, MediaView, RemovedView, RemoveMedia
from shared.contracts.media_terms import MediaState

ALMOST_GONE = 600.0
"""Seconds before its end in which an unused file is not found any more, so that what is sent can be told in time; a
tenth of its time where that is less."""

CommandTable = dict[type[Command], Callable[[RequestEnvelope, Any], Awaitable[View]]]
QueryTable = dict[type[Query], Callable[[Actor, Any], Awaitable[View]]]


class MediaQueries:
    """Answers questions.

    Args:
        keep: seconds an unused file is kept.
    """

    def __init__(self, repository: Repository, access: Access, keep: float) -> None:
        self._repository = repository
        self._access = access
        self._keep = timedelta(seconds=keep - min(ALMOST_GONE, keep / 10))
        self.table: QueryTable = {GetMedia: self._get, FindMedia: self._find}

    async def _get(self, actor: Actor, query: GetMedia) -> MediaView:
        media = await self._repository.get(query.media_id)
        return view_of(await self._access.require(actor, query.media_id, media))

    async def _find(self, actor: Actor, query: FindMedia) -> MediaListView:
        found = await self._repository.find(set(query.media_ids))
        since = datetime.now(UTC) - self._keep
        kept = [media for media in found.values() if not _ends(media, since)]
        visible = await self._access.visible(actor, kept)
        return MediaListView(
            media=[view_of(found[media_id]) for media_id in dict.fromkeys(query.media_ids) if media_id in visible]
        )


def _ends(media: Media, since: datetime) -> bool:
    """Whether a file has not been used since so long that it is about to be collected."""
    return media.state is MediaState.READY and media.unused_since is not None and media.unused_since < since


class MediaCommands:
    """Removes files."""

    def __init__(self, repository: Repository, references: ReferenceStore, access: Access, store: Store) -> None:
        self._repository = repository
        self._references = references
        self._access = access
        self._store = store
        self.table: CommandTable = {RemoveMedia: self._remove}

    async def _remove(self, envelope: RequestEnvelope, command: RemoveMedia) -> RemovedView:
        actor, media_id = envelope.data.actor, command.media_id
        media = await self._access.require(actor, media_id, await self._repository.get(media_id))
        if media.owner != actor.id:
            raise ChatError(ErrorCode.FORBIDDEN, f"File '{media_id}' is another's: only its owner may remove it.")
        shown = media.state is MediaState.READY
        # Fenced by what the file says itself: a message may show it since it was read.
        unused = {"unused_since": {"$ne": None}} if shown else {"state": str(media.state)}
        if await self._references.rooms_of([media_id]) or not await self._repository.begin_removal(
            media_id, datetime.now(UTC), **unused
        ):
            await self._refuse(media_id)
        await self._store.remove(media_id)
        await self._repository.forget(media_id)
        return RemovedView(media_id=media_id)

    async def _refuse(self, media_id: str) -> None:
        if await self._repository.get(media_id) is None:
            raise no_file(media_id)
        raise ChatError(
            ErrorCode.CONFLICT, f"Messages show file '{media_id}', or it has just changed: delete them first."
        )
