"""The words of files that are said in one: what they are, where they stand, why they are not taken. Imports nothing."""

from enum import StrEnum


class MediaKind(StrEnum):
    """What a file is to a message: the type of the message that shows it."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    FILE = "file"


class MediaState(StrEnum):
    """Where a file stands. Only a ready one can be seen, and be shown by messages."""

    UPLOADING = "uploading"
    PENDING = "pending"
    """All of it is here; it waits to be checked and processed, or is being."""
    READY = "ready"
    FAILED = "failed"
    INFECTED = "infected"


class Refusal(StrEnum):
    """Why a file is not taken, in one word a program can switch on: `details.reason` of the error."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    UNKNOWN_TYPE = "unknown_type"
    """It is of no type that is known."""
    TYPE_REFUSED = "type_refused"
    """It is of a type that is not taken, or not for this kind of message."""
    TYPE_MISMATCH = "type_mismatch"
    """It is of another type than it is said to be, by its media type or its name."""
    DAMAGED = "damaged"
    """It cannot be read as what it is, or not to its end."""
    DIMENSIONS = "dimensions"
    """It has more pixels, frames or seconds than are decoded."""
    CHECKSUM = "checksum"
    INFECTED = "infected"
    UNPROCESSABLE = "unprocessable"
    """Processing took more time or memory than it may, several times."""
    UPLOADS_AT_ONCE = "uploads_at_once"
    DAILY_LIMIT = "daily_limit"
    QUOTA = "quota"


class VariantName(StrEnum):
    """The forms in which a file is served."""

    ORIGINAL = "original"
    """As it came; an image without what it said of its place and camera, and the right way up."""
    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"
    POSTER = "poster"
    """A frame of a video."""
