"""How long the audit is kept: for ever unless the operator says so, and as the setting says since the last start."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.embedded.stack import Stack
from shared.contracts.rooms import CreateRoom
from shared.mongo import Mongo
from tests.integration.rooms_client import Caller, RoomsProcess

pytest_plugins = ("tests.integration.rooms_fixtures",)

DAY = 86_400


@pytest.fixture
def process(rooms_servers: Stack, rooms_log: Path) -> Callable[[int | None], RoomsProcess]:
    """Makes a process that keeps the audit for so many days; None: as by default."""

    def make(days: int | None) -> RoomsProcess:
        env = {} if days is None else {"AUDIT_RETENTION_DAYS": str(days)}
        return RoomsProcess(rooms_servers.amqp_url, rooms_servers.mongo_url, rooms_log, **env)

    return make


async def expiry(database: Mongo) -> list[int]:
    """After how many seconds documents of the audit expire, by each index that says so."""
    indexes = await database.collection("audit").index_information()
    return [index["expireAfterSeconds"] for index in indexes.values() if "expireAfterSeconds" in index]


async def test_the_audit_is_kept_as_long_as_the_setting_says(
    process: Callable[[int | None], RoomsProcess], rooms_database: Mongo
) -> None:
    """It can be set, changed, unset and set again; what stood before does not hinder a start."""
    for days, expected in [(None, []), (90, [90 * DAY]), (7, [7 * DAY]), (7, [7 * DAY]), (0, []), (30, [30 * DAY])]:
        async with process(days):
            assert await expiry(rooms_database) == expected
    async with process(None):
        assert await expiry(rooms_database) == []


async def test_what_is_too_old_goes_and_the_rest_stays(
    rooms_servers: Stack, process: Callable[[int | None], RoomsProcess], caller: Caller, rooms_database: Mongo
) -> None:
    """By the time of the act, which is stored as a time."""
    audit = rooms_database.collection("audit")
    admin = Mongo(rooms_servers.mongo_url, "tests")
    await admin.database.client.admin.command("setParameter", 1, ttlMonitorSleepSecs=1)
    try:
        async with process(7):
            room_id = (await caller.ask("alice", CreateRoom(name="Tea")))["room"]["id"]
            old = datetime.now(UTC) - timedelta(days=7, minutes=1)
            async with audit.watch([{"$match": {"operationType": "delete"}}]) as deletions:
                await deletions.try_next()  # only now are they watched
                await audit.insert_one({"_id": "old", "tenant": "default", "room_id": room_id, "at": old})
                change = await deletions.next()
            assert change["documentKey"]["_id"] == "old"
            assert await audit.count_documents({"room_id": room_id}) == 1
    finally:
        await admin.database.client.admin.command("setParameter", 1, ttlMonitorSleepSecs=60)
        admin.close()
        await rooms_database.keep_for("audit", "at", 0)
