"""Commands, queries and events of the media service: files from their first byte to their last reference.

Bytes travel over HTTP only (docs/media.md); what stands here is what is said about them.
"""

import re
from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from shared.contracts.base import Command, Event, Id, MessageId, Query, Seq, Service, View
from shared.contracts.media_terms import MediaKind, MediaState, Refusal, VariantName

MAX_NAME = 255
"""Characters of a file's name."""

MAX_FOUND = 100
MEDIA_PATH = "/v1/media/"

MediaId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""128 random bits in hex."""

_OWN_LINK = re.compile(r"(?:https?://[^/?#]+)?" + MEDIA_PATH + r"([0-9a-f]{32})(?:[/?#].*)?")


class VariantView(View):
    """One form of a file; `url` is where it is, signed where it expires."""

    name: VariantName
    mime_type: str
    size: int
    """In bytes."""
    width: int | None = None
    height: int | None = None
    url: str


class MediaRefusalView(View):
    """Why a file was refused after it had been taken in."""

    reason: Refusal
    message: str


class MediaView(View):
    """A file, as those see it who may."""

    id: MediaId
    owner_id: str
    kind: MediaKind
    state: MediaState
    name: str
    mime_type: str
    size: int
    """In bytes: of what has come by now, or of the original."""
    sha256: str | None = None
    """Of the original, in hex."""
    width: int | None = None
    height: int | None = None
    duration: float | None = None
    """In seconds."""
    placeholder: str | None = None
    """A BlurHash: what to show until the picture is there."""
    waveform: tuple[int, ...] | None = None
    """Loudness over time, from 0 to 100."""
    variants: tuple[VariantView, ...] = ()
    refusal: MediaRefusalView | None = None
    created_at: datetime
    links_expire_at: datetime | None = None
    """Until when the signed links in `variants` work; none where they are not signed."""


class MediaListView(View):
    """Files, in the order they were asked for; those that are not there for the caller are missing."""

    media: list[MediaView]


class RemovedView(View):
    """A file that is no more."""

    media_id: MediaId


class ProcessedView(View):
    """What has become of a file."""

    media_id: MediaId
    state: MediaState


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────


class MediaCommand(Command):
    """A command to the media service."""

    OWNER: ClassVar = Service.MEDIA


class ProcessMedia(MediaCommand):
    """Check and process a file that has come in. Only the service itself asks this."""

    TYPE: ClassVar = "media.process"
    RESULT: ClassVar = ProcessedView

    media_id: MediaId


class RemoveMedia(MediaCommand):
    """Remove a file of one's own that no message shows."""

    TYPE: ClassVar = "media.remove"
    RESULT: ClassVar = RemovedView

    media_id: MediaId


# ── queries ──────────────────────────────────────────────────────────────────────────────────────────────────────


class MediaQuery(Query):
    """A question to the media service."""

    OWNER: ClassVar = Service.MEDIA


class GetMedia(MediaQuery):
    """A file: its owner may see it, and whoever may read a room in which a message shows it."""

    TYPE: ClassVar = "media.get"
    RESULT: ClassVar = MediaView

    media_id: MediaId


class FindMedia(MediaQuery):
    """Those of these files that the caller may see. One that is about to be collected counts as gone."""

    TYPE: ClassVar = "media.find"
    RESULT: ClassVar = MediaListView

    media_ids: list[MediaId] = Field(min_length=1, max_length=MAX_FOUND)


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────


class MediaEvent(Event):
    """Something about a file, told to its owner's connections."""

    TOPIC: ClassVar = "media"

    user_id: Id


class MediaProgressed(MediaEvent):
    """So much of an upload has come. `total` is absent where it was not said; at most some a second come."""

    TYPE: ClassVar = "media.progress"

    media_id: MediaId
    received: int
    total: int | None = None


class MediaReady(MediaEvent):
    """A file was checked and processed: messages may show it."""

    TYPE: ClassVar = "media.ready"

    media: MediaView


class MediaFailed(MediaEvent):
    """A file was refused when it was looked at; its bytes are gone."""

    TYPE: ClassVar = "media.failed"

    media: MediaView


class Attaching(Event):
    """What the messages service tells about files in messages: for the media service, which keeps what is shown.

    `rev` orders what is told about one message, which may be told again and late.
    """

    TOPIC: ClassVar = "attached"

    room_id: str
    rev: int


class MediaAttached(Attaching):
    """A message shows a file."""

    TYPE: ClassVar = "media.attached"

    message_id: MessageId
    seq: Seq
    media_id: MediaId


class MediaDetached(Attaching):
    """A message shows a file no more: it was deleted."""

    TYPE: ClassVar = "media.detached"

    message_id: MessageId
    seq: Seq


class MediaCleared(Attaching):
    """No message of the room up to `seq` shows anything any more: the conversation was cleared."""

    TYPE: ClassVar = "media.cleared"

    seq: Seq


COMMANDS: dict[str, type[MediaCommand]] = {command.TYPE: command for command in (ProcessMedia, RemoveMedia)}
QUERIES: dict[str, type[MediaQuery]] = {query.TYPE: query for query in (GetMedia, FindMedia)}
EVENTS: dict[str, type[Event]] = {
    event.TYPE: event
    for event in (MediaProgressed, MediaReady, MediaFailed, MediaAttached, MediaDetached, MediaCleared)
}


def media_path(media_id: str, variant: VariantName) -> str:
    """Where a form of a file is served."""
    return f"{MEDIA_PATH}{media_id}/{variant}"


def media_id_in(url: str) -> str | None:
    """The file that a link of this server's means, signed or not, with or without its host; None for other links."""
    found = _OWN_LINK.fullmatch(url)
    return None if found is None else found[1]
