"""The directory of users: who they say they are."""

from services.rooms.handlers import CommandTable, now
from services.rooms.repository import Repository
from shared.contracts.base import View
from shared.contracts.envelope import RequestEnvelope
from shared.contracts.people import RecordUser, SeenView


class PeopleCommands:
    """Carries out what changes the directory."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self.table: CommandTable = {RecordUser: self._record}

    async def _record(self, envelope: RequestEnvelope, _command: RecordUser) -> View:
        actor = envelope.data.actor
        await self._repository.record(actor, now())
        return SeenView(user_id=actor.id)
