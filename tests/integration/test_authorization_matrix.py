"""Every request x type of room x caller, on three ways: what is done, what is refused, and that refusals do nothing.

The tables say what is expected (security_expectations.py); a row, contract, role or room type that they lack fails.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from aiohttp import ClientSession

from deploy.embedded.stack import Stack
from services.gateway import native
from services.gateway.v1 import ROUTES
from shared.auth import issue_token
from shared.contracts.membership import Role, RoomType
from shared.permissions import GlobalRole
from tests.harness.own_task import in_own_task
from tests.harness.rawsocket import RawSocket
from tests.integration.security_bus import Insider, insider
from tests.integration.security_expectations import (
    ABOUT_ONESELF,
    ABROAD,
    CALLERS,
    INTERNAL,
    OUTCOMES,
    PAIRS,
    expectations,
    requests_of,
)
from tests.integration.security_requests import (
    BODIES,
    CONTRACTS,
    Bus,
    Channel,
    Rest,
    Sockets,
    outcome_of,
    type_of,
)
from tests.integration.security_scene import ROLES, Scene, actor, room_for, scene

JSON = dict[str, Any]

WAYS = ("socket", "rest", "bus")
ENDS_THE_SCENE = {"room.leave", "room.close", "room.delete", "members.set"}


@pytest.fixture(scope="module")
async def inside(stack: Stack) -> AsyncIterator[Insider]:
    """Somebody on the bus."""
    async with in_own_task(insider(stack.amqp_url)) as connected:
        yield connected


@dataclass(frozen=True, slots=True)
class Ways:
    """How to get one's requests through, in a tenant of one's own."""

    tenant: str
    inside: Insider
    stack: Stack
    http: ClientSession
    socket: Callable[..., Any]

    def token(self, caller: str) -> str:
        """The caller's token."""
        who = actor(self.tenant, caller)
        return issue_token(self.stack.jwt_secret, sub=who["id"], tenant=who["tenant"], roles=who["roles"])

    async def open(self, way: str) -> Channel:
        """One of the three ways, for all callers."""
        if way == "rest":
            return Rest(self.http, self.stack.gateway_urls[1], self.token)
        if way == "bus":
            return Bus(self.inside, lambda caller: actor(self.tenant, caller))
        sockets: list[RawSocket] = await asyncio.gather(
            *(self.socket(headers={"Authorization": f"Bearer {self.token(caller)}"}) for caller in CALLERS)
        )
        await asyncio.gather(*(socket.ready() for socket in sockets))
        return Sockets(dict(zip(CALLERS, sockets, strict=True)))


@pytest.fixture
def ways(tenant: str, inside: Insider, stack: Stack, http: ClientSession, socket: Callable[..., Any]) -> Ways:
    """All three, in this test's tenant."""
    return Ways(tenant, inside, stack, http, socket)


def test_the_tables_are_complete() -> None:
    """Whatever can be asked, whoever may ask it, in whatever room: it stands in the tables."""
    asked = {type_of(request) for kind in RoomType for request in requests_of(kind)}
    rows = native.ON.keys() | native.LOCAL.keys() | {route.contract.TYPE for route in ROUTES} | CONTRACTS.keys()
    assert asked | ABOUT_ONESELF | INTERNAL.keys() == rows
    assert set(ROLES.values()) == set(Role)
    assert {role for caller in CALLERS for role in actor("t", caller)["roles"]} == set(GlobalRole)
    assert INTERNAL.keys().isdisjoint(native.ON.keys() | native.LOCAL.keys() | {r.contract.TYPE for r in ROUTES})
    for kind in RoomType:
        callers = {caller for _, caller in expectations(kind)}
        assert callers == CALLERS.keys() - ({"former"} if kind in PAIRS else set())
        assert set(requests_of(kind)) <= BODIES.keys()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", RoomType)
async def test_everybody_gets_what_the_table_says(ways: Ways, kind: RoomType, way: str) -> None:
    """First all that is refused, which must change nothing; then all that is granted."""
    where = await scene(ways.inside, kind, ways.tenant)
    channel = await ways.open(way)
    expected = {key: outcome for key, outcome in expectations(kind).items() if channel.takes(key[0])}
    before = await contents(ways.inside, where)
    refused = {key: outcome for key, outcome in expected.items() if outcome not in {"ok", "unseen"}}
    assert await outcomes(ways, channel, where, refused) == refused
    assert await contents(ways.inside, where) == before
    granted = {key: outcome for key, outcome in expected.items() if key not in refused}
    assert await outcomes(ways, channel, where, granted) == granted
    assert await contents(ways.inside, where) != before


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", RoomType)
async def test_abroad_what_exists_and_what_does_not_look_the_same(ways: Ways, kind: RoomType, way: str) -> None:
    """Who asks about a room or message of another tenant gets, word by word, what a guess would get."""
    where = await scene(ways.inside, kind, ways.tenant)
    nowhere = replace(
        where,
        rooms={caller: "g" + "0" * len(room_id[1:]) for caller, room_id in where.rooms.items()},
        own=dict.fromkeys(where.own, "0" * 24),
        doomed=dict.fromkeys(where.doomed, "0" * 24),
        others=dict.fromkeys(where.others, "0" * 24),
    )
    channel = await ways.open(way)
    for request in requests_of(kind):
        if not channel.takes(request):
            continue
        for caller in ABROAD:
            answers = []
            for place in (where, nowhere):
                body = BODIES[request](place, caller)
                answer = await channel.ask(caller, request, body)
                answers.append(without_ids(answer, body))
            assert answers[0] == answers[1], (request, caller)


@pytest.mark.parametrize("request_", INTERNAL)
async def test_what_is_internal_is_for_services_alone(ways: Ways, request_: str) -> None:
    """On the bus its owner asks for the role; clients have no name for it, not even those with the role."""
    where = await scene(ways.inside, RoomType.GROUP, ways.tenant)
    room_id = where.room("owner")
    bodies: dict[str, JSON] = {
        "timeline.purge": {"room_id": room_id, "until": "2100-01-01T00:00:00Z"},
        "rooms.access": {"room_ids": [room_id]},
        "user.record": {},
        "presence.report": {"gateway": "nobody", "lease": 30},
    }
    body = bodies[request_]
    before = await contents(ways.inside, where)
    bus, sockets = await ways.open("bus"), await ways.open("socket")
    for caller in CALLERS:
        if actor(ways.tenant, caller)["roles"] != ["service"]:
            answer = await bus.ask(caller, request_, body)
            assert outcome_of(request_, body, answer) == OUTCOMES[INTERNAL[request_]], caller
        frame = await sockets.ask(caller, request_, body)
        assert frame["error"]["code"] == "invalid", (caller, frame)
        assert request_ in frame["error"]["message"]
    assert await contents(ways.inside, where) == before


async def outcomes(
    ways: Ways, channel: Channel, where: Scene, wanted: dict[tuple[str, str], str]
) -> dict[tuple[str, str], str]:
    """Ask all that is wanted: callers side by side, each one thing after the other; what the answers come to."""
    found: dict[tuple[str, str], str] = {}

    async def ask_all(caller: str) -> None:
        for (request, who), outcome in wanted.items():
            if who == caller:
                here = where
                if request in ENDS_THE_SCENE and outcome == "ok":
                    own = await room_for(ways.inside, ways.tenant, where.kind, caller)
                    here = replace(where, rooms={**where.rooms, caller: own})
                body = BODIES[request](here, caller)
                found[request, caller] = outcome_of(request, body, await channel.ask(caller, request, body))

    await asyncio.gather(*(ask_all(caller) for caller in CALLERS))
    return {key: found[key] for key in wanted}


async def contents(inside: Insider, where: Scene) -> JSON:
    """All there is in the scene's rooms, as a service sees it."""
    who = where.actor("service")
    everything = {}
    for room_id in sorted(set(where.rooms.values())):
        body = {"room_id": room_id}
        for request in ("room.get", "members.list", "history.get", "receipts.get"):
            owner = str(CONTRACTS[request].OWNER)
            answer = await inside.ask("chat.queries", owner, inside.envelope(request, body, who))
            everything[f"{room_id} {request}"] = answer["ok"]
            for member in answer["ok"].get("members", ()):
                member.pop("user", None)  # the directory learns of people as they connect
    return everything


def without_ids(answer: JSON, body: JSON) -> str:
    """An answer as text, with the ids that the caller has named taken out."""
    text = str(answer)
    named = [*body.values(), *body.get("room_ids", ()), *body.get("cursors", ())]
    for value in (value for value in named if isinstance(value, str)):
        text = text.replace(value, "…")
    return text
