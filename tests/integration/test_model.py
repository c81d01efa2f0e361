"""Rooms, members, messages and marks on the real stack, against a model of them that is a few dicts and lists.

Whatever anybody does, over whichever way, is answered as the model says, and leaves what the model says. For longer
runs: `EXAMPLES=500 make test ARGS='tests/integration/test_model.py'`.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from typing_extensions import override

from deploy.embedded.stack import Stack
from shared.contracts.errors import ErrorCode
from tests.integration.model_company import SOCKET, WAYS
from tests.integration.model_play import JSON, NOBODYS, Play
from tests.integration.model_timeline import Message, mentions_in
from tests.integration.model_world import OK, RANK, Outcome, Room, User

T = TypeVar("T")

EXAMPLES = int(os.environ.get("EXAMPLES", "0"))
STEPS = 30
SECONDS_PER_EXAMPLE = 20

RECENT = 12
"""Commands that may come again."""

PEOPLE = ("ann", "ben", "cas", "root", "bot")
ROLES = tuple(RANK)
CONTENTS = ("hi", "so @ben and @cas", "@ann @bot", "@ghost @root", "words " * 50)
ACTS = (
    *("send", "send", "reply", "reply", "edit", "edit", "react", "react", "delete", "clear"),
    *("mark", "mark", "mark", "add", "treat", "treat", "set_members", "leave", "furnish", "furnish"),
    *("create", "create_pair", "repeat", "repeat", "look"),
)
MAX_ROOMS = 6


class Chance:
    """A number that is used up, choice by choice."""

    def __init__(self, number: int) -> None:
        self._number = number

    def of(self, choices: Sequence[T]) -> T:
        """One of them."""
        self._number, at = divmod(self._number, len(choices))
        return choices[at]

    def rarely(self) -> bool:
        """Once in four times."""
        return self.of((False, False, False, True))


class Conversations(RuleBasedStateMachine):
    """Steps of everybody; mostly, but not only, of those who may take them."""

    def __init__(self, stack: Stack, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.play = Play(stack, loop)
        self.texts = 0

    @initialize()
    def begin(self) -> None:
        """A room of each kind, with something to talk about."""
        self.play.create("ann", SOCKET, "group", ["ben", "cas"])
        self.play.create("ben", SOCKET, "session", ["ann"])
        self.play.pair("ann", SOCKET, "ben")
        for room in self.play.rooms:
            self.say("ann", SOCKET, room, "hello", [], None)

    @override
    def teardown(self) -> None:
        try:
            if self.play.sound:
                self.play.look_at_everything()
        finally:
            self.play.close()

    @rule(act=st.sampled_from(ACTS), number=st.integers(0, 2**24), way=st.sampled_from(WAYS))
    def step(self, act: str, number: int, way: str) -> None:
        """One rule, so that all of them mix in every example; `number` says who does it where to what."""
        getattr(self, act)(Chance(number), way)

    # ── who, where, what ─────────────────────────────────────────────────────────────────────────────────────────

    def actor(self, chance: Chance, may: Callable[[User], Outcome]) -> str:
        """Mostly somebody who may."""
        able = [name for name, user in self.play.users.items() if may(user) is OK]
        return chance.of(list(self.play.users) if chance.rarely() or not able else able)

    def room(self, chance: Chance) -> Room:
        """Mostly one that is there."""
        living = [room for room in self.play.rooms if not room.deleted]
        return chance.of(self.play.rooms if chance.rarely() or not living else living)

    def message(self, chance: Chance, room: Room) -> Message:
        """One of a room's latest messages, or one that is nowhere."""
        return chance.of(room.timeline.messages[-6:] or [Message(NOBODYS, 0, 0, "", "")])

    def other(self, chance: Chance, room: Room, *, member: bool) -> str:
        """Mostly a member, or none."""
        fitting = [who for who in (*PEOPLE, "ghost") if (who in room.members) is member]
        return chance.of((*PEOPLE, "ghost") if chance.rarely() or not fitting else fitting)

    # ── rooms and members ────────────────────────────────────────────────────────────────────────────────────────

    def create(self, chance: Chance, way: str) -> None:
        if len(self.play.rooms) >= MAX_ROOMS:
            return
        members = {chance.of((*PEOPLE, "ghost")) for _ in range(2)}
        name, kind = chance.of(list(self.play.users)), chance.of(("group", "session"))
        self.play.create(name, way, kind, sorted(members))

    def create_pair(self, chance: Chance, way: str) -> None:
        ended = [key for key, room in self.play.pairs.items() if room.deleted]
        one, other = chance.of(ended or list(self.play.pairs) or [("ann", "ben")])
        if not ended and chance.rarely():
            one, other = chance.of(PEOPLE), chance.of(PEOPLE)
        self.play.pair(one, way, other)

    def furnish(self, chance: Chance, way: str) -> None:
        act = chance.of(("rename", "close", "open", "open", "delete"))
        room, text = self.room(chance), chance.of(("Tea", "Coffee"))
        name = self.actor(chance, room.may_own)
        user = self.play.users[name]
        furnishing: dict[str, tuple[str, JSON, Callable[[], Outcome]]] = {
            "rename": ("room.update", {"name": text}, lambda: room.rename(user, text)),
            "close": ("room.close", {"closed": True}, lambda: room.close(user, closed=True)),
            "open": ("room.close", {"closed": False}, lambda: room.close(user, closed=False)),
            "delete": ("room.delete", {}, lambda: room.end(user)),
        }
        command, data, change = furnishing[act]
        again = {"delete": lambda: OK}.get(act, lambda: room.may_read(user))
        self.play.change(name, way, command, room, data, change, again)

    def add(self, chance: Chance, way: str) -> None:
        role = chance.of(ROLES)
        room = self.room(chance)
        name, other = self.actor(chance, room.may_administer), self.other(chance, room, member=False)
        user, data = self.play.users[name], {"user_id": other, "role": role}
        again = self.known(room, user, other)
        self.play.change(name, way, "member.add", room, data, lambda: room.add(user, other, role), again)

    def treat(self, chance: Chance, way: str) -> None:
        """Something happens to a member."""
        act, role, muted = chance.of(("remove", "role", "mute")), chance.of(ROLES), chance.of((True, False))
        room = self.room(chance)
        name, other = self.actor(chance, room.may_administer), self.other(chance, room, member=True)
        user = self.play.users[name]
        treatments: dict[str, tuple[str, JSON, Callable[[], Outcome]]] = {
            "remove": ("member.remove", {}, lambda: room.expel(user, other)),
            "role": ("member.set_role", {"role": role}, lambda: room.set_role(user, other, role)),
            "mute": ("member.mute", {"muted": muted}, lambda: room.mute(user, other, muted=muted)),
        }
        command, more, change = treatments[act]
        again = (lambda: OK) if act == "remove" else self.known(room, user, other)
        self.play.change(name, way, command, room, {"user_id": other, **more}, change, again)

    def set_members(self, chance: Chance, way: str) -> None:
        wanted = {chance.of((*PEOPLE, "ghost")): chance.of(ROLES) for _ in range(3)}
        room = self.room(chance)
        name = self.actor(chance, room.may_own)
        user = self.play.users[name]
        wanted = wanted if chance.rarely() else {**wanted, "ann": "owner"}
        data = {"members": [{"user_id": other, "role": role} for other, role in wanted.items()]}
        again = lambda: room.may_read(user)  # noqa: E731
        self.play.change(name, way, "members.set", room, data, lambda: room.set_members(user, wanted), again)

    def leave(self, chance: Chance, way: str) -> None:
        room = self.room(chance)
        name = self.actor(chance, room.may_mark)
        user = self.play.users[name]
        self.play.change(name, way, "room.leave", room, {}, lambda: room.leave(user), lambda: OK)

    def known(self, room: Room, user: User, other: str) -> Callable[[], Outcome]:
        """What the repetition of a command about a member says: how they stand now, to who may know."""
        return lambda: room.may_read(user) or (OK if other in room.members else ErrorCode.NOT_FOUND)

    # ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────

    def send(self, chance: Chance, way: str) -> None:
        content, named = chance.of(CONTENTS), [chance.of((*PEOPLE, "ghost"))]
        room = self.room(chance)
        self.say(self.actor(chance, room.may_talk), way, room, content, named, None)

    def reply(self, chance: Chance, way: str) -> None:
        content = chance.of(CONTENTS)
        room = self.room(chance)
        answered = self.message(chance, self.room(chance) if chance.rarely() else room)
        self.say(self.actor(chance, room.may_talk), way, room, content, [], answered)

    def say(self, name: str, way: str, room: Room, content: str, named: list[str], answered: Message | None) -> None:
        """A new message, unlike any other."""
        self.texts += 1
        content, user, line = f"{self.texts} {content}", self.play.users[name], room.timeline
        outcome = room.may_talk(user)
        data: JSON = {"room_id": room.id, "content": content, "mentions": named}
        if answered is not None:
            outcome = outcome or line.may_answer(answered)
            data["reply_to"] = answered.id
        result = self.play.do(
            name, way, "message.send", data, outcome, again=lambda: room.may_talk(user),
            same=("message_id", "seq", "rev", "created_at"), changes={"duplicate": True},
        )  # fmt: skip
        if outcome is OK:
            mentions = mentions_in(content, named, room.members, user.id)
            said = line.send(user.id, result["message_id"], content, answered, mentions)
            self.play.agree(result, {"seq": said.seq, "rev": said.rev})

    def edit(self, chance: Chance, way: str) -> None:
        content = chance.of(CONTENTS)
        room = self.room(chance)
        message, line = self.message(chance, room), room.timeline
        content = message.content or "nothing" if chance.rarely() else f"edited {content}"
        mentions = mentions_in(content, [], room.members, message.sender)
        may = partial(room.may_edit, message=message)
        self.alter(
            self.actor(chance, may), way, "message.edit", room, message, {"content": content}, may,
            lambda _user: line.edit(message, content, mentions),
        )  # fmt: skip

    def delete(self, chance: Chance, way: str) -> None:
        room = self.room(chance)
        message, line = self.message(chance, room), room.timeline
        may = partial(room.may_remove, message=message)
        name = self.actor(chance, may)
        self.alter(name, way, "message.delete", room, message, {}, may, lambda _user: line.remove(message))

    def react(self, chance: Chance, way: str) -> None:
        emoji, take = chance.of("👍🎉"), chance.rarely()
        room = self.room(chance)
        message, line = self.message(chance, room), room.timeline
        command, change = ("message.unreact", line.unreact) if take else ("message.react", line.react)
        name = self.actor(chance, room.may_talk)
        data = {"emoji": emoji}
        self.alter(name, way, command, room, message, data, room.may_talk, lambda user: change(user.id, message, emoji))

    def alter(
        self, name: str, way: str, type: str, room: Room, message: Message, data: JSON,
        may: Callable[[User], Outcome], change: Callable[[User], Outcome],
    ) -> None:  # fmt: skip
        """Something happens to a message, if somebody `may`, and then is a `change` or none."""
        line, rev, user = room.timeline, room.timeline.rev, self.play.users[name]
        outcome = (may(user) or change(user)) if message in line.messages else ErrorCode.NOT_FOUND
        result = self.play.do(
            name, way, type, {"message_id": message.id, **data}, outcome,
            again=lambda: may(user), same=("message_id",), changes={"changed": False},
        )  # fmt: skip
        if outcome is OK:
            self.play.agree(result, {"rev": message.rev, "changed": line.rev != rev})

    def clear(self, chance: Chance, way: str) -> None:
        room = self.room(chance)
        name, line = self.actor(chance, room.may_own), room.timeline
        user = self.play.users[name]
        outcome = room.may_own(user)
        result = self.play.do(
            name, way, "timeline.clear", {"room_id": room.id}, outcome, again=lambda: room.may_own(user),
            same=("room_id",), changes={"changed": False},
        )  # fmt: skip
        if outcome is OK:
            changed = line.cleared < line.seq
            line.clear()
            self.play.agree(result, {"seq": line.cleared, "changed": changed})

    # ── marks ────────────────────────────────────────────────────────────────────────────────────────────────────

    def mark(self, chance: Chance, way: str) -> None:
        kind = chance.of(("read", "delivered", "unread", "unread"))
        room = self.room(chance)
        name, line = self.actor(chance, room.may_mark), room.timeline
        user, seq = self.play.users[name], chance.of(range(line.seq + 3))
        outcome = room.may_mark(user)
        moves = {"read": line.mark_read, "delivered": line.mark_delivered, "unread": line.mark_unread}
        for _ in range(2):  # the second time it has been so already
            result = self.play.ask(name, way, f"{kind}.mark", {"room_id": room.id, "seq": seq}, outcome)
            if outcome is OK:
                moves[kind](user.id, seq)
                self.play.agree(result, {"user_id": user.id, "read_seq": line.read.get(user.id, 0)})
                self.play.agree(result, {"unread_from": line.unread_from.get(user.id)})

    # ── again, and looking ───────────────────────────────────────────────────────────────────────────────────────

    def repeat(self, chance: Chance, way: str) -> None:
        if self.play.done:
            self.play.repeat(chance.of(self.play.done[-RECENT:]), way)

    def look(self, chance: Chance, way: str) -> None:
        self.play.look(chance.of(list(self.play.users)), way, chance.of(range(100)))


@pytest.mark.timeout(600 + SECONDS_PER_EXAMPLE * EXAMPLES)
async def test_the_real_thing_does_as_the_model(stack: Stack) -> None:
    """Example after example, each in tenants of its own."""
    loop = asyncio.get_running_loop()
    wanted = settings(
        max_examples=EXAMPLES or 12,
        stateful_step_count=STEPS,
        deadline=None,
        # To make a failure smaller takes minutes; what was done before one is shown either way.
        phases=[Phase.generate, Phase.shrink] if EXAMPLES else [Phase.generate],
        derandomize=not EXAMPLES,
        database=None,
        suppress_health_check=list(HealthCheck),
    )

    def play() -> None:
        run_state_machine_as_test(lambda: Conversations(stack, loop), settings=wanted)  # type: ignore[arg-type]

    await asyncio.to_thread(play)
