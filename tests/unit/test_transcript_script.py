"""The language of transcripts: what its lines say, and what matches them."""

import pytest

from tests.transcripts.script import ANYTHING, Line, Mismatch, match, parse, read


def only_line(text: str) -> Line:
    """The line of a transcript that has one."""
    ((line,),) = [section.lines for section in read(f"== A section\n{text}\n")]
    return line


def test_a_text_may_be_repeated() -> None:
    """Where a value may stand; inside a text the same signs are signs."""
    assert parse('{"content": "ab" * 3, "rest": ["x" * 2, ...]}')["content"] == "ababab"
    assert parse('{"a": "x" * 0, "b": "y * 3"}') == {"a": "", "b": "y * 3"}


def test_a_request_may_be_made_often() -> None:
    """Once, where nothing is said."""
    many = only_line('alice 999 times POST /chat/messages {"content": "x"} -> 201 {...}')
    assert (many.who, many.times, many.verb, many.name, many.status) == ("alice", 999, "POST", "/chat/messages", 201)
    assert only_line("alice GET /chat -> 200").times == 1
    with pytest.raises(ValueError, match="line 2"):
        only_line("alice 0 times GET /chat -> 200")


@pytest.mark.parametrize("what", ["GET /chat -> 200", "> get_online {} -> {...}"])
def test_what_is_asked_may_take_a_moment(what: str) -> None:
    """Over REST or a socket."""
    assert only_line(f"alice soon {what}").soon
    assert not only_line(f"alice {what}").soon


def test_a_refusal_has_options_where_it_has_an_arrow() -> None:
    """As `connects` has them."""
    plain = only_line('nobody refused {"message": ...}')
    assert (plain.sent, plain.got) == ({}, {"message": ANYTHING})
    told = only_line('alice refused {"auth": {"token": "x"}} -> {"message": "no"}')
    assert (told.sent, told.got) == ({"auth": {"token": "x"}}, {"message": "no"})


def test_a_list_has_all_its_items_unless_it_says_so() -> None:
    """The rest of it is `...`."""
    whole, begun = parse('[{"id": "$one"}]'), parse('[{"id": "$one"}, ...]')
    found = [{"id": "m-1"}, {"id": "m-2"}]
    assert match(begun, found, {}) == {"one": "m-1"}
    with pytest.raises(Mismatch, match="2 items"):
        match(whole, found, {})
