"""Cross-origin requests (Fetch standard, section 3.2): preflights answered, foreign pages refused, answers marked.

The same for REST, Engine.IO's polling and the handshakes of WebSockets, which browsers send from any page unasked.
"""

from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from services.gateway.origins import Origins
from services.gateway.rest import Handler
from shared.contracts.errors import ChatError, ErrorCode

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
EXPOSED = ", ".join(
    (
        "Retry-After", "WWW-Authenticate", "Location", "ETag", "Accept-Ranges", "Content-Range", "Content-Length",
        "Content-Disposition", "Preference-Applied", "Tus-Resumable", "Tus-Version", "Tus-Extension", "Tus-Max-Size",
        "Tus-Checksum-Algorithm", "Upload-Length", "Upload-Defer-Length", "Upload-Offset", "Upload-Metadata",
        "Upload-Expires",
    )
)  # fmt: skip
"""Headers that pages may read: those of files and resumable uploads among them."""
REMEMBERED = 600
"""Seconds a browser may remember the answer to a preflight."""

Refuse = Callable[[web.Request, ChatError], Awaitable[web.Response]]


class Cors:
    """Guards an application.

    Args:
        refuse: makes the response to a request that is refused, in the words its sender understands.
    """

    def __init__(self, origins: Origins, refuse: Refuse) -> None:
        self._origins = origins
        self._refuse = refuse

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer preflights and refuse foreign pages; all else goes on."""
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None:
            return await handler(request)
        if not self._origins.allows(origin, request.host):
            refused = ChatError(ErrorCode.FORBIDDEN, f"Pages of {origin[:200]} may not use this (ALLOWED_ORIGINS).")
            return await self._refuse(request, refused)
        if request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers:
            return web.Response(status=204, headers=_permission(request))
        return await handler(request)

    async def mark(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let the page read a response: a signal of aiohttp's, sent before each one's headers."""
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or not self._origins.allows(origin, request.host):
            return
        headers = response.headers
        headers.add(hdrs.VARY, hdrs.ORIGIN)
        if self._origins.trusts(origin, request.host):
            headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
        else:
            headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*"
        headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED


def _permission(request: web.Request) -> dict[str, str]:
    """What a preflight is told: the headers it asks for are allowed, as `*` would not cover `Authorization`."""
    headers: dict[str, str] = {
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: METHODS,
        hdrs.ACCESS_CONTROL_MAX_AGE: str(REMEMBERED),
    }
    asked = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS)
    if asked is not None:
        headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = asked
    return headers
