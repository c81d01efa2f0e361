"""What a message is made of: its kinds, its parts, and how readers see it."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from shared.contracts.base import Id, MessageId, Model, View
from shared.contracts.media import MediaId, media_id_in

MAX_CONTENT = 100_000
"""Hard ceiling on characters; the deployment's MAX_MESSAGE_LENGTH lies below it."""

MAX_MENTIONS = 50
QUOTE_LENGTH = 200
"""Characters of a message that a reply to it repeats."""

Content = Annotated[str, StringConstraints(min_length=1, max_length=MAX_CONTENT)]
Emoji = Annotated[str, StringConstraints(min_length=1, max_length=32, strip_whitespace=True)]
Link = Annotated[
    str,
    StringConstraints(max_length=2048, pattern=r"^(https?://[^\s/?#]+|/[^\s/\\\x00-\x1f\x7f])[^\s\x00-\x1f\x7f]*$"),
]
"""An http(s) address, or a path on the server itself. No other scheme: a reader may put it into a page.

Browsers take two slashes, or a slash and a backslash, for another server.
"""
MediaType = Annotated[str, StringConstraints(max_length=127, pattern=r"^[\w.+-]+/[\w.+-]+$")]


class MessageType(StrEnum):
    """What a message is made of."""

    TEXT = "text"
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    FILE = "file"
    LOCATION = "location"
    SYSTEM = "system"


class Author(StrEnum):
    """In what capacity a message was written."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"


class Part(StrEnum):
    """The fields of a message that depend on its type."""

    CONTENT = "content"
    ATTACHMENT = "attachment"
    LOCATION = "location"


REQUIRED: dict[MessageType, Part] = {
    MessageType.TEXT: Part.CONTENT,
    MessageType.IMAGE: Part.ATTACHMENT,
    MessageType.VIDEO: Part.ATTACHMENT,
    MessageType.AUDIO: Part.ATTACHMENT,
    MessageType.FILE: Part.ATTACHMENT,
    MessageType.LOCATION: Part.LOCATION,
    MessageType.SYSTEM: Part.CONTENT,
}
"""What a message of each type must have. Content may go with every type; the other parts only where required."""


class Attachment(Model):
    """A file that a message shows. `duration` is in seconds, `size` in bytes.

    One that was uploaded here is meant by `media_id`, or by one of its links as `url`; what it is like is then taken
    from the file itself, whatever else is said. Of others, `url` says where they are.
    """

    media_id: MediaId | None = None
    url: Link | None = None
    name: str | None = Field(default=None, min_length=1, max_length=255)
    size: int | None = Field(default=None, ge=0, le=2**53)
    mime_type: MediaType | None = None
    thumbnail_url: Link | None = None
    duration: float | None = Field(default=None, ge=0, le=1e7, allow_inf_nan=False)
    width: int | None = Field(default=None, ge=1, le=100_000)
    height: int | None = Field(default=None, ge=1, le=100_000)
    placeholder: str | None = Field(default=None, max_length=100)
    """A BlurHash: what to show until the picture is there."""
    waveform: tuple[Annotated[int, Field(ge=0, le=100)], ...] | None = Field(default=None, max_length=200)
    """Loudness over time."""

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        if self.media_id is None and self.url is None:
            raise ValueError("an attachment needs 'media_id' or 'url'")
        return self

    @property
    def own_id(self) -> str | None:
        """The file of this server's that is meant; None where it is elsewhere."""
        return self.media_id or (media_id_in(self.url) if self.url is not None else None)


class Location(Model):
    """A place, in degrees (WGS 84)."""

    latitude: float = Field(ge=-90, le=90, allow_inf_nan=False)
    longitude: float = Field(ge=-180, le=180, allow_inf_nan=False)
    address: str | None = Field(default=None, max_length=500)
    name: str | None = Field(default=None, max_length=200)


class SenderView(View):
    """Who wrote a message, as known when it was written."""

    id: str
    name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    avatar: str | None = None


class ReactionView(View):
    """One emoji and who chose it."""

    emoji: str
    users: tuple[str, ...]


class QuoteView(View):
    """What a reply repeats of the message it answers: as that message is now, not as it was."""

    message_id: MessageId
    seq: int
    type: MessageType
    sender: SenderView
    content: str
    """Its first characters; empty once it is deleted."""
    deleted: bool = False


class MessageView(View):
    """A message in its latest state. A deleted one keeps its place (`seq`) and loses what it said."""

    id: str
    room_id: str
    seq: int
    rev: int
    type: MessageType
    content: str
    sender: SenderView
    author: Author = Author.USER
    client_id: str | None = None
    attachment: Attachment | None = None
    location: Location | None = None
    reply_to: MessageId | None = None
    quote: QuoteView | None = None
    """What `reply_to` says now; readers who hold it repaint it when that message changes."""
    mentions: tuple[Id, ...] = ()
    metadata: dict[str, Any] | None = None
    reactions: tuple[ReactionView, ...] = ()
    created_at: datetime
    edited_at: datetime | None = None
    deleted_at: datetime | None = None


class RevisionView(View):
    """What a message said before an edit, from `since` on."""

    rev: int
    content: str
    metadata: dict[str, Any] | None = None
    since: datetime


def check_parts(kind: MessageType, content: str, attachment: Attachment | None, location: Location | None) -> None:
    """Raise ValueError where a message lacks what its type requires, or has what only others may have."""
    required = REQUIRED[kind]
    parts = {Part.CONTENT: content, Part.ATTACHMENT: attachment, Part.LOCATION: location}
    if not parts[required]:
        raise ValueError(f"a message of type '{kind}' needs '{required}'")
    for part in (Part.ATTACHMENT, Part.LOCATION):
        if part is not required and parts[part] is not None:
            raise ValueError(f"a message of type '{kind}' has no '{part}'")
