"""Who is told what, and when: subscriptions, memberships, typing, receipts, and one order for all."""

import asyncio

import pytest

from deploy.embedded.stack import Stack
from shared.contracts.errors import ChatError, ErrorCode
from tests.conftest import ClientOf, SocketOf, TokenOf
from tests.harness.person import Person


async def room_of(owner: Person, *others: Person) -> str:
    """A group room whose members all follow it."""
    room = await owner.create_room(members=[other.ready["user"]["id"] for other in others])
    for member in (owner, *others):
        await member.expect("room.subscribed", room_id=room.id)
    return room.id


async def refusal(person: Person, type: str, **data: object) -> ErrorCode:
    """The code of the error that a frame is answered with."""
    with pytest.raises(ChatError) as caught:
        await person.request(type, data)
    return caught.value.code


async def is_told_nothing(person: Person, room_id: str, witness: Person, speaker: Person) -> None:
    """`speaker` says something to the room: `witness` on the same gateway hears it, `person` does not."""
    before = person.changes(room_id)
    await speaker.send(room_id, "psst")
    await witness.said(room_id, "psst")
    # Both are written to in one go, so what `person` might have got lies before this answer.
    await person.request("ping", {})
    assert person.changes(room_id) == before


# ── ready ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_ready_shows_where_every_room_stands(client: ClientOf, tenant: str) -> None:
    """Roles, counts, last message, and how much is unread."""
    alice = await client("alice")
    silent, busy = await room_of(alice), (await alice.create_room(name="busy", members=["bob"])).id
    for content in ("one", "two"):
        await alice.send(busy, content)
    bob = await client("bob", roles=("guest",))
    assert bob.ready["user"] == {"id": "bob", "tenant": tenant, "roles": ["guest"]}
    assert len(bob.ready["connection_id"]) == 16
    [room] = bob.ready["rooms"]
    assert (room["id"], room["name"], room["role"], room["member_count"]) == (busy, "busy", "member", 2)
    assert (room["seq"], room["rev"], room["read_seq"], room["unread"]) == (2, 2, 0, 2)
    assert room["last_message"]["content"] == "two"
    again = await client("alice")
    states = {room["id"]: (room["seq"], room["unread"]) for room in again.ready["rooms"]}
    assert states == {silent: (0, 0), busy: (2, 0)}


async def test_nothing_is_followed_by_wish(client: ClientOf) -> None:
    """`?subscribe=none`, then one room chosen and given up again."""
    alice = await client("alice")
    room = (await alice.create_room(members=["bob"])).id
    bob = await client("bob", follow=False)
    assert bob.ready["rooms"] == []
    witness = await client("bob")
    await is_told_nothing(bob, room, witness, alice)
    other = (await alice.create_room(members=["bob"])).id
    await witness.expect("room.subscribed", room_id=other)
    await is_told_nothing(bob, other, witness, alice)
    await bob.subscribe(room)
    await alice.send(room, "hello")
    assert (await bob.said(room, "hello")).seq == 2
    await bob.request("room.unsubscribe", {"room_id": room})
    await is_told_nothing(bob, room, witness, alice)


# ── memberships ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_who_is_added_follows_at_once(client: ClientOf) -> None:
    """From where the room stands then, without doing anything."""
    alice, bob = await client("alice"), await client("bob")
    room = await room_of(alice)
    await alice.send(room, "before")
    await alice.call("member.add", {"room_id": room, "user_id": "bob"})
    added = await bob.expect("member.added", room_id=room)
    assert (added.data["member"]["user_id"], added.data["room"]["member_count"]) == ("bob", 2)
    assert (await bob.expect("room.subscribed", room_id=room)).data["seq"] == 1
    await alice.send(room, "after")
    assert (await bob.said(room, "after")).seq == 2
    assert [content for _, _, content in bob.changes(room)] == ["after"]
    assert (await alice.expect("member.added", room_id=room)).data["member"]["role"] == "member"


async def test_who_is_removed_is_told_nothing_more(client: ClientOf) -> None:
    """Not even the next message, on a connection that stays open; nor may they ask."""
    alice, bob, carol = [await client(sub) for sub in ("alice", "bob", "carol")]
    room = await room_of(alice, bob, carol)
    await alice.call("member.remove", {"room_id": room, "user_id": "bob"})
    assert (await bob.expect("member.removed", room_id=room)).data["user_id"] == "bob"
    await carol.expect("member.removed", room_id=room)
    await is_told_nothing(bob, room, carol, alice)
    for wish, data in [
        ("message.send", {"content": "x"}),
        ("history.get", {}),
        ("room.subscribe", {}),
        ("room.get", {}),
        ("typing.start", {}),
    ]:
        assert await refusal(bob, wish, room_id=room, **data) is ErrorCode.FORBIDDEN
    # And let in again: all he has missed is his again.
    await alice.call("member.add", {"room_id": room, "user_id": "bob"})
    await bob.said(room, "psst")


async def test_who_leaves_hands_over(client: ClientOf) -> None:
    """The last owner's place is taken, and told before the leaving."""
    alice, bob = await client("alice"), await client("bob")
    room = await room_of(alice, bob)
    await alice.call("room.leave", {"room_id": room})
    assert (await bob.expect("member.updated", room_id=room)).data["member"] | {"joined_at": ""} == {
        "user_id": "bob",
        "role": "owner",
        "joined_at": "",
        "muted": False,
    }
    await bob.expect("member.removed", room_id=room)
    assert await refusal(alice, "room.get", room_id=room) is ErrorCode.FORBIDDEN


async def test_a_deleted_room_is_gone_for_all(client: ClientOf) -> None:
    """For members, for admins, and for `ready`."""
    alice, bob, admin = await client("alice"), await client("bob"), await client("admin", roles=("admin",))
    room = await room_of(alice, bob)
    sent = await alice.send(room, "soon forgotten")
    await bob.request("typing.start", {"room_id": room})
    await alice.call("room.delete", {"room_id": room})
    for member in (alice, bob):
        assert (await member.expect("room.deleted", room_id=room)).data["members"] == ["alice", "bob"]
        assert await refusal(member, "message.send", room_id=room, content="x") is ErrorCode.NOT_FOUND
        assert await refusal(member, "history.get", room_id=room) is ErrorCode.NOT_FOUND
    assert await refusal(admin, "message.get", message_id=sent.message_id) is ErrorCode.NOT_FOUND
    assert (await client("bob")).ready["rooms"] == []


async def test_a_new_role_counts_from_the_next_message(client: ClientOf) -> None:
    """Rights that workers remember are forgotten in time."""
    alice, bob = await client("alice"), await client("bob")
    room = await room_of(alice, bob)
    await bob.send(room, "may I?")
    await alice.call("member.set_role", {"room_id": room, "user_id": "bob", "role": "read_only"})
    assert (await bob.expect("member.updated", room_id=room)).data["member"]["role"] == "read_only"
    assert await refusal(bob, "message.send", room_id=room, content="x") is ErrorCode.FORBIDDEN
    await alice.call("member.set_role", {"room_id": room, "user_id": "bob", "role": "admin"})
    await bob.send(room, "thank you")


async def test_a_renamed_room_is_told(client: ClientOf) -> None:
    """With its new version."""
    alice, bob = await client("alice"), await client("bob")
    room = await room_of(alice, bob)
    await alice.call("room.update", {"room_id": room, "name": "new"})
    event = await bob.expect("room.updated", room_id=room)
    assert (event.data["room"]["name"], event.data["version"]) == ("new", 2)


async def test_an_admin_follows_by_wish_without_being_a_member(client: ClientOf) -> None:
    """Moderators see what they ask to see."""
    alice, admin = await client("alice"), await client("admin", roles=("admin",))
    room = await room_of(alice)
    await admin.subscribe(room)
    await alice.send(room, "who listens?")
    await admin.said(room, "who listens?")


# ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_every_change_is_told_to_every_device_of_every_member(stack: Stack, client: ClientOf) -> None:
    """The sender's own included, through two gateways, with its `rev` and content."""
    alice, phone = await client("alice"), await client("alice", url=stack.gateway_urls[1])
    bob = await client("bob", url=stack.gateway_urls[1])
    room = await room_of(alice, phone, bob)
    sent = await alice.send(room, "frist", metadata={"draft": True}, client_id="key")
    await alice.edit(sent.message_id, "first")
    await bob.react(sent.message_id, "👍")
    await bob.unreact(sent.message_id, "👍")
    await alice.delete(sent.message_id)
    for device in (alice, phone, bob):
        created = await device.said(room, "frist")
        assert (created.seq, created.rev, created.message.id) == (1, 1, sent.message_id)
        assert (created.data["client_id"], created.data["metadata"]) == ("key", {"draft": True})
        assert created.message.created_at == sent.created_at
        edited = await device.expect("message.updated", room_id=room)
        assert (edited.rev, edited.data["content"], "edited_at" in edited.data) == (2, "first", True)
        reacted = await device.expect("message.reacted", room_id=room)
        assert (reacted.rev, reacted.data["reactions"]) == (3, [{"emoji": "👍", "users": ["bob"]}])
        assert (await device.expect("message.reacted", room_id=room)).data["reactions"] == []
        deleted = await device.expect("message.deleted", room_id=room)
        assert (deleted.seq, deleted.rev, deleted.data["content"]) == (1, 5, "")


async def test_all_see_one_order(stack: Stack, client: ClientOf) -> None:
    """Four at once on two gateways: one order without gap, and each sender's own order within it."""
    members = [await client(f"user{number}", url=stack.gateway_urls[number % 2]) for number in range(4)]
    room = await room_of(*members)
    each = 40

    async def talk(person: Person) -> list[int]:
        return [(await person.send(room, f"{person.ready['user']['id']} {number}")).seq for number in range(each)]

    acked = await asyncio.gather(*map(talk, members))
    assert sorted(seq for seqs in acked for seq in seqs) == list(range(1, 4 * each + 1))
    for member in members:
        await member.expect("message.created", that=lambda event: event.seq == 4 * each)
    views = {tuple(member.changes(room)) for member in members}
    assert len(views) == 1
    [view] = views
    assert [seq for _, seq, _ in view] == list(range(1, 4 * each + 1))
    for member in members:
        mine = [content for _, _, content in view if content.startswith(f"{member.ready['user']['id']} ")]
        assert mine == [f"{member.ready['user']['id']} {number}" for number in range(each)]


async def test_tenants_never_meet(client: ClientOf, socket: SocketOf, token: TokenOf) -> None:
    """The same name in another tenant is somebody else."""
    alice = await client("alice")
    room = await room_of(alice)
    stranger = await socket(params={"token": token("alice", tenant="another")})
    assert (await stranger.ready())["rooms"] == []
    listed = await stranger.ask("rooms.list")
    assert listed["data"]["rooms"] == []
    synced = await stranger.ask("sync", {"cursors": {room: None}})
    assert synced["data"] == {"rooms": {}, "errors": {room: "not_found"}}


# ── typing and receipts ──────────────────────────────────────────────────────────────────────────────────────────


async def test_typing_is_shown_once_and_stops_by_itself_when_one_goes(stack: Stack, client: ClientOf) -> None:
    """Ephemeral: no change of the timeline."""
    alice, bob = await client("alice"), await client("bob", url=stack.gateway_urls[1])
    room = await room_of(alice, bob)
    await alice.typing(room)
    await alice.typing(room)  # too soon to be told again
    assert (await bob.expect("typing", room_id=room)).data == {"room_id": room, "user_id": "alice", "typing": True}
    await alice.typing(room, started=False)
    assert not (await bob.expect("typing", room_id=room)).data["typing"]
    await alice.typing(room)
    assert (await bob.expect("typing", room_id=room)).data["typing"]
    await alice.close()
    assert not (await bob.expect("typing", room_id=room)).data["typing"]
    assert bob.changes(room) == []


async def test_reading_moves_marks_forward_and_is_told(client: ClientOf) -> None:
    """Never back, never beyond the last message; writing is reading."""
    alice, bob = await client("alice"), await client("bob")
    room = await room_of(alice, bob)
    for content in "abc":
        await alice.send(room, content)
    answer = await bob.mark_read(room, 2)
    assert (answer.user_id, answer.read_seq, answer.unread_from) == ("bob", 2, None)
    told = await alice.expect(
        "receipts.updated", room_id=room, that=lambda event: event.data["receipts"][0]["read_seq"] == 2
    )
    assert [item["user_id"] for item in told.data["receipts"]] == ["bob"]
    assert (await bob.mark_read(room, 1)).read_seq == 2
    assert (await bob.mark_read(room, 99)).read_seq == 3
    receipts = (await alice.request("receipts.get", {"room_id": room}))["receipts"]
    assert {item["user_id"]: item["read_seq"] for item in receipts} == {"alice": 3, "bob": 3}


async def test_unread_is_what_others_have_said_since(client: ClientOf) -> None:
    """`seq` minus the read mark, on every new device."""
    alice, bob = await client("alice"), await client("bob")
    room = await room_of(alice, bob)

    async def unread(sub: str) -> int:
        async with await client(sub) as device:
            [state] = device.ready["rooms"]
            return int(state["unread"])

    for content in "abc":
        await alice.send(room, content)
    assert (await unread("alice"), await unread("bob")) == (0, 3)
    await bob.mark_read(room, 1)
    assert await unread("bob") == 2
    await bob.send(room, "I have read it all")
    assert (await unread("alice"), await unread("bob")) == (1, 0)
