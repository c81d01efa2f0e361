"""What the service keeps as documents: how messages, clearings and revisions are written down and read back."""

from services.messages.state import Clearing, Message, Revision
from shared.contracts.content import Author, MessageView, QuoteView, RevisionView
from shared.mongo import Document

_PLAIN = ("client_id", "metadata", "reply_to", "edited_at", "deleted_at")
_MODELS = ("attachment", "location")
"""What a message may have beside what each has; absent where it has not."""

_INNER = ("tenant", "fingerprint", "born", "revs", "applied", "edited")


def message_document(message: Message) -> Document:
    """A message as it is stored. What it quotes is not: that is looked up by who reads it."""
    view = message.view
    parts = view.__dict__  # the hottest loop there is: attributes of a model are slower
    sender = view.sender
    document: Document = {
        "_id": view.id,
        "room_id": view.room_id,
        "seq": view.seq,
        "rev": view.rev,
        "type": view.type.value,
        "content": view.content,
        "sender": {key: value for key, value in sender.__dict__.items() if value is not None},
        "created_at": view.created_at,
        "tenant": message.tenant,
        "fingerprint": message.fingerprint,
        "born": message.born,
        "revs": message.revs,
    }
    for name in _PLAIN:
        value = parts[name]
        if value is not None:
            document[name] = value
    if parts["author"] is not Author.USER:
        document["author"] = view.author.value
    for name in _MODELS:
        part = parts[name]
        if part is not None:
            document[name] = part.model_dump(mode="json", exclude_none=True)
    if parts["mentions"]:
        document["mentions"] = view.mentions
    if parts["reactions"]:
        document["reactions"] = [reaction.model_dump() for reaction in view.reactions]
    if message.applied:
        document["applied"] = message.applied
    if message.edited:
        document["edited"] = message.edited
    return document


def view_of(document: Document) -> MessageView:
    """What readers see of a stored message. Raises ValidationError."""
    fields = {key: value for key, value in document.items() if key not in _INNER}
    fields["id"] = fields.pop("_id")
    return MessageView.model_validate(fields)


def message_of(document: Document) -> Message:
    """A stored message. Raises ValidationError and KeyError."""
    return Message(
        view=view_of(document),
        tenant=document["tenant"],
        fingerprint=document["fingerprint"],
        born=document["born"],
        revs=tuple(document["revs"]),
        applied=tuple(document.get("applied", ())),
        edited=document.get("edited", 0),
    )


LOST = ("attachment", "location", "metadata", "reactions", "mentions", "reply_to", "edited_at")
"""What a cleared message has no more, beside its content, which is emptied."""


def quote_of(document: Document, *, cleared: bool) -> QuoteView:
    """What a reply repeats of a stored message, whose content is cut already. Raises ValidationError."""
    gone = cleared or "deleted_at" in document
    return QuoteView.model_validate(
        {
            "message_id": document["_id"],
            "seq": document["seq"],
            "type": document["type"],
            "sender": document["sender"],
            "content": "" if gone else document["content"],
            "deleted": gone,
        }
    )


def clearing_id(room_id: str) -> str:
    """The key of a room's clearing among the messages. It is no message's id."""
    return f"cleared:{room_id}"


def clearing_document(clearing: Clearing) -> Document:
    """A clearing as it is stored. `created_at` lets it go with a purge; `unswept` says that there is work left."""
    document: Document = {
        "_id": clearing_id(clearing.room_id),
        "room_id": clearing.room_id,
        "rev": clearing.rev,
        "revs": clearing.revs,
        "tenant": clearing.tenant,
        "cleared": clearing.seq,
        "by": clearing.by,
        "created_at": clearing.at,
        "applied": clearing.applied,
        "swept": clearing.swept,
    }
    if clearing.swept < clearing.seq:
        document["unswept"] = True
    return document


def clearing_of(document: Document) -> Clearing:
    """A stored clearing. Raises KeyError."""
    return Clearing(
        room_id=document["room_id"],
        tenant=document["tenant"],
        seq=document["cleared"],
        rev=document["rev"],
        revs=tuple(document["revs"]),
        by=document["by"],
        at=document["created_at"],
        applied=tuple(document["applied"]),
        swept=document["swept"],
    )


def revision_document(revision: Revision) -> Document:
    """A revision as it is stored: its key says what it is of, so to write it twice is to write it once."""
    return {"_id": f"{revision.message_id}:{revision.rev}", **revision._asdict()}


def revision_view(document: Document) -> RevisionView:
    """What readers see of a stored revision. Raises ValidationError."""
    return RevisionView(
        rev=document["rev"], content=document["content"], metadata=document["metadata"], since=document["since"]
    )
