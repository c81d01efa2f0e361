"""Who looks at a room: told to its readers on every gateway, while the connection follows the room."""

from deploy.embedded.stack import Stack
from tests.conftest import ClientOf
from tests.harness.person import Person


async def look(person: Person, room_id: str) -> None:
    """Follow a room, and let others know."""
    await person.request("room.subscribe", {"room_id": room_id, "announce": True})


async def test_readers_are_told_who_looks_at_a_room(stack: Stack, client: ClientOf) -> None:
    """When it begins and when it ends: by word, by the end of the connection, by the end of the membership."""
    alice = await client("alice")
    room = (await alice.create_room(members=["bob", "carol"])).id
    bob = await client("bob", url=stack.gateway_urls[1], follow=False)
    await look(bob, room)
    said = {"room_id": room, "user_id": "bob"}
    assert (await alice.expect("looking", room_id=room)).data == {**said, "looking": True}
    await bob.request("room.unsubscribe", {"room_id": room})
    assert (await alice.expect("looking", room_id=room)).data == {**said, "looking": False}
    await look(bob, room)
    assert (await alice.expect("looking", room_id=room)).data["looking"]
    await bob.close()
    assert not (await alice.expect("looking", room_id=room)).data["looking"]

    carol = await client("carol")
    await look(carol, room)
    assert (await alice.expect("looking", room_id=room)).data == {**said, "user_id": "carol", "looking": True}
    await alice.request("member.remove", {"room_id": room, "user_id": "carol"})
    assert not (await alice.expect("looking", room_id=room)).data["looking"]
    assert alice.changes(room) == []


async def test_who_does_not_say_so_is_not_seen(client: ClientOf) -> None:
    """Following a room is nobody else's business."""
    alice, bob = await client("alice"), await client("bob", follow=False)
    room = (await alice.create_room(members=["bob"])).id
    await bob.subscribe(room)
    await bob.request("room.unsubscribe", {"room_id": room})
    await look(bob, room)
    assert (await alice.expect("looking", room_id=room)).data["looking"]
    assert [event.data["looking"] for event in alice.log if event.type == "looking"] == [True]


async def test_who_comes_and_goes_at_once_is_told_as_they_are_then(client: ClientOf) -> None:
    """At most once a second."""
    alice, bob = await client("alice"), await client("bob", follow=False)
    room = (await alice.create_room(members=["bob"])).id
    for _ in range(20):
        await look(bob, room)
        await bob.request("room.unsubscribe", {"room_id": room})
    await look(bob, room)
    await bob.request("room.unsubscribe", {"room_id": room})
    assert (await alice.expect("looking", room_id=room)).data["looking"]
    assert not (await alice.expect("looking", room_id=room)).data["looking"]
    told = [event.data["looking"] for event in alice.log if event.type == "looking"]
    assert told == [True, False]
