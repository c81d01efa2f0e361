"""REST: one handler for all rows. From a request to its contract, to the owner, and back to a response."""

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any, get_args

import orjson
from aiohttp import hdrs, web
from pydantic import ValidationError

from services.gateway.dispatch import Dispatcher
from services.gateway.edge import Edge, token_of
from services.gateway.register import Register
from services.gateway.rows import Route
from shared.bus.codec import JSON
from shared.bus.requests import refusal_of
from shared.contracts.base import Command
from shared.contracts.errors import ChatError, ErrorCode, invalid
from shared.tracing import accepted_traceparent

IDEMPOTENCY_KEY = "Idempotency-Key"
_NUMBER = re.compile(r"-?[0-9]{1,18}")
BODILESS = frozenset({"GET", "DELETE"})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Rest:
    """Serves rows on an aiohttp application."""

    def __init__(self, edge: Edge, register: Register, dispatcher: Dispatcher) -> None:
        self._edge = edge
        self._register = register
        self._dispatcher = dispatcher

    def add_routes(self, app: web.Application, routes: Iterable[Route]) -> None:
        """Serve every row."""
        for route in routes:
            app.router.add_route(route.method, route.path, self._handler(route))

    def _handler(self, route: Route) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            identity = await self._edge.identify(request, token_of(request))
            data = await _data_of(request, route)
            try:
                wish = route.contract.model_validate(data)
            except ValidationError as error:
                raise invalid(error, f"{route.method} {route.path}") from error
            self._register.record(identity.actor)
            identity = replace(identity, actor=self._register.complete(identity.actor))
            trace = accepted_traceparent(request.headers.get("traceparent"))
            result = await self._dispatcher.ask(identity, wish, traceparent=trace, counted=route.counted)
            body = result[route.unwrap] if route.unwrap is not None else result
            status = 200 if route.status == 201 and existed(result) else route.status
            return json_response(body, status)

        return handle


async def _data_of(request: web.Request, route: Route) -> JSON:
    data: JSON = _query_of(request, route) if request.method in BODILESS else await _body_of(request, route)
    data |= route.fixed
    data |= request.match_info
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is not None and issubclass(route.contract, Command):
        data.setdefault("client_id", key)
    return data


def _query_of(request: web.Request, route: Route) -> JSON:
    data: JSON = {}
    for name in dict.fromkeys(request.query):
        if name == "token":
            continue
        values = request.query.getall(name)
        field = route.contract.model_fields.get(name)
        data[name] = _converted(values[-1], field.annotation if field is not None else None)
    return data


def _converted(text: str, annotation: Any) -> Any:
    """A query parameter as the contract's field wants it; what does not convert is left for validation to refuse."""
    wants_number = annotation is int or int in get_args(annotation)
    return int(text) if wants_number and _NUMBER.fullmatch(text) else text


async def _body_of(request: web.Request, route: Route) -> JSON:
    return await json_body(request, route.gathers)


async def json_body(request: web.Request, gathers: str | None = None) -> JSON:
    """A request's body, a JSON object; nothing where there is none.

    Args:
        gathers: the field that holds a list; a body that is a list, or an object without it, is what it holds.

    Raises:
        ChatError: `invalid`, saying what is wrong with it.
    """
    try:
        body = await request.read()
    except web.RequestPayloadError as error:
        refused = "The body is not what its Content-Encoding or Transfer-Encoding says."
        raise ChatError(ErrorCode.INVALID, refused) from error
    if not body:
        return {}
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ChatError(ErrorCode.INVALID, f"The body is not JSON: {error}.") from error
    if gathers is not None and isinstance(data, list):
        return {gathers: data}
    if not isinstance(data, dict):
        raise ChatError(ErrorCode.INVALID, "The body must be a JSON object.")
    return data if gathers is None or gathers in data else {gathers: [data]}


def existed(result: JSON) -> bool:
    """Whether what a command was to make was there before."""
    return result.get("created") is False or result.get("duplicate") is True


def json_response(body: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON response."""
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json", headers=headers)


def error_response(error: ChatError) -> web.Response:
    """An error in its wire shape, with its status and headers."""
    return json_response({"error": error.view().model_dump(mode="json")}, error.row.status, error_headers(error))


def error_headers(error: ChatError) -> dict[str, str]:
    """What headers say of an error: when a retry makes sense, and how to say who one is."""
    headers: dict[str, str] = {}
    if error.retry_after is not None:
        headers[hdrs.RETRY_AFTER] = str(max(1, round(error.retry_after)))
    if error.code is ErrorCode.UNAUTHENTICATED:
        headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
    return headers


def failure_of(error: Exception, request: web.Request) -> ChatError:
    """What went wrong in a handler, as an error that can be answered."""
    if isinstance(error, ChatError):
        return error
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return ChatError(ErrorCode.TOO_LARGE, f"The body is too large: {error.text}.")
    return refusal_of(error, request.path)


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever goes wrong in a handler becomes a response in the one error shape."""
    try:
        return await handler(request)
    except (ChatError, web.HTTPRequestEntityTooLarge) as error:
        return error_response(failure_of(error, request))
    except web.HTTPNotFound:
        return error_response(ChatError(ErrorCode.NOT_FOUND, f"There is nothing at {request.path}."))
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        refused = ChatError(ErrorCode.INVALID, f"{request.method} is not allowed here; allowed: {allowed}.")
        response = error_response(refused)
        response.set_status(405)
        response.headers[hdrs.ALLOW] = allowed
        return response
    except web.HTTPException:
        raise
    except Exception as error:  # noqa: BLE001 - the last resort: an answer instead of a broken connection
        return error_response(failure_of(error, request))
