"""What a refused send, a duplicate and a purge do to others in the same batch, and afterwards. Real database."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from services.messages.archive import Archive
from services.messages.files import Files
from services.messages.handlers import CommandHandler
from services.messages.intake import Batch, Origin
from services.messages.queries import QueryHandler
from services.messages.receipts import Receipts
from services.messages.repository import Repository
from services.messages.state import Limits, Plan, Request
from services.messages.summaries import Summaries
from shared.access import AccessCache
from shared.bus.consumer import Consumer
from shared.bus.link import Link
from shared.bus.publisher import Publisher
from shared.bus.requests import Responder
from shared.bus.signals import Signals
from shared.contracts.envelope import Actor
from shared.contracts.media import MediaView
from shared.contracts.membership import Role, RoomAccess, RoomType
from shared.contracts.messages import (
    DeleteMessage,
    EditMessage,
    GetHistory,
    GetRoomStates,
    PurgeRoom,
    SendMessage,
)
from shared.contracts.timeline import ChangedView, HistoryView, RoomStatesView
from shared.mongo import Mongo
from shared.service import Tasks
from tests.faults.site import Site

OWNER, AUTHOR, SERVICE = Actor(id="olga"), Actor(id="alice"), Actor(id="messages", roles=("service",))
MAX_LENGTH = 100


async def everybody(room_ids: list[str]) -> list[RoomAccess]:
    """Access to rooms of Olga's with Alice in them."""
    roles = {OWNER.id: Role.OWNER, AUTHOR.id: Role.MEMBER}
    return [
        RoomAccess(room_id=room_id, tenant="default", type=RoomType.GROUP, version=1, members=roles)
        for room_id in room_ids
    ]


async def nobodys(_actor: Actor, _media_ids: list[str]) -> list[MediaView]:
    """No files."""
    return []


class Writer:
    """A command side whose batches are handed to it by the test, so that what they hold is certain."""

    def __init__(self, site: Site, mongo: Mongo, tasks: Tasks) -> None:
        link = Link(site.servers.amqp_url, "unlinked", [])
        publisher = Publisher(link, tasks, 1.0)
        self.repository = Repository(mongo)
        self.summaries = Summaries(self.repository)
        access = AccessCache(everybody)
        receipts = Receipts(
            repository=self.repository, access=access, summaries=self.summaries,
            signals=Signals(publisher, source="/writer", shards=4), max_members=100,
        )  # fmt: skip
        self._handler = CommandHandler(
            consumer=Consumer(link, 1), publisher=publisher, responder=Responder(publisher, "writer"),
            repository=self.repository, access=access, summaries=self.summaries, receipts=receipts, source="/writer",
            shards=4, limits=Limits(MAX_LENGTH, 1000, 100), archive=Archive(mongo), files=Files(nobodys),
        )  # fmt: skip

    async def store(self, *requests: Request) -> Plan:
        """One batch that was not handed out before."""
        return (await self._handler._until_stored(list(requests), again=False))[0]

    async def handle(self, *requests: Request) -> None:
        """One batch, whatever is in it."""
        origins = {request.id: Origin("messages.0", {}, None) for request in requests}
        await self._handler._handle(Batch([], list(requests), origins))


@pytest.fixture
def writer(site: Site, mongo: Mongo, tasks: Tasks) -> Writer:
    """A writer of this test's rooms."""
    return Writer(site, mongo, tasks)


def sending(room: str, client_id: str, content: str = "text") -> Request:
    """Alice's wish to send."""
    return Request(uuid4().hex, AUTHOR, SendMessage(room_id=room, content=content, client_id=client_id))


async def test_a_refused_send_hides_no_message(writer: Writer) -> None:
    """An owner deletes a message while its author sends nonsense with the client_id it was sent with."""
    sent = sending(uuid4().hex, "mine")
    await writer.store(sent)
    delete = Request("delete", OWNER, DeleteMessage(message_id=sent.target or ""))
    decided = await writer.store(delete, sending(sent.command.room or "", "mine", "x" * (MAX_LENGTH + 1)))
    assert isinstance(decided.answers["delete"], ChangedView)


async def test_an_edit_that_was_made_is_told_as_made(writer: Writer) -> None:
    """Though a send of the same batch was a duplicate, so that the batch was decided again."""
    room = uuid4().hex
    one = sending(room, "one")
    await writer.store(one, sending(room, "two"))
    edit = Request("edit", AUTHOR, EditMessage(message_id=one.target or "", content="edited"))
    answer = (await writer.store(edit, sending(room, "two"))).answers["edit"]
    assert isinstance(answer, ChangedView)
    assert answer.changed


async def test_a_purged_rooms_marks_stay_gone(writer: Writer) -> None:
    """Else whoever wrote in a direct room has read everything in the one made again under its id."""
    room = uuid4().hex
    await writer.store(sending(room, "one"), sending(room, "two"))
    purge = Request("purge", SERVICE, PurgeRoom(room_id=room, until=datetime.now(UTC) + timedelta(minutes=1)))
    await writer.handle(sending(room, "three"), purge)
    assert writer.summaries.own(room, AUTHOR.id) == 0
    await writer.summaries.flush()
    assert await writer.repository.room_marks(room) == {}


async def test_what_was_written_before_the_purge_of_what_was_there_earlier_stays(writer: Writer, mongo: Mongo) -> None:
    """A direct room made anew: its messages stay, in their order, and what comes goes on from there; counts fit."""
    room = uuid4().hex
    await writer.store(sending(room, "old-1"), sending(room, "old-2"), sending(room, "old-3"))
    await mongo.collection("messages").update_many(
        {"room_id": room}, {"$set": {"created_at": datetime(2026, 1, 1, tzinfo=UTC)}}
    )
    purge = Request("purge", SERVICE, PurgeRoom(room_id=room, until=datetime(2026, 1, 2, tzinfo=UTC)))
    await writer.handle(sending(room, "new-4", "4"), purge, sending(room, "new-5", "5"))
    await writer.store(sending(room, "new-6", "6"))
    for _ in range(2):  # before and after the summary has caught up
        queries = QueryHandler(writer.repository, Archive(mongo), AccessCache(everybody))
        history = await queries.handle(OWNER, GetHistory(room_id=room))
        assert isinstance(history, HistoryView)
        assert [(message.seq, message.content) for message in history.messages] == [(4, "4"), (5, "5"), (6, "6")]
        assert (history.total, history.has_before, history.has_after) == (3, False, False)
        states = await queries.handle(OWNER, GetRoomStates(room_ids=[room]))
        assert isinstance(states, RoomStatesView)
        (state,) = states.states
        assert (state.seq, state.unread, state.last_message and state.last_message.content) == (6, 3, "6")
        await writer.summaries.flush()
