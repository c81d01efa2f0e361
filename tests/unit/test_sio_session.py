"""A client's events are begun in the order they come; what may rest on one that is under way waits for it."""

from shared.contracts.errors import ChatError, ErrorCode
from shared.settings import Settings
from tests.unit.sio_world import JOIN, LEAVE, SAY, client, sends, told

MAX = Settings().max_in_flight

REFUSED = ChatError(ErrorCode.NOT_FOUND, "not there")


async def test_what_follows_a_join_waits_for_it() -> None:
    session, steps = await client()
    sends(session, JOIN, SAY, SAY)
    assert steps.begun == [JOIN[0]]
    steps.end(REFUSED)
    assert steps.begun == [JOIN[0], SAY[0], SAY[0]]


async def test_messages_wait_for_no_message() -> None:
    session, steps = await client()
    sends(session, SAY, SAY, JOIN, SAY)
    assert steps.begun == [SAY[0], SAY[0], JOIN[0]]


async def test_a_second_join_waits_too_and_what_follows_for_both() -> None:
    session, steps = await client()
    sends(session, JOIN, JOIN, SAY)
    steps.end(REFUSED)
    assert steps.begun == [JOIN[0], JOIN[0]]
    sends(session, SAY)
    assert steps.begun == [JOIN[0], JOIN[0]]
    steps.end(REFUSED)
    assert steps.begun == [JOIN[0], JOIN[0], SAY[0], SAY[0]]


async def test_as_many_as_may_wait_are_taken_in_a_row() -> None:
    """Events that end at once do not pile up on the stack."""
    session, steps = await client()
    sends(session, JOIN, *[LEAVE] * MAX)
    steps.end(REFUSED)
    assert steps.begun == [JOIN[0], *[LEAVE[0]] * MAX]


async def test_more_are_refused() -> None:
    session, steps = await client()
    sends(session, JOIN, *[SAY] * MAX)
    assert told(session) == b""
    sends(session, SAY)
    assert b"overloaded" in told(session)
    steps.end(REFUSED)
    assert len(steps.begun) == 1 + MAX


async def test_nothing_is_begun_for_who_has_gone() -> None:
    session, steps = await client()
    sends(session, JOIN, SAY)
    assert session.connection is not None
    session.connection.close(1000, "gone", 0.0)
    steps.end(REFUSED)
    assert steps.begun == [JOIN[0]]
