"""One room, six clients, five dialects and the native protocol: each acts in its own words, and all see the same."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from deploy.embedded.stack import Stack
from services.gateway.dialects.rows import look_up
from shared.contracts.errors import ChatError
from tests.conftest import ClientOf, TokenOf
from tests.harness.person import Person
from tests.harness.rest import Api
from tests.harness.sio import SioPerson

ACTIONS = 1000
SEED = 20261121


@dataclass(frozen=True)
class Words:
    """What a dialect calls what happens to messages: the event's name, and the paths of id and content."""

    created: tuple[str, str, str]
    updated: tuple[str, str, str]
    deleted: tuple[str, str]
    namespace: str = "/chat"


WORDS = {
    "booking": Words(
        ("new_message", "id", "content"), ("message_updated", "id", "content"), ("message_deleted", "messageId")
    ),
    "session": Words(
        ("message_received", "data.id", "data.content"),
        ("message_updated", "data.id", "data.content"),
        ("message_deleted", "data.messageId"),
    ),
    "eventchat": Words(
        ("message_created", "id", "content"), ("message_edited", "id", "content"), ("message_deleted", "messageId")
    ),
    "team": Words(
        ("chat:message", "id", "content"),
        ("chat:message_update", "message.id", "message.content"),
        ("chat:message_delete", "messageId"),
        namespace="/chat/",
    ),
    "outing": Words(
        ("receiveMessage", "id", "content"), ("messageUpdated", "id", "content"), ("messageDeleted", "messageId")
    ),
}

View = dict[str, str]
"""The messages a client shows, in order: their contents by id."""


def seen(person: SioPerson, words: Words) -> View:
    """What a client shows that has begun with an empty room and believes what it is told."""
    shown: View = {}
    for heard in person.log:
        if heard.name == words.created[0]:
            assert look_up(heard.data, words.created[1]) not in shown, heard
            shown[look_up(heard.data, words.created[1])] = look_up(heard.data, words.created[2])
        elif heard.name == words.updated[0]:
            shown[look_up(heard.data, words.updated[1])] = look_up(heard.data, words.updated[2])
        elif heard.name == words.deleted[0]:
            del shown[look_up(heard.data, words.deleted[1])]
    return shown


def seen_natively(person: Person) -> View:
    """The same for the native client."""
    shown: View = {}
    for event in person.log:
        if event.type in {"message.created", "message.updated"}:
            shown[event.data["id"]] = event.data["content"]
        elif event.type == "message.deleted":
            del shown[event.data["id"]]
    return shown


class Party:
    """Everybody in the room."""

    def __init__(self, room: str, native: Person, people: dict[str, SioPerson], api: dict[str, Api]) -> None:
        self.room = room
        self.native = native
        self.people = people
        self.api = api
        self.refused: list[Any] = []
        self.deleted: set[str] = set()
        """What was taken back, of which the native client may not have heard yet."""

    def of(self, author: str, chance: random.Random) -> str | None:
        """The id of one of somebody's messages that are there, as far as the native client knows."""
        mine = {
            event.data["id"]
            for event in self.native.log
            if event.type == "message.created" and event.data["sender"]["id"] == author
        }
        mine -= self.deleted
        there = [message_id for message_id in seen_natively(self.native) if message_id in mine]
        return chance.choice(there) if there else None

    # ── how each says it ─────────────────────────────────────────────────────────────────────────────────────────

    async def send(self, who: str, content: str) -> Any:
        """Say something."""
        match who:
            case "native":
                return await self.native.send(self.room, content)
            case "booking":
                return await self.call(who, "send_message", {"chat_room_id": self.room, "content": content})
            case "session":
                return await self.call(who, "send_message", {"content": content})
            case "eventchat":
                return await self.call(who, "create_message", {"chatId": self.room, "content": content})
            case "team":
                return await self.call(who, "chat:send_message", {"roomId": self.room, "content": content})
            case _:
                return await self.call(who, "sendMessage", {"chatId": self.room, "content": content})

    async def edit(self, who: str, message_id: str, content: str) -> Any:
        """Change what one has said; where a dialect cannot, in another's words."""
        match who:
            case "native":
                return await self.native.call("message.edit", {"message_id": message_id, "content": content})
            case "team":
                return await self.call(who, "chat:update_message", {"messageId": message_id, "content": content})
            case "eventchat":
                return await self.call(who, "edit_message", {"messageId": message_id, "content": content})
            case _:
                return await self.api[who]("PUT", f"/chat/messages/{message_id}", {"content": content})

    async def delete(self, who: str, message_id: str) -> Any:
        """Take back what one has said."""
        self.deleted.add(message_id)
        match who:
            case "native":
                return await self.native.call("message.delete", {"message_id": message_id})
            case "team":
                return await self.call(who, "chat:delete_message", message_id)
            case "eventchat":
                return await self.call(who, "delete_message", {"messageId": message_id})
            case "outing":
                return await self.api[who]("DELETE", f"/messages/{message_id}")
            case _:
                return await self.api[who]("DELETE", f"/chat/messages/{message_id}")

    async def stir(self, who: str) -> Any:
        """Type, or read everything."""
        match who:
            case "native":
                return await self.native.call("read.mark", {"room_id": self.room, "seq": 2**53})
            case "booking":
                return await self.call(who, "mark_messages_read", {"roomId": self.room})
            case "session":
                return await self.call(who, "typing", {"isTyping": True})
            case "eventchat":
                return await self.call(who, "set_typing", {"chatId": self.room, "isTyping": True})
            case "team":
                return await self.call(who, "chat:typing", {"roomId": self.room, "isTyping": True})
            case _:
                return await self.call(who, "typing", {"chatId": self.room, "isTyping": True})

    async def call(self, who: str, name: str, data: Any) -> Any:
        """Send an event, and keep what it is refused by."""
        answer = await self.people[who].call(name, data)
        if isinstance(answer, dict) and "message" in answer and "id" not in answer:
            self.refused.append((who, name, answer))
        return answer


async def acts(party: Party, who: str, number: int, chance: random.Random) -> None:
    """What one of them does, one thing after the other."""
    for count in range(number):
        dice = chance.random()
        mine = party.of(who, chance) if dice < 0.3 else None
        if mine is not None and dice < 0.15:
            await party.edit(who, mine, f"{who} {count} edited")
        elif mine is not None:
            await party.delete(who, mine)
        elif dice > 0.9:
            await party.stir(who)
        else:
            await party.send(who, f"{who} {count}")


async def test_all_end_with_the_same(
    stack: Stack, client: ClientOf, token: TokenOf, closing: AsyncExitStack, api: Callable[..., Api]
) -> None:
    """A thousand messages, edits, deletions, marks and signs of typing, by six at once at two gateways."""
    chance = random.Random(SEED)
    native = await client("native")
    room = (await native.create_room(members=list(WORDS))).id
    people: dict[str, SioPerson] = {}
    for number, (name, words) in enumerate(WORDS.items()):
        auth = {"token": f"Bearer {token(name)}", "userId": name, "dialect": name}
        url = stack.gateway_urls[number % len(stack.gateway_urls)]
        people[name] = await closing.enter_async_context(SioPerson(url, namespace=words.namespace, auth=auth))
    await people["booking"].call("join_room", {"roomId": room})
    await people["session"].call("join_session", {"sessionId": room})
    await people["eventchat"].call("join_chat", {"chatId": room})
    await people["team"].call("chat:join", room)
    await people["outing"].call("joinRoom", {"chatId": room})
    party = Party(room, native, people, {name: api(name) for name in WORDS})
    everybody = ["native", *WORDS]
    async with asyncio.TaskGroup() as tasks:
        for name in everybody:
            tasks.create_task(acts(party, name, ACTIONS // len(everybody) + 1, random.Random(chance.random())))
    assert party.refused == []
    await native.send(room, "the end")
    for name, words in WORDS.items():
        await people[name].expect(
            words.created[0],
            lambda data, path=words.created[2]: look_up(data, path) == "the end",  # type: ignore[misc]
        )
    await native.said(room, "the end")
    truth = seen_natively(native)
    assert len(truth) > ACTIONS / 3
    for name, words in WORDS.items():
        assert list(seen(people[name], words).items()) == list(truth.items()), name
    stored = [message async for message in everything(native, room)]
    assert [(message["id"], message["content"]) for message in stored if not message.get("deleted_at")] == list(
        truth.items()
    )


async def everything(native: Person, room: str) -> Any:
    """All messages of a room, the oldest first."""
    after = 0
    while True:
        try:
            page = await native.call("history.get", {"room_id": room, "after": after, "limit": 200})
        except ChatError as error:
            raise AssertionError(error.message) from error
        for message in page["messages"]:
            yield message
        if not page["has_after"]:
            return
        after = page["messages"][-1]["seq"]
