"""A chat in the terminal: `make chat`, and in a second one `make chat SUB=bob`.

| variable | default | meaning |
|---|---|---|
| `SUB` | alice | who chats |
| `NAME` | SUB, capitalised | under which name |
| `ROOM` | lobby | in which room; made when it is first entered, open to whoever asks for it here |
| `PORT`, `HOST`, `JWT_SECRET` | as the stack's | where |

Lines are sent, from a pipe too; the end of input (Ctrl-D) or Ctrl-C leaves. Shows what the reference client gives.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from urllib.parse import quote

from deploy.embedded.config import Config
from deploy.embedded.errors import EmbeddedError
from shared.auth import issue_token
from shared.client import Client, Event
from shared.contracts.content import MessageView
from shared.contracts.errors import ChatError, ErrorCode
from shared.logging import configure_logging

DOORMAN = "demo-doorman"
"""The service that makes the rooms and lets everybody in."""

TTL = 24 * 3600
PATIENCE = 3.0
SHOWN = 20
ERASE_LINE_ABOVE = "\x1b[1A\x1b[2K"


def main() -> int:
    """Chat until the end of input or Ctrl-C.

    Raises:
        EmbeddedError: where no gateway answers, or SUB or ROOM cannot be used.
    """
    env = os.environ
    config = Config.from_env(env)
    sub, room_name = env.get("SUB") or "alice", env.get("ROOM") or "lobby"
    configure_logging("error", "chat", sub)  # a conversation is no place for warnings about retries
    try:
        asyncio.run(_chat(config, sub, env.get("NAME") or sub.capitalize(), room_name))
    except* KeyboardInterrupt:
        print()
    except* ChatError as errors:
        raise EmbeddedError(_explain(errors.exceptions[0], config)) from errors
    return 0


def _explain(error: BaseException, config: Config) -> str:
    if isinstance(error, ChatError) and error.code is ErrorCode.UNAVAILABLE:
        return f"no gateway answers on port {config.port}: `make run` starts one, `make status` looks"
    return str(error)


async def _chat(config: Config, sub: str, name: str, room_name: str) -> None:
    url = f"http://{config.reachable_host}:{config.port}"
    room_id = await _enter(config, url, sub, room_name)
    token = issue_token(config.jwt_secret, sub=sub, name=name, ttl=TTL)
    async with Client(url, token, patience=PATIENCE) as client:
        print(f"You are {name} in '{room_name}'. Type to talk, Ctrl-D leaves.", flush=True)
        screen = Screen(room_id, sub)
        screen.history((await client.history(room_id, limit=SHOWN)).messages)
        async with asyncio.TaskGroup() as group:
            showing = group.create_task(_show(client, screen))
            async for line in _lines():
                await _say(client, screen, room_id, line)
            await screen.wait_shown()
            showing.cancel()


async def _enter(config: Config, url: str, sub: str, room_name: str) -> str:
    """The room's id; made if need be, with `sub` among its members. Any number may do this at once, any often."""
    token = issue_token(config.jwt_secret, sub=DOORMAN, roles=["service"], ttl=TTL)
    async with Client(url, token, follow=False, patience=PATIENCE) as doorman:
        # The same client_id makes the same room.
        room = await doorman.create_room(name=room_name, client_id=f"demo-{quote(room_name, safe='')}")
        await doorman.call("member.add", {"room_id": room.id, "user_id": sub})
        return room.id


async def _say(client: Client, screen: "Screen", room_id: str, line: str) -> None:
    if not line.strip():
        return
    try:
        screen.sent((await client.send(room_id, line)).seq)
    except ChatError as error:
        print(f"  (not sent: {error.message})", flush=True)


async def _show(client: Client, screen: "Screen") -> None:
    async for event in client:
        screen.show(event)


class Screen:
    """Prints a room's messages and what happens to them."""

    def __init__(self, room_id: str, sub: str) -> None:
        self._room_id = room_id
        self._sub = sub
        self._sent = 0
        self._shown = 0
        self._caught_up = asyncio.Event()
        self._caught_up.set()

    def history(self, messages: list[MessageView]) -> None:
        """Show the messages from before."""
        for message in messages:
            self._print(message, "")
            self._shown = message.seq

    def sent(self, seq: int) -> None:
        """A message of one's own is stored; it is shown when it arrives."""
        self._sent = seq
        if seq > self._shown:
            self._caught_up.clear()

    async def wait_shown(self) -> None:
        """Return once one's own messages are shown."""
        await self._caught_up.wait()

    def show(self, event: Event) -> None:
        """Show an event of the room; others are of no interest here."""
        if event.type == "disconnected":
            print(f"  (disconnected: {event.data['reason'] or event.data['code']}; reconnecting)", flush=True)
        elif event.room_id != self._room_id:
            return
        elif event.type == "message.created":
            self._arrived(event)
        elif event.type in _CHANGED:
            self._print(event.message, _CHANGED[event.type])
        elif event.type == "typing" and event.data["typing"] and event.data["user_id"] != self._sub:
            print(f"  ({event.data['user_id']} is typing)", flush=True)

    def _arrived(self, event: Event) -> None:
        if event.seq > self._shown:
            self._print(event.message, "")
            self._shown = event.seq
        if self._shown >= self._sent:
            self._caught_up.set()

    def _print(self, message: MessageView, note: str) -> None:
        when = message.created_at.astimezone().strftime("%H:%M")
        text = "(deleted)" if message.deleted_at else message.content
        reactions = "".join(f" {item.emoji}{len(item.users)}" for item in message.reactions)
        print(f"{when} {message.sender.name or message.sender.id}: {text}{reactions}{note}", flush=True)


_CHANGED = {"message.updated": "  (edited)", "message.reacted": "", "message.deleted": ""}


async def _lines() -> AsyncIterator[str]:
    """Lines of standard input, be it a terminal, a pipe or a file, until its end."""
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    source = sys.stdin.fileno()

    def readable() -> None:
        # One read at a time, and none before it is used: what waits, waits in the pipe.
        loop.remove_reader(source)
        chunks.put_nowait(os.read(source, 65536))

    rest = b""
    while True:
        try:
            loop.add_reader(source, readable)
        except PermissionError:  # a file, which is always readable
            chunks.put_nowait(os.read(source, 65536))
        chunk = await chunks.get()
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines if chunk else [rest]:
            if sys.stdin.isatty():
                print(end=ERASE_LINE_ABOVE)  # it comes back when it has been stored
            yield line.decode(errors="replace")
        if not chunk:
            return
