"""MongoDB: the one door to the driver, so that replacing it changes one file (docs/adr/0004).

Writes are acknowledged by a journaled majority; reads see only what a majority has, so nothing a client was shown
can be rolled back.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, TypeVar

from motor.motor_asyncio import (
    AsyncIOMotorClient,
    AsyncIOMotorClientSession,
    AsyncIOMotorCollection,
    AsyncIOMotorDatabase,
)
from pymongo import (
    ASCENDING,
    DESCENDING,
    DeleteOne,
    IndexModel,
    InsertOne,
    ReplaceOne,
    ReturnDocument,
    UpdateOne,
)
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from shared.logging import get_logger

__all__ = [
    "ASCENDING",
    "DESCENDING",
    "BulkWriteError",
    "Collection",
    "Database",
    "DeleteOne",
    "Document",
    "DuplicateKeyError",
    "IndexModel",
    "InsertOne",
    "Mongo",
    "PyMongoError",
    "ReplaceOne",
    "ReturnDocument",
    "Session",
    "UpdateOne",
    "is_conflict",
    "is_duplicate",
    "is_transient",
    "readable",
]

log = get_logger(__name__)

Document = dict[str, Any]
Collection = AsyncIOMotorCollection[Document]
Database = AsyncIOMotorDatabase[Document]
Session = AsyncIOMotorClientSession
T = TypeVar("T")

ABANDONED = 2.0
"""Seconds a transaction may stand still, and between two looks; ours take milliseconds, the largest room a quarter of a
second."""

_DUPLICATE = 11000
_WRITE_CONFLICT = 112
_TRANSIENT_CODES = frozenset({6, 7, 43, 89, 91, 134, 189, 262, 9001, 10058, 10107, 11600, 11602, 13435, 13436})
"""Host unreachable, network timeouts, shutting down, not primary, interrupted: the server's retryable codes, and those
of a restart in the middle of a read: a cursor that is gone, and majority reads that are not possible yet."""


class Mongo:
    """A connected database.

    Args:
        url: `mongodb://host:port/database?replicaSet=name`.
        application: what the server knows all processes of one service by.
    """

    def __init__(self, url: str, application: str) -> None:
        self._application = application
        self._client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(
            url,
            appname=application,
            tz_aware=True,
            serverSelectionTimeoutMS=5000,
            connectTimeoutMS=2000,
            socketTimeoutMS=20000,
            maxPoolSize=32,
            retryWrites=True,
        )
        try:
            name = self._client.get_default_database().name
        except ConfigurationError:
            name = "parley"
        self.database: Database = self._client.get_database(
            name, write_concern=WriteConcern(w="majority", j=True), read_concern=ReadConcern("majority")
        )

    def collection(self, name: str, *, journaled: bool = True) -> Collection:
        """A collection of the service that owns it.

        Args:
            journaled: writes are lost by no failure once they are acknowledged. Else they may be, each alone, until a
                later one that is journaled is acknowledged: whoever writes makes sure then that they are there.
        """
        return self.database[name] if journaled else self.database.get_collection(name, write_concern=WriteConcern(1))

    async def ensure_indexes(self, collection: str, indexes: list[IndexModel]) -> None:
        """Create the indexes that are missing."""
        await self.database[collection].create_indexes(indexes)

    async def keep_for(self, collection: str, field: str, seconds: int) -> None:
        """Have documents removed when the time in `field` is so long ago; 0: never. Changes what held before."""
        name, there = f"{field}_expiry", self.database[collection]
        held = (await there.index_information()).get(name, {}).get("expireAfterSeconds")
        # Only where it changes: all of these wait for transactions that are open, and others then wait behind them.
        if held == (seconds or None):
            return
        if held is None:
            await there.create_indexes([IndexModel([(field, ASCENDING)], name=name, expireAfterSeconds=seconds)])
        elif seconds:
            await self.database.command("collMod", collection, index={"name": name, "expireAfterSeconds": seconds})
        else:
            await there.drop_index(name)

    async def check(self) -> None:
        """Readiness: a primary answers."""
        await self.database.command("ping")

    async def transaction(self, work: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
        """Run `work(session)`, all of it or nothing; its result.

        Tried once: after `is_conflict` or `is_transient` errors the caller decides. After the latter it may have been
        committed all the same, so `work` must notice when it is run again.
        """
        # A transaction takes its concerns from here or the client, never from the database (manual: "Transactions").
        read, write = ReadConcern("snapshot"), WriteConcern(w="majority", j=True)
        async with await self._client.start_session() as session, session.start_transaction(read, write):
            return await work(session)

    async def watch_abandoned(self) -> None:
        """End this application's transactions that do nothing any more, for ever.

        A killed process leaves its transactions open, and the server lets them block others for a minute
        (`transactionLifetimeLimitSeconds`): writes within transactions are refused, others wait. The owner of one that
        is ended in error gets a transient error.
        """
        while True:
            await asyncio.sleep(ABANDONED)
            try:
                ended = await self._end_abandoned()
            except PyMongoError as error:
                log.warning("abandoned transactions remain", error=str(error)[:500])
            else:
                if ended:
                    log.warning("abandoned transactions ended", transactions=ended)

    async def _end_abandoned(self) -> int:
        abandoned: Document = {
            "type": "idleSession",
            "appName": self._application,
            "transaction.timeInactiveMicros": {"$gt": int(ABANDONED * 1_000_000)},
        }
        pipeline: list[Document] = [{"$currentOp": {"idleSessions": True}}, {"$match": abandoned}, {"$limit": 1000}]
        found = await self._client.admin.aggregate(pipeline).to_list(None)
        if found:
            await self._client.admin.command("killSessions", [{"id": session["lsid"]["id"]} for session in found])
        return len(found)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def readable(documents: Iterable[Document], read: Callable[[Document], T]) -> Iterator[T]:
    """What `read` makes of each document; one that it cannot read is logged and left out, for the others' sake."""
    for document in documents:
        try:
            yield read(document)
        except (ValueError, KeyError, TypeError) as error:
            log.error("unreadable document", document=str(document.get("_id")), error=type(error).__name__)


def is_transient(error: BaseException) -> bool:
    """Whether the same operation may succeed later: the server was away, stepped down or overloaded."""
    if isinstance(error, ConnectionFailure | NotPrimaryError | WTimeoutError | ExecutionTimeout):
        return True
    if isinstance(error, PyMongoError) and (
        error.has_error_label("RetryableWriteError") or error.has_error_label("TransientTransactionError")
    ):
        return True
    if isinstance(error, BulkWriteError):
        codes = {item.get("code") for item in error.details.get("writeErrors", ())}
        return codes <= _TRANSIENT_CODES  # without any, its majority was not reached
    return isinstance(error, OperationFailure) and error.code in _TRANSIENT_CODES


def is_conflict(error: BaseException) -> bool:
    """Whether a transaction failed because another one is writing, or has just written, the same documents."""
    return isinstance(error, OperationFailure) and error.code == _WRITE_CONFLICT


def is_duplicate(error: BaseException, *, only: bool = False) -> bool:
    """Whether a unique index refused the write: somebody else has written this already.

    Args:
        only: nothing else has hindered any part of a bulk write.
    """
    if isinstance(error, DuplicateKeyError):
        return True
    if not isinstance(error, BulkWriteError):
        return False
    found = [item.get("code") == _DUPLICATE for item in error.details.get("writeErrors", ())]
    return any(found) and (not only or (all(found) and not error.details.get("writeConcernErrors")))
