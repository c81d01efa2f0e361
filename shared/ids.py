"""Deterministic identifiers and their shards. Pure: randomness and time arrive as arguments.

Deterministic ids make retries harmless: the primary key is the dedupe (docs/adr/0002).
"""

import json
from functools import lru_cache
from hashlib import blake2b
from zlib import crc32

BUCKETS = 256
"""Rooms fall into this many buckets for good; shards are groups of buckets, so ids outlive a change of SHARDS."""


@lru_cache(maxsize=65536)
def bucket_of(room_id: str) -> int:
    """The bucket (0-255) of a room."""
    return crc32(room_id.encode()) % BUCKETS


def shard_of_room(room_id: str, shards: int) -> int:
    """The shard (0 to shards - 1) whose single writer owns the room."""
    return bucket_of(room_id) % shards


def shard_of_message(message_id: str, shards: int) -> int:
    """The shard of the message's room, read off the id's first byte."""
    return int(message_id[:2], 16) % shards


def message_id(room_id: str, sender_id: str, client_id: str) -> str:
    """12 bytes in hex: the room's bucket, then a hash of who said what where."""
    return f"{bucket_of(room_id):02x}{_digest(11, room_id, sender_id, client_id)}"


def change_key(user_id: str, client_id: str) -> str:
    """By which a message knows a change of it, should it come again."""
    return _digest(8, user_id, client_id)


def direct_room_id(tenant: str, one: str, other: str) -> str:
    """The one room of a pair of users, whoever starts."""
    return "d" + _digest(15, tenant, *sorted((one, other)))


def group_room_id(tenant: str, creator: str, client_id: str) -> str:
    """A group room's id: the same creation sent twice makes one room."""
    return "g" + _digest(15, tenant, creator, client_id)


def pair_room_id(tenant: str, kind: str, one: str, other: str) -> str:
    """The one room of its kind of a pair of users in verified roles, whoever starts."""
    return "p" + _digest(15, tenant, kind, *sorted((one, other)))


def external_room_id(tenant: str, kind: str, external_id: str) -> str:
    """The one room of an object of another system, whoever makes it."""
    return "x" + _digest(15, tenant, kind, external_id)


def fingerprint(kind: str, content: str, metadata: object) -> str:
    """A short hash of what was sent, to tell a retry from another body under the same client_id."""
    return _digest(8, kind, "" if metadata is None else json.dumps(metadata, sort_keys=True), content)


def _digest(size: int, *parts: str) -> str:
    # No part but the last can contain the separator: ids and JSON hold no control characters.
    return blake2b("\x1f".join(parts).encode(), digest_size=size).hexdigest()
