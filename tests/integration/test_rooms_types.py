"""Types of rooms, who may speak in them, what they say by themselves, and who did what: through real gateways."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from shared.contracts.errors import ChatError, ErrorCode
from tests.conftest import ClientOf
from tests.harness.person import Person
from tests.harness.rest import Api

ApiOf = Callable[..., Api]


async def refusal(person: Person, type: str, **data: Any) -> ErrorCode:
    """The code of the error that a frame is answered with."""
    with pytest.raises(ChatError) as caught:
        await person.request(type, data)
    return caught.value.code


async def made(caller: Api, **room: Any) -> dict[str, Any]:
    """Make a room by REST."""
    answer = await caller("POST", "/v1/rooms", room)
    assert answer.status in {200, 201}, answer.body
    body: dict[str, Any] = answer.body
    return body


async def event_room(api: ApiOf, **more: Any) -> dict[str, Any]:
    """The room of event 7, made by a service for alice."""
    room = {"type": "event", "name": "Picnic", "owner": "alice", "external": {"kind": "event", "id": "7"}}
    return await made(api("booking", roles=("service",)), **room, **more)


async def silenced(speaker: Person, room_id: str) -> None:
    """Return when the room's writers have heard that somebody may not speak any more."""
    async with asyncio.timeout(10):
        while True:
            try:
                await speaker.send(room_id, "still?")
            except ChatError as error:
                assert error.code is ErrorCode.FORBIDDEN  # noqa: PT017 - else it shall be seen
                return


class TestRemarks:
    async def test_an_event_welcomes_and_tells_who_comes_and_goes(self, api: ApiOf, client: ClientOf) -> None:
        """System messages, in the order of what happened, once each, whoever is repeated."""
        alice = await client("alice")
        service = api("booking", roles=("service",))
        room = await event_room(api)
        await event_room(api)
        await alice.said(room["id"], "Welcome to Picnic")
        bob = await client("bob")
        for _ in range(2):
            await service("POST", f"/v1/rooms/{room['id']}/members", {"user_id": "bob"})
        joined = await alice.said(room["id"], "bob joined")
        assert (joined.data["type"], joined.data["sender"]["id"]) == ("system", "system")
        assert joined.data["metadata"] == {"event": "member.added", "user_ids": ["bob"]}
        assert "client_id" not in joined.data  # nobody has sent it
        await bob.expect("room.subscribed", room_id=room["id"])
        await service("DELETE", f"/v1/rooms/{room['id']}/members/bob")
        await alice.said(room["id"], "bob left")
        members = [{"user_id": "alice", "role": "owner"}, *({"user_id": f"u{number}"} for number in range(5))]
        await service("PUT", f"/v1/rooms/{room['id']}/members", {"members": members})
        await alice.said(room["id"], "u0, u1, u2 and 2 others joined")
        history = await alice.history(room["id"])
        assert [(message.seq, message.client_id) for message in history.messages] == [(n, None) for n in (1, 2, 3, 4)]
        own = await alice.send(room["id"], "mine", client_id="my-own")
        shown = await alice.call("message.get", {"message_id": own.message_id})
        assert shown["client_id"] == "my-own"

    async def test_a_group_says_nothing(self, client: ClientOf) -> None:
        """Its members do that themselves."""
        alice = await client("alice")
        room = await alice.create_room(members=["bob"])
        await alice.call("member.remove", {"room_id": room.id, "user_id": "bob"})
        assert (await alice.send(room.id, "alone")).seq == 1


class TestFind:
    async def test_an_object_leads_to_its_room(self, api: ApiOf) -> None:
        """For who may read it; another tenant has none."""
        room = await event_room(api)
        found = await api("alice")("GET", "/v1/externals/event/7/room")
        assert (found.body["id"], found.body["role"]) == (room["id"], "owner")
        assert (await api("eve")("GET", "/v1/externals/event/7/room")).status == 403
        assert (await api("alice")("GET", "/v1/externals/event/8/room")).status == 404
        abroad = api("alice", tenant="elsewhere", roles=("admin",))
        assert (await abroad("GET", "/v1/externals/event/7/room")).status == 404


class TestPairs:
    async def test_roles_come_from_the_token_and_the_directory(self, api: ApiOf, client: ClientOf) -> None:
        """Only who has shown their role is in a room for it; either of the two gets the same room."""
        cara = api("cara", roles=("CUSTOMER",))
        wanted = {"type": "customer_hotel_owner", "members": ["hugo"], "metadata": {"hotel_id": "h-1"}}
        assert (await cara("POST", "/v1/rooms", wanted)).status == 403
        hugo = await client("hugo", roles=("hotel_owner",))
        async with asyncio.timeout(10):
            while (answer := await cara("POST", "/v1/rooms", wanted)).status == 403:
                await hugo.request("ping", {})  # the directory learns of who connects, a little later
        assert answer.status == 201
        room = answer.body
        again = await hugo.create_room(type="customer_hotel_owner", members=["cara"])
        assert (again.id, again.metadata) == (room["id"], {"hotel_id": "h-1"})
        mallory = api("mallory", roles=("customer",))
        assert (await mallory("GET", f"/v1/rooms/{room['id']}")).status == 403


class TestSessions:
    async def test_a_user_and_assistants(self, client: ClientOf) -> None:
        """Assistants of the tenant enter without being members; others do not."""
        alice, ann, eve = await client("alice"), await client("ann", roles=("assistant",)), await client("eve")
        session = (await alice.create_room(type="session")).id
        await ann.subscribe(session)
        await alice.send(session, "help")
        await ann.said(session, "help")
        await ann.send(session, "gladly")
        answer = await alice.said(session, "gladly")
        assert answer.data["sender"]["id"] == "ann"
        assert await refusal(eve, "message.send", room_id=session, content="me too") is ErrorCode.FORBIDDEN
        assert await refusal(ann, "room.close", room_id=session) is ErrorCode.FORBIDDEN


class TestSilence:
    async def test_the_muted_read_and_do_not_write(self, client: ClientOf) -> None:
        """Told to all, in force for every way of speaking, and taken back."""
        alice, bob = await client("alice"), await client("bob")
        room = (await alice.create_room(members=["bob"])).id
        await bob.expect("room.subscribed", room_id=room)
        sent = await bob.send(room, "blah")
        await alice.call("member.mute", {"room_id": room, "user_id": "bob"})
        told = await bob.expect("member.updated", room_id=room)
        assert told.data["member"]["muted"]
        await silenced(bob, room)
        for frame, data in (
            ("message.edit", {"message_id": sent.message_id, "content": "x"}),
            ("message.react", {"message_id": sent.message_id, "emoji": "x"}),
            ("typing.start", {"room_id": room}),
        ):
            assert await refusal(bob, frame, **data) is ErrorCode.FORBIDDEN, frame
        await alice.send(room, "quiet now")
        await bob.said(room, "quiet now")
        await bob.call("message.delete", {"message_id": sent.message_id})
        await alice.call("member.mute", {"room_id": room, "user_id": "bob", "muted": False})
        await bob.expect("member.updated", room_id=room)
        await bob.send(room, "thanks")

    async def test_a_closed_room_is_read_only_for_all(self, client: ClientOf) -> None:
        """Until it is opened again; who comes later sees that it is closed."""
        alice, bob = await client("alice"), await client("bob")
        room = (await alice.create_room(members=["bob"])).id
        await bob.expect("room.subscribed", room_id=room)
        await alice.send(room, "last words")
        await alice.call("room.close", {"room_id": room})
        told = await bob.expect("room.updated", room_id=room)
        assert told.data["room"]["closed"]
        await silenced(bob, room)
        assert await refusal(alice, "typing.start", room_id=room) is ErrorCode.FORBIDDEN
        later = await client("bob")
        [seen] = later.ready["rooms"]
        assert seen["closed"]
        assert not {"send", "react", "type"} & set(seen["capabilities"])
        assert (await later.history(room)).messages[0].content == "last words"
        await alice.call("room.close", {"room_id": room, "closed": False})
        await later.expect("room.updated", room_id=room)
        await later.send(room, "again")


class TestRights:
    async def test_capabilities_are_what_is_granted(self, api: ApiOf, client: ClientOf) -> None:
        """Every view of a room tells its reader what they may do there; `explain` says why."""
        alice = await client("alice")
        room = (await alice.create_room(members=["bob"])).id
        bob = api("bob")
        shown = (await bob("GET", f"/v1/rooms/{room}")).body["capabilities"]
        assert {"read", "send", "leave"} <= set(shown)
        for action in ("send", "delete_room"):
            answer = await bob("GET", f"/v1/rooms/{room}/rights/{action}")
            assert answer.body["allowed"] is (action in shown)
            assert answer.body["rule"] == f"group: member may {'' if action in shown else 'not '}{action}"
        root = await api("root", roles=("admin",))("GET", f"/v1/rooms/{room}/rights/read")
        assert root.body["rule"] == "global: admin may read in every group room"

    async def test_others_rights_are_for_who_could_take_them(self, api: ApiOf, client: ClientOf) -> None:
        """Moderators may ask about members; members may not."""
        alice = await client("alice")
        room = (await alice.create_room(members=["bob", "carol"])).id
        await alice.call("member.mute", {"room_id": room, "user_id": "bob"})
        answer = await api("alice")("GET", f"/v1/rooms/{room}/rights/send?user_id=bob")
        assert (answer.body["allowed"], answer.body["rule"]) == (False, "denied: muted")
        assert (await api("carol")("GET", f"/v1/rooms/{room}/rights/send?user_id=bob")).status == 403
        abroad = api("alice", tenant="elsewhere", roles=("admin",))
        assert (await abroad("GET", f"/v1/rooms/{room}/rights/send?user_id=bob")).status == 404
        assert (await api("alice")("GET", f"/v1/rooms/{room}/rights/dance")).status == 400


class TestAudit:
    async def test_admins_see_who_did_what(self, api: ApiOf, client: ClientOf) -> None:
        """The latest first, by page, of all rooms or one, of their tenant; refusals are no acts."""
        alice, bob = await client("alice"), await client("bob")
        room = (await alice.create_room(name="ops", members=["bob", "carol"])).id
        other = (await bob.create_room(name="dev")).id
        await alice.call("member.mute", {"room_id": room, "user_id": "bob"})
        assert await refusal(bob, "member.mute", room_id=room, user_id="carol") is ErrorCode.FORBIDDEN
        await alice.call("member.mute", {"room_id": room, "user_id": "bob"})
        await alice.call("room.delete", {"room_id": room})
        root = api("root", roles=("admin",))
        entries = (await root("GET", f"/v1/audit?room_id={room}")).body["entries"]
        assert [(entry["act"], entry["actor_id"], entry.get("target_id")) for entry in entries] == [
            ("room.delete", "alice", None),
            ("member.mute", "alice", "bob"),
            ("room.create", "alice", None),
        ]
        found, after = [], ""
        while True:
            page = (await root("GET", f"/v1/audit?limit=1{after}")).body
            found += [(entry["room_id"], entry["act"]) for entry in page["entries"]]
            if "next" not in page:
                break
            after = f"&after={page['next']}"
        assert sorted(found) == sorted(
            [(room, "room.delete"), (room, "member.mute"), (other, "room.create"), (room, "room.create")]
        )
        assert (await api("alice")("GET", f"/v1/audit?room_id={room}")).status == 403
        abroad = api("root", tenant="elsewhere", roles=("admin",))
        assert (await abroad("GET", f"/v1/audit?room_id={room}")).body["entries"] == []
