"""Files as methods: their bytes go over HTTP, beside the socket."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout
from pydantic import ValidationError

from shared.contracts.errors import ChatError, ErrorCode, ErrorView
from shared.contracts.media import MEDIA_PATH, MediaView, media_path
from shared.contracts.media_terms import MediaKind, VariantName

CHUNK = 65_536
WAIT = 30
"""Seconds an answer waits for a file to be ready, as long as nothing else is said."""

SILENCE = 90.0
"""Seconds without a byte after which the server counts as gone: longer than an answer may wait."""

_TIMEOUT = ClientTimeout(total=None, sock_read=SILENCE)


class Door(NamedTuple):
    """Where files go in and out, and with which token."""

    session: ClientSession
    url: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """Who asks."""
        return {"Authorization": f"Bearer {self.token}"}


class Files(ABC):
    """Uploads and downloads. All raise ChatError where the server refuses, or is not there."""

    @abstractmethod
    async def door(self) -> Door:
        """Where to go. Raises ChatError."""

    async def upload(
        self, file: Path | bytes, *, name: str | None = None, kind: MediaKind | None = None, wait: int = WAIT
    ) -> MediaView:
        """Upload a file; returns when it is ready, or after `wait` seconds: then `media.ready` says so."""
        door = await self.door()
        named = {"name": name or (file.name if isinstance(file, Path) else None), "kind": kind}
        query = {key: str(value) for key, value in named.items() if value is not None}
        headers = {**door.headers, "Content-Type": "application/octet-stream", "Prefer": f"wait={wait}"}
        async with AsyncExitStack() as held:
            body: Any = file
            if isinstance(file, Path):
                body = held.enter_context(await asyncio.to_thread(file.open, "rb"))
            try:
                sent = door.session.post(
                    f"{door.url}{MEDIA_PATH.rstrip('/')}", params=query, data=body, headers=headers, timeout=_TIMEOUT
                )
                response = await held.enter_async_context(sent)
                answer = await _taken(response)
                return MediaView.model_validate(await answer.json())
            except (ClientError, TimeoutError) as error:
                raise _lost(error) from error

    async def download(self, media_id: str, variant: VariantName = VariantName.ORIGINAL) -> AsyncIterator[bytes]:
        """The bytes of a file one may see, as they come."""
        door = await self.door()
        url = f"{door.url}{media_path(media_id, variant)}"
        try:
            async with door.session.get(url, headers=door.headers, timeout=_TIMEOUT) as response:
                async for chunk in (await _taken(response)).content.iter_chunked(CHUNK):
                    yield chunk
        except (ClientError, TimeoutError) as error:
            raise _lost(error) from error


async def _taken(response: ClientResponse) -> ClientResponse:
    """A response that is no refusal. Raises ChatError."""
    if response.ok:
        return response
    try:
        answer: Mapping[str, Any] = await response.json(content_type=None)
        view = ErrorView.model_validate(answer["error"])
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise ChatError(ErrorCode.UNAVAILABLE, f"The server answered {response.status}.") from error
    raise ChatError.from_view(view)


def _lost(error: Exception) -> ChatError:
    return ChatError(ErrorCode.UNAVAILABLE, f"The connection was lost: {type(error).__name__}.", retry_after=1.0)
