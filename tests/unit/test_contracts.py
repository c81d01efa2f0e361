"""Contracts: every one is complete and in its table, strict about what it takes, and goes over the wire and back."""

import re
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from services.gateway import native
from services.gateway.schemas.components import Components
from services.gateway.schemas.examples import example
from services.gateway.v1 import ROUTES
from shared.bus.codec import to_json
from shared.contracts import media, messages, people, presence, rooms
from shared.contracts.base import Command, Event, Id, MessageId, Metadata, Model, Query, Service, View

MODULES = {Service.MESSAGES: messages, Service.ROOMS: rooms, Service.MEDIA: media}
COMMANDS: list[type[Command]] = [item for module in MODULES.values() for item in module.COMMANDS.values()]
QUERIES: list[type[Query]] = [item for module in MODULES.values() for item in module.QUERIES.values()]
EVENTS: list[type[Event]] = [
    item for module in (*MODULES.values(), people, presence) for item in module.EVENTS.values()
]
REQUESTS: list[type[Command] | type[Query]] = [*COMMANDS, *QUERIES]


def type_of(contract: type[Model]) -> str:
    """The contract's name on the wire."""
    name: str = getattr(contract, "TYPE", contract.__name__)
    return name


def below(kind: type[Model]) -> set[type[Model]]:
    """All classes of a kind that have a name on the wire."""
    classes = set(kind.__subclasses__())
    for item in list(classes):
        classes |= below(item)
    return {item for item in classes if item.__module__.startswith("shared.contracts") and "TYPE" in vars(item)}


class TestTables:
    def test_every_contract_is_in_its_table(self) -> None:
        """What is in no table is known to nobody."""
        assert below(Command) == set(COMMANDS)
        assert below(Query) == set(QUERIES)
        assert below(Event) == set(EVENTS)

    def test_names_are_unique(self) -> None:
        """One name means one thing, whether it is asked or told."""
        names = [type_of(item) for item in (*REQUESTS, *EVENTS)]
        assert len(set(names)) == len(names)
        assert all(re.fullmatch(r"[a-z_]+(\.[a-z_]+)?", name) for name in names)

    @pytest.mark.parametrize("contract", REQUESTS, ids=type_of)
    def test_requests_have_an_owner_and_a_result(self, contract: type[Command] | type[Query]) -> None:
        """The owner is the service in whose module they stand."""
        tables = MODULES[contract.OWNER]
        assert contract in (*tables.COMMANDS.values(), *tables.QUERIES.values())
        assert issubclass(contract.RESULT, View)

    @pytest.mark.parametrize("contract", [*REQUESTS, *EVENTS], ids=type_of)
    def test_every_contract_says_what_it_is(self, contract: type[Model]) -> None:
        """Its docstring is what the documents show."""
        assert (contract.__doc__ or "").rstrip().endswith((".", ")."))

    def test_what_services_ask_each_other_is_not_offered_to_clients(self) -> None:
        """A purge or a list of members' rights is nobody's business outside."""
        offered = {row.contract for row in native.ON.values()} | {route.contract for route in ROUTES}
        assert not offered & {messages.PurgeRoom, rooms.GetAccess, people.RecordUser}

    def test_the_rest_of_it_is_offered_on_the_socket(self) -> None:
        """Everything REST can do, the socket can do too."""
        assert {route.contract for route in ROUTES} - {messages.GetRoomStates} <= {
            row.contract for row in native.ON.values()
        }


class TestWire:
    @pytest.mark.parametrize("contract", REQUESTS, ids=type_of)
    def test_a_request_comes_back_as_it_was(self, contract: type[Model]) -> None:
        """Through JSON; and it knows what it is about."""
        components = Components()
        data = example(components.inline(contract), components)
        request = contract.model_validate(data)
        assert contract.model_validate(orjson.loads(to_json(request))) == request
        assert isinstance(request, Command | Query)
        assert request.room == data.get("room_id")
        assert request.message == (None if "room_id" in data else data.get("message_id"))

    @pytest.mark.parametrize(
        "contract", [*EVENTS, *{request.RESULT: None for request in REQUESTS}], ids=lambda item: item.__name__
    )
    def test_what_is_told_comes_back_as_it_was(self, contract: type[Model]) -> None:
        """Fields that are null are left out, and stand for null when they are read."""
        components = Components()
        told = contract.model_validate(example(components.inline(contract), components))
        data = orjson.loads(to_json(told))
        assert contract.model_validate(data) == told
        assert None not in data.values()

    @pytest.mark.parametrize("contract", REQUESTS, ids=type_of)
    def test_an_unknown_field_is_an_error(self, contract: type[Model]) -> None:
        """A typo must not pass for a wish without it."""
        components = Components()
        data = example(components.inline(contract), components)
        with pytest.raises(ValidationError, match="typo"):
            contract.model_validate({**data, "typo": 1})

    def test_contracts_do_not_change(self) -> None:
        """What is shared between tasks is frozen."""
        command = messages.SendMessage(room_id="room", content="hi")
        with pytest.raises(ValidationError, match="frozen"):
            command.content = "ho"  # type: ignore[misc]


class TestIds:
    @pytest.mark.parametrize("value", ["a", "A-z_0.9~", "x" * 128, "d41d8cd98f00b204e9800998ecf8427", "{}$#"])
    def test_ids(self, value: str) -> None:
        """Printable ASCII: whatever applications call their users."""
        assert TypeAdapter(Id).validate_python(value) == value

    @pytest.mark.parametrize("value", ["", "a b", "ä", "a\n", "\n", "\0", "x" * 129, 5, None, ["a"], "\u200b"])
    def test_what_is_no_id(self, value: Any) -> None:
        """Nothing that looks like another id or breaks a log line."""
        with pytest.raises(ValidationError):
            TypeAdapter(Id).validate_python(value)

    @pytest.mark.parametrize("value", ["", "0" * 23, "0" * 25, "G" * 24, "A" * 24, "0" * 24 + "\n"])
    def test_what_is_no_message_id(self, value: str) -> None:
        """Twenty-four lower-case hex digits, or the shard cannot be read off it."""
        with pytest.raises(ValidationError):
            TypeAdapter(MessageId).validate_python(value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=60)
@given(st.dictionaries(st.text(max_size=4), json_values, max_size=4))
def test_metadata_is_kept_as_it_is_or_refused(metadata: dict[str, Any]) -> None:
    """Any JSON: what is accepted comes back unchanged; what is not is a validation error, nothing else."""
    adapter = TypeAdapter[dict[str, Any]](Metadata)
    try:
        kept = adapter.validate_python(metadata)
    except ValidationError:
        return
    assert kept == metadata
    assert orjson.loads(orjson.dumps(kept)) == kept
