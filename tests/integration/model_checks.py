"""What every query must answer, and every follower have been told, if the model is right."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from shared.contracts.errors import ErrorCode
from tests.integration.model_company import Answer, Company
from tests.integration.model_timeline import Message, Timeline
from tests.integration.model_world import OK, Outcome, Room, User

JSON = dict[str, Any]

LAG = 5.0
"""Seconds in which a change of rights has reached everybody who remembers the former ones."""

PAUSE = 0.01


async def refused_soon(ask: Callable[[], Awaitable[Answer]], outcome: Outcome) -> Answer:
    """The answer to a question; one that has to be refused may be answered a moment longer."""
    answer = await ask()
    if outcome is OK or answer.code == outcome:
        return answer
    async with asyncio.timeout(LAG):
        while (answer := await ask()).code != outcome:  # noqa: ASYNC110 - nothing tells that a worker has heard
            await asyncio.sleep(PAUSE)
    return answer


def shown(message: JSON) -> JSON:
    """A message as answers and frames have it, in the model's words."""
    deleted = message.get("deleted_at") is not None
    quoted = message.get("quote")
    return {
        "id": message["id"],
        "seq": message["seq"],
        "rev": message["rev"],
        "sender": message["sender"]["id"],
        "content": message["content"],
        "mentions": list(message.get("mentions") or ()),
        "reactions": [(item["emoji"], list(item["users"])) for item in message.get("reactions") or ()],
        "deleted": deleted,
        "edited": message.get("edited_at") is not None and not deleted,
        "quote": None
        if quoted is None
        else (
            quoted["message_id"],
            quoted["seq"],
            quoted["sender"]["id"],
            quoted["content"],
            quoted.get("deleted", False),
        ),
    }


class Observer:
    """Compares what users are answered with the model."""

    def __init__(self, company: Company, users: dict[str, User]) -> None:
        self._company = company
        self._users = users

    async def look(self, name: str, room: Room, way: str, number: int) -> None:
        """Everything that a user can ask about a room; `number` picks the message and the cursor."""
        user = self._users[name]
        readable = room.may_read(user)

        async def ask(type: str, outcome: Outcome = readable, **data: Any) -> JSON:
            answer = await refused_soon(lambda: self._company.ask(name, way, type, data), outcome)
            assert answer.code == outcome, f"{name} asks {type} by {way}: {answer.code}, not {outcome}"
            return answer.data

        line = room.timeline
        view = await ask("room.get", room_id=room.id)
        members = await ask("members.list", room_id=room.id)
        history = await ask("history.get", room_id=room.id, limit=200)
        receipts = await ask("receipts.get", room_id=room.id)
        if readable is OK:
            check_room(view, room, user)
            standing = [(item["user_id"], item["role"], item.get("muted", False)) for item in members["members"]]
            assert standing == sorted((who, member.role, member.muted) for who, member in room.members.items())
            assert [shown(item) for item in history["messages"]] == [message.shown() for message in line.living]
            check_receipts(receipts["receipts"], room, user)
        await self._sync(name, room, way, number % (line.rev + 1))
        if line.messages:
            message = line.messages[number % line.seq]
            there = OK if message in line.living else ErrorCode.NOT_FOUND
            status = await ask("message.status", readable or there, message_id=message.id)
            if (readable or there) is OK:
                check_status(status, message, room)
            allowed = room.may_see_revisions(user, message) or there
            revisions = await ask("revisions.get", allowed, message_id=message.id)
            if allowed is OK:
                assert [item["content"] for item in revisions["revisions"]] == message.revisions

    async def _sync(self, name: str, room: Room, way: str, rev: int) -> None:
        """What has changed since a cursor; and all of it where there is none."""
        line, outcome = room.timeline, room.may_read(self._users[name])

        async def ask(cursor: str | None) -> JSON:
            async def once() -> Answer:
                answer = await self._company.ask(name, way, "sync", {"cursors": {room.id: cursor}, "limit": 200})
                refused = answer.data.get("errors", {}).get(room.id)
                return Answer(refused, answer.data["rooms"].get(room.id, {}))

            answer = await refused_soon(once, outcome)
            assert answer.code == outcome, f"{name} asks sync: {answer.code}, not {outcome}"
            return answer.data

        snapshot = await ask(None)
        if outcome is not OK:
            return
        epoch = snapshot["epoch"]
        since = await ask(f"{epoch}:{rev}")
        changed = sorted((message for message in line.living if message.rev > rev), key=lambda message: message.rev)
        for page, reset, messages in ((snapshot, True, line.living), (since, False, changed)):
            assert [shown(item) for item in page["messages"]] == [message.shown() for message in messages]
            standing: JSON = {"reset": reset, "seq": line.seq, "rev": line.rev, "has_more": False}
            standing |= {"cursor": f"{epoch}:{line.rev}"}
            assert {key: page[key] for key in standing} == standing
            assert page.get("cleared_seq", 0) == line.cleared

    async def states(self, name: str, rooms: list[Room], way: str) -> None:
        """Where all rooms stand for a user, and what is unread in all of them."""
        user = self._users[name]
        readable = {room.id: room for room in rooms if room.may_read(user) is OK}

        async def ask() -> Answer:
            """Refused as long as rooms are among them that are lost."""
            answer = await self._company.ask(name, way, "rooms.states", {"room_ids": [room.id for room in rooms]})
            lost = {item["room_id"] for item in answer.data["states"]} - readable.keys()
            return answer._replace(code=ErrorCode.FORBIDDEN if lost else OK)

        async with asyncio.timeout(LAG):
            while (answer := await ask()).code is not OK:  # noqa: ASYNC110 - nothing tells that a worker has heard
                await asyncio.sleep(PAUSE)
        view = answer.data
        assert [item["room_id"] for item in view["states"]] == list(readable)
        for item in view["states"]:
            check_state(item, readable[item["room_id"]].timeline, user.id)
        unread = [len(room.timeline.unread(user.id)) for room in readable.values()]
        mentions = [room.timeline.mentioned(user.id) for room in readable.values()]
        assert (view["unread"], view["mentions"]) == (sum(unread), sum(mentions)), name


def check_room(view: JSON, room: Room, user: User) -> None:
    """A room as its reader sees it."""
    member = room.members.get(user.id)
    assert view["type"] == room.kind
    assert view.get("name") == room.name
    assert view["version"] == room.version
    assert view["member_count"] == len(room.members)
    assert view.get("closed", False) == room.closed
    assert view.get("role") == (None if member is None else member.role)
    assert view.get("muted") == (None if member is None else member.muted)


def check_receipts(receipts: list[JSON], room: Room, user: User) -> None:
    """Everybody's marks; delivered ones may have moved by themselves. Nobody sees where others read from."""
    line, found = room.timeline, {item["user_id"]: item for item in receipts}
    assert list(found) == sorted(found)
    assert found.keys() <= room.members.keys()
    for who in room.members:
        item = found.get(who, {"read_seq": 0, "delivered_seq": 0})
        assert item["read_seq"] == line.read.get(who, 0), (who, item)
        assert line.delivered.get(who, 0) <= item["delivered_seq"] <= line.seq, (who, item)
        assert item.get("unread_from") == (line.unread_from.get(who) if who == user.id else None), (who, item)


def check_status(view: JSON, message: Message, room: Room) -> None:
    """Who has read a message; who has got it may be more than have said so."""
    line, others = room.timeline, sorted(who for who in room.members if who != message.sender)
    readers = [who for who in others if line.read.get(who, 0) >= message.seq]
    said = {who for who in others if line.delivered.get(who, 0) >= message.seq}
    assert view["read_by"] == readers
    assert said <= set(view["delivered_to"]) <= set(others)
    reached = "delivered" if others and view["delivered_to"] == others else "sent"
    assert view["status"] == ("read" if others and readers == others else reached)


def check_state(view: JSON, line: Timeline, user_id: str) -> None:
    """Where a room stands, and a user in it."""
    last = line.living[-1].shown() if line.living else None
    assert (None if view.get("last_message") is None else shown(view["last_message"])) == last
    stands = {
        "seq": line.seq,
        "rev": line.rev,
        "cleared_seq": line.cleared,
        "read_seq": line.read.get(user_id, 0),
        "unread": len(line.unread(user_id)),
        "mentions": line.mentioned(user_id),
    }
    assert {key: view.get(key, 0) for key in stands} == stands, user_id
