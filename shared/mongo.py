"""MongoDB: the one door to the driver, so that replacing it changes one file (docs/adr/0004).

Writes are acknowledged by a journaled majority; reads see only what a majority has, so nothing a client was shown
can be rolled back.
"""

from collections.abc import Callable, Coroutine
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
    "is_duplicate",
    "is_transient",
]

Document = dict[str, Any]
Collection = AsyncIOMotorCollection[Document]
Database = AsyncIOMotorDatabase[Document]
Session = AsyncIOMotorClientSession
T = TypeVar("T")

_DUPLICATE = 11000
_TRANSIENT_CODES = frozenset({6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})
"""Host unreachable, network timeouts, shutting down, not primary, interrupted: the server's retryable codes."""


class Mongo:
    """A connected database.

    Args:
        url: `mongodb://host:port/database?replicaSet=name`.
    """

    def __init__(self, url: str, application: str) -> None:
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

    def collection(self, name: str) -> Collection:
        """A collection of the service that owns it."""
        return self.database[name]

    async def ensure_indexes(self, collection: str, indexes: list[IndexModel]) -> None:
        """Create the indexes that are missing."""
        await self.database[collection].create_indexes(indexes)

    async def check(self) -> None:
        """Readiness: a primary answers."""
        await self.database.command("ping")

    async def transaction(self, work: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
        """Run `work(session)` in a transaction, again where the server asks for it; its result."""
        async with await self._client.start_session() as session:
            # A transaction takes these from here or the client, never from the database (manual: "Transactions").
            result: T = await session.with_transaction(
                work, read_concern=ReadConcern("snapshot"), write_concern=WriteConcern(w="majority", j=True)
            )
            return result

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


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
        concern = error.details.get("writeConcernErrors")
        return bool(concern) and not codes
    return isinstance(error, OperationFailure) and error.code in _TRANSIENT_CODES


def is_duplicate(error: BaseException) -> bool:
    """Whether a unique index refused the write: somebody else has written this already."""
    if isinstance(error, DuplicateKeyError):
        return True
    return isinstance(error, BulkWriteError) and any(
        item.get("code") == _DUPLICATE for item in error.details.get("writeErrors", ())
    )
