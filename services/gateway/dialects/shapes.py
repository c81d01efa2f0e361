"""What clients of several dialects send and are shown, field by field the same; what differs is a dialect's own."""

from http import HTTPStatus
from typing import Annotated, Any

from pydantic import BeforeValidator

from services.gateway.dialects.rows import Shape, Wire, at

Phrase = Annotated[str, BeforeValidator(lambda status: HTTPStatus(status).phrase)]
"""What HTTP calls a status, as NestJS puts it into the `error` of its errors."""


class Nothing(Wire):
    """Nothing."""


class Typed(Shape):
    """Somebody has started or stopped typing."""

    userId: str = at("user_id")
    roomId: str = at("room_id")
    isTyping: bool = at("typing")


class Failed(Shape):
    """Something was refused."""

    message: str = at("error.message")
    code: str = at("error.code")
    event: str = at("event")


class Problem(Shape):
    """An error of the REST API."""

    statusCode: int = at("status")
    message: str = at("error.message")
    error: Phrase = at("status")


class DetailedProblem(Problem):
    """An error of the REST API, with its particulars."""

    details: Any = at("error.details", omit=True)
