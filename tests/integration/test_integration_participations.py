"""Wishes to take part in an outing: who sees them, who decides, and what follows for its room."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import SocketOf
from tests.harness.rest import Api
from tests.integration.integration_client import Outside, Rooms

pytest_plugins = ("tests.integration.integration_fixtures",)

EVENTS = "/v1/integration/events"
LIST = "/v1/externals/sortie/3/participations"


@pytest.fixture
async def outing(outside: Outside, service: Api) -> str:
    """Ann's outing, in which bob, carl and dora wish to take part; the id of its room."""
    wishes: list[dict[str, Any]] = [
        {"participation_id": f"p-{user}", "sortie_id": "3", "user_id": user} for user in ("bob", "carl", "dora")
    ]
    events = [
        outside.event("sortie.created", sortie_id="3", titre="Plage", createur_id="ann"),
        *(outside.event("participation.requested", **wish) for wish in wishes),
    ]
    assert (await service("POST", EVENTS, events)).status == 200
    return outside.room("sortie", "3")


def status(participation: str) -> str:
    """Where a participation's status is set."""
    return f"/v1/participations/{participation}/status"


async def test_the_owner_decides(outing: str, api: Callable[..., Api], rooms: Rooms, socket: SocketOf) -> None:
    """Who is accepted comes in, who is refused does not, who cancels goes and must ask anew."""
    ann, bob = api("ann"), api("bob")
    answer = await ann("PATCH", status("p-bob"), {"status": "ACCEPTEE"})
    assert answer.status == 200
    updated_at = answer.body.pop("updated_at")
    assert answer.body == {
        "id": "p-bob", "room_id": outing, "external": {"kind": "sortie", "id": "3"}, "user_id": "bob",
        "status": "ACCEPTEE",
    }  # fmt: skip
    assert updated_at.startswith("20")
    await rooms.becomes(outing, members={"ann": "owner", "bob": "member"})
    frame = await (await socket("ann")).ask(
        "participation.set_status", {"participation_id": "p-carl", "status": "REFUSEE"}
    )
    assert frame["data"]["status"] == "REFUSEE"
    assert (await ann("PATCH", status("p-carl"), {"status": "ACCEPTEE"})).status == 200
    await rooms.becomes(outing, members={"ann": "owner", "bob": "member", "carl": "member"})

    assert (await bob("PATCH", status("p-bob"), {"status": "ANNULEE"})).status == 200
    await rooms.becomes(outing, members={"ann": "owner", "carl": "member"})
    assert (await bob("PATCH", status("p-bob"), {"status": "ANNULEE"})).status == 200
    answer = await ann("PATCH", status("p-bob"), {"status": "ACCEPTEE"})
    assert (answer.status, answer.error) == (409, "conflict")


async def test_the_audit_names_who_decided(outing: str, api: Callable[..., Api], rooms: Rooms) -> None:
    """The person, whom it is about and what was decided; once, however often it is said. Refusals leave no entry."""
    ann, root = api("ann"), api("root", roles=("admin",))
    for _ in range(2):
        assert (await ann("PATCH", status("p-bob"), {"status": "ACCEPTEE"})).status == 200
    assert (await api("bob")("PATCH", status("p-bob"), {"status": "ANNULEE"})).status == 200
    assert (await ann("PATCH", status("p-bob"), {"status": "ACCEPTEE"})).status == 409
    assert (await api("eve")("PATCH", status("p-carl"), {"status": "ACCEPTEE"})).status == 403
    await rooms.becomes(outing, members={"ann": "owner"})
    entries = (await root("GET", f"/v1/audit?room_id={outing}")).body["entries"]
    decided = [entry for entry in entries if entry["act"] == "participation.set_status"]
    assert [(entry["actor_id"], entry["target_id"], entry["details"]) for entry in decided] == [
        ("bob", "bob", {"participation_id": "p-bob", "status": "ANNULEE"}),
        ("ann", "bob", {"participation_id": "p-bob", "status": "ACCEPTEE"}),
    ]
    # What follows for the room is the integration's doing, each right after what it follows from.
    assert [entry["act"] for entry in entries] == [
        "members.set", "participation.set_status", "members.set", "participation.set_status", "room.create",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("who", "wish", "refusal"),
    [
        ({"sub": "bob"}, "ACCEPTEE", "forbidden"),
        ({"sub": "carl"}, "ANNULEE", "forbidden"),
        ({"sub": "eve"}, "REFUSEE", "forbidden"),
        ({"sub": "ann", "tenant": "elsewhere"}, "ACCEPTEE", "not_found"),
        ({"sub": "root", "tenant": "elsewhere", "roles": ("admin",)}, "ACCEPTEE", "not_found"),
    ],
)
async def test_nobody_else_decides(
    outing: str, api: Callable[..., Api], rooms: Rooms, who: dict[str, Any], wish: str, refusal: str
) -> None:
    """Not who takes part, nor a stranger, nor anybody of another tenant; nothing changes."""
    answer = await api(**who)("PATCH", status("p-bob"), {"status": wish})
    assert answer.error == refusal
    listed = await api("ann")("GET", LIST)
    assert {item["id"]: item["status"] for item in listed.body["participations"]}["p-bob"] == "EN_ATTENTE"
    assert (await rooms.state(outing) or {})["members"] == {"ann": "owner"}


async def test_what_is_wrong_is_refused(outing: str, api: Callable[..., Api]) -> None:
    """A status that is none, a participation that is none."""
    assert (await api("ann")("PATCH", status("p-bob"), {"status": "MAYBE"})).error == "invalid"
    assert (await api("ann")("PATCH", status("p-none"), {"status": "ACCEPTEE"})).error == "not_found"


async def test_who_sees_which(outing: str, api: Callable[..., Api], socket: SocketOf) -> None:
    """The owner and who governs the tenant see all, page by page; others their own; abroad there are none."""

    async def seen(**who: Any) -> list[str]:
        answer = await api(**who)("GET", LIST)
        assert answer.status == 200
        return [item["user_id"] for item in answer.body["participations"]]

    assert await seen(sub="ann") == await seen(sub="root", roles=("admin",)) == ["bob", "carl", "dora"]
    assert await seen(sub="carl") == ["carl"]
    assert await seen(sub="eve") == await seen(sub="ann", tenant="elsewhere") == []
    first = (await api("ann")("GET", f"{LIST}?limit=2")).body
    rest = (await api("ann")("GET", f"{LIST}?limit=2&after={first['next']}")).body
    assert [item["id"] for page in (first, rest) for item in page["participations"]] == ["p-bob", "p-carl", "p-dora"]
    assert "next" not in rest
    frame = await (await socket("dora")).ask("participations.list", {"kind": "sortie", "id": "3"})
    assert [item["id"] for item in frame["data"]["participations"]] == ["p-dora"]


async def test_later_words_of_the_other_system_hold(
    outing: str, outside: Outside, service: Api, api: Callable[..., Api], rooms: Rooms
) -> None:
    """What was decided here is later than what was said before, however late that comes."""
    late = outside.event(
        "participation.status_changed", participation_id="p-bob", sortie_id="3", user_id="bob", status="REFUSEE"
    )
    assert (await api("ann")("PATCH", status("p-bob"), {"status": "ACCEPTEE"})).status == 200
    (result,) = (await service("POST", EVENTS, late)).body["results"]
    assert (result["applied"], result["effective"]) == (True, False)
    await rooms.becomes(outing, members={"ann": "owner", "bob": "member"})
