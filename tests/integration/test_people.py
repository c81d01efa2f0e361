"""The directory, the people one has talked with, and favorites: right on all one's devices, and nobody else's."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from deploy.embedded.stack import Stack
from shared.contracts.errors import ChatError, ErrorCode
from tests.conftest import ClientOf, TokenOf
from tests.harness.person import PATIENCE, Person
from tests.harness.rest import Api


async def refusal(person: Person, type: str, **data: Any) -> ErrorCode:
    """The code of the error that a frame is answered with."""
    with pytest.raises(ChatError) as caught:
        await person.request(type, data)
    return caught.value.code


async def known(person: Person, user_id: str, **fields: Any) -> dict[str, Any]:
    """Return the directory's entry when it says this; the directory learns of people as they connect."""
    async with asyncio.timeout(PATIENCE):
        while True:
            users = (await person.call("users.get", {"user_ids": [user_id]}))["users"]
            if users and all(users[0].get(name) == value for name, value in fields.items()):
                return dict(users[0])


def named(view: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    """(kind, id, name) of every favorite."""
    return [(item["kind"], item["id"], item.get("name")) for item in view["favorites"]]


@pytest.fixture
def called(stack: Stack, token: TokenOf, closing: AsyncExitStack) -> Callable[..., Any]:
    """Connects a user with claims."""

    async def connect(sub: str, **claims: Any) -> Person:
        return await closing.enter_async_context(Person(stack.gateway_urls[0], token(sub, **claims)))

    return connect


# ── directory ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_users_are_known_by_their_latest_token(called: Callable[..., Any], tenant: str) -> None:
    """With their roles, within their tenant; what a token leaves out stays as it was."""
    alice = await called("alice")
    await called("bob", name="Bob", roles=("customer",))
    assert await known(alice, "bob", name="Bob") == {"id": "bob", "name": "Bob", "roles": ["customer"]}
    await called("bob", name="Robert")
    assert (await known(alice, "bob", name="Robert"))["roles"] == ["customer"]
    await called("bob", roles=("hotel_owner",))
    assert (await known(alice, "bob", roles=["hotel_owner"]))["name"] == "Robert"
    abroad = await called("alice", tenant=f"{tenant}-abroad")
    assert (await abroad.call("users.get", {"user_ids": ["bob"]}))["users"] == []


async def test_a_new_name_shows_in_lists_and_messages(called: Callable[..., Any]) -> None:
    """From the next one on."""
    alice, bob = await called("alice"), await called("bob", name="Bob")
    room = await alice.create_room(members=["bob"])
    await known(alice, "bob", name="Bob")
    renamed = await called("bob", name="Robert")
    await known(alice, "bob", name="Robert")
    members = (await alice.call("members.list", {"room_id": room.id}))["members"]
    assert {member["user_id"]: member["user"].get("name") for member in members}["bob"] == "Robert"
    await renamed.send(room.id, "it is me")
    assert (await alice.said(room.id, "it is me")).data["sender"]["name"] == "Robert"
    await bob.close()


async def test_rooms_show_their_first_members(called: Callable[..., Any], api: Callable[..., Api]) -> None:
    """Where that is asked for: names and all, the owner first, of every room in the list; not to who is in none."""
    alice, bob = await called("alice", name="Alice"), await called("bob", name="Bob")
    await known(alice, "bob", name="Bob")
    pair = (await bob.create_room(type="direct", members=["alice"])).id
    group = (await bob.create_room(name="Tea", members=["alice", "carol", "dan"])).id
    await bob.call("member.set_role", {"room_id": group, "user_id": "dan", "role": "admin"})
    rooms = {room["id"]: room for room in (await alice.call("rooms.list", {"with_members": 3}))["rooms"]}
    shown = {
        room: [
            (item["user_id"], item["role"], item["user"]["name"] if "user" in item else None) for item in it["members"]
        ]
        for room, it in rooms.items()
    }
    assert sorted(shown[pair]) == [("alice", "member", "Alice"), ("bob", "member", "Bob")]
    assert shown[group] == [("bob", "owner", "Bob"), ("dan", "admin", None), ("alice", "member", "Alice")]
    assert rooms[group]["member_count"] == 4
    assert (await alice.call("room.get", {"room_id": group, "with_members": 3}))["members"] == rooms[group]["members"]
    assert "members" not in await alice.call("room.get", {"room_id": group})
    over_rest = (await api("alice")("GET", f"/v1/rooms/{group}?with_members=1")).body
    assert [item["user_id"] for item in over_rest["members"]] == ["bob"]
    assert (await api("eve")("GET", f"/v1/rooms/{group}?with_members=1")).status == 403
    assert (await api("alice")("GET", "/v1/rooms?with_members=21")).status == 400


# ── people ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_people_are_those_of_rooms_of_two(called: Callable[..., Any], tenant: str) -> None:
    """A page at a time, with presence, name and room; groups do not count, nor another tenant's rooms."""
    alice, bob = await called("alice", name="Alice"), await called("bob", name="Bob")
    await known(alice, "bob", name="Bob")
    await alice.create_room(members=["dave"])
    rooms = {name: (await alice.create_room(type="direct", members=[name])).id for name in ("bob", "carol", "erin")}
    abroad = await called("alice", tenant=f"{tenant}-abroad")
    assert (await abroad.call("people.list", {}))["people"] == []
    pages, after = [], None
    while True:
        page = await alice.call("people.list", {"limit": 2, **({"after": after} if after else {})})
        pages.append(page["people"])
        if (after := page.get("next")) is None:
            break
    assert [len(page) for page in pages] == [2, 1]
    people = [person for page in pages for person in page]
    assert [person["room_id"] for person in people] == sorted(rooms.values())
    assert {person["user"]["id"]: person["room_id"] for person in people} == rooms
    shown = {person["user"]["id"]: person for person in people}
    assert shown["bob"]["user"]["name"] == "Bob"
    assert (shown["carol"]["presence"]["status"], shown["carol"]["user"]) == ("offline", {"id": "carol", "roles": []})
    [own] = (await bob.call("people.list", {}))["people"]
    assert (own["user"]["name"], own["room_id"]) == ("Alice", rooms["bob"])


async def test_a_new_acquaintance_is_told_by_their_room(stack: Stack, client: ClientOf) -> None:
    """`room.created` of a room of two reaches all one's devices: that is when the list of people changes."""
    alice, phone = await client("alice"), await client("alice", url=stack.gateway_urls[1])
    bob = await client("bob")
    assert (await alice.call("people.list", {}))["people"] == []
    room = await bob.create_room(type="direct", members=["alice"])
    for device in (alice, phone):
        created = await device.expect("room.created", room_id=room.id)
        assert created.data["room"]["type"] == "direct"
        assert [person["room_id"] for person in (await device.call("people.list", {}))["people"]] == [room.id]


# ── favorites ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_favorites_are_the_same_on_all_ones_devices(
    stack: Stack, client: ClientOf, called: Callable[..., Any], tenant: str
) -> None:
    """Each change reaches each of them on either gateway, and nobody else, not even a namesake."""
    alice, phone = await client("alice"), await client("alice", url=stack.gateway_urls[1], follow=False)
    bob, abroad = await called("bob", name="Bob"), await called("alice", tenant=f"{tenant}-abroad")
    await known(alice, "bob", name="Bob")
    room = await alice.create_room(name="Tea", members=["bob"])
    await alice.call("favorite.toggle", {"kind": "room", "id": room.id})
    await phone.call("favorite.toggle", {"kind": "user", "id": "bob"})
    wanted = [("room", room.id, "Tea"), ("user", "bob", "Bob")]
    for device in (alice, phone):
        first = await device.expect("favorites.updated")
        assert (named(first.data), first.data["version"], first.room_id) == (wanted[:1], 1, "")
        assert first.data.keys() == {"favorites", "version"}
        second = await device.expect("favorites.updated")
        assert (named(second.data), second.data["version"]) == (wanted, 2)
        assert named(await device.call("favorites.list", {})) == wanted
    await alice.call("favorite.toggle", {"kind": "room", "id": room.id})
    assert named((await phone.expect("favorites.updated")).data) == wanted[1:]
    await bob.call("favorite.toggle", {"kind": "user", "id": "bob"})
    await bob.expect("favorites.updated")
    await abroad.request("ping", {})
    assert [event for event in abroad.log if event.type == "favorites.updated"] == []
    assert [named(event.data) for event in bob.log if event.type == "favorites.updated"] == [[("user", "bob", "Bob")]]
    assert named(await abroad.call("favorites.list", {})) == []


async def test_a_repeated_toggle_toggles_once(client: ClientOf) -> None:
    """By its client_id, which belongs to this command."""
    alice = await client("alice")
    room = await alice.create_room(name="Tea")
    wish = {"kind": "room", "id": room.id, "client_id": "c-1"}
    for _ in range(3):
        assert named(await alice.call("favorite.toggle", wish)) == [("room", room.id, "Tea")]
    assert await refusal(alice, "favorite.toggle", **{**wish, "favorite": False}) is ErrorCode.CONFLICT
    assert named(await alice.call("favorite.toggle", {**wish, "client_id": "c-2"})) == []
    for favorite, left in ((True, 1), (True, 1), (False, 0), (False, 0)):
        view = await alice.call("favorite.toggle", {"kind": "room", "id": room.id, "favorite": favorite})
        assert len(view["favorites"]) == left


async def test_only_what_is_in_sight_can_be_marked_and_anything_unmarked(client: ClientOf) -> None:
    """A room one has left keeps its place without its name."""
    alice, bob = await client("alice"), await client("bob")
    room = await alice.create_room(name="Tea", members=["bob"])
    assert named(await bob.call("favorite.toggle", {"kind": "room", "id": room.id})) == [("room", room.id, "Tea")]
    await alice.call("member.remove", {"room_id": room.id, "user_id": "bob"})
    await bob.expect("member.removed", room_id=room.id)
    assert named(await bob.call("favorites.list", {})) == [("room", room.id, None)]
    assert named(await bob.call("favorite.toggle", {"kind": "room", "id": room.id})) == []
    assert await refusal(bob, "favorite.toggle", kind="room", id=room.id) is ErrorCode.FORBIDDEN
    assert await refusal(bob, "favorite.toggle", kind="room", id="nowhere") is ErrorCode.NOT_FOUND
    assert await refusal(bob, "favorite.toggle", kind="user", id="nobody") is ErrorCode.NOT_FOUND


async def test_devices_that_mark_at_once_lose_nothing(client: ClientOf) -> None:
    """Whoever is slower decides again."""
    alice, phone = await client("alice"), await client("alice")
    rooms = [(await alice.create_room(name=f"room {number}")).id for number in range(6)]
    numbers = [
        (device, {"kind": "room", "id": room, "favorite": True})
        for device, some in ((alice, rooms[::2]), (phone, rooms[1::2]))
        for room in some
    ]
    await asyncio.gather(*(device.call("favorite.toggle", data) for device, data in numbers))
    view = await alice.call("favorites.list", {})
    assert sorted(item["id"] for item in view["favorites"]) == sorted(rooms)
    assert view["version"] == len(rooms)


async def test_people_and_favorites_over_rest(client: ClientOf, api: Callable[..., Api]) -> None:
    """The same as on the socket."""
    alice = await client("alice")
    room = await alice.create_room(type="direct", members=["bob"])
    bob = api("bob")
    assert [person["room_id"] for person in (await bob("GET", "/v1/people?limit=5")).body["people"]] == [room.id]
    asked = await bob("POST", "/v1/users/query", {"user_ids": ["nobody"]})
    assert asked.body == {"users": []}
    toggled = await bob("POST", "/v1/favorites/toggle", {"kind": "room", "id": room.id}, Idempotency_Key="k")
    assert toggled.status == 200
    await bob("POST", "/v1/favorites/toggle", {"kind": "room", "id": room.id}, Idempotency_Key="k")
    assert [item["id"] for item in (await bob("GET", "/v1/favorites")).body["favorites"]] == [room.id]


async def test_who_has_no_name_in_their_token_is_shown_by_the_directory_s(
    client: ClientOf, api: Callable[..., Api], tenant: str
) -> None:
    """In what they write, on the socket and by REST; a name in the token goes before."""
    service = api("hr", roles=("service",))
    told = {"specversion": "1.0", "id": f"{tenant}-1", "source": "/hr", "type": "user.upserted"}
    user = {"id": "dora", "first_name": "Dora", "last_name": "Day", "avatar": "https://example.org/d.png"}
    assert (await service("POST", "/v1/integration/events", {**told, "data": user})).body["results"][0]["applied"]
    alice, dora = await client("alice"), await client("dora")
    room = (await alice.create_room(members=["dora"])).id
    await dora.expect("room.subscribed", room_id=room)
    whole = {"id": "dora", "first_name": "Dora", "last_name": "Day", "avatar": "https://example.org/d.png"}
    await dora.send(room, "hello")
    assert (await alice.said(room, "hello")).data["sender"] == whole
    await api("dora")("POST", f"/v1/rooms/{room}/messages", {"content": "by REST"})
    assert (await alice.said(room, "by REST")).data["sender"] == whole
    await api("dora", name="Dee")("POST", f"/v1/rooms/{room}/messages", {"content": "renamed"})
    assert (await alice.said(room, "renamed")).data["sender"]["name"] == "Dee"
