"""A user's favorites, and what toggling one does to them. Pure."""

from dataclasses import dataclass, replace

from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.people import MAX_FAVORITES, FavoriteKind, ToggleFavorite

APPLIED = 20
"""Commands that a list remembers, to know a repeated one by. A repetition comes within seconds, not after 20 others."""


@dataclass(frozen=True, slots=True)
class Favorite:
    """A room or user that is marked."""

    kind: FavoriteKind
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Favorites:
    """All that a user has marked, the oldest first."""

    tenant: str
    user_id: str
    items: tuple[Favorite, ...] = ()
    version: int = 0
    applied: tuple[tuple[str, str], ...] = ()
    """(key, what was asked) of the latest commands."""


def wants(favorites: Favorites, command: ToggleFavorite) -> bool:
    """Whether the command marks something; else it takes a mark away."""
    marked = Favorite(command.kind, command.id) in favorites.items
    return not marked if command.favorite is None else command.favorite


def asked(command: ToggleFavorite) -> str:
    """What a command asks, to tell a repetition from another command with its key."""
    return f"{command.kind} {command.id} {command.favorite}"


def repeats(favorites: Favorites, command: ToggleFavorite, key: str) -> bool:
    """Whether this command has been carried out already.

    Raises:
        ChatError: `conflict` where its key came with another command.
    """
    earlier = dict(favorites.applied).get(key)
    if earlier is None or earlier == asked(command):
        return earlier is not None
    raise ChatError(
        ErrorCode.CONFLICT,
        f"client_id '{command.client_id}' was used for another command before; take a new one for a new command.",
    )


def toggle(favorites: Favorites, command: ToggleFavorite, key: str) -> Favorites:
    """The favorites after a command that is no repetition; of the same version where all is as it asks.

    Raises:
        ChatError: `conflict` where there are as many as there may be.
    """
    favorite = Favorite(command.kind, command.id)
    wanted = wants(favorites, command)
    if wanted == (favorite in favorites.items):
        if command.client_id is None:
            return favorites
        # Remembered all the same: should it come again, it must not undo what has followed it.
        return replace(favorites, applied=_remember(favorites, command, key))
    if wanted and len(favorites.items) >= MAX_FAVORITES:
        raise ChatError(ErrorCode.CONFLICT, f"You have {MAX_FAVORITES} favorites, which is the limit; drop one first.")
    others = tuple(item for item in favorites.items if item != favorite)
    return replace(
        favorites,
        items=(*others, favorite) if wanted else others,
        version=favorites.version + 1,
        applied=_remember(favorites, command, key),
    )


def _remember(favorites: Favorites, command: ToggleFavorite, key: str) -> tuple[tuple[str, str], ...]:
    return (*favorites.applied, (key, asked(command)))[-APPLIED:]
