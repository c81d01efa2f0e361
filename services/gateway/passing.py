"""Requests about files that go on to the media service as they are: one handler for all such rows.

A gateway lets people in and says who they are; no token of theirs goes further, in no header and no address.
"""

import time
from collections.abc import Iterable
from urllib.parse import quote, unquote_plus

from aiohttp import hdrs, web

from services.gateway.carrying import Carrier, Target, expect_later
from services.gateway.edge import Edge, token_of
from services.gateway.linking import Linking
from services.gateway.origins import origin_of
from services.gateway.register import Register
from services.gateway.rest import Handler
from services.gateway.rows import Pass
from shared.auth import Vouchers, media_secret
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.links import Links
from shared.settings import Settings, SettingsError

LINK = {"expires", "signature"}
"""The parameters of a signed link (`shared.links`)."""

QUERY = "%!$&'()*+,;=:@/?-._~"
"""What stands in a query as it is (RFC 3986, section 3.4)."""


class Passing:
    """Serves rows of requests that are passed on."""

    def __init__(self, edge: Edge, register: Register, carrier: Carrier) -> None:
        self._edge = edge
        self._register = register
        self.carrier = carrier

    def add_routes(self, app: web.Application, rows: Iterable[Pass]) -> None:
        """Serve every row."""
        for row in rows:
            app.router.add_route(row.method, row.path, self._handler(row), expect_handler=expect_later)

    def _handler(self, row: Pass) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            check(request)
            actor = None if may_be_anybody(request, row) else await self.identify(request)
            path = row.path.format(**{name: quote(part, safe="") for name, part in request.match_info.items()})
            async with self.carrier.carry(request, Target(path, actor, query_of(request))) as carried:
                return await carried.hand_back()

        return handle

    async def identify(self, request: web.Request) -> Actor:
        """Who sends a request, as the directory knows them. Raises ChatError."""
        identity = await self._edge.identify(request, token_of(request))
        self._register.record(identity.actor)
        return self._register.complete(identity.actor)


def check(request: web.Request) -> None:
    """Refuse a body that is encoded, as its bytes are not the file's. Raises ChatError `invalid`."""
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise ChatError(ErrorCode.INVALID, "A file is not taken with a Content-Encoding: send its bytes as they are.")


def may_be_anybody(request: web.Request, row: Pass) -> bool:
    """Whether a request needs no token: the media service looks at its link, or tells it to everybody."""
    return row.public or (row.linked and request.query.keys() >= LINK and token_of(request) is None)


def query_of(request: web.Request) -> str:
    """A request's query without its token."""
    query = request.raw_path.partition("?")[2].partition("#")[0]
    kept = (part for part in query.split("&") if unquote_plus(part.partition("=")[0]) != "token")
    return quote("&".join(kept), safe=QUERY, errors="surrogateescape")


def means_of(settings: Settings) -> tuple[Linking, Carrier]:
    """What signs links to files, and what carries files.

    Raises:
        SettingsError: where an address cannot be used, or there is no secret.
    """
    secret = media_secret(settings)
    public = _origin("PUBLIC_URL", settings.public_url) if settings.public_url else ""
    linking = Linking(Links(secret, settings.media_link_seconds, public), time.time)
    return linking, Carrier(_origin("MEDIA_URL", settings.media_url), Vouchers(secret))


def _origin(name: str, address: str) -> str:
    try:
        return origin_of(address)
    except ValueError as error:
        raise SettingsError(f"{name}: {error}") from error
