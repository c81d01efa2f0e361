"""What tests of the outing dialect stand on: an outing that another system tells of, its people, and who they call."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from tests.harness.rest import Api
from tests.harness.sio import SioPerson
from tests.integration.integration_client import Outside, Rooms

JSON = dict[str, Any]
EVENTS = "/v1/integration/events"
SORTIE = "66f0c0ffee00000000000001"


class PeopleOf(Protocol):
    """Connects a user by Socket.IO, to the first gateway or another one."""

    def __call__(self, name: str, gateway: int = 0, **claims: Any) -> Awaitable[SioPerson]: ...


@dataclass(frozen=True)
class Outing:
    """Ann's outing to the beach, in which others wish to take part."""

    outside: Outside
    service: Api
    api: Callable[..., Api]
    rooms: Rooms
    chat: str

    async def tell(self, type: str, **data: Any) -> None:
        """Tell an event of the other system."""
        answer = await self.service("POST", EVENTS, self.outside.event(type, sortie_id=SORTIE, **data))
        assert answer.body["results"][0]["applied"], answer

    async def decide(self, who: str, name: str, status: str) -> Any:
        """Set the status of somebody's participation."""
        return await self.api(who)("PATCH", f"/participations/p-{name}/status", {"status": status})

    async def admit(self, *names: str) -> None:
        """Let these take part."""
        for name in names:
            await self.tell("participation.requested", participation_id=f"p-{name}", user_id=name)
            assert (await self.decide("ann", name, "ACCEPTEE")).status == 200
        state = await self.rooms.state(self.chat)
        assert state is not None
        assert {*names} <= state["members"].keys()
