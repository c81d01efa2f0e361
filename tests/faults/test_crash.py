"""A worker dies after it has stored a change and before anybody heard of it: the change is announced all the same.

What the worker says is held back until the change is in the database; then the worker is killed, and what it said is
lost. The command returns to the broker, finds its effect in place, and is answered and announced again.
"""

from functools import partial

from shared.client import Event
from shared.ids import shard_of_room
from shared.mongo import Mongo
from shared.service import Tasks
from tests.faults import database
from tests.faults.people import Hall
from tests.faults.site import SHARDS, Site


async def test_between_the_database_and_the_broker(site: Site, hall: Hall, mongo: Mongo, tasks: Tasks) -> None:
    """Again and again, with whichever worker has the room, for every kind of change."""
    alice, bob = await hall.enter("alice", 0), await hall.enter("bob", 1)
    room = await hall.room(alice, "bob")
    first = (await alice.send(room, "first")).message_id
    changes = [
        ("message.send", {"room_id": room, "content": "second", "client_id": "c-2"}, "message.created"),
        ("message.edit", {"message_id": first, "content": "1st", "client_id": "c-3"}, "message.updated"),
        ("message.react", {"message_id": first, "emoji": "+", "client_id": "c-4"}, "message.reacted"),
    ]
    for number, (kind, body, event) in enumerate(changes):
        worker = (await site.even_shards(len(site.workers)))[shard_of_room(room, SHARDS)]
        before = await alice.send(room, f"{worker} knows who is in the room")
        async with database.changes(mongo, room) as change:
            with site.proxy.mute(worker):
                asking = tasks.spawn(alice.call(kind, body), kind)
                stored = await change()
                await site.kill(worker)
                site.proxy.cut(worker)
        ack = await asking
        assert (stored.rev, ack["rev"]) == (before.rev + 1,) * 2
        for person in (alice, bob):
            await person.expect(event, room_id=room, that=partial(_has_rev, stored.rev))
            assert len(person.changes(room)) == 1 + 2 * (number + 1)
    assert len(await database.read(mongo, [room])) == 2 + len(changes)


def _has_rev(rev: int, event: Event) -> bool:
    return bool(event.data["rev"] == rev)
