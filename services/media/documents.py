"""A file as a document of the collection `media`, and back. Pure."""

from dataclasses import asdict
from typing import Any

from services.media.processing.product import Facts
from services.media.records import Media, Piece, Variant
from shared.contracts.media_terms import MediaKind, MediaState, Refusal, VariantName

Document = dict[str, Any]

_PLAIN = (
    "tenant", "owner", "name", "mime_type", "created_at", "alive_until", "length", "resumable", "declared", "sha256",
    "attempts", "worker", "worker_until", "unused_since", "announced", "changed_at", "counted",
)  # fmt: skip
"""Fields that are written as they are."""


def document_of(media: Media) -> Document:
    """A file as it is stored."""
    document: Document = {name: getattr(media, name) for name in _PLAIN}
    return document | {
        "_id": media.id,
        "kind": str(media.kind),
        "wanted": None if media.wanted is None else str(media.wanted),
        "state": str(media.state),
        "pieces": pieces_in(media.pieces),
        "received": media.received,
        "variants": variants_in(media.variants),
        "facts": facts_in(media.facts),
        "refusal": None if media.refusal is None else refusal_in(*media.refusal),
    }


def media_of(document: Document) -> Media:
    """A file as it was stored. Raises KeyError or ValueError where the document is none."""
    refusal = document["refusal"]
    facts = dict(document["facts"])
    waveform = facts.pop("waveform", None)
    return Media(
        id=document["_id"],
        kind=MediaKind(document["kind"]),
        wanted=None if document["wanted"] is None else MediaKind(document["wanted"]),
        state=MediaState(document["state"]),
        pieces=_pieces(document["pieces"]),
        variants={VariantName(name): _variant(variant) for name, variant in document["variants"].items()},
        facts=Facts(**facts, waveform=None if waveform is None else tuple(waveform)),
        refusal=None if refusal is None else (Refusal(refusal["reason"]), refusal["message"]),
        **{name: document[name] for name in _PLAIN},
    )


def pieces_in(pieces: tuple[Piece, ...]) -> list[list[Any]]:
    """Pieces as they are stored."""
    return [[piece.key, piece.size] for piece in pieces]


def variants_in(variants: Any) -> Document:
    """Variants as they are stored."""
    return {
        str(name): {
            "pieces": pieces_in(variant.pieces),
            "mime_type": variant.mime_type,
            "sha256": variant.sha256,
            "width": variant.width,
            "height": variant.height,
        }
        for name, variant in variants.items()
    }


def facts_in(facts: Facts) -> Document:
    """Facts as they are stored; what is not known is left out."""
    return {name: value for name, value in asdict(facts).items() if value is not None}


def refusal_in(reason: Refusal, message: str) -> Document:
    """A refusal as it is stored."""
    return {"reason": str(reason), "message": message}


def _pieces(stored: list[list[Any]]) -> tuple[Piece, ...]:
    return tuple(Piece(key, size) for key, size in stored)


def _variant(stored: Document) -> Variant:
    return Variant(**{**stored, "pieces": _pieces(stored["pieces"])})
