"""Every exchange, queue and binding, in one table. Pure: shared.bus.link declares what stands here.

Works on RabbitMQ 3.10 to 4.x: quorum queues for what must survive, classic non-mirrored exclusive queues for what a
process can do without when it dies.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.ids import shard_of_message, shard_of_room

COMMANDS = "chat.commands"
QUERIES = "chat.queries"
EVENTS = "chat.events"
REPLIES = "chat.replies"
INTEGRATION = "chat.integration"
DEAD = "chat.dead"
LATER = "chat.later"
"""Commands that nobody waits for and that cannot be decided now: they come back to their queue by themselves."""

GATEWAY_KEYS = ("message.#", "receipt.#", "typing.#", "looking.#", "presence.#", "user.#", "media.#")
"""Patterns of the events that gateways deliver as they come; room events have a queue of their own."""

DEFAULT = ""
"""AMQP's own exchange, which routes by the names of queues."""

DELIVERY_LIMIT = 20
"""Hand-overs return unhandled commands and count as deliveries, so the limit is generous."""

COMMAND_BACKLOG_BYTES = 256 * 1024 * 1024
LATER_BACKLOG_BYTES = 64 * 1024 * 1024
"""Past it what should wait is a dead letter at once."""

LATER_MS = 1000
"""Milliseconds until a command that was put off comes back."""

LOOKS_AT_DEAD = 1_000_000
"""Looking at a dead letter and putting it back counts as a delivery; from 4.0 on, RabbitMQ's own limit is 20."""

DEAD_BACKLOG_BYTES = 256 * 1024 * 1024
"""Past it the oldest dead letters go: they are for people to look at, and must never hold up the living."""

INTEGRATION_KEYS = ("event.*", "sortie.*", "participation.*", "session.*", "user.*", "room.*")
"""What other systems tell about: by the first word of an event's type, which is its key."""

NOTES_BACKLOG_BYTES = 64 * 1024 * 1024
"""Past it the oldest notes are put aside as dead letters: what they are about is still unread, and seen as such."""

ATTACHED_BACKLOG_BYTES = 256 * 1024 * 1024
"""Past it the oldest of what is told about attachments is put aside as dead letters, for an operator to replay."""

ROOM_EVENTS_BACKLOG_BYTES = 256 * 1024 * 1024
"""Past it the oldest room events that nobody has read are dead letters, and so a purge that has to wait for long.

Refusing new ones instead would hold up room events for everybody who listens.
"""

EVENT_BACKLOG = 20_000
QUERY_BACKLOG = 20_000


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange: all are durable."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Binding:
    """A routing key of an exchange that fills a queue."""

    exchange: str
    key: str


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue with its bindings. `exclusive` ones live as long as the connection that declares them."""

    name: str
    bindings: tuple[Binding, ...] = ()
    durable: bool = True
    exclusive: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)


EXCHANGES = (
    Exchange(COMMANDS, "direct"),
    Exchange(QUERIES, "direct"),
    Exchange(EVENTS, "topic"),
    Exchange(REPLIES, "direct"),
    Exchange(INTEGRATION, "topic"),
    Exchange(DEAD, "topic"),
    Exchange(LATER, "topic"),
)


def message_key(shard: int) -> str:
    """Routing key of message commands and events of a shard."""
    return f"messages.{shard}"


def event_key(topic: str, room_id: str, shards: int) -> str:
    """Routing key of an event about a room: its topic and the room's shard."""
    return f"{topic}.{shard_of_room(room_id, shards)}"


def command_key(owner: str, room_id: str | None, message_id: str | None, shards: int) -> str:
    """Routing key of a command: the owner's queue, or for messages the shard of the room or message it is about."""
    if owner != "messages":
        return owner
    if room_id is not None:
        return message_key(shard_of_room(room_id, shards))
    if message_id is not None:
        return message_key(shard_of_message(message_id, shards))
    raise ValueError("a message command names neither room nor message")


def _commands(key: str, *, single: bool) -> Queue:
    return Queue(f"commands.{key}", (Binding(COMMANDS, key),), arguments=_lasting(single=single))


def _lasting(*, single: bool) -> dict[str, Any]:
    """What must survive; it refuses when it is full."""
    arguments: dict[str, Any] = {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": DEAD,
        "x-max-length-bytes": COMMAND_BACKLOG_BYTES,
        "x-overflow": "reject-publish",
    }
    if single:
        arguments["x-single-active-consumer"] = True
    return arguments


def _queries(owner: str) -> Queue:
    arguments = {"x-max-length": QUERY_BACKLOG, "x-overflow": "reject-publish"}
    return Queue(f"queries.{owner}", (Binding(QUERIES, owner),), arguments=arguments)


def durable_queues(shards: int) -> tuple[Queue, ...]:
    """The queues that exist whether or not anybody reads them."""
    return (
        *(_commands(message_key(shard), single=True) for shard in range(shards)),
        _commands("rooms", single=False),
        _commands("media", single=False),
        *(_queries(owner) for owner in ("messages", "rooms", "media")),
        Queue(
            "integration.rooms",
            tuple(Binding(INTEGRATION, key) for key in INTEGRATION_KEYS),
            arguments=_lasting(single=True),
        ),
        Queue(
            "events.messages",
            (Binding(EVENTS, "room.#"),),
            arguments={
                "x-queue-type": "quorum",
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-dead-letter-exchange": DEAD,
                "x-max-length-bytes": ROOM_EVENTS_BACKLOG_BYTES,
                "x-overflow": "drop-head",
            },
        ),
        Queue(
            "events.rooms",
            (Binding(EVENTS, "noted.#"), Binding(EVENTS, "receipt.#"), Binding(EVENTS, "room.#")),
            arguments={
                "x-queue-type": "quorum",
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-dead-letter-exchange": DEAD,
                "x-single-active-consumer": True,
                "x-max-length-bytes": NOTES_BACKLOG_BYTES,
                "x-overflow": "drop-head",
            },
        ),
        Queue(
            "events.media",
            (Binding(EVENTS, "attached.#"), Binding(EVENTS, "room.#")),
            arguments={
                "x-queue-type": "quorum",
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-dead-letter-exchange": DEAD,
                "x-single-active-consumer": True,
                "x-max-length-bytes": ATTACHED_BACKLOG_BYTES,
                "x-overflow": "drop-head",
            },
        ),
        Queue(
            "later",
            (Binding(LATER, "#"),),
            arguments={
                "x-queue-type": "quorum",
                "x-message-ttl": LATER_MS,
                "x-dead-letter-exchange": COMMANDS,
                "x-dead-letter-strategy": "at-least-once",
                "x-max-length-bytes": LATER_BACKLOG_BYTES,
                "x-overflow": "reject-publish",
            },
        ),
        Queue(
            "dead",
            (Binding(DEAD, "#"),),
            arguments={
                "x-queue-type": "quorum",
                "x-delivery-limit": LOOKS_AT_DEAD,
                "x-max-length-bytes": DEAD_BACKLOG_BYTES,
                "x-overflow": "drop-head",
            },
        ),
    )


def events_queue(name: str, *patterns: str) -> Queue:
    """A process's own queue of events: bounded, drops its oldest, and shows that in its `overflow_queue`."""
    return Queue(
        f"events.{name}",
        tuple(Binding(EVENTS, pattern) for pattern in patterns),
        durable=False,
        exclusive=True,
        arguments={
            "x-max-length": EVENT_BACKLOG,
            "x-overflow": "drop-head",
            "x-dead-letter-exchange": DEFAULT,
            "x-dead-letter-routing-key": overflow_queue(name).name,
        },
    )


def overflow_queue(name: str) -> Queue:
    """Holds the last of the events that a queue of events has dropped: one is enough to know of it."""
    arguments = {"x-max-length": 1, "x-overflow": "drop-head"}
    return Queue(f"overflow.{name}", durable=False, exclusive=True, arguments=arguments)


def replies_queue(name: str) -> Queue:
    """A process's own queue of replies to its commands and queries."""
    return Queue(
        f"replies.{name}",
        (Binding(REPLIES, name),),
        durable=False,
        exclusive=True,
        arguments={"x-max-length": EVENT_BACKLOG, "x-overflow": "drop-head"},
    )
