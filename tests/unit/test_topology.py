"""The broker's table holds together: what is sent has a queue, what is kept is safe, what grows is bounded."""

import re

import pytest

from shared.bus.topology import (
    COMMANDS,
    DEAD,
    DEFAULT,
    EVENTS,
    EXCHANGES,
    INTEGRATION,
    LATER,
    QUERIES,
    Queue,
    command_key,
    durable_queues,
    event_key,
    events_queue,
    overflow_queue,
    replies_queue,
)
from shared.contracts import media, messages, presence, rooms
from shared.contracts.base import Command, Event, Query
from shared.contracts.integration import EXTERNALS

ALL_COMMANDS: list[type[Command]] = [*messages.COMMANDS.values(), *rooms.COMMANDS.values(), *media.COMMANDS.values()]
ALL_QUERIES: list[type[Query]] = [*messages.QUERIES.values(), *rooms.QUERIES.values(), *media.QUERIES.values()]
ALL_EVENTS: list[type[Event]] = [*messages.EVENTS.values(), *rooms.EVENTS.values(), *presence.EVENTS.values()]
ROOM, MESSAGE = "room", "9bc145fe6200eebd7af15979"


def bound(exchange: str, key: str, queues: tuple[Queue, ...]) -> list[str]:
    """The queues that a key of an exchange fills (`*` one word, `#` any number)."""
    return [
        queue.name
        for queue in queues
        for binding in queue.bindings
        if binding.exchange == exchange
        and re.fullmatch(re.escape(binding.key).replace(r"\*", r"[^.]+").replace(r"\#", ".*"), key)
    ]


@pytest.mark.parametrize("shards", [1, 4, 256])
def test_names_are_unique_and_bindings_name_exchanges(shards: int) -> None:
    """A typo here would lose messages in silence."""
    queues = (*durable_queues(shards), events_queue("gateway-0", "message.#"), replies_queue("gateway-0"))
    names = [queue.name for queue in queues]
    assert len(set(names)) == len(names)
    declared = {exchange.name for exchange in EXCHANGES}
    assert {binding.exchange for queue in queues for binding in queue.bindings} <= declared
    assert {queue.arguments.get("x-dead-letter-exchange", DEAD) for queue in queues} <= declared | {DEFAULT}


def test_a_queue_of_events_shows_what_it_has_dropped() -> None:
    """By name, through AMQP's own exchange."""
    arguments = events_queue("gateway-0", "message.#").arguments
    assert arguments["x-dead-letter-exchange"] == DEFAULT
    assert arguments["x-dead-letter-routing-key"] == overflow_queue("gateway-0").name


@pytest.mark.parametrize("command", ALL_COMMANDS, ids=lambda command: command.TYPE)
def test_every_command_has_exactly_one_queue(command: type[Command]) -> None:
    """Its owner's; for a message command its shard's, however many shards there are."""
    for shards in (1, 4, 7):
        fields = command.model_fields
        key = command_key(
            command.OWNER, ROOM if "room_id" in fields else None, MESSAGE if "message_id" in fields else None, shards
        )
        (name,) = bound(COMMANDS, key, durable_queues(shards))
        assert name.startswith(f"commands.{command.OWNER}")


@pytest.mark.parametrize("query", ALL_QUERIES, ids=lambda query: query.TYPE)
def test_every_query_has_exactly_one_queue(query: type[Query]) -> None:
    """Its owner's, shared by all that answer."""
    assert bound(QUERIES, str(query.OWNER), durable_queues(4)) == [f"queries.{query.OWNER}"]


@pytest.mark.parametrize("kind", [*EXTERNALS, "event.exploded"])
def test_every_event_from_outside_has_exactly_one_queue(kind: str) -> None:
    """Unknown ones of a known family as well: they are set aside where people can see them."""
    assert bound(INTEGRATION, kind, durable_queues(4)) == ["integration.rooms"]


@pytest.mark.parametrize("event", ALL_EVENTS, ids=lambda event: event.TYPE)
def test_every_event_reaches_who_listens_for_it(event: type[Event]) -> None:
    """Gateways listen by topic, whatever the shard."""
    listeners = (events_queue("some", f"{event.TOPIC}.#"), events_queue("other", "nothing.#"))
    assert bound(EVENTS, event_key(event.TOPIC, ROOM, 4), listeners) == ["events.some"]


def test_a_room_and_its_messages_have_one_writer() -> None:
    """A command by room and one by message id go to the same shard."""
    for shards in (1, 4, 16, 256):
        assert command_key("messages", ROOM, None, shards) == command_key("messages", None, MESSAGE, shards)


def test_a_message_command_about_nothing_is_a_mistake() -> None:
    """It would have no writer."""
    with pytest.raises(ValueError, match="neither room nor message"):
        command_key("messages", None, None, 4)


def test_shards_have_one_consumer_each() -> None:
    """Single active consumer on them, on what must be read in order, and on nothing else."""
    single = {queue.name for queue in durable_queues(4) if queue.arguments.get("x-single-active-consumer")}
    in_order = {"events.media", "events.rooms", "integration.rooms"}
    assert single == {*(f"commands.messages.{shard}" for shard in range(4)), *in_order}


def test_commands_survive() -> None:
    """They are replicated, refused when full rather than dropped, and set aside when they cannot be handled."""
    for queue in durable_queues(4):
        if queue.name.startswith(("commands.", "integration.")):
            assert queue.durable
            assert queue.arguments["x-queue-type"] == "quorum"
            assert queue.arguments["x-overflow"] == "reject-publish"
            assert queue.arguments["x-dead-letter-exchange"] == DEAD
            assert queue.arguments["x-delivery-limit"] >= 20


def test_what_is_put_off_comes_back_to_its_queue_and_is_not_lost_on_the_way() -> None:
    """By its own key, whatever that is; the broker holds it until its queue has taken it."""
    (name,) = bound(LATER, "messages.0", durable_queues(4))
    arguments = next(queue for queue in durable_queues(4) if queue.name == name).arguments
    assert arguments["x-dead-letter-exchange"] == COMMANDS
    assert "x-dead-letter-routing-key" not in arguments
    assert arguments["x-queue-type"] == "quorum"
    # What is dead-lettered at least once must be refused, not dropped, when there is too much of it.
    assert (arguments["x-dead-letter-strategy"], arguments["x-overflow"]) == ("at-least-once", "reject-publish")
    assert 0 < arguments["x-message-ttl"] <= 5000


def test_every_queue_is_bounded() -> None:
    """Whoever does not read: what is past the bound is refused, or makes the oldest go."""
    for queue in (*durable_queues(4), events_queue("some", "x"), overflow_queue("some"), replies_queue("some")):
        assert queue.arguments.get("x-max-length") or queue.arguments.get("x-max-length-bytes"), queue.name
        assert queue.arguments["x-overflow"] in {"drop-head", "reject-publish"}, queue.name


def test_events_that_must_not_be_lost_are_dead_letters_past_their_bound() -> None:
    """They do not hold up who publishes: the same events go to others, who read them."""
    for queue in durable_queues(4):
        if queue.name.startswith("events."):
            assert queue.arguments["x-overflow"] == "drop-head"
            assert queue.arguments["x-dead-letter-exchange"] == DEAD


def test_a_processs_own_queues_go_with_it_and_drop_the_oldest() -> None:
    """What was dropped is healed or times out; memory is bounded."""
    for queue in (events_queue("gateway-0", "message.#"), replies_queue("gateway-0")):
        assert queue.exclusive
        assert not queue.durable
        assert queue.arguments["x-overflow"] == "drop-head"
        assert queue.arguments["x-max-length"] > 0


def test_nothing_that_newer_brokers_refuse() -> None:
    """RabbitMQ 4 knows neither mirrored queues nor transient non-exclusive ones."""
    for queue in (*durable_queues(4), events_queue("some", "x"), replies_queue("some")):
        assert "x-ha-policy" not in queue.arguments
        assert queue.durable or queue.exclusive
