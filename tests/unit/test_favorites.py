"""Favorites: marked once, in order, bounded; a command that comes again does nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.rooms.favorites import Favorites, repeats, toggle, wants
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.people import MAX_FAVORITES, FavoriteKind, ToggleFavorite

NONE = Favorites(tenant="default", user_id="alice")


def wish(id: str, *, kind: str = "room", favorite: bool | None = None) -> ToggleFavorite:
    """A command."""
    return ToggleFavorite(kind=FavoriteKind(kind), id=id, favorite=favorite)


def ids(favorites: Favorites) -> list[str]:
    """What is marked."""
    return [item.id for item in favorites.items]


def test_a_room_and_a_user_of_one_id_are_two() -> None:
    """Unmarking one leaves the other."""
    both = toggle(toggle(NONE, wish("x"), "1"), wish("x", kind="user"), "2")
    assert [item.kind for item in toggle(both, wish("x"), "3").items] == [FavoriteKind.USER]


def test_there_is_a_limit_and_a_way_back() -> None:
    """The last one that fits is marked, the next is refused until one goes."""
    full = NONE
    for number in range(MAX_FAVORITES):
        full = toggle(full, wish(f"r{number}"), str(number))
    with pytest.raises(ChatError) as refused:
        toggle(full, wish("more"), "more")
    assert refused.value.code is ErrorCode.CONFLICT
    assert ids(toggle(toggle(full, wish("r0"), "a"), wish("more"), "b"))[-1] == "more"


def test_a_key_belongs_to_one_command() -> None:
    """The same again is known; another one under it is refused."""
    once = toggle(NONE, wish("x"), "key")
    assert repeats(once, wish("x"), "key")
    assert not repeats(once, wish("x"), "other key")
    with pytest.raises(ChatError) as refused:
        repeats(once, wish("y"), "key")
    assert refused.value.code is ErrorCode.CONFLICT


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([None, True, False]))))
def test_favorites_are_a_set_in_the_order_of_marking(story: list[tuple[str, bool | None]]) -> None:
    """The version counts changes, and nothing else."""
    favorites, expected, changes = NONE, list[str](), 0
    for number, (name, favorite) in enumerate(story):
        command = wish(name, favorite=favorite)
        wanted = wants(favorites, command)
        assert wanted == (favorite if favorite is not None else name not in expected)
        changes += wanted != (name in expected)
        if wanted and name not in expected:
            expected.append(name)
        elif not wanted and name in expected:
            expected.remove(name)
        favorites = toggle(favorites, command, str(number))
        assert (ids(favorites), favorites.version) == (expected, changes)
