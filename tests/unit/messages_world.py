"""Rooms and their timelines in memory, for tests of the rules: plans are applied as the repository does it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from services.messages.domain import plan
from services.messages.state import Marks, Message, Plan, Request, Snapshot, Timeline
from shared.contracts.base import View
from shared.contracts.content import MessageView
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.membership import Role, RoomAccess, RoomType
from shared.contracts.messages import MessageCommand, SendMessage
from shared.contracts.timeline import ChangedView, SentView

V = TypeVar("V", bound=View)

START = datetime(2026, 1, 1, tzinfo=UTC)
ROOM, DIRECT, FOREIGN = "room", "direct", "foreign"
MAX_LENGTH = 100
RECEIPTS_MAX_MEMBERS = 100


def access(room_id: str, kind: RoomType = RoomType.GROUP, tenant: str = "default", **members: Role) -> RoomAccess:
    """A room's access, with members by name."""
    return RoomAccess(room_id=room_id, tenant=tenant, type=kind, version=1, members=members)


def rooms() -> dict[str, RoomAccess | None]:
    """A group with every role in it, a direct room, a room of another tenant, and one that does not exist."""
    return {
        ROOM: access(ROOM, olga=Role.OWNER, adam=Role.ADMIN, mia=Role.MEMBER, max=Role.MEMBER, rita=Role.READ_ONLY),
        DIRECT: access(DIRECT, RoomType.DIRECT, mia=Role.MEMBER, max=Role.MEMBER),
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
    requests: int = 0

    def request(self, who: str | Actor, command: MessageCommand) -> Request:
        """A request with an id of its own."""
        self.requests += 1
        return Request(f"r{self.requests}", who if isinstance(who, Actor) else Actor(id=who), command)

    def plan(self, requests: list[Request], now: datetime = START) -> Plan:
        """Decide a batch on a snapshot of everything."""
        timelines = {room_id: self.timelines.get(room_id, Timeline()) for room_id in self.access}
        snapshot = Snapshot(dict(self.access), timelines, dict(self.messages), dict(self.marks))
        return plan(requests, snapshot, now, MAX_LENGTH, RECEIPTS_MAX_MEMBERS)

    def apply(self, decided: Plan) -> None:
        """Store what was decided; a replaced message must be in the state it was decided on."""
        for message, previous in decided.writes:
            before = self.messages.get(message.view.id)
            assert previous == (None if before is None else before.view.rev)
            self.messages[message.view.id] = message
        self.timelines |= decided.timelines
        self.marks |= decided.marks

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

    def view(self, message_id: str) -> MessageView:
        """A message as it is now."""
        return self.messages[message_id].view


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
    return answer


def refusal_of(world: World, who: str | Actor, command: MessageCommand) -> ErrorCode | None:
    """The error a command would get now, without storing anything."""
    (answer,) = world.plan([world.request(who, command)]).answers.values()
    return answer.code if isinstance(answer, ChatError) else None
