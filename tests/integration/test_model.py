"""Rooms, members, messages and marks on the real stack, against a model of them that is a few dicts and lists.

Whatever anybody does, over whichever way, is answered as the model says, and leaves what the model says. For longer
runs: `EXAMPLES=500 make test ARGS='tests/integration/test_model.py'`.
"""

import asyncio
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from typing_extensions import override

from deploy.embedded.stack import Stack
from shared.contracts.errors import ErrorCode
from tests.integration.model_company import SOCKET, WAYS
from tests.integration.model_play import NOBODYS, Play
from tests.integration.model_timeline import Message, mentions_in
from tests.integration.model_world import OK, RANK, Outcome, Room

EXAMPLES = int(os.environ.get("EXAMPLES", "0"))
STEPS = 30
SECONDS_PER_EXAMPLE = 10

actors = st.sampled_from(("ann", "ann", "ben", "ben", "cas", "root", "bot", "far"))
others = st.sampled_from(("ann", "ben", "cas", "root", "bot", "ghost"))
roles = st.sampled_from(tuple(RANK))
ways = st.sampled_from(WAYS)
picks = st.integers(0, 11)
places = st.integers(0, 12)
contents = st.sampled_from(("hi", "hi", "so @ben and @cas", "@ann", "@ghost @root", "words " * 50))


class Conversations(RuleBasedStateMachine):
    """Steps of everybody. `picks` choose among the rooms and messages there are."""

    def __init__(self, stack: Stack, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.play = Play(stack, loop)
        self.texts = 0

    @initialize()
    def begin(self) -> None:
        """A room of each kind."""
        self.play.create("ann", SOCKET, "group", ["ben", "cas"])
        self.play.create("ben", SOCKET, "session", ["ann"])
        self.play.pair("ann", SOCKET, "ben")

    @override
    def teardown(self) -> None:
        try:
            if self.play.sound:
                self.play.look_at_everything()
        finally:
            self.play.close()

    # ── what there is ────────────────────────────────────────────────────────────────────────────────────────────

    def room(self, pick: int) -> Room:
        """One of the rooms, the first ones more often."""
        return self.play.rooms[min(pick, pick % len(self.play.rooms))]

    def message(self, room: Room, pick: int) -> Message:
        """One of a room's messages, the latest more often; there may be none of that id."""
        messages = room.timeline.messages
        return messages[-1 - pick % len(messages)] if messages else Message(NOBODYS, 0, 0, "", "")

    def author(self, message: Message, name: str, *, own: bool) -> str:
        """Who wrote a message, or anybody."""
        return message.sender if own and message.sender in self.play.users else name

    # ── rooms and members ────────────────────────────────────────────────────────────────────────────────────────

    @precondition(lambda self: len(self.play.rooms) < 7)
    @rule(name=actors, way=ways, kind=st.sampled_from(("group", "group", "session")), members=st.sets(others))
    def create(self, name: str, way: str, kind: str, members: set[str]) -> None:
        self.play.create(name, way, kind, sorted(members))

    @precondition(lambda self: len(self.play.rooms) < 7)
    @rule(name=actors, way=ways, other=others)
    def create_pair(self, name: str, way: str, other: str) -> None:
        self.play.pair(name, way, other)

    @rule(name=actors, way=ways, pick=picks, text=st.sampled_from(("Tea", "Coffee")))
    def rename(self, name: str, way: str, pick: int, text: str) -> None:
        room, user = self.room(pick), self.play.users[name]
        self.play.change(name, way, "room.update", room, {"name": text}, lambda: room.rename(user, text))

    @rule(name=actors, way=ways, pick=picks, closed=st.booleans())
    def close(self, name: str, way: str, pick: int, closed: bool) -> None:
        room, user = self.room(pick), self.play.users[name]
        self.play.change(name, way, "room.close", room, {"closed": closed}, lambda: room.close(user, closed=closed))

    @rule(name=actors, way=ways, pick=picks)
    def delete_room(self, name: str, way: str, pick: int) -> None:
        room, user = self.room(pick), self.play.users[name]
        self.play.change(name, way, "room.delete", room, {}, lambda: room.end(user), again=lambda: OK)

    @rule(name=actors, way=ways, pick=picks, other=others, role=roles)
    def add(self, name: str, way: str, pick: int, other: str, role: str) -> None:
        room, user = self.room(pick), self.play.users[name]
        data = {"user_id": other, "role": role}
        self.play.change(
            name,
            way,
            "member.add",
            room,
            data,
            lambda: room.add(user, other, role),
            again=self.known(room, name, other),
        )

    @rule(name=actors, way=ways, pick=picks, other=others)
    def remove(self, name: str, way: str, pick: int, other: str) -> None:
        room, user = self.room(pick), self.play.users[name]
        data = {"user_id": other}
        self.play.change(name, way, "member.remove", room, data, lambda: room.expel(user, other), again=lambda: OK)

    @rule(name=actors, way=ways, pick=picks, other=others, role=roles)
    def set_role(self, name: str, way: str, pick: int, other: str, role: str) -> None:
        room, user = self.room(pick), self.play.users[name]
        data = {"user_id": other, "role": role}
        self.play.change(
            name, way, "member.set_role", room, data, lambda: room.set_role(user, other, role),
            again=self.known(room, name, other),
        )  # fmt: skip

    @rule(name=actors, way=ways, pick=picks, other=others, muted=st.booleans())
    def mute(self, name: str, way: str, pick: int, other: str, muted: bool) -> None:
        room, user = self.room(pick), self.play.users[name]
        data = {"user_id": other, "muted": muted}
        self.play.change(
            name, way, "member.mute", room, data, lambda: room.mute(user, other, muted=muted),
            again=self.known(room, name, other),
        )  # fmt: skip

    @rule(name=actors, way=ways, pick=picks, wanted=st.dictionaries(others, roles, max_size=4))
    def set_members(self, name: str, way: str, pick: int, wanted: dict[str, str]) -> None:
        room, user = self.room(pick), self.play.users[name]
        data = {"members": [{"user_id": other, "role": role} for other, role in wanted.items()]}
        self.play.change(name, way, "members.set", room, data, lambda: room.set_members(user, wanted))

    @rule(name=actors, way=ways, pick=picks)
    def leave(self, name: str, way: str, pick: int) -> None:
        room, user = self.room(pick), self.play.users[name]
        self.play.change(name, way, "room.leave", room, {}, lambda: room.leave(user), again=lambda: OK)

    def known(self, room: Room, name: str, other: str) -> Any:
        """What the repetition of a command about a member says: how they stand now, to who may know."""
        user = self.play.users[name]
        return lambda: room.may_read(user) or (OK if other in room.members else ErrorCode.NOT_FOUND)

    # ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(name=actors, way=ways, pick=picks, content=contents, named=st.lists(others, max_size=2))
    def send(self, name: str, way: str, pick: int, content: str, named: list[str]) -> None:
        self.say(name, way, self.room(pick), content, named, None)

    @rule(name=actors, way=ways, pick=picks, elsewhere=picks, which=picks, content=contents)
    def reply(self, name: str, way: str, pick: int, elsewhere: int, which: int, content: str) -> None:
        room = self.room(pick)
        answered = self.message(self.room(elsewhere) if elsewhere > 9 else room, which)
        self.say(name, way, room, content, [], answered)

    def say(self, name: str, way: str, room: Room, content: str, named: list[str], answered: Message | None) -> None:
        """A new message, unlike any other."""
        self.texts += 1
        content, user, line = f"{self.texts} {content}", self.play.users[name], room.timeline
        outcome = room.may_talk(user)
        data: dict[str, Any] = {"room_id": room.id, "content": content, "mentions": named}
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

    @rule(name=actors, own=st.booleans(), way=ways, pick=picks, which=picks, content=contents, anew=st.booleans())
    def edit(self, name: str, own: bool, way: str, pick: int, which: int, content: str, anew: bool) -> None:
        room = self.room(pick)
        message = self.message(room, which)
        name = self.author(message, name, own=own)
        content = f"edited {content}" if anew else message.content or "nothing"
        user, line = self.play.users[name], room.timeline
        mentions = mentions_in(content, [], room.members, message.sender)
        self.alter(
            name, way, "message.edit", room, message, {"content": content}, lambda: room.may_edit(user, message),
            lambda: line.edit(message, content, mentions),
        )  # fmt: skip

    @rule(name=actors, own=st.booleans(), way=ways, pick=picks, which=picks)
    def delete(self, name: str, own: bool, way: str, pick: int, which: int) -> None:
        room = self.room(pick)
        message = self.message(room, which)
        name = self.author(message, name, own=own)
        user, line = self.play.users[name], room.timeline
        self.alter(
            name, way, "message.delete", room, message, {}, lambda: room.may_remove(user, message),
            lambda: line.remove(message),
        )  # fmt: skip

    @rule(name=actors, way=ways, pick=picks, which=picks, emoji=st.sampled_from("👍🎉"), take=st.booleans())
    def react(self, name: str, way: str, pick: int, which: int, emoji: str, take: bool) -> None:
        room = self.room(pick)
        message, user, line = self.message(room, which), self.play.users[name], room.timeline
        change = line.unreact if take else line.react
        self.alter(
            name, way, "message.unreact" if take else "message.react", room, message, {"emoji": emoji},
            lambda: room.may_talk(user), lambda: change(user.id, message, emoji),
        )  # fmt: skip

    def alter(
        self, name: str, way: str, type: str, room: Room, message: Message, data: Any, may: Any, change: Any
    ) -> None:
        """Something happens to a message, if it `may`, and then is a `change` or none."""
        line, rev = room.timeline, room.timeline.rev
        outcome: Outcome = (may() or change()) if message in line.messages else ErrorCode.NOT_FOUND
        data = {"message_id": message.id, **data}
        result = self.play.do(
            name, way, type, data, outcome, again=may, same=("message_id",), changes={"changed": False}
        )
        if outcome is OK:
            self.play.agree(result, {"rev": message.rev, "changed": line.rev != rev})

    @rule(name=actors, way=ways, pick=picks)
    def clear(self, name: str, way: str, pick: int) -> None:
        room, user = self.room(pick), self.play.users[name]
        outcome, line = room.may_own(user), room.timeline
        result = self.play.do(
            name, way, "timeline.clear", {"room_id": room.id}, outcome, again=lambda: room.may_own(user),
            same=("room_id",), changes={"changed": False},
        )  # fmt: skip
        if outcome is OK:
            changed = line.cleared < line.seq
            line.clear()
            self.play.agree(result, {"seq": line.cleared, "changed": changed})

    # ── marks ────────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(name=actors, way=ways, pick=picks, seq=places, kind=st.sampled_from(("read", "delivered", "unread")))
    def mark(self, name: str, way: str, pick: int, seq: int, kind: str) -> None:
        room, user = self.room(pick), self.play.users[name]
        outcome, line = room.may_mark(user), room.timeline
        data = {"room_id": room.id, "seq": seq}
        moves = {"read": line.mark_read, "delivered": line.mark_delivered, "unread": line.mark_unread}
        for _ in range(2):  # the second time it has been so already
            result = self.play.ask(name, way, f"{kind}.mark", data, outcome)
            if outcome is OK:
                moves[kind](user.id, seq)
                self.play.agree(result, {"user_id": user.id, "read_seq": line.read.get(user.id, 0)})
                self.play.agree(result, {"unread_from": line.unread_from.get(user.id)})

    # ── again, and looking ───────────────────────────────────────────────────────────────────────────────────────

    @precondition(lambda self: self.play.done)
    @rule(way=ways, pick=picks)
    def repeat(self, way: str, pick: int) -> None:
        latest = self.play.done[-len(RANK) * 3 :]
        self.play.repeat(latest[-1 - pick % len(latest)], way)

    @rule(name=actors, way=ways, number=st.integers(0, 99))
    def look(self, name: str, way: str, number: int) -> None:
        self.play.look(name, way, number)


@pytest.mark.timeout(600 + SECONDS_PER_EXAMPLE * EXAMPLES)
async def test_the_real_thing_does_as_the_model(stack: Stack) -> None:
    """Example after example, each in tenants of its own."""
    loop = asyncio.get_running_loop()
    wanted = settings(
        max_examples=EXAMPLES or 20,
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=not EXAMPLES,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        phases=[Phase.generate, Phase.shrink] if not os.environ.get("NOSHRINK") else [Phase.generate],
    )
    await asyncio.to_thread(run_state_machine_as_test, lambda: Conversations(stack, loop), settings=wanted)
