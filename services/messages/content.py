"""What a message is made of beside its text: its author, its parts, whom it mentions, what it answers. Pure."""

import json
import re
from collections.abc import Container

from shared.contracts.content import MAX_MENTIONS, QUOTE_LENGTH, Attachment, Author, MessageType, MessageView, QuoteView
from shared.contracts.envelope import Actor
from shared.contracts.membership import RoomAccess, RoomType
from shared.contracts.messages import SendMessage
from shared.permissions import GlobalRole

_MENTION = re.compile(r"(?<!\w)@([A-Za-z0-9_.-]+)")


def is_plain(command: SendMessage) -> bool:
    """Whether it has nothing but its text and metadata, as nearly all messages."""
    return command.attachment is None and command.location is None and command.reply_to is None and not command.mentions


def rest_of(command: SendMessage) -> str:
    """What it has beside, as a JSON array: a part of its fingerprint."""
    parts = command.model_dump(mode="json", exclude_none=True, include={"attachment", "location", "reply_to"})
    if command.attachment is not None:
        parts["attachment"] = normal(command.attachment).model_dump(mode="json", exclude_none=True)
    return json.dumps([parts, command.mentions], sort_keys=True)


def normal(attachment: Attachment) -> Attachment:
    """What an attachment comes to, however it was said: of a file of this server's only the file counts.

    A signed link is another one an hour later; who repeats a message with a new link repeats the message.
    """
    own_id = attachment.own_id
    return attachment if own_id is None else Attachment(media_id=own_id)


def author_of(actor: Actor, access: RoomAccess, kind: MessageType) -> Author:
    """In what capacity the actor writes: a global assistant is one where that role lets them in, or helps."""
    if kind is MessageType.SYSTEM:
        return Author.SYSTEM
    if not actor.roles or GlobalRole.ASSISTANT not in actor.roles:
        return Author.USER
    helps = actor.id not in access.members or access.type is RoomType.SESSION
    return Author.ASSISTANT if helps else Author.USER


def mentioned(content: str, named: tuple[str, ...], members: Container[str], sender_id: str) -> tuple[str, ...]:
    """Whom a message mentions.

    Args:
        named: those it mentions whatever it says, who come first.

    Returns:
        Members other than the sender, each once, `MAX_MENTIONS` at most.
    """
    ids = dict.fromkeys((*named, *_spelled(content, members))) if "@" in content else dict.fromkeys(named)
    found = [user_id for user_id in ids if user_id != sender_id and user_id in members]
    return tuple(found[:MAX_MENTIONS])


def _spelled(content: str, members: Container[str]) -> list[str]:
    """The ids after each `@`; a full stop or dash at the end is the sentence's, unless there is such a member."""
    names = _MENTION.findall(content)
    return [name if name in members else name.rstrip(".-") for name in names]


def quote(target: MessageView, *, cleared: bool) -> QuoteView:
    """What a reply to `target` repeats of it."""
    gone = cleared or target.deleted_at is not None
    return QuoteView(
        message_id=target.id,
        seq=target.seq,
        type=target.type,
        sender=target.sender,
        content="" if gone else target.content[:QUOTE_LENGTH],
        deleted=gone,
    )
