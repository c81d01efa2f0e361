"""A model and a real company doing the same: one command after the other, each answered as the model says."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

from hypothesis import note

from deploy.embedded.stack import Stack
from shared.contracts.errors import ErrorCode
from tests.integration.model_checks import LAG, PAUSE, Observer
from tests.integration.model_company import SOCKET, WAYS, company
from tests.integration.model_following import check_follower
from tests.integration.model_world import OK, Member, Outcome, Room, User

JSON = dict[str, Any]
T = TypeVar("T")

NOBODYS = "0" * 24
"""The id of no message."""

FIRST_EPOCH = "0"
"""Of every room, until it is deleted and made again."""

PATIENCE = 60.0


def cast() -> dict[str, User]:
    """Who plays, in tenants of their own; `far` bears the name of another."""
    home, abroad = f"t-{uuid4().hex[:12]}", f"t-{uuid4().hex[:12]}"
    return {
        "ann": User("ann", home),
        "ben": User("ben", home),
        "cas": User("cas", home),
        "root": User("root", home, "admin"),
        "bot": User("bot", home, "assistant"),
        "far": User("ann", abroad),
    }


@dataclass
class Done:
    """A command that took effect. Repeated, it is answered as `again` says now, with all that is in `same`."""

    name: str
    type: str
    data: JSON
    again: Callable[[], Outcome]
    same: JSON


class Play:
    """Who plays, what they have made, and what the model says of it."""

    def __init__(self, stack: Stack, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._held = AsyncExitStack()
        self.users = cast()
        self.rooms: list[Room] = []
        self.pairs: dict[tuple[str, str], Room] = {}
        self.done: list[Done] = []
        self.epochs: dict[str, str] = {}
        self.sound = True
        """Whether the model and the real thing have agreed so far."""
        self._company = self.run(self._held.enter_async_context(company(stack, self.users, ("ann", "ben"))))
        self._observer = Observer(self._company, self.users)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Let the test's event loop do something, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def close(self) -> None:
        """Let everybody go."""
        self.run(self._held.aclose())

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────

    def ask(self, name: str, way: str, type: str, data: JSON, outcome: Outcome) -> JSON:
        """Send a command once; its answer, which has to be what the model says."""
        note(f"{name} asks {type} {data} by {way}: {outcome or 'ok'}")
        self.sound = False
        answer = self.run(self._company.ask(name, way, type, data))
        assert answer.code == outcome, f"{name}: {type} {data} by {way} is {answer.code}, not {outcome}"
        self.sound = True
        return answer.data

    def do(
        self,
        name: str,
        way: str,
        type: str,
        data: JSON,
        outcome: Outcome,
        *,
        again: Callable[[], Outcome] | None = None,
        same: tuple[str, ...] = (),
        changes: JSON | None = None,
    ) -> JSON:
        """A new command.

        Args:
            again: what its repetition is answered with, whenever that comes; None where it must not be repeated.
            same: parts of the answer that a repetition has, too.
            changes: and such as it has instead.
        """
        data = {**data, "client_id": uuid4().hex}
        result = self.ask(name, way, type, data, outcome)
        if outcome is OK and again is not None:
            expected = {key: result[key] for key in same} | (changes or {})
            self.done.append(Done(name, type, data, again, expected))
        return result

    def repeat(self, done: Done, way: str) -> None:
        """The same command again changes nothing, and is answered as before, unless that may not be told any more."""
        outcome = done.again()
        result = self.ask(done.name, way, done.type, done.data, outcome)
        if outcome is OK:
            self.agree(result, done.same)

    def agree(self, result: JSON, expected: JSON) -> None:
        """An answer has what it has to."""
        self.sound = False
        assert {key: result.get(key) for key in expected} == expected
        self.sound = True

    # ── rooms ────────────────────────────────────────────────────────────────────────────────────────────────────

    def create(self, name: str, way: str, kind: str, others: list[str]) -> None:
        """A group or session; what a repetition says of it is for who may read it now."""
        user = self.users[name]
        name_of_room = f"room {len(self.rooms)}"
        data = {"type": kind, "members": others, "name": name_of_room}
        readable: Callable[[], Outcome] = lambda: room.may_read(user)  # noqa: E731
        result = self.do(name, way, "room.create", data, OK, again=readable, changes={"created": False})
        members = {user.id: Member("owner", 1), **{other: Member("member", 1) for other in others if other != user.id}}
        room = Room(result["room"]["id"], user.tenant, kind, members, name=name_of_room)
        self.rooms.append(room)
        self.told(room)

    def pair(self, name: str, way: str, other: str) -> None:
        """The one room of two; made again where it was deleted."""
        user = self.users[name]
        outcome = ErrorCode.INVALID if other == user.id else OK
        result = self.do(name, way, "room.create", {"type": "direct", "members": [other]}, outcome)
        if outcome is not OK:
            return
        one, two = sorted((user.id, other))
        room, members = self.pairs.get((one, two)), {user.id: "member", other: "member"}
        if room is None:
            standing = {who: Member(role, 1) for who, role in members.items()}
            room = self.pairs[one, two] = Room(result["room"]["id"], user.tenant, "direct", standing)
            self.rooms.append(room)
            self.agree(result, {"created": True})
        elif room.deleted:
            room.revive(members)
            self.run(self._wait_until_purged(name, room))
            self.done.clear()  # what was said there is forgotten: a repetition would say it anew
            self.agree(result, {"created": True})
        else:
            self.agree(result, {"created": False})
        self.agree(result["room"], {"id": room.id})
        self.told(room)

    async def _wait_until_purged(self, name: str, room: Room) -> None:
        """What was said in a room before it was made again goes behind the scenes: its epoch tells."""
        before = self.epochs.get(room.id, FIRST_EPOCH)
        async with asyncio.timeout(LAG):
            while self.epochs.get(room.id, FIRST_EPOCH) == before:
                answer = await self._company.ask(name, SOCKET, "sync", {"cursors": {room.id: None}})
                self.epochs[room.id] = answer.data["rooms"][room.id]["epoch"]

    def change(
        self, name: str, way: str, type: str, room: Room, data: JSON, rule: Callable[[], Outcome], again: Any = None
    ) -> None:
        """A command about a room or its members. It goes on once who has lost a right is refused.

        Args:
            again: what a repetition is answered with; by default what who may read the room is.
        """
        before, version = self._rights(room), room.version
        outcome, user = rule(), self.users[name]
        changed = room.version != version
        readable = again or (lambda: room.may_read(user))
        self.do(name, way, type, {"room_id": room.id, **data}, outcome, again=readable if changed else None)
        if changed:
            self.run(self._wait_until_refused(room, before, self._rights(room)))
            self.told(room)

    def _rights(self, room: Room) -> dict[tuple[str, str], Outcome]:
        talk = {("message.send", name): room.may_talk(user) for name, user in self.users.items()}
        return talk | {("delivered.mark", name): room.may_mark(user) for name, user in self.users.items()}

    async def _wait_until_refused(self, room: Room, before: dict[Any, Outcome], after: dict[Any, Outcome]) -> None:
        """What is lost is refused soon; who tries that out does nothing where they are not refused yet."""
        self.sound = False
        tries: dict[str, JSON] = {"message.send": {"content": "?", "reply_to": NOBODYS}, "delivered.mark": {"seq": 0}}
        for command, name in (key for key in after if after[key] is not OK and before[key] is OK):
            async with asyncio.timeout(LAG):
                data = {"room_id": room.id, **tries[command]}
                while (await self._company.ask(name, SOCKET, command, data)).code != after[command, name]:  # noqa: ASYNC110
                    await asyncio.sleep(PAUSE)
        # Nobody can try out without harm whether the rights of moderators are lost. A refusal is never answered from
        # memory, so whoever decides here has looked the room up again after this.
        await self._company.ask("far", SOCKET, "delivered.mark", {"room_id": room.id, "seq": 0})
        self.sound = True

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────

    def told(self, room: Room) -> None:
        """Who listens has been told everything of a room."""
        self.sound = False
        for name, follower in self._company.followers.items():
            self.run(check_follower(follower, self.users[name], room))
        self.sound = True

    def look(self, name: str, way: str, number: int) -> None:
        """A user is answered every question as the model says."""
        self.sound = False
        self.run(self._look(name, way, number))
        self.sound = True

    async def _look(self, name: str, way: str, number: int) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._observer.states(name, self.rooms, way))
            for room in self.rooms:
                group.create_task(self._observer.look(name, room, way, number))

    def look_at_everything(self) -> None:
        """Everybody is, and has been told everything."""
        for number, name in enumerate(self.users):
            self.look(name, WAYS[number % len(WAYS)], number * 7)
        for room in self.rooms:
            self.told(room)
