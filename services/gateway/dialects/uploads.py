"""The uploads of dialects: one handler for all rows. The media service takes the file; its answer is reworded.

A client of these APIs knows no state of a file: the answer waits until it can be shown by a message, or is refused.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.web_urldispatcher import AbstractRoute
from pydantic import ValidationError

from services.gateway.carrying import Carried, Target, expect_later
from services.gateway.dialects.endpoints import in_words_of
from services.gateway.dialects.rows import Dialect, Say, Upload
from services.gateway.linking import Linking
from services.gateway.passing import Passing, check
from services.gateway.sio.voice import said
from services.gateway.voices import JSON
from shared.contracts.errors import ChatError, ErrorCode, ErrorView

MEDIA = "/v1/media"
WAIT = 30
"""Seconds that an answer waits for the file to be ready."""


class Uploads:
    """Serves the upload rows of dialects."""

    def __init__(self, passing: Passing, linking: Linking) -> None:
        self._passing = passing
        self._linking = linking

    def add_routes(self, app: web.Application, dialects: Iterable[Dialect]) -> dict[AbstractRoute, Dialect]:
        """Serve every row; whose is what."""
        return {
            app.router.add_route(
                row.method, row.path, in_words_of(dialect, partial(self._take, row)), expect_handler=expect_later
            ): dialect
            for dialect in dialects
            for row in dialect.uploads
        }

    async def _take(self, row: Upload, request: web.Request) -> web.StreamResponse:
        check(request)
        actor = await self._passing.identify(request)
        target = Target(MEDIA, actor, headers={"Prefer": f"wait={WAIT}"})
        async with self._passing.carrier.carry(request, target) as carried:
            known = self._known(await file_of(carried))
            body = said(Say("", row.shape), known)
            response = web.Response(body=body, status=row.status, content_type="application/json")
            carried.finish(response)
            return response

    def _known(self, file: JSON) -> JSON:
        """What a response is taken from."""
        self._linking.sign_file(file)
        return {"file": file, **self._linking.addresses(file)}


async def file_of(carried: Carried) -> JSON:
    """The file that was taken. Raises ChatError where it was not, as the media service says."""
    answer: Any = await carried.json()
    if carried.status < web.HTTPBadRequest.status_code and isinstance(answer, dict):
        return answer
    try:
        raise ChatError.from_view(ErrorView.model_validate(answer["error"]))
    except (KeyError, TypeError, ValidationError) as error:
        raise ChatError(ErrorCode.UNAVAILABLE, "The media service gave no answer that can be read.") from error
