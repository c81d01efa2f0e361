"""Asks the media service for the files that new messages show, as those who send them: who may see one may show it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from pydantic import ValidationError

from services.messages.state import FileKey, Request
from shared import metrics
from shared.bus.codec import encode_actor
from shared.bus.requests import Requests
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError
from shared.contracts.media import MAX_FOUND, FindMedia, MediaListView, MediaView
from shared.contracts.messages import SendMessage
from shared.logging import get_logger

log = get_logger(__name__)

PATIENCE = 2.0
"""Seconds a batch waits for the media service."""

PAUSE = 5.0
"""Seconds without asking after it did not answer: what shows files is refused then, and nothing else held up."""

Ask = Callable[[Actor, list[str]], Awaitable[list[MediaView]]]
"""Those of the files that somebody may see. Raises ChatError."""

_lookups = metrics.counter("file_lookups", "Files looked up at the media service")


class Files:
    """Looks files up, and nothing where no message shows one. Remembers none: a file may go at any moment."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._away_until = 0.0

    async def look_up(self, requests: Iterable[Request]) -> dict[FileKey, MediaView | None]:
        """The files that these requests show; None where there is none for who sends it, absent without an answer."""
        found: dict[FileKey, MediaView | None] = {}
        wanted = _wanted(requests)
        loop = asyncio.get_running_loop()
        if not wanted or loop.time() < self._away_until:
            return found
        try:
            async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
                for actor, ids in wanted.values():
                    for start in range(0, len(ids), MAX_FOUND):
                        group.create_task(self._find(actor, ids[start : start + MAX_FOUND], found))
        except TimeoutError:
            log.warning("media service did not answer", senders=len(wanted))
            self._away_until = loop.time() + PAUSE
        return found

    async def _find(self, actor: Actor, ids: list[str], found: dict[FileKey, MediaView | None]) -> None:
        try:
            files = await self._ask(actor, ids)
        except (ChatError, ValidationError) as error:
            log.warning("files not looked up", files=len(ids), error=str(error)[:200])
            if isinstance(error, ChatError) and error.row.retryable:
                self._away_until = asyncio.get_running_loop().time() + PAUSE
            return
        _lookups.inc(len(ids))
        key = partial(FileKey.of, actor)
        found |= {**dict.fromkeys(map(key, ids)), **{key(media.id): media for media in files}}


async def ask_files(requests: Requests, actor: Actor, media_ids: list[str]) -> list[MediaView]:
    """Ask the media service as somebody. Raises ChatError."""
    result = await requests.ask(FindMedia(media_ids=media_ids), encode_actor(actor), actor.tenant)
    return MediaListView.model_validate(result).media


def _wanted(requests: Iterable[Request]) -> dict[tuple[str, ...], tuple[Actor, list[str]]]:
    """The files that are shown, by who shows them: each once."""
    wanted: dict[tuple[str, ...], tuple[Actor, dict[str, None]]] = {}
    for request in requests:
        command = request.command
        if type(command) is not SendMessage or command.attachment is None:
            continue
        own_id = command.attachment.own_id
        if own_id is not None:
            actor = request.actor
            _, ids = wanted.setdefault((actor.tenant, actor.id, *actor.roles), (actor, {}))
            ids[own_id] = None
    return {key: (actor, list(ids)) for key, (actor, ids) in wanted.items()}
