"""Clients of Socket.IO of several makes, as a test wants them: all are driven alike, and remember what they are told.

What is no event of the server's has an `@` before its name: `@connect`, `@connect_error`, `@disconnect`, `@upgrade`,
`@reconnect`.
"""

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from typing_extensions import override

PATIENCE = 20.0


class Heard(NamedTuple):
    """Something that a client was told."""

    name: str
    data: Any


class Talker(ABC):
    """A client."""

    def __init__(self) -> None:
        self.log: list[Heard] = []
        self._unseen: list[Heard] = []
        self._changed = asyncio.Event()
        self._numbers = itertools.count(1)

    @abstractmethod
    async def connect(self, url: str, options: dict[str, Any]) -> None:
        """Connect to `http://host:port/namespace`, with the options of socket.io-client."""

    @abstractmethod
    async def emit(self, name: str, *arguments: Any) -> None:
        """Send an event, and want no answer."""

    @abstractmethod
    async def call(self, name: str, *arguments: Any) -> Any:
        """Send an event, and wait for its acknowledgement."""

    @abstractmethod
    async def disconnect(self) -> None:
        """Leave."""

    async def expect(self, name: str, that: Callable[[Any], object] = lambda _data: True) -> Any:
        """What came with the first unseen event of a name (which `that` accepts), already here or still to come.

        Raises:
            TimeoutError: naming what came instead.
        """

        def found() -> Heard | None:
            return next((h for h in self._unseen if h.name == name and that(h.data)), None)

        await self._until(lambda: found() is not None, name)
        heard = found()
        assert heard is not None
        self._unseen.remove(heard)
        return heard.data

    async def expect_many(self, name: str, number: int) -> list[Any]:
        """What came with all events of a name, when there are so many of them."""
        await self._until(lambda: len(self.all(name)) >= number, f"{number} times {name}")
        return self.all(name)

    def all(self, name: str) -> list[Any]:
        """What came with all events of a name until now."""
        return [heard.data for heard in self.log if heard.name == name]

    def heard(self, name: str, arguments: list[Any]) -> None:
        """Take in what the client is told."""
        heard = Heard(name, arguments[0] if arguments else None)
        self.log.append(heard)
        self._unseen.append(heard)
        self._changed.set()

    async def _until(self, holds: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"no {what}; unseen are {self._unseen[-20:]}") from None


Act = Callable[..., Awaitable[None]]
"""Has the driver (node/driver.js) do something: its name, the socket's id, arguments."""


class DrivenTalker(Talker):
    """socket.io-client, by way of node/driver.js or, where a program uses it, of node/program.js."""

    def __init__(self, act: Act, number: int) -> None:
        super().__init__()
        self._act = act
        self.number = number

    @override
    async def connect(self, url: str, options: dict[str, Any]) -> None:
        await self._act("connect", self.number, url, options)

    async def join(self, other: "DrivenTalker", namespace: str, options: dict[str, Any]) -> None:
        """Connect to another namespace, on the connection that `other` has."""
        await self._act("join", self.number, other.number, namespace, options)

    @override
    async def emit(self, name: str, *arguments: Any) -> None:
        await self._act("emit", self.number, name, *arguments)

    @override
    async def call(self, name: str, *arguments: Any) -> Any:
        call = next(self._numbers)
        await self._act("call", self.number, call, name, *arguments)
        _, error, answer = await self._answer(call)
        if error is not None:
            raise TimeoutError(f"{name}: {error}")
        return answer

    async def _answer(self, call: int) -> list[Any]:
        answer: list[Any] = await self.expect("@answer", lambda data: data[0] == call)
        return answer

    async def flood(self, room: str, texts: list[str], window: int) -> None:
        """Send texts to a room; each answer is an `@sent`."""
        await self._act("flood", self.number, room, texts, window)

    async def host(self, **options: Any) -> None:
        """Be about to run a program whose sockets have these options, where it gives none (node/program.js)."""
        await self._act("host", self.number, options)

    async def run(self, code: str) -> None:
        """Run another piece of the program."""
        await self._act("run", self.number, code)

    async def raw(self, packet: str) -> None:
        """Send what may be no packet at all."""
        await self._act("raw", self.number, packet)

    @override
    async def disconnect(self) -> None:
        await self._act("disconnect", self.number)

    @override
    def heard(self, name: str, arguments: list[Any]) -> None:
        super().heard(name, [arguments] if name == "@answer" else arguments)
