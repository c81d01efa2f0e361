"""Errors: one row for every code, one shape on every wire, and a message that says what to do."""

import pytest
from pydantic import ValidationError

from shared.contracts.errors import CLOSES, ERRORS, MEANINGS, ChatError, CloseCode, ErrorCode, ErrorView, invalid
from shared.contracts.messages import SendMessage, Sync

CODES = {value for name, value in vars(CloseCode).items() if name.isupper()}


def test_every_code_has_its_row_and_its_meaning() -> None:
    """And every close code says something to the client."""
    assert set(ERRORS) == set(MEANINGS) == set(ErrorCode)
    assert set(CLOSES) == CODES
    assert {row.close for row in ERRORS.values()} <= CODES


def test_statuses_and_close_codes_are_real_ones() -> None:
    """4xx and 5xx; RFC 6455 leaves 4000 to 4999 to applications, and 1012 is a restart."""
    for row in ERRORS.values():
        assert 400 <= row.status < 600
        assert 4000 <= row.close < 5000 or row.close == CloseCode.RESTART


def test_what_a_retry_can_help_is_the_servers_state() -> None:
    """A wrong request is wrong the second time too."""
    assert {code for code, row in ERRORS.items() if row.retryable} == {
        ErrorCode.RATE_LIMITED, ErrorCode.OVERLOADED, ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT,
    }  # fmt: skip


@pytest.mark.parametrize("code", ErrorCode)
def test_an_error_is_the_same_on_the_other_side(code: ErrorCode) -> None:
    """Through JSON and back."""
    error = ChatError(code, "what was wrong", details=[{"field": "a", "problem": "b"}], retry_after=0.5)
    view = ErrorView.model_validate_json(error.view().model_dump_json())
    again = ChatError.from_view(view)
    assert again.view() == view == error.view()
    assert view.retryable == ERRORS[code].retryable
    assert str(again) == "what was wrong"


class TestInvalid:
    def error(self, contract: type[SendMessage | Sync], data: object) -> ChatError:
        """The error for malformed data."""
        with pytest.raises(ValidationError) as caught:
            contract.model_validate(data)
        return invalid(caught.value, contract.TYPE)

    def test_it_names_every_wrong_field(self) -> None:
        """The first in words, all of them for programs."""
        error = self.error(SendMessage, {"room_id": "a b", "content": 5, "typo": 1})
        assert error.code is ErrorCode.INVALID
        assert error.message.startswith("message.send is malformed in field 'room_id': ")
        assert [item["field"] for item in error.details] == ["room_id", "content", "typo"]

    def test_it_names_the_place_in_nested_data(self) -> None:
        """By its path."""
        error = self.error(Sync, {"cursors": {"room": "nonsense"}})
        assert error.details[0]["field"] == "cursors.room"

    def test_it_never_repeats_what_was_sent(self) -> None:
        """Input may be secret, or very long."""
        error = self.error(SendMessage, {"room_id": "room", "content": ["secret"]})
        assert "secret" not in str(error.view())

    def test_data_of_another_kind(self) -> None:
        """There is no field to name then."""
        assert self.error(SendMessage, 5).message.startswith("message.send is malformed: ")

    def test_it_is_bounded(self) -> None:
        """However many things are wrong."""
        error = self.error(SendMessage, {f"typo{number}": 1 for number in range(100)})
        assert len(error.details) <= 10
