"""What rows do, in words. Pure."""

from collections.abc import Sequence

from services.gateway.dialects.rows import Emit, Follow, Keep, Step, Type, Unfollow, asks_of
from services.gateway.schemas.components import summary_of


def does(steps: Sequence[Step]) -> str:
    """What steps do, as a sentence; what is only worked out is not told."""
    contracts = ", ".join(dict.fromkeys(f"`{ask.contract.TYPE}`" for ask in asks_of(steps)))
    words = [*filter(None, map(_said, steps)), *([f"carries out {contracts}"] if contracts else [])]
    sentence = ", ".join(dict.fromkeys(words))
    return f"{sentence[:1].upper()}{sentence[1:]}." if sentence else "Is answered at once."


def _said(step: Step) -> str:
    match step:
        case Follow():
            return "follows the room"
        case Unfollow():
            return "follows the room no more"
        case Type():
            return "tells the room that somebody types, or types no more"
        case Keep():
            return f"remembers `{step.name}`"
        case _:
            return ""


def when(row: Emit) -> str:
    """On which occasion something is told."""
    each = f" Told once for each of `{row.each}`." if row.each else ""
    some = "" if row.when is bool else " In some cases only."
    spares = " Not told to whom it is about." if row.spares else ""
    return summary_of(row.event) + each + some + spares
