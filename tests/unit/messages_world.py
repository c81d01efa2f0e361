"""Rooms and their timelines in memory, for tests of the rules: plans are applied as the repository does it."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from services.messages.domain import plan
from services.messages.state import (
    Clearing,
    FileKey,
    Limits,
    Marks,
    Message,
    Plan,
    Request,
    Revision,
    Snapshot,
    Timeline,
    Write,
)
from shared.contracts.base import View
from shared.contracts.content import MessageView
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.media import MediaView
from shared.contracts.membership import Role, RoomAccess, RoomType
from shared.contracts.messages import MessageCommand, SendMessage
from shared.contracts.timeline import ChangedView, SentView

V = TypeVar("V", bound=View)

START = datetime(2026, 1, 1, tzinfo=UTC)
ROOM, DIRECT, FOREIGN, SESSION = "room", "direct", "foreign", "session"
MAX_LENGTH = 100
LIMITS = Limits(length=MAX_LENGTH, session=5, receipts=100)


def access(room_id: str, kind: RoomType = RoomType.GROUP, tenant: str = "default", **members: Role) -> RoomAccess:
    """A room's access, with members by name."""
    return RoomAccess(room_id=room_id, tenant=tenant, type=kind, version=1, members=members)


def rooms() -> dict[str, RoomAccess | None]:
    """A group with every role in it, a direct room, a session, a room of another tenant, one that does not exist."""
    return {
        ROOM: access(ROOM, olga=Role.OWNER, adam=Role.ADMIN, mia=Role.MEMBER, max=Role.MEMBER, rita=Role.READ_ONLY),
        DIRECT: access(DIRECT, RoomType.DIRECT, mia=Role.MEMBER, max=Role.MEMBER),
        SESSION: access(SESSION, RoomType.SESSION, mia=Role.OWNER),
        FOREIGN: access(FOREIGN, tenant="other", mia=Role.MEMBER),
        "gone": None,
    }


@dataclass
class World:
    """Everything stored."""

    access: dict[str, RoomAccess | None] = field(default_factory=rooms)
    timelines: dict[str, Timeline] = field(default_factory=dict)
    messages: dict[str, Message] = field(default_factory=dict)
    marks: dict[tuple[str, str], Marks] = field(default_factory=dict)
    clearings: dict[str, Clearing] = field(default_factory=dict)
    revisions: dict[tuple[str, int], Revision] = field(default_factory=dict)
    files: dict[FileKey, MediaView | None] = field(default_factory=dict)
    requests: int = 0

    def request(self, who: str | Actor, command: MessageCommand) -> Request:
        """A request with an id of its own."""
        self.requests += 1
        return Request(f"r{self.requests}", who if isinstance(who, Actor) else Actor(id=who), command)

    def plan(self, requests: list[Request], now: datetime = START) -> Plan:
        """Decide a batch on a snapshot of everything."""
        timelines = {room_id: self.timelines.get(room_id, Timeline()) for room_id in self.access}
        snapshot = Snapshot(
            dict(self.access), timelines, dict(self.messages), dict(self.marks), dict(self.clearings), dict(self.files)
        )
        return plan(requests, snapshot, now, LIMITS)

    def apply(self, decided: Plan) -> None:
        """Store what was decided; a replaced message must be in the state it was decided on."""
        self.revisions |= {(it.message_id, it.rev): it for it in decided.revisions}
        for write in decided.writes:
            self._write(write)
        self.timelines |= decided.timelines
        self.marks |= decided.marks
        for key in list(self.revisions):
            if key[0] in decided.forgotten:
                del self.revisions[key]
        self._sweep()

    def _write(self, write: Write) -> None:
        state, before = write.state, None
        if isinstance(state, Message):
            if (message := self.messages.get(state.view.id)) is not None:
                before = message.view.rev
            self.messages[state.view.id] = state
        else:
            if (clearing := self.clearings.get(state.room_id)) is not None:
                before = clearing.rev
            self.clearings[state.room_id] = state
        assert write.previous == before

    def _sweep(self) -> None:
        """Take away what was cleared, as services.messages.archive does behind the message path."""
        for message in list(self.messages.values()):
            clearing = self.clearings.get(message.view.room_id)
            if clearing is not None and message.view.seq <= clearing.seq:
                lost = {
                    "content": "", "attachment": None, "location": None, "metadata": None, "reactions": (),
                    "mentions": (), "reply_to": None, "edited_at": None, "deleted_at": clearing.at,
                }  # fmt: skip
                bare = replace(message, view=message.view.model_copy(update=lost))
                self.messages[message.view.id] = bare
                self.revisions = {key: it for key, it in self.revisions.items() if key[0] != message.view.id}

    def batch(self, *requests: Request) -> Plan:
        """Decide and store requests, each batch a second after the last."""
        decided = self.plan(list(requests), START + timedelta(seconds=self.requests))
        self.apply(decided)
        return decided

    def do(self, who: str | Actor, command: MessageCommand) -> Plan:
        """One request alone."""
        return self.batch(self.request(who, command))

    def send(
        self, who: str = "mia", content: str = "hi", room_id: str = ROOM, client_id: str | None = None
    ) -> SentView:
        """Write a message; its ack."""
        return only(self.do(who, SendMessage(room_id=room_id, content=content, client_id=client_id)), SentView)

    def change(self, who: str | Actor, command: MessageCommand) -> ChangedView:
        """Change a message; the ack."""
        return only(self.do(who, command), ChangedView)

    def said(self, message_id: str) -> list[str]:
        """What a message said before, as readers are told."""
        message = self.messages[message_id]
        return [
            revision.content for (of, rev), revision in sorted(self.revisions.items())
            if of == message_id and rev < message.said
        ]  # fmt: skip

    def view(self, message_id: str) -> MessageView:
        """A message as it is now."""
        return self.messages[message_id].view


def changes(decided: Plan) -> list[MessageView]:
    """The messages a plan changes, but for the mere memory of a request that had nothing to change."""
    return [
        write.state.view for write in decided.writes
        if isinstance(write.state, Message) and write.state.view.rev != write.previous
    ]  # fmt: skip


def only(decided: Plan, kind: type[V]) -> V:
    """The one answer of a batch, which is no error."""
    (answer,) = decided.answers.values()
    assert isinstance(answer, kind), answer
    return answer


def refused(decided: Plan, code: ErrorCode) -> ChatError:
    """The one answer of a batch, which is this error, and for which nothing was written or announced."""
    (answer,) = decided.answers.values()
    assert isinstance(answer, ChatError), answer
    assert answer.code is code, answer
    assert (decided.writes, decided.announcements, decided.timelines, decided.marks) == ([], [], {}, {})
    assert (decided.revisions, decided.forgotten) == ([], set())
    return answer


def refusal_of(world: World, who: str | Actor, command: MessageCommand) -> ErrorCode | None:
    """The error a command would get now, without storing anything."""
    (answer,) = world.plan([world.request(who, command)]).answers.values()
    return answer.code if isinstance(answer, ChatError) else None
