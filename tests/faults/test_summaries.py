"""What a killed writer has left unsummarised: the next one takes it over, so nothing of it is left behind."""

from uuid import uuid4

from services.messages.repository import Head, Repository
from services.messages.state import Marks, Message, Plan, Timeline, Write
from services.messages.summaries import Summaries
from shared.contracts.messages import EditMessage, MarkRead, SendMessage
from shared.mongo import Mongo
from tests.faults.site import Site
from tests.faults.writers import writers

PEOPLE = ["alice", "bob"]


async def left_behind(site: Site, mongo: Mongo, room: str, *senders: str) -> Repository:
    """Messages of a writer that never came to summarise them."""
    async with writers(site.servers.amqp_url, mongo, ["dying"], PEOPLE) as asked:
        for number, sender in enumerate(senders, start=1):
            answer = await asked.ask("dying", sender, SendMessage(room_id=room, content=f"message {number}"))
            assert answer["ok"]["seq"] == number
    return Repository(mongo)


async def stored(repository: Repository, mongo: Mongo, room: str, seq: int) -> Message:
    """A message by its position."""
    document = await mongo.collection("messages").find_one({"room_id": room, "seq": seq})
    assert document is not None
    return (await repository.messages([document["_id"]]))[document["_id"]]


async def test_the_next_writer_takes_it_over(site: Site, mongo: Mongo) -> None:
    """Alice has read what she wrote, though the first summary of the room is about what Bob writes later."""
    room = f"left-{uuid4().hex[:8]}"
    repository = await left_behind(site, mongo, room, "alice", "alice", "bob")
    summaries = Summaries(repository)
    summaries.adopt(await repository.heads([room]))
    assert summaries.own(room, "alice") == 2
    last = await stored(repository, mongo, room, 3)
    summaries.note(Plan(writes=[Write(last, None)], timelines={room: Timeline("0", 3, 3)}))
    await summaries.flush()
    marks = await repository.marks([(room, "alice"), (room, "bob")])
    assert marks == {(room, "alice"): Marks(2, 2), (room, "bob"): Marks(3, 3)}
    head = (await repository.heads([room]))[room]
    assert (head.timeline, head.own) == (Timeline("0", 3, 3), {})
    assert head.last == last


async def test_the_last_message_stays_the_last(site: Site, mongo: Mongo) -> None:
    """The first thing the next writer does is to change an older message: the summary shows the newest all the same."""
    room = f"left-{uuid4().hex[:8]}"
    repository = await left_behind(site, mongo, room, "alice", "bob")
    summaries = Summaries(repository)
    summaries.adopt(await repository.heads([room]))
    async with writers(site.servers.amqp_url, mongo, ["next"], PEOPLE) as asked:
        first, second = [await stored(repository, mongo, room, seq) for seq in (1, 2)]
        edit = EditMessage(message_id=first.view.id, content="edited")
        assert (await asked.ask("next", "alice", edit))["ok"]["rev"] == 3
    edited = await stored(repository, mongo, room, 1)
    summaries.note(Plan(writes=[Write(edited, 1)], timelines={room: Timeline("0", 2, 3)}))
    await summaries.flush()
    head = (await repository.heads([room]))[room]
    assert (head.timeline, head.last) == (Timeline("0", 2, 3), second)


async def test_a_late_summary_turns_nothing_back(site: Site, mongo: Mongo) -> None:
    """Neither a newer one, nor the new beginning after a purge; and what it says of marks is true all the same."""
    room = f"late-{uuid4().hex[:8]}"
    repository = await left_behind(site, mongo, room, "alice", "bob")
    late = await repository.heads([room])
    newer = await stored(repository, mongo, room, 2)
    summaries = Summaries(repository)
    summaries.note(Plan(writes=[Write(newer, None)], timelines={room: Timeline("0", 2, 5)}))
    await summaries.flush()
    late[room].timeline = Timeline("0", 1, 1)
    await repository.summarise(late)
    assert (await repository.heads([room]))[room].timeline == Timeline("0", 2, 5)
    await repository.purge(room, newer.view.created_at, "new")
    await repository.summarise(late)
    assert (await repository.heads([room]))[room].timeline == Timeline("new", 0, 0)


async def test_writing_is_reading_for_the_next_writer_too(site: Site, mongo: Mongo) -> None:
    """Alice marks an older message as read, and is told how far she has got by writing."""
    room = f"left-{uuid4().hex[:8]}"
    await left_behind(site, mongo, room, "alice", "alice", "bob")
    async with writers(site.servers.amqp_url, mongo, ["next"], PEOPLE) as asked:
        answer = await asked.ask("next", "alice", MarkRead(room_id=room, seq=1))
    assert answer["ok"] == {"user_id": "alice", "read_seq": 2, "delivered_seq": 2}


async def test_an_edit_that_mentions_somebody_is_not_left_behind(site: Site, mongo: Mongo) -> None:
    """A writer that dies after an edit leaves a mention in an older message; the next one's summary keeps it."""
    room = f"left-{uuid4().hex[:8]}"
    repository = await left_behind(site, mongo, room, "alice", "alice")
    first = await stored(repository, mongo, room, 1)
    assert (await repository.heads([room]))[room].mentioned == 0
    async with writers(site.servers.amqp_url, mongo, ["dying"], PEOPLE) as asked:
        edit = EditMessage(message_id=first.view.id, content="look, @bob")
        assert (await asked.ask("dying", "alice", edit))["ok"]["rev"] == 3
    last = await stored(repository, mongo, room, 2)
    summaries = Summaries(repository)
    summaries.adopt(await repository.heads([room]))
    summaries.note(Plan(writes=[Write(last, 2)], timelines={room: Timeline("0", 2, 3)}))
    await summaries.flush()
    head = (await repository.heads([room]))[room]
    assert (head.timeline, head.own, head.mentioned) == (Timeline("0", 2, 3), {}, 1)
    late = {room: Head(Timeline("0", 2, 9), last)}
    await repository.summarise(late)
    assert (await repository.heads([room]))[room].mentioned == 1
    assert await repository.mentions("bob", {room: (0, 2)}) == {room: 1}
