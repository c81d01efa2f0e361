"""A Socket.IO client as a test wants it: python-socketio's own, remembering every event, waiting for those expected."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol, Self

import socketio

PATIENCE = 15.0


class Heard(NamedTuple):
    """An event that a client was told."""

    name: str
    data: Any


class SioPerson:
    """A connected user, in one namespace.

    Args:
        url: the server's base URL; `options` go to `socketio.AsyncClient.connect`.
    """

    def __init__(self, url: str, *, namespace: str = "/chat", **options: Any) -> None:
        self.log: list[Heard] = []
        self._unseen: list[Heard] = []
        self._changed = asyncio.Event()
        self._url = url
        self._namespace = namespace
        self._options = {"transports": ["websocket"], **options}
        self.client = socketio.AsyncClient(reconnection=False)
        self.client.on("*", self._remember, namespace=namespace)

    async def __aenter__(self) -> Self:
        await self.client.connect(self._url, namespaces=[self._namespace], wait_timeout=PATIENCE, **self._options)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.disconnect()

    async def emit(self, name: str, data: Any = None) -> None:
        """Send an event, and want no answer."""
        await self.client.emit(name, data, namespace=self._namespace)

    async def call(self, name: str, data: Any = None) -> Any:
        """Send an event, and wait for its acknowledgement."""
        return await self.client.call(name, data, namespace=self._namespace, timeout=PATIENCE)

    async def expect(self, name: str, that: Callable[[Any], object] = lambda _data: True) -> Any:
        """The payload of the first unseen event of a name (which `that` accepts), already here or still to come.

        Raises:
            TimeoutError: naming what came instead.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                while (found := next((h for h in self._unseen if h.name == name and that(h.data)), None)) is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"no {name}; unseen are {self._unseen[-20:]}") from None
        self._unseen.remove(found)
        return found.data

    def _remember(self, name: str, *arguments: Any) -> None:
        heard = Heard(name, arguments[0] if arguments else None)
        self.log.append(heard)
        self._unseen.append(heard)
        self._changed.set()


class People(Protocol):
    """Connects users, each as the document of a dialect has it; `options` are those of `SioPerson`."""

    def __call__(self, name: str, *, gateway: int = 0, **options: Any) -> Awaitable[SioPerson]: ...
