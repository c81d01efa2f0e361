"""What is remembered of clients that left: for two minutes, each departure once, and never too many."""

import pytest

from services.gateway.feeds import Feed
from services.gateway.sio import recall
from services.gateway.sio.recall import KEPT, Client, Departure, Place, Recall, Trail, resumed
from tests.unit.feeds_world import connection

BOB, ANN = Client("default", "bob", "/chat"), Client("default", "ann", "/chat")


class Clock:
    """A clock that is set."""

    time = 0.0

    def __call__(self) -> float:
        return self.time


def left(dialect: str = "booking") -> Departure:
    return Departure(dialect, {"room": Place("0", 3, 2)})


def test_who_comes_back_gets_their_departures_in_order_and_once() -> None:
    memory, first, second, other = Recall(Clock()), left(), left("team"), left()
    for client, departure in ((BOB, first), (ANN, other), (BOB, second)):
        memory.keep(client, departure)
    assert memory.take(BOB._replace(namespace="/")) is None
    assert [memory.take(BOB) for _ in range(3)] == [first, second, None]
    assert memory.take(ANN) is other


def test_after_two_minutes_it_is_forgotten() -> None:
    clock = Clock()
    memory, late = Recall(clock), left()
    memory.keep(BOB, left())
    clock.time = 1.0
    memory.keep(BOB, late)
    clock.time = KEPT + 0.5
    assert memory.take(BOB) is late
    clock.time = 10 * KEPT
    memory.keep(ANN, left())
    assert memory.take(BOB) is None


def test_the_oldest_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall, "MAX_KEPT", 3)
    memory = Recall(Clock())
    clients = [BOB._replace(user_id=f"user-{number}") for number in range(5)]
    for client in clients:
        memory.keep(client, left())
    assert [memory.take(client) is not None for client in clients] == [False, False, False, True, True]


@pytest.mark.parametrize(
    "named", [None, [], "x", {"room": 1}, {"room": "0:1"}, {"room": "0:x:1"}, {"room": "0:1:" + "9" * 20}]
)
def test_what_is_no_place_is_passed_over(named: object) -> None:
    assert resumed({"resume": named}) == {}


def test_a_client_may_name_its_places() -> None:
    assert resumed({"resume": {"room": "e:7:3"}}) == {"room": Place("e", 7, 3)}


class Followed:
    """A client that follows one room."""

    def __init__(self, **sure: Place) -> None:
        self.connection = connection(1)
        self.connection.greeted = True
        self.feed = Feed("room", "default")
        self.connection.feeds["room"] = self.feed
        self.feed.join(self.connection)
        self.feed.start(self.connection, "0", 5, 7)
        self.trail = Trail(self.connection, sure)

    def happens(self) -> Place:
        """A message is written to it; where the room stands then."""
        self.feed.accept(self.feed.seq + 1, self.feed.rev + 1)
        return Place("0", self.feed.rev, self.feed.seq)

    @property
    def left(self) -> Place:
        """Where it would go on."""
        return self.trail.left()["room"]


def test_what_was_written_counts_while_all_pings_are_answered() -> None:
    client = Followed()
    client.trail.pinged()
    client.trail.answered()
    latest = client.happens()
    assert client.left == latest


def test_who_does_not_answer_goes_on_where_the_ping_before_was_sent() -> None:
    client = Followed()
    sure = client.happens()
    client.trail.pinged()
    client.happens()
    client.trail.answered()
    client.trail.pinged()
    client.happens()
    assert client.left == sure


def test_who_never_answered_goes_on_where_they_joined_or_were_before() -> None:
    before = Place("0", 2, 1)
    for client, place in ((Followed(), Place("0", 7, 5)), (Followed(room=before), before)):
        client.happens()
        client.trail.pinged()
        assert client.left == place


def test_what_is_yet_to_be_written_is_not_answered_for() -> None:
    client = Followed()
    client.happens()
    client.connection.out.append(b"x")
    client.trail.pinged()
    client.trail.answered()
    client.trail.pinged()
    assert client.left == Place("0", 7, 5)


def test_an_answer_that_nobody_asked_for_says_nothing() -> None:
    before = Place("0", 2, 1)
    client = Followed(room=before)
    client.trail.answered()
    client.trail.pinged()
    assert client.left == before


def test_who_was_closed_for_not_reading_is_told_again() -> None:
    client = Followed()
    client.happens()
    client.connection.slow = True
    assert client.left == Place("0", 7, 5)


def test_a_departure_is_found_as_often_as_needed() -> None:
    memory, departure = Recall(Clock()), left()
    memory.keep(BOB, departure)
    assert [memory.find(BOB), memory.find(BOB), memory.take(BOB), memory.find(BOB)] == [departure] * 3 + [None]
