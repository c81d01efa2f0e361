"""Decides by a file's first bytes what it is and whether it is taken. Pure: nothing is believed that is said of it.

What a name or a declared type says must go with what the bytes say; it decides only where they leave it open (sound or
film in one container, one text or another).
"""

import codecs

from services.media.kinds import (
    ALLOWED,
    ENDINGS,
    OCTETS,
    OLE,
    OLE_DOCUMENTS,
    OOXML,
    OPAQUE,
    REFUSED,
    RUN_BY_NAME,
    TEXT,
    TEXTS,
    TWINS,
    XML,
    ZIP,
    alike,
    canonical,
    ending,
    kind_of,
)
from services.media.markup import markup_in
from services.media.refusals import Refused
from services.media.signatures import candidate, legible
from shared.contracts.media_terms import MediaKind, Refusal

HEAD = 8192
"""Bytes that are looked at."""

_BINARY = frozenset({*range(0x09), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20)})
"""Bytes that no text has (https://mimesniff.spec.whatwg.org, "binary data byte")."""


def look_at(
    head: bytes, *, whole: bool, name: str, declared: str | None, kind: MediaKind | None, extra: frozenset[str]
) -> tuple[MediaKind, str]:
    """The kind and media type of a file.

    Args:
        head: its first HEAD bytes, or fewer where it has no more.
        whole: that these are all of it.
        name: what it is called, by whoever sent it.
        declared: the media type it is said to have.
        kind: what it is to be; None: what it is by itself.
        extra: media types the operator takes as files.

    Raises:
        Refused: `empty`, `unknown_type`, `type_refused` or `type_mismatch`.
    """
    if not head:
        raise Refused(Refusal.EMPTY, "The file is empty.")
    said = canonical(declared)
    called = ENDINGS.get(ending(name))
    found = _found(head[:HEAD], called, whole=whole)
    if found is None:
        return _unknown(said or called, kind, extra)
    if found in TEXTS:
        found = _which_text(found, said, called)
    if kind_of(found) is None and found not in OPAQUE:
        return _besides(found, kind, extra)
    _check_claims(found, said, called, name)
    return _as_kind(found, said, called, kind)


def _found(head: bytes, called: str | None, *, whole: bool) -> str | None:
    """What the bytes say."""
    if (known := legible(head) or markup_in(head)) is not None:
        return known
    if is_text(head, whole=whole):  # before short magic numbers, which are words: "BM", "MZ"
        return TEXT
    guess = candidate(head)
    # Directories of old documents, and main parts of new ones behind a large preview, may lie beyond the head.
    if guess == OLE and called in OLE_DOCUMENTS:
        return called
    if guess == ZIP and called in OOXML.values() and b"[Content_Types].xml" in head:
        return called
    return guess


def is_text(head: bytes, *, whole: bool) -> bool:
    """Whether bytes are text in UTF-8; cut off within a character where there is more than these."""
    if not _BINARY.isdisjoint(head):
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, whole)
    except UnicodeDecodeError:
        return False
    return True


def _which_text(found: str, said: str | None, called: str | None) -> str:
    """The type of a text: what its name says, or its sender, where that is a type of text."""
    told = next((told for told in (called, said) if told is not None and told in TEXTS | RUN_BY_NAME), found)
    return found if found == XML and told in TEXTS else told


def _unknown(claim: str | None, kind: MediaKind | None, extra: frozenset[str]) -> tuple[MediaKind, str]:
    """A file of no known type: taken where the operator takes what it is said to be, or anything."""
    if kind in {None, MediaKind.FILE}:
        if claim is not None and claim in extra and claim not in REFUSED and kind_of(claim) is None:
            return MediaKind.FILE, claim
        if OCTETS in extra:
            return MediaKind.FILE, OCTETS
    raise Refused(
        Refusal.UNKNOWN_TYPE,
        "The file is of no type that is known here; text is taken in UTF-8 only. It may be damaged.",
    )


def _besides(found: str, kind: MediaKind | None, extra: frozenset[str]) -> tuple[MediaKind, str]:
    """A file of a known type that nobody takes by default."""
    if found in extra and kind in {None, MediaKind.FILE}:
        return MediaKind.FILE, found
    what = REFUSED.get(found, f"of type '{found}'")
    raise Refused(Refusal.TYPE_REFUSED, f"The file is {what}; such files are not taken.")


def _check_claims(found: str, said: str | None, called: str | None, name: str) -> None:
    if said is not None and not alike(said, found):
        raise Refused(Refusal.TYPE_MISMATCH, f"The file is said to be '{said}', but is '{found}'.")
    if called is not None and not alike(called, found):
        raise Refused(
            Refusal.TYPE_MISMATCH, f"The file's name ends in '.{ending(name)}', but it is '{found}'; name it as it is."
        )


def _as_kind(found: str, said: str | None, called: str | None, kind: MediaKind | None) -> tuple[MediaKind, str]:
    """Kind and type of a file that is taken by itself, if it can be of that kind."""
    if found in OPAQUE and kind is not MediaKind.FILE:
        raise Refused(
            Refusal.TYPE_REFUSED,
            f"Pictures of type '{found}' cannot be shown: convert it to JPEG, PNG, WebP or AVIF. As kind 'file' it is "
            "taken as it is, with what it says of its place and camera.",
        )
    wanted = kind if kind in {MediaKind.AUDIO, MediaKind.VIDEO} else _told_kind(found, said, called)
    for film, sound in TWINS:
        if found in {film, sound}:
            found = sound if wanted is MediaKind.AUDIO else film
    kind = kind or kind_of(found) or MediaKind.FILE
    if found not in ALLOWED[kind]:
        raise Refused(Refusal.TYPE_REFUSED, f"A file of type '{found}' cannot be of kind '{kind}'.")
    return kind, found


def _told_kind(found: str, said: str | None, called: str | None) -> MediaKind | None:
    """Whether a container has film or sound: sound, where it is said to be that; else what it seems to have.

    Names and types that mean film are given to sound as well, and `.ogg` to both.
    """
    claims = (told for told in (said, called) if told is not None and told != "audio/ogg" and alike(told, found))
    return MediaKind.AUDIO if MediaKind.AUDIO in map(kind_of, claims) else kind_of(found)
