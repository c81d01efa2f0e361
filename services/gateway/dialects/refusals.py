"""In whose words a request is refused: those of the dialect whose path it is, else those of the canonical API."""

from aiohttp import hdrs, web
from aiohttp.web_urldispatcher import AbstractRoute

from services.gateway.dialects.endpoints import refused
from services.gateway.dialects.rows import Dialect
from services.gateway.rest import Handler, error_response
from shared.contracts.errors import ChatError, ErrorCode

CANONICAL = ("/v1/", "/ws")
"""Where no dialect is spoken, though a listener is bound to one."""


class Refusals:
    """Makes the responses to refused requests of one application.

    Args:
        bound: the dialect that is spoken here, if there is one; then what is at no path is refused in its words, too.
    """

    def __init__(self, bound: Dialect | None) -> None:
        self._bound = bound
        self.spoken: dict[AbstractRoute, Dialect] = {}
        """The dialects' routes."""

    async def refuse(self, request: web.Request, error: ChatError) -> web.Response:
        """The response to a request that is refused before a handler has seen it."""
        dialect = await self._dialect_of(request)
        return error_response(error) if dialect is None else refused(dialect, request, error)

    @web.middleware
    async def answer_unknown(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """What a dialect's clients ask for that is not there is refused in their words."""
        try:
            return await handler(request)
        except web.HTTPNotFound:
            if self._bound is None or request.path.startswith(CANONICAL):
                raise
            missing = ChatError(ErrorCode.NOT_FOUND, f"There is nothing at {request.path}.")
            return refused(self._bound, request, missing)

    async def _dialect_of(self, request: web.Request) -> Dialect | None:
        method = request.method
        if method == hdrs.METH_OPTIONS:
            method = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_METHOD, method)
        found = await request.app.router.resolve(request.clone(method=method))
        if found.http_exception is None:
            return self.spoken.get(found.route)
        return None if request.path.startswith(CANONICAL) else self._bound
