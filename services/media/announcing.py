"""Tells what becomes of files: to their owners by events, to the media processes by the command to look at one."""

from collections.abc import Callable
from datetime import UTC, datetime

from services.media.records import Media, view_of
from shared.bus.codec import encode_actor, encode_event, encode_request, to_json, unique_id
from shared.bus.publisher import Publisher
from shared.bus.topology import COMMANDS, EVENTS
from shared.contracts.base import Service
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError
from shared.contracts.media import MediaEvent, MediaFailed, MediaProgressed, MediaReady, ProcessMedia
from shared.contracts.media_terms import MediaState
from shared.logging import get_logger
from shared.permissions import GlobalRole
from shared.tracing import new_traceparent

log = get_logger(__name__)

SOURCE = "/media"
ACTOR = Actor(id=str(Service.MEDIA), roles=(GlobalRole.SERVICE,))
"""In whose name the service asks itself for something."""

_ACTOR = encode_actor(ACTOR)

_ENDS: dict[MediaState, Callable[[Media], MediaEvent]] = {
    MediaState.READY: lambda media: MediaReady(user_id=media.owner, media=view_of(media)),
    MediaState.FAILED: lambda media: MediaFailed(user_id=media.owner, media=view_of(media)),
    MediaState.INFECTED: lambda media: MediaFailed(user_id=media.owner, media=view_of(media)),
}
"""How an owner is told what has become of a file."""


class Announcer:
    """The announcements of one process."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def progressed(self, media: Media, received: int, total: int | None) -> None:
        """Tell its owner how much of a file has come. Where nobody can be told now, nobody is."""
        event = MediaProgressed(user_id=media.owner, media_id=media.id, received=received, total=total)
        try:
            self._publisher.submit(EVENTS, event.TOPIC, _encoded(event, media, f"{media.id}:{received}"))
        except ChatError as error:
            log.debug("progress is not told", error=error.message)

    async def ended(self, media: Media) -> None:
        """Tell its owner that a file is ready, or was refused; the same is told again under the same id.

        Raises:
            ChatError: the broker has not got it.
        """
        event = _ENDS[media.state](media)
        body = _encoded(event, media, f"{media.id}:{media.state}")
        await self._publisher.publish(EVENTS, [(event.TOPIC, body)])

    async def process(self, *media_ids: str) -> None:
        """Ask the media processes to look at files.

        Raises:
            ChatError: the broker has not got the commands.
        """
        commands = [(str(Service.MEDIA), _command(media_id)) for media_id in media_ids]
        await self._publisher.publish(COMMANDS, commands)


def _encoded(event: MediaEvent, media: Media, identifier: str) -> bytes:
    return encode_event(
        id=identifier,
        source=SOURCE,
        type=event.TYPE,
        subject=media.owner,
        tenant=media.tenant,
        time=datetime.now(UTC),
        data=to_json(event),
    )


def _command(media_id: str) -> bytes:
    return encode_request(
        id=unique_id(),
        source=SOURCE,
        type=ProcessMedia.TYPE,
        subject=media_id,
        actor=_ACTOR,
        tenant=ACTOR.tenant,
        body=ProcessMedia(media_id=media_id).model_dump(mode="json"),
        replyto=None,
        traceparent=new_traceparent(),
    )
