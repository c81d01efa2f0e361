"""Which errors of the database pass by themselves: a command that meets one waits, and is not given up."""

import pytest
from pymongo.errors import AutoReconnect, BulkWriteError, OperationFailure, ServerSelectionTimeoutError

from shared.mongo import Mongo, PyMongoError, is_duplicate, is_transient

SHUTTING_DOWN, DUPLICATE, DOCUMENT_INVALID = 91, 11000, 121


def bulk(*codes: int, concern: bool = False) -> BulkWriteError:
    """A bulk write that failed with these codes."""
    errors = [{"index": index, "code": code} for index, code in enumerate(codes)]
    return BulkWriteError({"writeErrors": errors, "writeConcernErrors": [{"code": 64}] if concern else []})


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (AutoReconnect("connection reset"), True),
        (ServerSelectionTimeoutError("no primary"), True),
        (OperationFailure("read concern majority is not possible yet", 134), True),
        (OperationFailure("not primary or recovering", 13436), True),
        (OperationFailure("document failed validation", DOCUMENT_INVALID), False),
        (bulk(concern=True), True),
        (bulk(SHUTTING_DOWN), True),
        (bulk(DUPLICATE), False),
        (bulk(SHUTTING_DOWN, DOCUMENT_INVALID), False),
        (ValueError("no error of the database"), False),
    ],
)
def test_an_error_passes_or_not(error: Exception, passes: bool) -> None:
    """One that does not would be met again and again."""
    assert is_transient(error) is passes
    assert not (is_transient(error) and is_duplicate(error))


async def test_a_cursor_that_is_gone(mongo: Mongo) -> None:
    """As after a restart of the server between two batches of a long answer."""
    numbers = mongo.collection("numbers")
    await numbers.insert_many([{"number": number} for number in range(5)])
    cursor = numbers.find(batch_size=2)
    await cursor.next()
    await mongo.database.command({"killCursors": "numbers", "cursors": [cursor.cursor_id]})
    with pytest.raises(PyMongoError) as caught:
        await cursor.to_list(None)
    assert is_transient(caught.value)
