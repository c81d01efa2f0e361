"""What is known of a file, and how it is written down in the collection `media`. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from services.media.processing.product import Facts
from shared.contracts.media import MediaRefusalView, MediaView, VariantView, media_path
from shared.contracts.media_terms import MediaKind, MediaState, Refusal, VariantName

Document = dict[str, Any]


class Piece(NamedTuple):
    """A part of an upload as it came: an object of the store, and its size in bytes."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class Variant:
    """A form of a file that is served: the objects it consists of, in order, and what it is."""

    pieces: tuple[Piece, ...]
    mime_type: str
    sha256: str
    """In hex: its entity tag."""
    width: int | None = None
    height: int | None = None

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(piece.size for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Media:
    """A file."""

    id: str
    tenant: str
    owner: str
    kind: MediaKind
    name: str
    mime_type: str
    """As it is said to be while it comes; as it is from then on."""
    state: MediaState
    created_at: datetime
    alive_until: datetime
    """While it is being uploaded: when it counts as given up."""
    length: int | None = None
    """Bytes it is to have, where that was said; a resumable upload's always is."""
    resumable: bool = False
    wanted: MediaKind | None = None
    """The kind it was said to be."""
    declared: str | None = None
    """The media type it was said to have."""
    sha256: str | None = None
    pieces: tuple[Piece, ...] = ()
    """The upload as it came, until it is served otherwise."""
    variants: Mapping[VariantName, Variant] = field(default_factory=dict)
    facts: Facts = field(default_factory=Facts)
    refusal: tuple[Refusal, str] | None = None
    attempts: int = 0
    """How often its processing was begun."""
    worker: str | None = None
    """Who works on it, until `worker_until`."""
    worker_until: datetime | None = None
    unused_since: datetime | None = None
    """Since when no message shows it; absent while one does."""
    announced: bool = True
    """Whether its owner was told what became of it."""
    changed_at: datetime | None = None
    counted: int = 0
    """Bytes it counts for towards what its tenant may have."""

    @property
    def received(self) -> int:
        """Bytes that have come."""
        return sum(piece.size for piece in self.pieces)

    @property
    def size(self) -> int:
        """Bytes of the original, or of what has come of it."""
        original = self.variants.get(VariantName.ORIGINAL)
        return self.received if original is None else original.size


def view_of(media: Media) -> MediaView:
    """A file as those see it who may; its links are not signed."""
    return MediaView(
        id=media.id,
        owner_id=media.owner,
        kind=media.kind,
        state=media.state,
        name=media.name,
        mime_type=media.mime_type,
        size=media.size,
        sha256=media.variants[VariantName.ORIGINAL].sha256 if VariantName.ORIGINAL in media.variants else None,
        width=media.facts.width,
        height=media.facts.height,
        duration=media.facts.duration,
        placeholder=media.facts.placeholder,
        waveform=media.facts.waveform,
        variants=tuple(
            VariantView(
                name=name,
                mime_type=variant.mime_type,
                size=variant.size,
                width=variant.width,
                height=variant.height,
                url=media_path(media.id, name),
            )
            for name, variant in media.variants.items()
        ),
        refusal=None if media.refusal is None else MediaRefusalView(reason=media.refusal[0], message=media.refusal[1]),
        created_at=media.created_at,
    )
