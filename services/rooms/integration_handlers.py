"""What clients and services ask about the world outside: to apply its events, and about taking part in its objects."""

from datetime import UTC, datetime

from services.rooms.handlers import CommandTable, now
from services.rooms.integration_facts import Facts, Key, Name, Statement, may_set, members
from services.rooms.integration_intake import Intake, Outcome
from services.rooms.integration_store import FactsRepository, Participation
from services.rooms.integrations import About, Object, Rank, Telling, envelope_of, microseconds, participation, read
from services.rooms.queries import QueryTable
from services.rooms.records import SOURCE
from shared.bus.requests import refusal_of
from shared.contracts.base import View
from shared.contracts.envelope import Actor, RequestEnvelope
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.integration import (
    AppliedAllView,
    AppliedView,
    ApplyExternal,
    ListParticipations,
    ParticipationStatus,
    ParticipationsView,
    SetParticipation,
)
from shared.contracts.membership import AuditEntry, Role
from shared.permissions import GlobalRole


class Integration:
    """Carries out and answers."""

    def __init__(self, facts: FactsRepository, intake: Intake) -> None:
        self._facts = facts
        self._intake = intake
        self.commands: CommandTable = {ApplyExternal: self._apply, SetParticipation: self._set_participation}
        self.queries: QueryTable = {ListParticipations: self._participations}

    async def _apply(self, envelope: RequestEnvelope, command: ApplyExternal) -> View:
        actor = envelope.data.actor
        if GlobalRole.SERVICE not in actor.roles:
            raise ChatError(ErrorCode.FORBIDDEN, "Only who has the role service may tell what happens outside.")
        arrived = datetime.now(UTC)
        read_or_refused = [_read(item, actor.tenant, arrived) for item in command.events]
        tellings = [telling for telling in read_or_refused if isinstance(telling, Telling)]
        outcomes = iter(await self._intake.apply(tellings, patient=True))
        results = []
        for item, telling in zip(command.events, read_or_refused, strict=True):
            outcome = next(outcomes) if isinstance(telling, Telling) else telling
            results.append(_applied(item, outcome, envelope.id))
        return AppliedAllView(results=results)

    async def _set_participation(self, envelope: RequestEnvelope, command: SetParticipation) -> View:
        actor = envelope.data.actor
        found = await self._found(actor.tenant, command.participation_id)

        def statement(facts: Facts) -> list[Statement]:
            before = facts.registers[Key(Name.PARTICIPATION, found.view.id)]
            owner = _governs(facts, actor)
            participant = before.value["user_id"] == actor.id
            status = ParticipationStatus(before.value["status"])
            may_set(command.status, status, owner=owner, participant=participant)
            if status is command.status:
                return []
            # Decided on what is known here: so it is later than that, whatever other clocks say.
            time = max(microseconds(datetime.now(UTC)), before.stamp.time + 1)
            return [
                Statement(
                    SOURCE,
                    envelope.id,
                    time,
                    Rank.ONE,
                    participation(found.view.id, found.view.user_id, command.status),
                )
            ]

        # The room follows as the integration's doing; this says whose.
        entry = AuditEntry(
            id=f"{found.view.room_id}:{envelope.id}",
            room_id=found.view.room_id,
            actor_id=actor.id,
            act=command.TYPE,
            target_id=found.view.user_id,
            details={"participation_id": found.view.id, "status": command.status.value},
            at=now(),
        )
        await self._intake.say(found.object, statement, entry)
        return (await self._found(actor.tenant, command.participation_id)).view

    async def _participations(self, actor: Actor, query: ListParticipations) -> View:
        about = Object(actor.tenant, About.EXTERNAL, query.kind, query.id)
        stored = await self._facts.load(about)
        user_id = None if _governs(stored.facts, actor) else actor.id
        page, after = await self._facts.participations(about, user_id, query.after, query.limit)
        return ParticipationsView(participations=page, next=after)

    async def _found(self, tenant: str, participation_id: str) -> Participation:
        found = await self._facts.participation(tenant, participation_id)
        if found is None:
            raise ChatError(ErrorCode.NOT_FOUND, f"There is no participation '{participation_id}'.")
        return found


def _governs(facts: Facts, actor: Actor) -> bool:
    """Whether somebody decides who takes part: its owners, and who may do anything in the tenant's rooms."""
    if {GlobalRole.SERVICE, GlobalRole.ADMIN} & set(actor.roles):
        return True
    return members(facts).get(actor.id) is Role.OWNER


def _read(item: object, tenant: str, arrived: datetime) -> Telling | ChatError:
    """What an event tells, or why it may not be told here."""
    try:
        envelope = envelope_of(item)
        if envelope.tenant not in {None, tenant}:
            return ChatError(ErrorCode.FORBIDDEN, f"The event is of tenant '{envelope.tenant}', the token of another.")
        return read(envelope, tenant, arrived)
    except ChatError as error:
        return error


def _applied(item: object, outcome: Outcome, correlation: str) -> AppliedView:
    named = item.get("id") if isinstance(item, dict) else None
    number = named if isinstance(named, str) else ""
    if isinstance(outcome, Exception):
        return AppliedView(id=number, applied=False, error=refusal_of(outcome, correlation).view())
    return AppliedView(id=number, applied=True, effective=outcome)
