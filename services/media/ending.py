"""What is done when it is known what becomes of a file: its owner is told, and what is not needed any more is removed.

Each step can be done again. The file counts as told about when all are done, so what a crash leaves undone is found by
the sweep and done from the beginning.
"""

from services.media.announcing import Announcer
from services.media.records import Media
from services.media.repository import Repository
from services.media.storage.store import Store
from shared.contracts.media_terms import MediaState, VariantName


class Ending:
    """Ends the work on files that are ready, or refused."""

    def __init__(self, repository: Repository, store: Store, announcer: Announcer) -> None:
        self._repository = repository
        self._store = store
        self._announcer = announcer

    async def settle(self, media: Media) -> None:
        """Do what is left to do.

        Raises:
            ChatError, PyMongoError: it is to be done again, later.
        """
        await self._announcer.ended(media)
        if media.state is MediaState.READY:
            for key in leftovers(media):
                await self._store.remove_object(key)
        else:
            await self._store.remove(media.id)
        await self._repository.told(media.id)


def variant_key(media: Media, name: VariantName, attempt: int) -> str:
    """Where an attempt at processing keeps a form of a file: attempts never write over each other's."""
    return f"{media.id}/{name}{attempt}"


def leftovers(media: Media) -> list[str]:
    """Objects of a ready file that are not served: the upload it was made of, and what given-up attempts have made."""
    served = {piece.key for variant in media.variants.values() for piece in variant.pieces}
    earlier = [variant_key(media, name, attempt) for attempt in range(1, media.attempts) for name in VariantName]
    return [key for key in (*(piece.key for piece in media.pieces), *earlier) if key not in served]
