"""What is remembered of clients that left: for two minutes, each departure once, and never too many."""

import pytest

from services.gateway.sio import recall
from services.gateway.sio.recall import KEPT, Client, Departure, Place, Recall, resumed

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
