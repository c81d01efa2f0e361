"""`/metrics` for those who read JSON, and for those who scrape."""

from collections.abc import Awaitable, Callable

import pytest

from tests.harness.gateway import Gateway
from tests.harness.rawsocket import RawSocket
from tests.harness.rest import Api

ApiOf = Callable[..., Api]
JOBS = {"waiting", "active", "completed", "failed"}
SCRAPER = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"


async def test_the_figures_are_real(
    gateway_with: Callable[..., Awaitable[Gateway]], socket: Callable[..., Awaitable[RawSocket]], api: ApiOf
) -> None:
    """They begin at nothing, and count connections, what was sent, and what was refused."""
    gateway = await gateway_with()
    nobody = api(None, url=gateway.url)
    before = (await nobody("GET", "/metrics")).body
    assert set(before) == {"connections", "messageQueueJobs", "presenceQueueJobs", "memoryUsage", "uptime"}
    assert before["connections"] == 0
    assert before["messageQueueJobs"] == dict.fromkeys(JOBS, 0)
    assert set(before["presenceQueueJobs"]) == JOBS
    alice = await socket("alice", url=gateway.url)
    await alice.ready()
    room_id = (await alice.ask("room.create", {}))["data"]["room"]["id"]
    for _ in range(3):
        assert (await alice.ask("message.send", {"room_id": room_id, "content": "hi"}))["type"] == "ack"
    assert (await alice.ask("message.send", {"room_id": "nowhere", "content": "hi"}))["type"] == "error"
    after = (await nobody("GET", "/metrics")).body
    assert after["connections"] == 1
    assert after["messageQueueJobs"]["completed"] == 3
    assert after["messageQueueJobs"]["failed"] == 1
    memory = after["memoryUsage"]
    assert set(memory) == {"rss", "heapUsed", "heapTotal", "external", "arrayBuffers"}
    assert gateway.resident_bytes() // 2 < memory["rss"] < gateway.resident_bytes() * 2
    assert 0 < memory["heapUsed"] <= memory["rss"]
    assert 0 < before["uptime"] < after["uptime"] < 300


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/plain, */*", "text/html,*/*"])
async def test_clients_get_json(api: ApiOf, accept: str) -> None:
    """Whatever their libraries ask for by themselves."""
    answer = await api(None)("GET", "/metrics", Accept=accept)
    assert answer.body["connections"] >= 0


@pytest.mark.parametrize("accept", [SCRAPER, "text/plain", "text/plain;q=0.9,application/json;q=0.1"])
async def test_scrapers_get_what_they_ask_for(api: ApiOf, accept: str) -> None:
    """Prometheus names its formats."""
    answer = await api(None)("GET", "/metrics", Accept=accept)
    assert b"parley_connections" in answer.body
