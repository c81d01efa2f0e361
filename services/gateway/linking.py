"""Signs the links to files in what clients are told: in messages, wherever they stand, and in files themselves.

The services say where a file is by its path alone; who is given a message or a file here has been let in there. Which
results hold messages or files, and where, follows from their contracts. Pure, but for the clock it is given.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from shared.contracts import integration, media, messages, people, presence, rooms
from shared.contracts.base import Command, Query
from shared.contracts.content import MessageView
from shared.contracts.media import MEDIA_PATH, MediaView
from shared.contracts.media_terms import VariantName
from shared.links import Links, SignedLink

JSON = dict[str, Any]
Path = tuple[str, ...]

EACH = "*"
"""In a path: every one of a list, or of a mapping's values."""

THUMBNAILS = (VariantName.MEDIUM, VariantName.SMALL, VariantName.POSTER)
"""What is shown in a file's place, the best first."""

LINKS_OF_A_MESSAGE = ("url", "thumbnail_url")

Refine = Callable[[JSON], None]
"""Changes a result in its place."""


class Linking:
    """Signs links.

    Args:
        clock: seconds since the epoch.
    """

    def __init__(self, links: Links, clock: Callable[[], float]) -> None:
        self._links = links
        self._clock = clock

    def sign_message(self, message: JSON) -> None:
        """Sign the links of a message's attachment, where that is a file of this server's."""
        attachment = message.get("attachment")
        if attachment is None or (media_id := attachment.get("media_id")) is None:
            return
        for name in LINKS_OF_A_MESSAGE:
            signed = self._signed(media_id, attachment.get(name))
            if signed is not None:
                attachment[name] = signed.url

    def sign_file(self, file: JSON) -> None:
        """Sign the links to a file's variants, and say until when they work."""
        expires = [
            signed.expires
            for variant in file.get("variants", ())
            if (signed := self._sign_variant(file["id"], variant)) is not None
        ]
        if expires:
            file["links_expire_at"] = datetime.fromtimestamp(min(expires), UTC).isoformat().replace("+00:00", "Z")

    def addresses(self, file: JSON) -> JSON:
        """Where a file is, ready or not, and what is shown in its place if it has that; as messages have it."""
        there = {variant["name"] for variant in file.get("variants", ())}
        named = {
            "url": VariantName.ORIGINAL,
            "thumbnail_url": next((name for name in THUMBNAILS if name in there), None),
        }
        now = self._clock()
        return {key: self._links.sign(file["id"], name, now).url for key, name in named.items() if name is not None}

    def results(self, contracts: Iterable[type[Command] | type[Query]]) -> dict[str, Refine]:
        """By type of request: what signs the links in its result. Requests whose results have none are left out."""
        refined = {}
        for contract in contracts:
            steps: list[tuple[Path, Refine]] = []
            steps += [(path, self.sign_message) for path in places(contract.RESULT, MessageView)]
            steps += [(path, self.sign_file) for path in places(contract.RESULT, MediaView)]
            if steps:
                refined[contract.TYPE] = _refine(steps)
        return refined

    def _sign_variant(self, media_id: str, variant: JSON) -> SignedLink | None:
        signed = self._signed(media_id, variant.get("url"))
        if signed is not None:
            variant["url"] = signed.url
        return signed

    def _signed(self, media_id: str, url: str | None) -> SignedLink | None:
        """A path of this file's as a signed link; None for everything else."""
        before = f"{MEDIA_PATH}{media_id}/"
        if url is None or not url.startswith(before) or (name := url.removeprefix(before)) not in _VARIANTS:
            return None
        return self._links.sign(media_id, VariantName(name), self._clock())


_VARIANTS = frozenset(VariantName)


def places(shape: Any, wanted: type[BaseModel]) -> Iterator[Path]:
    """Where in the JSON of a shape there are views of a kind: the names of fields, and `*` for each of many."""
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        if issubclass(shape, wanted):
            yield ()
            return
        for name, field in shape.model_fields.items():
            yield from ((name, *rest) for rest in places(field.annotation, wanted))
        return
    origin = get_origin(shape)
    step: Path = (EACH,) if isinstance(origin, type) and issubclass(origin, list | tuple | dict) else ()
    for argument in get_args(shape):
        yield from ((*step, *rest) for rest in places(argument, wanted))


def found(data: Any, path: Path) -> Iterator[JSON]:
    """What is at a path."""
    if data is None:
        return
    if not path:
        yield data
        return
    first, *rest = path
    if first != EACH:
        yield from found(data.get(first), tuple(rest))
        return
    for item in data.values() if isinstance(data, dict) else data:
        yield from found(item, tuple(rest))


def _refine(steps: list[tuple[Path, Refine]]) -> Refine:
    def refine(result: JSON) -> None:
        for path, sign in steps:
            for view in found(result, path):
                sign(view)

    return refine


CONTRACTS: tuple[type[Command] | type[Query], ...] = (
    *messages.COMMANDS.values(), *messages.QUERIES.values(), *rooms.COMMANDS.values(), *rooms.QUERIES.values(),
    *people.COMMANDS.values(), *people.QUERIES.values(), *presence.COMMANDS.values(), *presence.QUERIES.values(),
    *integration.COMMANDS.values(), *integration.QUERIES.values(), *media.COMMANDS.values(), *media.QUERIES.values(),
)  # fmt: skip
"""All that a gateway asks."""
