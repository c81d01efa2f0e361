"""Which dialect a client speaks: by what only one of them understands. Pure."""

from typing import Any

from pydantic import ValidationError

from services.gateway.dialects.auto import AUTO
from services.gateway.dialects.booking import BOOKING
from services.gateway.dialects.eventchat import EVENTCHAT
from services.gateway.dialects.outing import OUTING
from services.gateway.dialects.rows import Dialect, On
from services.gateway.dialects.session import SESSION
from services.gateway.dialects.team import TEAM
from shared.contracts.errors import ChatError, ErrorCode

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (BOOKING, SESSION, EVENTCHAT, TEAM, OUTING)}
ALL: dict[str, Dialect] = {AUTO.name: AUTO, **DIALECTS}


def choose(name: str, payload: Any) -> Dialect:
    """The dialect in which an event makes sense.

    Raises:
        ChatError: `invalid`, where it makes sense in none or in several.
    """
    speak = [dialect for dialect in DIALECTS.values() if name in dialect.on]
    if len(speak) > 1:
        speak = [dialect for dialect in speak if _accepts(dialect.on[name], payload)]
    if len(speak) == 1:
        return speak[0]
    if not any(name in dialect.on for dialect in DIALECTS.values()):
        raise ChatError(ErrorCode.INVALID, f"There is no event '{name[:100]}'.")
    raise ChatError(
        ErrorCode.INVALID,
        f"'{name[:100]}' does not tell which API this client was written for: connect with ?dialect=NAME "
        f"({', '.join(DIALECTS)}), or begin with an event that only one of them has.",
    )


def _accepts(row: On, payload: Any) -> bool:
    try:
        row.wire.read(payload)
    except ValidationError:
        return False
    return True
