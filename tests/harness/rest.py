"""`/v1` as a caller uses it."""

from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import ClientSession


@dataclass(frozen=True, slots=True)
class Answer:
    """A response. `body` is its JSON."""

    status: int
    body: Any
    headers: dict[str, str]

    @property
    def error(self) -> str:
        """The error code in the body."""
        code: str = self.body["error"]["code"]
        return code


class Api:
    """A caller with a token, or with none."""

    def __init__(self, session: ClientSession, url: str, token: str | None) -> None:
        self._session = session
        self._url = url
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    async def __call__(
        self, method: str, path: str, body: Any = None, *, raw: bytes | None = None, **headers: str
    ) -> Answer:
        """Send a request.

        Args:
            body: sent as JSON; `raw` as it is.
            headers: names with `_` for `-`.
        """
        named = self._headers | {name.replace("_", "-"): value for name, value in headers.items()}
        data = raw if raw is not None else (None if body is None else orjson.dumps(body))
        async with self._session.request(method, f"{self._url}{path}", data=data, headers=named) as response:
            content = await response.read()
            parsed = orjson.loads(content) if response.content_type == "application/json" and content else content
            return Answer(response.status, parsed, dict(response.headers))
