"""python-socketio's two clients: the one for asyncio, and the one that runs in threads of its own."""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

import socketio
from typing_extensions import override

from tests.e2e.talkers import PATIENCE, Talker


def arguments(url: str, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """What `connect` takes for an address and options as socket.io-client has them."""
    parts = urlsplit(url)
    query = f"?{urlencode(options['query'])}" if "query" in options else ""
    more = {"namespaces": [parts.path], "auth": options.get("auth"), "wait_timeout": PATIENCE}
    if "transports" in options:
        more["transports"] = options["transports"]
    return f"{parts.scheme}://{parts.netloc}{query}", {**more, "headers": options.get("extraHeaders", {})}


class AsyncTalker(Talker):
    """socketio.AsyncClient."""

    def __init__(self) -> None:
        super().__init__()
        self._client = socketio.AsyncClient(reconnection_delay=0.1, reconnection_delay_max=0.5)
        self._namespace = "/"

    @override
    async def connect(self, url: str, options: dict[str, Any]) -> None:
        address, more = arguments(url, options)
        [self._namespace] = more["namespaces"]
        _listen(self._client, self._namespace, self.heard)
        try:
            await self._client.connect(address, **more)
        except socketio.exceptions.ConnectionError:
            await self.expect("@connect_error")
            raise

    @override
    async def emit(self, name: str, *arguments: Any) -> None:
        await self._client.emit(name, *arguments, namespace=self._namespace)

    @override
    async def call(self, name: str, *arguments: Any) -> Any:
        return await self._client.call(name, *arguments, namespace=self._namespace, timeout=PATIENCE)

    @override
    async def disconnect(self) -> None:
        await self._client.shutdown()


class ThreadTalker(Talker):
    """socketio.Client."""

    def __init__(self) -> None:
        super().__init__()
        self._client = socketio.Client(reconnection_delay=0.1, reconnection_delay_max=0.5)
        self._namespace = "/"

    @override
    async def connect(self, url: str, options: dict[str, Any]) -> None:
        address, more = arguments(url, options)
        [self._namespace] = more["namespaces"]
        loop = asyncio.get_running_loop()

        def heard(name: str, data: list[Any]) -> None:
            loop.call_soon_threadsafe(self.heard, name, data)

        _listen(self._client, self._namespace, heard)
        await asyncio.to_thread(self._client.connect, address, **more)

    @override
    async def emit(self, name: str, *arguments: Any) -> None:
        await asyncio.to_thread(self._client.emit, name, *arguments, namespace=self._namespace)

    @override
    async def call(self, name: str, *arguments: Any) -> Any:
        return await asyncio.to_thread(
            self._client.call, name, *arguments, namespace=self._namespace, timeout=int(PATIENCE)
        )

    @override
    async def disconnect(self) -> None:
        await asyncio.to_thread(self._client.shutdown)


def _listen(client: Any, namespace: str, heard: Callable[[str, list[Any]], None]) -> None:
    client.on("*", lambda name, *data: heard(name, list(data)), namespace=namespace)
    client.on("connect", lambda: heard("@connect", [client.transport()]), namespace=namespace)
    client.on("connect_error", lambda data=None: heard("@connect_error", [data]), namespace=namespace)
    client.on("disconnect", lambda reason: heard("@disconnect", [reason]), namespace=namespace)
