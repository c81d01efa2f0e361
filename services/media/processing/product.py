"""What processing is told and what it gives, and how both cross the border between two processes. Pure."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from services.media.refusals import Refused
from shared.contracts.media_terms import Refusal, VariantName

ANSWER = "answer.json"
"""The file in its room in which a child answers."""


class Bounds(NamedTuple):
    """What work on one file may take."""

    memory: int
    """Bytes of address space."""
    seconds: float
    pixels: int
    """Of a picture, all frames together; of a film, one frame."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What processing finds out about a file."""

    width: int | None = None
    height: int | None = None
    duration: float | None = None
    placeholder: str | None = None
    waveform: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """A file that was made: a form in which the one that was sent is served."""

    path: Path
    mime_type: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class Product:
    """What was found out about a file, and made of it."""

    facts: Facts = field(default_factory=Facts)
    made: dict[VariantName, Made] = field(default_factory=dict)
    keeps_original: bool = True
    """Whether the file is served as it came; else `made` has what is served instead of it."""


class Job(TypedDict):
    """What a child is told."""

    source: str
    room: str
    kind: str
    mime_type: str
    memory: int
    seconds: float
    pixels: int
    parent: int


class Unusable(Exception):  # noqa: N818 - an answer, not an error of the one who reads it
    """An answer that no sane child gives."""


def told(product: Product) -> dict[str, Any]:
    """A product as JSON."""
    made = {name.value: {**asdict(each), "path": each.path.name} for name, each in product.made.items()}
    return {"facts": asdict(product.facts), "made": made, "keeps_original": product.keeps_original}


def heard(answer: Any, room: Path) -> Product:
    """The product that a child has told of, whose files lie in its room.

    Raises:
        Refused: where the child has refused the file.
        Unusable: where it is no answer.
    """
    try:
        if "refused" in answer:
            reason, message = answer["refused"]
            raise Refused(Refusal(reason), str(message))
        facts = dict(answer["facts"])
        waveform = facts.pop("waveform")
        return Product(
            Facts(**facts, waveform=None if waveform is None else tuple(waveform)),
            {VariantName(name): _made(each, room) for name, each in answer["made"].items()},
            keeps_original=bool(answer["keeps_original"]),
        )
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise Unusable(f"{type(error).__name__}: {error}") from error


def _made(each: dict[str, Any], room: Path) -> Made:
    name = each["path"]
    if Path(name).name != name or name in {"", ".", ".."}:
        raise ValueError(f"'{name}' is no file of the room")
    return Made(room / name, str(each["mime_type"]), each["width"], each["height"])
