"""One open WebSocket of the native protocol: frames out, answers matched to their requests, the rest handed on.

Never reconnects; what a lost connection means is the client's business.
"""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any, Self

import orjson
from aiohttp import (
    ClientError,
    ClientSession,
    ClientWebSocketResponse,
    ClientWSTimeout,
    WSMsgType,
    WSServerHandshakeError,
)

from shared.contracts.errors import ERRORS, ChatError, CloseCode, ErrorCode, ErrorView

JSON = dict[str, Any]

MAX_FRAME = 64 * 1024 * 1024
"""Bytes: `ready` of a user in a thousand rooms shows each one's last message."""

CLOSE_GRACE = 1.0
"""Seconds the server has to answer a close frame."""

_CODE_OF_STATUS = {row.status: code for code, row in reversed(ERRORS.items())}


class Connection:
    """A connection that has got its `ready`, whose data is `ready`."""

    def __init__(self, socket: ClientWebSocketResponse, ready: JSON) -> None:
        self.ready = ready
        self._socket = socket
        self._numbers = itertools.count(1)
        self._pending: dict[str, asyncio.Future[JSON]] = {}
        # Beyond this the server refuses: waiting here is cheaper for both.
        self._slots = asyncio.Semaphore(ready["limits"]["max_in_flight"])

    @classmethod
    async def open(cls, session: ClientSession, url: str, token: str, *, follow: bool, heartbeat: float) -> Self:
        """Connect, and wait for `ready`.

        Args:
            url: `http://host:port` of a gateway.
            follow: subscribe to all of the user's rooms.
            heartbeat: seconds between signs of life that are asked for.

        Raises:
            ChatError: the server's refusal, or `unavailable` where there is none.
        """
        headers = {"Authorization": f"Bearer {token}"}
        query = {} if follow else {"subscribe": "none"}
        try:
            socket = await session.ws_connect(
                f"{url}/ws", headers=headers, params=query, heartbeat=heartbeat, max_msg_size=MAX_FRAME,
                timeout=ClientWSTimeout(ws_close=CLOSE_GRACE),
            )  # fmt: skip
        except WSServerHandshakeError as error:
            code = _CODE_OF_STATUS.get(error.status, ErrorCode.UNAVAILABLE)
            raise ChatError(code, f"{url} refused the connection: {error.message} ({error.status}).") from error
        except (ClientError, OSError) as error:
            raise ChatError(ErrorCode.UNAVAILABLE, f"{url} cannot be reached: {error}.") from error
        try:
            return cls(socket, await _first_frame(socket, url))
        except BaseException:
            await socket.close()
            raise

    async def request(self, type: str, data: JSON) -> JSON:
        """Send a frame; the data of its ack.

        Raises:
            ChatError: the server's refusal, or `unavailable` where the connection ended before the answer.
        """
        async with self._slots:
            number = str(next(self._numbers))
            answer: asyncio.Future[JSON] = asyncio.get_running_loop().create_future()
            self._pending[number] = answer
            try:
                if self._socket.closed:
                    raise _lost()
                frame = orjson.dumps({"type": type, "id": number, "data": data})
                await self._socket.send_frame(frame, WSMsgType.TEXT)
                return await answer
            except (ClientError, OSError) as error:
                raise _lost() from error
            finally:
                del self._pending[number]

    async def read(self, receive: Callable[[JSON], None]) -> tuple[int, str]:
        """Read until the connection ends, handing every frame that is no answer to `receive`; how it ended.

        Returns:
            The close code (1006 where the connection broke) and the reason.
        """
        try:
            reason = ""
            while True:
                message = await self._socket.receive()
                if message.type is WSMsgType.TEXT:
                    self._dispatch(orjson.loads(message.data), receive)
                elif message.type is WSMsgType.CLOSE:
                    reason = message.extra or ""
                    break
                elif message.type in {WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR}:
                    break
            return int(self._socket.close_code or 1006), reason
        finally:
            for answer in self._pending.values():
                if not answer.done():
                    answer.set_exception(_lost())

    async def close(self) -> None:
        """Say goodbye."""
        await self._socket.close()

    def _dispatch(self, frame: JSON, receive: Callable[[JSON], None]) -> None:
        kind = frame["type"]
        if kind not in {"ack", "error"}:
            receive(frame)
            return
        answer = self._pending.get(str(frame.get("id")))
        if answer is None or answer.done():
            return  # its request was given up
        if kind == "ack":
            answer.set_result(frame["data"])
        else:
            answer.set_exception(_error_of(frame))


async def _first_frame(socket: ClientWebSocketResponse, url: str) -> JSON:
    message = await socket.receive()
    if message.type is not WSMsgType.TEXT:
        refused = socket.close_code == CloseCode.UNAUTHENTICATED
        code = ErrorCode.UNAUTHENTICATED if refused else ErrorCode.UNAVAILABLE
        raise ChatError(code, f"{url} closed the connection before it was ready ({socket.close_code}).")
    frame: JSON = orjson.loads(message.data)
    if frame["type"] == "error":
        raise _error_of(frame)
    data: JSON = frame["data"]
    return data


def _error_of(frame: JSON) -> ChatError:
    return ChatError.from_view(ErrorView.model_validate(frame["error"]))


def _lost() -> ChatError:
    return ChatError(
        ErrorCode.UNAVAILABLE, "The connection ended before the answer came; the request may have taken effect.",
        retry_after=0.0,
    )  # fmt: skip
