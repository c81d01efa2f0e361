"""`POST /v1/media`: a file in one go, as a form or as bare bytes."""

import time

from aiohttp import hdrs, web

from services.media.bodies import Bodies, expect_later
from services.media.domain import wait_preferred
from services.media.forms import FORM, MAX_OVERHEAD, incoming
from services.media.http import actor_of, view_response
from services.media.intake import Intake
from services.media.records import Media, view_of
from services.media.refusals import Refused
from services.media.waiting import Waiting
from shared.contracts.media import MEDIA_PATH, MediaView
from shared.links import Links

PATH = MEDIA_PATH.rstrip("/")
PREFER = "Prefer"
PREFERENCE_APPLIED = "Preference-Applied"


class Uploading:
    """Takes files that come in one request."""

    def __init__(self, intake: Intake, bodies: Bodies, waiting: Waiting, links: Links) -> None:
        self._intake = intake
        self._bodies = bodies
        self._waiting = waiting
        self._links = links

    def add_routes(self, app: web.Application) -> None:
        """Serve it."""
        app.router.add_post(PATH, self.upload, expect_handler=expect_later)

    async def upload(self, request: web.Request) -> web.Response:
        """Take a file; where the client prefers to wait, until it is ready."""
        actor = actor_of(request)
        seconds = wait_preferred(request.headers.getall(PREFER, ()))
        if request.content_type == FORM and request.content_length is not None:
            self._intake.check_length(max(request.content_length - MAX_OVERHEAD, 1), None)
        else:
            self._intake.check_length(request.content_length, None)
        async with self._bodies.reading(request) as content:
            wish, chunks = await incoming(request, content)
            media = await self._intake.take(actor, wish, chunks)
        headers: dict[str, str] = {hdrs.LOCATION: f"{MEDIA_PATH}{media.id}"}
        if seconds is not None:
            media = await self._waiting.until_done(media, seconds)
            headers[PREFERENCE_APPLIED] = f"wait={seconds:.0f}"
        if media.refusal is not None:
            raise Refused(*media.refusal)
        return view_response(signed(media, self._links), 201, headers)


def signed(media: Media, links: Links) -> MediaView:
    """A file with links that work without a token."""
    view = view_of(media)
    if not view.variants:
        return view
    made = [(variant, links.sign(media.id, variant.name, time.time())) for variant in view.variants]
    variants = tuple(variant.model_copy(update={"url": link.url}) for variant, link in made)
    expire_at = min(link.expires for _, link in made)
    return MediaView.model_validate({**view.model_dump(), "variants": variants, "links_expire_at": expire_at})
