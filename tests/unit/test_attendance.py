"""What a gateway reports of its users: how things are as it reports, under a name that it gives up when it must."""

import orjson
import pytest
from typing_extensions import override

from services.gateway import attendance
from services.gateway.attendance import Attendance
from services.gateway.connection import Connection
from services.gateway.hub import Hub
from services.gateway.native import NATIVE
from shared.auth import Identity
from shared.bus.codec import JSON
from shared.bus.consumer import Consumer
from shared.bus.link import Link
from shared.bus.publisher import Publisher
from shared.bus.requests import Requests
from shared.contracts.base import Command, Query
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.presence import ReportPresence
from shared.service import Tasks
from tests.unit.feeds_world import Wire


class Service(Requests):
    """Requests that are answered at once, as the test says: with a result, or with an error to raise."""

    def __init__(self) -> None:
        link = Link("amqp://nowhere/", "simulation", [])
        publisher = Publisher(link, Tasks(), 1.0)
        super().__init__(Consumer(link, 1), publisher, name="g", shards=1, timeout=1.0, max_pending=1)
        self.reports: list[ReportPresence] = []
        self.answers: list[JSON | ChatError] = []

    @override
    async def ask(
        self, request: Command | Query, actor: orjson.Fragment, tenant: str, *, traceparent: str | None = None
    ) -> JSON:
        assert isinstance(request, ReportPresence)
        self.reports.append(request)
        answer = self.answers.pop(0) if self.answers else {"gateway": request.gateway, "alive": True}
        if isinstance(answer, ChatError):
            raise answer
        return answer

    def words(self) -> list[dict[str, bool]]:
        """What each report says of whom."""
        return [{word.user_id: word.here for word in report.sightings} for report in self.reports]


@pytest.fixture
async def world() -> tuple[Hub, Service, Attendance]:
    """A gateway that reports to the test."""
    hub, service = Hub(per_user=1e9, in_total=1e9, heartbeat=25.0), Service()
    return hub, service, Attendance(hub, service, name="gateway-0", lease=30.0)


World = tuple[Hub, Service, Attendance]


def arrive(hub: Hub, user_id: str) -> Connection:
    """A connection comes."""
    identity = Identity(Actor(id=user_id), expires=1e12, tenant_claimed=True)
    connection = Connection(f"c{len(hub.connections)}-{user_id}", identity, Wire(), voice=NATIVE, limit=2**20, now=0.0)
    hub.add(connection)
    return connection


async def test_a_report_says_how_things_are(world: World) -> None:
    """Several devices are one user, and who has come and gone since is simply not here."""
    hub, service, gateway = world
    arrive(hub, "alice")
    phone = arrive(hub, "alice")
    hub.remove(arrive(hub, "bob"))
    await gateway._report()
    hub.remove(phone)
    await gateway._report()
    assert service.words() == [{"alice": True, "bob": False}, {}]
    assert [report.beginning for report in service.reports] == [True, False]


async def test_what_was_not_answered_is_told_again_as_it_is_then(world: World) -> None:
    """With a greater number, so that the first report, should it still come, loses."""
    hub, service, gateway = world
    alice = arrive(hub, "alice")
    service.answers.append(ChatError(ErrorCode.TIMEOUT, "no answer"))
    await gateway._report()
    hub.remove(alice)
    await gateway._report()
    assert service.words() == [{"alice": True}, {"alice": False}]
    first, second = service.reports
    assert first.sightings[0].number < second.sightings[0].number
    assert (first.gateway, first.beginning, second.beginning) == (second.gateway, True, True)


async def test_who_counts_as_dead_begins_anew_with_everybody(world: World) -> None:
    """Under another name."""
    hub, service, gateway = world
    for name in ("alice", "bob"):
        arrive(hub, name)
    await gateway._report()
    service.answers.append({"alive": False})
    await gateway._report()
    await gateway._report()
    assert service.words() == [{"alice": True, "bob": True}, {}, {"alice": True, "bob": True}]
    assert service.reports[2].gateway != service.reports[1].gateway
    assert service.reports[2].beginning


async def test_what_waits_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nobody answers, passers-by are forgotten with the name they would have been told under."""
    hub, service, gateway = world
    monkeypatch.setattr(attendance, "MAX_CHANGED", 10)
    before = gateway._gateway
    stays = arrive(hub, "stays")
    for number in range(30):
        hub.remove(arrive(hub, f"passer-by-{number}"))
        assert len(gateway._changed) <= 11
    await gateway._report()
    assert service.reports[0].gateway != before
    assert service.words()[0]["stays"]
    assert stays.open


async def test_more_than_fits_one_report_is_told_in_several(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each user once."""
    hub, service, gateway = world
    monkeypatch.setattr(attendance, "MAX_REPORTED", 4)
    for number in range(10):
        arrive(hub, f"user-{number}")
    for _ in range(3):
        await gateway._report()
    assert [len(words) for words in service.words()] == [4, 4, 2]
    assert len({name for words in service.words() for name in words}) == 10
