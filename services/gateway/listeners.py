"""Which dialect is spoken at which port (`LISTENERS`). Pure."""

from collections.abc import Collection
from typing import NamedTuple

AUTO = "auto"
"""Every socket tells by itself what it speaks; REST has the paths of all dialects."""

TEAM = "team"
"""The dialect whose server had a port of its own (`CHAT_SERVER_PORT`)."""

LAST_PORT = 65535


class Listener(NamedTuple):
    """A port, and the dialect that is spoken there."""

    port: int
    dialect: str


class MisboundError(ValueError):
    """The listeners make no sense; the message says which and why."""


def listeners_of(text: str, *, port: int, team_port: int, dialects: Collection[str]) -> tuple[Listener, ...]:
    """The listeners that the settings ask for.

    Args:
        text: `3000=auto,3001=booking`; empty: `port` alone, for whoever comes.
        team_port: one more, unless it is 0.

    Raises:
        MisboundError: naming what is wrong.
    """
    wanted = [_listener(item.strip()) for item in text.split(",")] if text.strip() else [Listener(port, AUTO)]
    known = (AUTO, *dialects)
    team = Listener(team_port, TEAM)
    if team_port and team not in wanted:
        wanted.append(team)
    for number, listener in enumerate(wanted):
        if listener.dialect not in known:
            raise MisboundError(
                f"'{listener.port}={listener.dialect}': there is no such dialect, only {', '.join(known)}"
            )
        if listener.port and listener.port in [other.port for other in wanted[:number]]:
            raise MisboundError(f"port {listener.port} is there twice")
    return tuple(wanted)


def _listener(item: str) -> Listener:
    port, equals, dialect = (part.strip() for part in item.partition("="))
    if not equals or not (port.isdecimal() and port.isascii()) or not dialect:
        raise MisboundError(f"'{item}' is not PORT=DIALECT, as in 3001=booking")
    if not 1 <= int(port[:6]) <= LAST_PORT:
        raise MisboundError(f"'{item}': a port is a number from 1 to {LAST_PORT}")
    return Listener(int(port), dialect)
