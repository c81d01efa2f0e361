"""Commands of the rooms service: one row each. Loads, lets the rule decide, stores, announces."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from services.rooms import rules
from services.rooms.domain import Applied, Case, Change, Room, Rule, applied, decide, room_id_of
from services.rooms.outbox import Outbox
from services.rooms.records import SOURCE, Record, record_of
from services.rooms.remarks import Remark, concerned, remarks
from services.rooms.repository import Conflict, Repository
from shared.bus.codec import encode_actor, encode_request
from shared.bus.topology import COMMANDS, command_key, event_key
from shared.contracts.base import Command, View
from shared.contracts.content import MessageType
from shared.contracts.envelope import Actor, RequestEnvelope
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.membership import AuditEntry
from shared.contracts.messages import SendMessage
from shared.contracts.rooms import (
    AddMember,
    CloseRoom,
    CreateRoom,
    DeleteRoom,
    LeaveRoom,
    MuteMember,
    RemoveMember,
    RoomCommand,
    RoomEvent,
    SetMembers,
    SetRole,
    UpdateRoom,
)
from shared.mongo import Session
from shared.permissions import GlobalRole
from shared.tracing import new_traceparent

SYSTEM = "system"
"""The id of who writes system messages."""

ATTEMPTS = 100
LONGEST_PAUSE = 0.1
T = TypeVar("T")

CHANGES: Mapping[type[RoomCommand], Rule] = {
    CreateRoom: rules.create,
    UpdateRoom: rules.update,
    LeaveRoom: rules.leave,
    DeleteRoom: rules.delete,
    AddMember: rules.add_member,
    RemoveMember: rules.remove_member,
    SetRole: rules.set_role,
    MuteMember: rules.mute_member,
    SetMembers: rules.set_members,
    CloseRoom: rules.close,
}
"""The commands that change a room."""

ABOUT_ALL = (DeleteRoom, SetMembers)
"""Those that need to know all its members."""

CommandTable = Mapping[type[Command], Callable[[RequestEnvelope, Any], Awaitable[View]]]
"""Who carries which command out; gives its result or raises ChatError."""


class RoomCommands:
    """Carries out what changes a room: loads, lets the rule decide, stores, begins to announce."""

    def __init__(self, repository: Repository, outbox: Outbox, shards: int) -> None:
        self._repository = repository
        self._outbox = outbox
        self._shards = shards
        self.table: CommandTable = {kind: partial(self._change, rule) for kind, rule in CHANGES.items()}

    async def _change(self, rule: Rule, envelope: RequestEnvelope, command: RoomCommand) -> View:
        actor = envelope.data.actor
        room_id = room_id_of(command, actor, command.client_id or envelope.id)
        mark = applied(command, actor, envelope.id)

        async def work(session: Session) -> tuple[Change, list[Record]]:
            case = await self._case(room_id, actor, command, mark, session)
            change = decide(case, command, rule)
            if change.room is None:
                if case.room is not None and change.applied is not None:
                    await self._repository.remember(case.room, change.applied, session)
                return change, []
            people = await self._repository.people(actor.tenant, concerned(change), session)
            said = remarks(case.room, change, people)
            records = [*_events(change.room, change.events, envelope, self._shards)]
            records += _messages(change.room, said, envelope, self._shards)
            await self._repository.save(change, _entry(change.room, actor, command), records, session)
            return change, records

        change, records = await against_rivals(lambda: self._repository.transaction(work))
        self._outbox.publish(records)
        return change.result

    async def _case(self, room_id: str, actor: Actor, command: RoomCommand, mark: Applied, session: Session) -> Case:
        people = await self._repository.people(actor.tenant, _about(command, actor), session)
        case = Case(room_id=room_id, room=None, actor=actor, applied=mark, now=now(), people=people)
        room = await self._repository.room(actor.tenant, room_id, session)
        if room is None:
            return case
        target_id: str = getattr(command, "user_id", actor.id)
        members = await self._repository.members(room_id, {actor.id, target_id}, session)
        return replace(
            case,
            room=room,
            caller=members.get(actor.id),
            target=members.get(target_id),
            seniors=await self._repository.seniors(room_id, session),
            everyone=await self._repository.everyone(room_id, session) if isinstance(command, ABOUT_ALL) else (),
        )


async def against_rivals(attempt: Callable[[], Awaitable[T]]) -> T:
    """Try until no other writer is faster. One who is dead gives way, too (`Mongo.watch_abandoned`).

    Raises:
        ChatError: `unavailable`, after ATTEMPTS.
    """
    for number in range(1, ATTEMPTS + 1):
        try:
            return await attempt()
        except Conflict:
            await asyncio.sleep(min(0.002 * 2**number, LONGEST_PAUSE) * random.random())  # noqa: S311 - jitter
    raise ChatError(ErrorCode.UNAVAILABLE, "The room is being changed all the time; try again.", retry_after=1.0)


def _about(command: RoomCommand, actor: Actor) -> list[str]:
    """Whom a rule may have to know more of than their membership."""
    if isinstance(command, CreateRoom):
        return [command.owner or actor.id, *command.members]
    if isinstance(command, SetMembers):
        return [member.user_id for member in command.members]
    return [getattr(command, "user_id", actor.id)]


def _events(room: Room, events: Iterable[RoomEvent], envelope: RequestEnvelope, shards: int) -> Iterable[Record]:
    key = event_key(RoomEvent.TOPIC, room.id, shards)
    for number, event in enumerate(events):
        yield record_of(
            event,
            id=f"{room.id}:{room.version}:{number}",
            key=key,
            subject=room.id,
            tenant=room.tenant,
            at=room.updated_at,
            traceparent=envelope.traceparent,
        )


def _messages(room: Room, said: Iterable[Remark], envelope: RequestEnvelope, shards: int) -> Iterable[Record]:
    """Remarks as commands to the messages service. Sent twice they are one message, by the command's id.

    A client_id is the sender's own, and readers see it; nobody sent these.
    """
    actor = encode_actor(Actor(id=SYSTEM, tenant=room.tenant, roles=(GlobalRole.SERVICE,)))
    for number, remark in enumerate(said):
        identifier = f"{room.id}:{room.version}:said:{number}"
        command = SendMessage(
            room_id=room.id,
            type=MessageType.SYSTEM,
            content=remark.content,
            metadata=remark.metadata,
        )
        body = encode_request(
            id=identifier,
            source=SOURCE,
            type=command.TYPE,
            subject=room.id,
            actor=actor,
            tenant=room.tenant,
            body=command.model_dump(mode="json", exclude_none=True),
            replyto=None,
            traceparent=envelope.traceparent or new_traceparent(),
        )
        yield Record(identifier, COMMANDS, command_key(command.OWNER, room.id, None, shards), body)


def _entry(room: Room, actor: Actor, command: RoomCommand) -> AuditEntry:
    """Who did what: the room's version tells one act from the next."""
    details = command.model_dump(
        mode="json", exclude={"client_id", "room_id", "user_id", "metadata", "members"}, exclude_none=True
    )
    return AuditEntry(
        id=f"{room.id}:{room.version}",
        room_id=room.id,
        actor_id=actor.id,
        act=command.TYPE,
        target_id=getattr(command, "user_id", None),
        details=details or None,
        at=room.updated_at,
    )


def now() -> datetime:
    """The time in whole milliseconds, as the database keeps it, so that replies say what later reads will."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
