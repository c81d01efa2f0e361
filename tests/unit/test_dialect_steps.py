"""Steps are carried out in their order, one after the other, and whatever one of them fails by is answered."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from services.gateway.connection import Connection
from services.gateway.dialects.rows import Ask, At, Each, Either, Follow, Keep, Make, Need, On, Step, Wire
from services.gateway.dispatch import Answered
from services.gateway.steps import Steps
from shared.bus.codec import JSON
from shared.contracts.base import Command, Query
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.membership import Role
from shared.contracts.rooms import AddMember, FindRoom, GetRoom, RemoveMember

NOWHERE = ChatError(ErrorCode.NOT_FOUND, "not there")
FORBIDDEN = ChatError(ErrorCode.FORBIDDEN, "not yours")
AWAY = ChatError(ErrorCode.UNAVAILABLE, "away")

FIND = Either(
    (Ask(FindRoom, {"kind": "session", "id": At("in.id")}), Ask(GetRoom, {"room_id": At("in.id")})), "none", into="room"
)


class Client:
    """Somebody who asks, and whose questions are answered from a table, at once."""

    connection: Connection | None = None

    def __init__(self, answers: dict[str, JSON | ChatError] | None = None) -> None:
        self.here: dict[str, Any] = {}
        self.asked: list[JSON] = []
        self._answers = answers or {}

    def send(self, request: Command | Query, body: JSON, answered: Answered) -> None:
        self.asked.append({"type": request.TYPE, **body})
        answer = self._answers.get(request.TYPE, {})
        if isinstance(answer, ChatError):
            answered(None, answer)
        else:
            answered(answer, None)


def carried_out(client: Client, *steps: Step, **known: Any) -> tuple[JSON, ChatError | None]:
    """What is known in the end, and the error if there was one; it ends exactly once."""
    ends: list[ChatError | None] = []
    nothing = cast("Any", None)  # what these steps do not need
    Steps(nothing, nothing, nothing, nothing, nothing, nothing).run(steps, known, client, ends.append)
    [end] = ends
    return known, end


class TestEither:
    def test_the_first_that_finds_something_is_it(self) -> None:
        client = Client({"room.find": {"id": "r1"}})
        known, error = carried_out(client, FIND, **{"in": {"id": "s"}})
        assert (known["room"], error) == ({"id": "r1"}, None)
        assert client.asked == [{"type": "room.find", "kind": "session", "id": "s"}]

    @pytest.mark.parametrize("nothing", [NOWHERE, FORBIDDEN])
    def test_else_the_next_is_asked(self, nothing: ChatError) -> None:
        client = Client({"room.find": nothing, "room.get": {"id": "s"}})
        known, error = carried_out(
            client, FIND, Make("after", lambda known: known["room"]["id"]), **{"in": {"id": "s"}}
        )
        assert (known["after"], error) == ("s", None)
        assert [it["type"] for it in client.asked] == ["room.find", "room.get"]

    @pytest.mark.parametrize("nothing", [NOWHERE, FORBIDDEN])
    def test_what_none_finds_is_not_there_whoever_has_it(self, nothing: ChatError) -> None:
        known, error = carried_out(Client({"room.find": nothing, "room.get": nothing}), FIND, **{"in": {"id": "s"}})
        assert error is not None
        assert (error.code, error.message) == (ErrorCode.NOT_FOUND, "none")
        assert "room" not in known

    def test_another_failure_is_told_as_it_is(self) -> None:
        client = Client({"room.find": AWAY})
        assert carried_out(client, FIND, **{"in": {"id": "s"}})[1] is AWAY
        assert len(client.asked) == 1

    def test_what_is_malformed_is_refused(self) -> None:
        _, error = carried_out(Client(), FIND, **{"in": {"id": "two words"}})
        assert error is not None
        assert error.code is ErrorCode.INVALID


class TestEach:
    STEP = Each(At("in.users"), Ask(AddMember, {"room_id": At("in.room"), "user_id": At("item"), "role": Role.ADMIN}))

    def test_each_item_is_asked_for_and_then_the_rest_goes_on(self) -> None:
        client = Client()
        sent = {"room": "r", "users": ["a", "b"]}
        known, error = carried_out(client, self.STEP, Make("after", lambda _: True), **{"in": sent})
        assert (known["after"], error) == (True, None)
        assert [it["user_id"] for it in client.asked] == ["a", "b"]
        assert all(it["room_id"] == "r" for it in client.asked)

    def test_as_many_as_a_request_may_name_are_fine(self) -> None:
        """Even where every answer comes at once."""
        client = Client()
        carried_out(client, self.STEP, **{"in": {"room": "r", "users": [str(number) for number in range(100)]}})
        assert len(client.asked) == 100

    def test_the_first_failure_ends_it(self) -> None:
        client = Client({"member.add": FORBIDDEN})
        known, error = carried_out(
            client, self.STEP, Make("after", lambda _: True), **{"in": {"room": "r", "users": ["a", "b"]}}
        )
        assert error is FORBIDDEN
        assert len(client.asked) == 1
        assert "after" not in known

    @pytest.mark.parametrize("users", [[], None])
    def test_nothing_is_asked_for_nothing(self, users: list[str] | None) -> None:
        client = Client()
        assert carried_out(client, self.STEP, **{"in": {"room": "r", "users": users}})[1] is None
        assert client.asked == []


class TestTheRest:
    def test_what_is_needed_and_not_known_ends_it(self) -> None:
        client = Client()
        need, then = Need(At("here.room"), "join first"), Ask(GetRoom, {"room_id": At("here.room")})
        _, error = carried_out(client, need, then, here={})
        assert error is not None
        assert (error.code, error.message, client.asked) == (ErrorCode.INVALID, "join first", [])
        assert carried_out(client, need, then, here={"room": "r"})[1] is None
        assert len(client.asked) == 1

    def test_what_is_given_only(self) -> None:
        client = Client()
        one = Ask(GetRoom, {"room_id": "r"}, given=At("yes"))
        two = Ask(RemoveMember, {"room_id": "r", "user_id": "u"}, given=At("no"))
        assert carried_out(client, one, two, yes=True, no=False)[1] is None
        assert [it["type"] for it in client.asked] == ["room.get"]

    @pytest.mark.parametrize("broken", [lambda known: known["nothing"], lambda _: 1 / 0])
    def test_a_step_that_breaks_is_answered_too(self, broken: Callable[[JSON], Any]) -> None:
        _, error = carried_out(Client(), Make("x", broken))
        assert error is not None
        assert error.code is ErrorCode.INTERNAL

    def test_a_socket_remembers_and_forgets(self) -> None:
        client = Client()
        carried_out(client, Keep("room", At("in.room")), **{"in": {"room": "r"}})
        assert client.here == {"room": "r"}
        carried_out(client, Keep("room", None))
        assert client.here == {}

    @pytest.mark.parametrize(
        ("steps", "settles"),
        [((Follow(At("a")),), True), ((Keep("a", None),), True), ((Ask(GetRoom, {}),), False), ((), False)],
    )
    def test_what_others_rest_on_is_known(self, steps: tuple[Step, ...], *, settles: bool) -> None:
        assert On("event", Wire, steps).settles is settles
