"""The ports of a gateway: an application per dialect that is spoken here, each at the ports bound to it."""

from collections.abc import Callable

from aiohttp import web

from services.gateway.listeners import Listener
from shared.logging import get_logger

log = get_logger(__name__)

BACKLOG = 4096
CUT = 1.0
"""Seconds handlers have to end after their clients were told that the server restarts."""


class Listening:
    """Opens and closes ports.

    Args:
        make: the application that serves a dialect.
    """

    def __init__(self, make: Callable[[str], web.Application], host: str) -> None:
        self._make = make
        self._host = host
        self._runners: dict[str, web.AppRunner] = {}
        self._sites: list[web.TCPSite] = []

    async def open(self, listeners: tuple[Listener, ...]) -> None:
        """Listen at all ports.

        Raises:
            SystemExit: with 1, where one cannot be had; whoever supervises the process may try again.
        """
        for listener in listeners:
            runner = self._runners.get(listener.dialect) or await self._run(listener.dialect)
            site = web.TCPSite(runner, self._host, listener.port, backlog=BACKLOG, reuse_address=True)
            try:
                await site.start()
            except OSError as error:
                log.error(
                    "cannot listen", host=self._host, port=listener.port, dialect=listener.dialect, error=str(error)
                )
                raise SystemExit(1) from error
            self._sites.append(site)

    async def stop(self) -> None:
        """Take no new connections at any port; those that are open stay."""
        for site in self._sites:
            await site.stop()

    async def close(self) -> None:
        """End what is still open."""
        for runner in self._runners.values():
            await runner.cleanup()

    async def _run(self, dialect: str) -> web.AppRunner:
        runner = web.AppRunner(self._make(dialect), access_log=None, handler_cancellation=True, shutdown_timeout=CUT)
        await runner.setup()
        self._runners[dialect] = runner
        return runner
