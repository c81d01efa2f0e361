"""What a message shows of a file that was uploaded here: what the file is, whatever else is said of it. Pure."""

from services.messages.batch import Batch
from shared.contracts.content import Attachment, MessageType
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.media import MediaView, media_path
from shared.contracts.media_terms import MediaState, VariantName

THUMBNAILS = (VariantName.MEDIUM, VariantName.SMALL, VariantName.POSTER)
"""What is shown in a file's place, the best first."""

NOT_YET = frozenset({MediaState.UPLOADING, MediaState.PENDING})


def filled(batch: Batch, actor: Actor, attachment: Attachment, kind: MessageType) -> Attachment:
    """The attachment as it is stored, with what is known of the file where it is this server's.

    Raises:
        ChatError: where the actor may not show it in a message of this kind. The message may have been written all the
            same, when that was otherwise: so the plan is `unsure`.
    """
    own_id = attachment.own_id
    if own_id is None:
        return attachment
    try:
        media = batch.file(actor, own_id)
        check(media, kind)
    except ChatError:
        batch.plan.unsure = True
        raise
    return shown(media)


def check(media: MediaView, kind: MessageType) -> None:
    """Raise ChatError where a message of this kind cannot show the file."""
    if media.state in NOT_YET:
        raise ChatError(
            ErrorCode.CONFLICT, f"File '{media.id}' is not ready yet: wait for 'media.ready', then send the message."
        )
    if media.state is not MediaState.READY:
        why = media.refusal
        raise ChatError(
            ErrorCode.INVALID,
            f"File '{media.id}' was refused, so no message can show it{'.' if why is None else f': {why.message}'}",
            details=None if why is None else {"reason": why.reason},
        )
    if kind is not MessageType.FILE and kind.value != media.kind.value:
        raise ChatError(
            ErrorCode.INVALID,
            f"File '{media.id}' is of the kind '{media.kind}': a message of type '{kind}' cannot show it; "
            f"'{media.kind}' and 'file' can.",
        )


def shown(media: MediaView) -> Attachment:
    """A ready file as messages show it. Its links are not signed: that is done where messages are handed out."""
    names = {variant.name for variant in media.variants}
    thumbnail = next((name for name in THUMBNAILS if name in names), None)
    return Attachment(
        media_id=media.id,
        url=media_path(media.id, VariantName.ORIGINAL),
        name=media.name,
        size=media.size,
        mime_type=media.mime_type,
        thumbnail_url=None if thumbnail is None else media_path(media.id, thumbnail),
        duration=media.duration,
        width=media.width,
        height=media.height,
        placeholder=media.placeholder,
        waveform=media.waveform,
    )
