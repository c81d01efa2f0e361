"""What tests of events from outside stand on: events, the two ways they take, and the rooms as members see them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from shared.ids import external_room_id
from tests.harness.rest import Api
from tests.harness.wire import Wire

JSON = dict[str, Any]

EXCHANGE = "chat.integration"
PATIENCE = 20.0
START = datetime(2026, 1, 5, 9, tzinfo=UTC)


@dataclass
class Outside:
    """Another system of one tenant: makes events, each a second later than the one before."""

    tenant: str
    numbers: Any = field(default_factory=lambda: count(1))

    def event(self, type: str, *, timed: bool = True, **data: Any) -> JSON:
        """A CloudEvent."""
        number = next(self.numbers)
        envelope: JSON = {"specversion": "1.0", "id": f"e-{number}", "source": "/outside", "type": type}
        if timed:
            envelope["time"] = (START + timedelta(seconds=number)).isoformat()
        return {**envelope, "tenant": self.tenant, "data": data}

    def room(self, kind: str, id: str) -> str:
        """The id of an object's room."""
        return external_room_id(self.tenant, kind, id)


Deliver = Callable[..., Awaitable[None]]
"""Tells events, in this order."""


def by_amqp(bus: Wire) -> Deliver:
    """One message each."""

    async def deliver(*events: JSON) -> None:
        for event in events:
            await bus.publish_batch(EXCHANGE, event["type"], event)

    return deliver


def by_rest(service: Api) -> Deliver:
    """One request for all."""

    async def deliver(*events: JSON) -> None:
        answer = await service("POST", "/v1/integration/events", list(events))
        assert answer.status == 200, answer
        assert all(result["applied"] for result in answer.body["results"]), answer.body

    return deliver


class Rooms:
    """Rooms as one who may see all of a tenant's finds them."""

    def __init__(self, service: Api) -> None:
        self.service = service

    async def state(self, room_id: str) -> JSON | None:
        """A room's name, members and whether it is closed; None where it is not there."""
        answer = await self.service("GET", f"/v1/rooms/{room_id}")
        if answer.status == 404:
            return None
        members = await self.service("GET", f"/v1/rooms/{room_id}/members?limit=500")
        if members.status == 404:
            return None
        return {
            "type": answer.body["type"],
            "name": answer.body.get("name"),
            "closed": answer.body["closed"],
            "members": {member["user_id"]: member["role"] for member in members.body["members"]},
        }

    async def becomes(self, room_id: str, **wanted: Any) -> JSON:
        """Return a room's state as soon as it is like this."""
        state: JSON | None = None
        try:
            async with asyncio.timeout(PATIENCE):
                while state is None or any(state[name] != value for name, value in wanted.items()):
                    await asyncio.sleep(0.05)  # another process's state
                    state = await self.state(room_id)
        except TimeoutError:
            raise AssertionError(f"the room is {state}, not {wanted}") from None
        return state

    async def vanishes(self, room_id: str) -> None:
        """Return when a room is not there any more."""
        async with asyncio.timeout(PATIENCE):
            while await self.state(room_id) is not None:  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.05)

    async def said(self, room_id: str, last: str) -> list[str]:
        """The room's system messages, as soon as the last is `last`."""
        said: list[str] = []
        try:
            async with asyncio.timeout(PATIENCE):
                while not said or said[-1] != last:
                    await asyncio.sleep(0.05)  # another process's state
                    history = await self.service("GET", f"/v1/rooms/{room_id}/messages")
                    messages = history.body["messages"] if history.status == 200 else []
                    said = [message["content"] for message in messages if message["type"] == "system"]
        except TimeoutError:
            raise AssertionError(f"the room has said {said}, not {last}") from None
        return said
