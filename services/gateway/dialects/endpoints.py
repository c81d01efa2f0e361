"""The REST endpoints of dialects: one handler for all rows. From a request to its steps, and to a response."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import orjson
from aiohttp import web
from aiohttp.web_urldispatcher import AbstractRoute
from pydantic import ValidationError

from services.gateway.connection import Connection
from services.gateway.dialects import errors
from services.gateway.dialects.rows import Dialect, Route, Say
from services.gateway.dispatch import Answered, Dispatcher
from services.gateway.edge import Edge, token_of
from services.gateway.register import Register
from services.gateway.rest import BODILESS, Handler, error_headers, existed, failure_of, json_body
from services.gateway.sio.voice import now, said
from services.gateway.steps import Steps
from shared.auth import Identity
from shared.bus.codec import JSON
from shared.contracts.base import Command, Query
from shared.contracts.errors import ChatError, ErrorCode, invalid


class Endpoints:
    """Serves the rows of dialects on an aiohttp application."""

    def __init__(self, edge: Edge, register: Register, dispatcher: Dispatcher, steps: Steps) -> None:
        self._edge = edge
        self._register = register
        self._dispatcher = dispatcher
        self._steps = steps

    def add_routes(self, app: web.Application, dialects: Iterable[Dialect]) -> dict[AbstractRoute, Dialect]:
        """Serve every row. What two dialects have in common is served as the first one says; whose is what."""
        taken: set[tuple[str, str]] = set()
        spoken: dict[AbstractRoute, Dialect] = {}
        for dialect in dialects:
            for route in dialect.routes:
                key = (route.method, route.path)
                if key not in taken:
                    taken.add(key)
                    handler = in_words_of(dialect, partial(self._answer, route))
                    added = app.router.add_route(route.method, route.path, handler)
                    spoken[added] = dialect
            if dialect.prefix:
                spoken[app.router.add_route("*", dialect.prefix + "/{rest:.*}", _nowhere(dialect))] = dialect
        return spoken

    async def _answer(self, route: Route, request: web.Request) -> web.StreamResponse:
        identity = None if route.public else await self._edge.identify(request, token_of(request))
        data: JSON = {name: request.query[name] for name in request.query if name != "token"}
        if request.method not in BODILESS:
            data |= await json_body(request)
        data |= request.match_info
        try:
            wire = route.wire.read(data)
        except ValidationError as error:
            raise invalid(error, f"{route.method} {route.path}") from error
        known: JSON = {"in": wire.given(), "now": now()}
        if identity is not None:
            await self._carry_out(route, known, identity)
        body = said(Say("", route.shape, route.of, many=route.many), known)
        status = 200 if route.existed and existed(known[route.existed]) else route.status
        return web.Response(body=body, status=status, content_type="application/json")

    async def _carry_out(self, route: Route, known: JSON, identity: Identity) -> None:
        self._register.record(identity.actor)
        caller = Caller(self._dispatcher, replace(identity, actor=self._register.complete(identity.actor)))
        known["me"] = caller.identity.actor.model_dump(mode="json", exclude_none=True)
        if route.counted:
            self._dispatcher.count(caller.identity)
        await self._steps.carry_out(route.steps, known, caller)


class Caller:
    """Somebody who asks over REST (`services.gateway.steps.Asker`)."""

    connection: Connection | None = None

    def __init__(self, dispatcher: Dispatcher, identity: Identity) -> None:
        self.identity = identity
        self.here: dict[str, Any] = {}
        self._dispatcher = dispatcher

    def send(self, request: Command | Query, body: JSON, answered: Answered) -> None:
        """Send a command or query of this caller's. Raises ChatError."""
        self._dispatcher.send(self.identity, request, body, answered)


def _nowhere(dialect: Dialect) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        missing = f"There is nothing at {request.method} {request.path}."
        return refused(dialect, request, ChatError(ErrorCode.NOT_FOUND, missing))

    return handle


def in_words_of(dialect: Dialect, answer: Handler) -> Handler:
    """A handler whose every failure is answered in a dialect's words."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await answer(request)
        except Exception as error:  # noqa: BLE001 - the last resort: an answer instead of a broken connection
            return refused(dialect, request, failure_of(error, request))

    return handle


def refused(dialect: Dialect, request: web.Request, error: ChatError) -> web.Response:
    """An error in a dialect's words, with its status."""
    view = orjson.loads(error.view().model_dump_json(exclude_none=True))
    body = said(Say("", dialect.problem), errors.of_request(view, request.path, now()))
    headers = error_headers(error)
    return web.Response(body=body, status=error.row.status, content_type="application/json", headers=headers)
