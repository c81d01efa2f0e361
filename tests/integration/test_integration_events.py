"""Every event from outside, by both its ways: the room that it wants is there, with its members, name and remarks."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.harness.rest import Api
from tests.integration.integration_client import Deliver, Outside, Rooms, by_rest

pytest_plugins = ("tests.integration.integration_fixtures",)


async def test_an_event_has_a_room(outside: Outside, tell: Deliver, rooms: Rooms) -> None:
    """It is made, named, filled, emptied and closed as the event is; what happens is said in it."""
    room_id = outside.room("event", "7")
    event = outside.event("event.created", event_id="7", title="Jazz", creator_id="ann", participants=["bob"])
    await tell(event)
    state = await rooms.becomes(room_id, members={"ann": "owner", "bob": "member"})
    assert state == {"type": "event", "name": "Jazz", "closed": False, "members": {"ann": "owner", "bob": "member"}}

    await tell(outside.event("event.participant_added", event_id="7", user_id="carl"))
    await rooms.becomes(room_id, members={"ann": "owner", "bob": "member", "carl": "member"})
    await tell(outside.event("event.participant_removed", event_id="7", user_id="bob"))
    await rooms.becomes(room_id, members={"ann": "owner", "carl": "member"})
    await tell(outside.event("event.updated", event_id="7", title="Swing", participants=["carl", "dora"]))
    await rooms.becomes(room_id, name="Swing", members={"ann": "owner", "carl": "member", "dora": "member"})
    await tell(outside.event("event.cancelled", event_id="7"))
    await rooms.becomes(room_id, closed=True)
    assert await rooms.said(room_id, "The conversation is over") == [
        "Welcome to Jazz",
        "carl joined",
        "bob left",
        "dora joined",
        "The conversation is over",
    ]


async def test_who_is_in_the_room_may_talk(
    outside: Outside, tell: Deliver, rooms: Rooms, api: Callable[..., Api]
) -> None:
    """Not who has left it, and nobody once it is closed."""
    room_id, send = outside.room("event", "7"), f"/v1/rooms/{outside.room('event', '7')}/messages"
    await tell(outside.event("event.created", event_id="7", creator_id="ann", participants=["bob", "carl"]))
    await rooms.becomes(room_id)
    assert (await api("bob")("POST", send, {"content": "hi"})).status == 201
    assert (await api("eve")("POST", send, {"content": "hi"})).status == 403
    await tell(outside.event("event.participant_removed", event_id="7", user_id="bob"))
    await rooms.becomes(room_id, members={"ann": "owner", "carl": "member"})
    assert (await api("carl")("POST", send, {"content": "hi"})).status == 201
    await tell(outside.event("event.cancelled", event_id="7"))
    await rooms.becomes(room_id, closed=True)


async def test_an_outing_has_a_room(outside: Outside, tell: Deliver, rooms: Rooms) -> None:
    """Only who is accepted is in it; it goes with the outing."""
    room_id = outside.room("sortie", "3")
    await tell(outside.event("sortie.created", sortie_id="3", titre="Plage", createur_id="ann"))
    await rooms.becomes(room_id, type="event", name="Plage", members={"ann": "owner"})
    wish: dict[str, Any] = {"participation_id": "p1", "sortie_id": "3", "user_id": "bob"}
    await tell(
        outside.event("participation.requested", **wish),
        outside.event("sortie.updated", sortie_id="3", titre="Montagne"),
    )
    await rooms.becomes(room_id, name="Montagne", members={"ann": "owner"})
    await tell(outside.event("participation.status_changed", **wish, status="ACCEPTEE"))
    await rooms.becomes(room_id, members={"ann": "owner", "bob": "member"})
    await tell(outside.event("participation.status_changed", **wish, status="ANNULEE"))
    await rooms.becomes(room_id, members={"ann": "owner"})
    await tell(outside.event("sortie.deleted", sortie_id="3"))
    await rooms.vanishes(room_id)


async def test_a_session_has_a_room(outside: Outside, tell: Deliver, rooms: Rooms) -> None:
    """Its user's, until it ends."""
    room_id = outside.room("session", "s1")
    await tell(outside.event("session.created", session_id="s1", user_id="ann"))
    await rooms.becomes(room_id, type="session", closed=False, members={"ann": "owner"})
    await tell(outside.event("session.ended", session_id="s1"))
    await rooms.becomes(room_id, closed=True, members={"ann": "owner"})


async def test_users_are_known_and_forgotten(
    outside: Outside, tell: Deliver, rooms: Rooms, service: Api, api: Callable[..., Api]
) -> None:
    """Who is no more is in no room; a group's last owner is succeeded, a room of two is closed, who is back is back."""
    group = (await api("bob")("POST", "/v1/rooms", {"members": ["carl"]})).body["id"]
    pair = (await api("bob")("POST", "/v1/rooms", {"type": "direct", "members": ["carl"]})).body["id"]
    event = outside.room("event", "7")
    await tell(
        outside.event("user.upserted", id="bob", name="Bob B.", avatar="https://example.org/b.png"),
        outside.event("event.created", event_id="7", title="Jazz", creator_id="ann", participants=["bob"]),
        outside.event("user.upserted", id="bob", first_name="Bob", roles=["customer"]),
    )
    await rooms.becomes(event, members={"ann": "owner", "bob": "member"})
    entry = {"id": "bob", "name": "Bob B.", "first_name": "Bob", "avatar": "https://example.org/b.png"}
    members = await service("GET", f"/v1/rooms/{event}/members")
    (bob,) = (member["user"] for member in members.body["members"] if member["user_id"] == "bob")
    assert bob == {**entry, "roles": ["customer"]}

    await tell(outside.event("user.deleted", id="bob"))
    await rooms.becomes(group, members={"carl": "owner"})
    await rooms.becomes(event, members={"ann": "owner"})
    await rooms.becomes(pair, closed=True)
    members = await service("GET", f"/v1/rooms/{pair}/members")
    (bob,) = (member.get("user") for member in members.body["members"] if member["user_id"] == "bob")
    assert bob is None or bob == {"id": "bob"}

    await tell(outside.event("user.upserted", id="bob", name="Bob again"))
    await rooms.becomes(event, members={"ann": "owner", "bob": "member"})
    assert (await rooms.state(group) or {})["members"] == {"carl": "owner"}


async def test_tokens_and_other_systems_both_name_users(
    outside: Outside, service: Api, api: Callable[..., Api]
) -> None:
    """The latest word on each field holds; an old token does not bring back who is deleted."""
    tell = by_rest(service)

    async def known() -> list[dict[str, Any]]:
        answer = await service("POST", "/v1/users/query", {"user_ids": ["bob"]})
        users: list[dict[str, Any]] = answer.body["users"]
        return users

    async def becomes(*users: dict[str, Any]) -> None:
        async with asyncio.timeout(20):
            while await known() != list(users):  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.05)

    await tell(outside.event("user.upserted", id="bob", name="Bob", avatar="b.png"))
    assert await known() == [{"id": "bob", "name": "Bob", "avatar": "b.png", "roles": []}]
    await api("bob", name="Bobby")("GET", "/v1/rooms")
    await becomes({"id": "bob", "name": "Bobby", "avatar": "b.png", "roles": []})
    await tell(outside.event("user.upserted", id="bob", name="Bob", roles=["customer"]))
    assert await known() == [{"id": "bob", "name": "Bobby", "avatar": "b.png", "roles": ["customer"]}]
    await tell(outside.event("user.deleted", id="bob"))
    assert await known() == []
    await api("bob", name="Bobby")("GET", "/v1/rooms")
    await api("ann", name="Ann")("GET", "/v1/rooms")
    async with asyncio.timeout(20):
        while (await service("POST", "/v1/users/query", {"user_ids": ["ann"]})).body["users"] == []:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert await known() == []
    await tell(outside.event("user.upserted", id="bob", first_name="Robert"))
    assert await known() == [{"id": "bob", "first_name": "Robert", "roles": []}]


async def test_wanted_members_are_set(
    outside: Outside, tell: Deliver, rooms: Rooms, service: Api, api: Callable[..., Api]
) -> None:
    """By a room's id or by what it belongs to, with their roles; an older wish changes nothing."""
    group = (await api("bob")("POST", "/v1/rooms", {"members": ["carl"]})).body["id"]
    body = {"type": "event", "name": "Desk", "external": {"kind": "booking", "id": "b9"}, "members": ["ann"]}
    desk = (await service("POST", "/v1/rooms", body)).body["id"]
    older = outside.event("room.members_set", room_id=group, members=[{"user_id": "eve", "role": "owner"}])
    await tell(
        outside.event("room.members_set", room_id=group, members=[{"user_id": "carl", "role": "owner"}]),
        outside.event(
            "room.members_set",
            external={"kind": "booking", "id": "b9"},
            members=[{"user_id": "ann", "role": "admin"}, {"user_id": "dora"}],
        ),
        older,
    )
    await rooms.becomes(group, members={"carl": "owner"})
    await rooms.becomes(desk, members={"ann": "admin", "dora": "member"}, name="Desk")
    await tell(outside.event("room.members_set", room_id=desk, members=[{"user_id": "eve", "role": "owner"}]))
    await rooms.becomes(desk, members={"eve": "owner"})


async def test_what_comes_before_its_beginning_is_kept(outside: Outside, tell: Deliver, rooms: Rooms) -> None:
    """There is no room until something says that the object exists; then all that was said holds."""
    room_id = outside.room("event", "7")
    created = outside.event("event.created", event_id="7", title="Jazz", creator_id="ann", participants=["bob"])
    later = [
        outside.event("event.participant_removed", event_id="7", user_id="bob"),
        outside.event("event.participant_added", event_id="7", user_id="carl"),
        outside.event("event.updated", event_id="7", title="Swing"),
    ]
    beacon = outside.event("session.created", session_id="beacon", user_id="ann")
    await tell(*later, beacon)
    await rooms.becomes(outside.room("session", "beacon"))
    assert await rooms.state(room_id) is None
    await tell(created)
    await rooms.becomes(room_id, name="Swing", members={"ann": "owner", "carl": "member"}, closed=False)


async def test_a_room_deleted_by_its_owner_stays_so(
    outside: Outside, tell: Deliver, rooms: Rooms, api: Callable[..., Api]
) -> None:
    """What is said later of the object does not bring it back; making the object anew does."""
    room_id = outside.room("session", "s1")
    await tell(outside.event("session.created", session_id="s1", user_id="ann"))
    await rooms.becomes(room_id)
    assert (await api("ann")("DELETE", f"/v1/rooms/{room_id}")).status == 200
    beacon = outside.event("session.created", session_id="beacon", user_id="ann")
    await tell(outside.event("session.ended", session_id="s1"), beacon)
    await rooms.becomes(outside.room("session", "beacon"))
    assert await rooms.state(room_id) is None
    await tell(outside.event("session.created", session_id="s1", user_id="ann"))
    await rooms.becomes(room_id, closed=False)
