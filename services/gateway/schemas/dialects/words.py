"""What rows do, in words. Pure."""

from collections.abc import Sequence

from services.gateway.dialects.rows import Announce, Emit, Follow, Keep, Refresh, Step, Type, Unfollow, Watch, asks_of
from services.gateway.schemas.components import summary_of


def does(steps: Sequence[Step]) -> str:
    """What steps do, as a sentence; what is only worked out is not told."""
    contracts = ", ".join(dict.fromkeys(f"`{ask.contract.TYPE}`" for ask in asks_of(steps)))
    words = [*filter(None, map(_said, steps)), *([f"carries out {contracts}"] if contracts else [])]
    sentence = ", ".join(dict.fromkeys(words))
    return f"{sentence[:1].upper()}{sentence[1:]}." if sentence else "Is answered at once."


def _said(step: Step) -> str:
    if isinstance(step, Keep):
        return f"forgets `{step.name}`" if step.value is None else f"remembers `{step.name}`"
    return WORDS.get(type(step), "")


WORDS: dict[type, str] = {
    Follow: "follows the room",
    Unfollow: "follows the room no more",
    Type: "tells the room that somebody types, or types no more",
    Announce: "lets the room know who looks at it",
    Watch: "watches users",
}


def may_have_changed(row: Refresh) -> str:
    """On which occasion a list is told again."""
    events = ", ".join(f"`{event.TYPE}`" for event in row.events)
    return f"The list has changed, as it may by {events}."


def when(row: Emit) -> str:
    """On which occasion something is told."""
    each = f" Told once for each of `{row.each}`." if row.each else ""
    some = "" if row.when is bool else " In some cases only."
    spares = " Not told to whom it is about." if row.spares else ""
    return summary_of(row.event) + each + some + spares
