"""Plays a section of a transcript against a running stack: python-socketio's client, and requests."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import socketio
from aiohttp import ClientSession

from services.gateway.dialects.choice import ALL
from tests.harness.sio import PATIENCE, SioPerson
from tests.transcripts.script import Line, Mismatch, Section, fill
from tests.transcripts.script import match as matched

NOBODY = "nobody"


class Player:
    """Plays sections.

    Args:
        urls: the gateways; people are spread over them, so that what one says comes to the others by way of the bus.
        token: issues a token for a user with claims.
    """

    def __init__(
        self, urls: list[str], dialect: str, http: ClientSession, token: Callable[..., str], closing: AsyncExitStack
    ) -> None:
        self._urls = urls
        self._dialect = ALL[dialect]
        self._http = http
        self._token = token
        self._closing = closing
        self._people: dict[str, SioPerson] = {}
        self._bound: dict[str, Any] = {}

    async def play(self, section: Section) -> None:
        """Play it. Raises AssertionError naming the line where something else happens."""
        people = dict.fromkeys(line.who for line in section.lines)
        self._home = {who: self._urls[number % len(self._urls)] for number, who in enumerate(people)}
        self._bound = {who: self._token(who, **section.claims.get(who, {})) for who in people if who != NOBODY}
        for line in section.lines:
            try:
                await self._play(line)
            except (Mismatch, TimeoutError, socketio.exceptions.SocketIOError) as error:
                raise AssertionError(f"line {line.number}, {line.who} {line.verb} {line.name}: {error}") from error

    async def _play(self, line: Line) -> None:
        match line.verb:
            case "connects":
                await self._connect(line)
            case "refused":
                await self._refused(line)
            case "disconnects":
                await self._people.pop(line.who).client.disconnect()
            case _ if line.soon:
                await self._do_until(line)
            case ">":
                await self._send(line)
            case "<":
                heard = await self._people[line.who].expect(line.name, lambda data: self._fits(line.got, data))
                self._bind(line.got, heard)
            case "!<":
                told = [one.data for one in self._people[line.who].log if one.name == line.name]
                heard = told if line.got is None else [data for data in told if self._fits(line.got, data)]
                if heard:
                    raise Mismatch(f"it was told: {heard}")
            case method:
                await asyncio.gather(*(self._request(method, line) for _ in range(line.times)))

    async def _connect(self, line: Line) -> None:
        person = SioPerson(self._home[line.who], **self._options(line))
        self._people[line.who] = person
        await self._closing.enter_async_context(person)

    async def _refused(self, line: Line) -> None:
        options = self._options(line)
        namespace = options.pop("namespace")
        client = socketio.AsyncClient(reconnection=False)
        told: list[Any] = []
        client.on("connect_error", told.append, namespace=namespace)
        try:
            await client.connect(self._home[line.who], namespaces=[namespace], **options)
        except socketio.exceptions.ConnectionError:
            self._bind(line.got, told[0])
        else:
            raise Mismatch("nothing was refused")
        finally:
            await client.disconnect()

    def _options(self, line: Line) -> dict[str, Any]:
        """How somebody connects: as the line says, else as the dialect wants it."""
        token = f"Bearer ${line.who}" if self._dialect.bearer else f"${line.who}"
        auth = {"token": token if line.who != NOBODY else None}
        if "userId" in self._dialect.demands:
            auth["userId"] = line.who
        options = {"namespace": self._dialect.namespaces[0], "auth": auth, **line.sent}
        filled: dict[str, Any] = fill(options, {**self._bound, "server": self._home[line.who]})
        return filled

    async def _send(self, line: Line) -> None:
        person, payload = self._people[line.who], fill(line.sent, self._bound)
        if line.got is None:
            await person.emit(line.name, payload)
        else:
            self._bind(line.got, await person.call(line.name, payload))

    async def _do_until(self, line: Line) -> None:
        """Do it until it is answered so. Raises TimeoutError with what is wrong about the last answer."""
        last: Mismatch | None = None
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    try:
                        await self._play(replace(line, soon=False))
                    except Mismatch as error:
                        last = error
                        await asyncio.sleep(0.05)
                    else:
                        return
        except TimeoutError:
            raise TimeoutError(str(last)) from last

    async def _request(self, method: str, line: Line) -> None:
        token = {} if line.who == NOBODY else {"Authorization": f"Bearer {self._bound[line.who]}"}
        headers = {**token, **fill(line.headers, self._bound)}
        url = f"{self._home[line.who]}{fill(line.name, self._bound)}"
        json = None if line.sent is None else fill(line.sent, self._bound)
        async with self._http.request(method, url, json=json, headers=headers) as response:
            text = await response.text()
            if response.status != line.status:
                raise Mismatch(f"the status is {response.status}, not {line.status}: {text}")
            if line.got is not None:
                self._bind(line.got, await response.json())

    def _bind(self, expected: Any, found: Any) -> None:
        self._bound = matched(expected, found, self._bound)

    def _fits(self, expected: Any, found: Any) -> bool:
        try:
            matched(expected, found, self._bound)
        except Mismatch:
            return False
        return True
