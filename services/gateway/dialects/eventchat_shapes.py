"""What clients of the eventchat dialect send, and what they are shown."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field

from services.gateway.dialects import shapes
from services.gateway.dialects.rows import Shape, Wire, at

MAX_PARTICIPANTS = 100
"""Participants that one request may name."""


def _ids(value: Any) -> Any:
    """Users, each by id or as an object that has one."""
    some = value if isinstance(value, list) else [value]
    return [user.get("userId", user.get("id")) if isinstance(user, dict) else user for user in some]


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def display_name(user: Any) -> Any:
    """What somebody is called: their name, or what their first and last names make."""
    if not isinstance(user, dict):
        return user
    return user.get("name") or " ".join(filter(None, (user.get("first_name"), user.get("last_name")))) or None


def _event_id(external: Any) -> Any:
    if not isinstance(external, dict):
        return external
    return external["id"] if external.get("kind") == "event" else None


Ids = Annotated[list[str], BeforeValidator(_ids), Field(max_length=MAX_PARTICIPANTS)]
Word = Annotated[str, BeforeValidator(_lower)]
DisplayName = Annotated[str | None, BeforeValidator(display_name)]
Open = Annotated[bool, BeforeValidator(lambda closed: not closed)]
EventId = Annotated[str | None, BeforeValidator(_event_id)]

IN_CHAT = AliasChoices("chatId", "chat_id", "roomId", "room_id")
OF_CHAT = AliasChoices(*IN_CHAT.choices, "id")
OF_MESSAGE = AliasChoices("messageId", "message_id", "id")
MEDIA = AliasChoices("mediaUrl", "imageUrl", "fileUrl", "media_url", "image_url", "file_url")
PEOPLE = AliasChoices(
    "participants", "participantIds", "participant_ids", "userIds", "user_ids", "members", "memberIds",
    "participantId", "userId", "user_id", "recipientId",
)  # fmt: skip


# ── what clients send ────────────────────────────────────────────────────────────────────────────────────────────


class Page(Wire):
    """A page of a list, counted from 1."""

    page: int = Field(default=1, ge=1, le=1_000_000)
    limit: int = Field(default=1000, ge=1, le=1000)


class ChatOf(Wire):
    """A chat."""

    BARE = "chat_id"

    chat_id: str = Field(validation_alias=OF_CHAT)


class NewChat(Wire):
    """A chat: direct with one other, a group with a name or several."""

    type: Word | None = None
    name: str | None = Field(default=None, validation_alias=AliasChoices("name", "title"))
    user_ids: Ids = Field(default=[], validation_alias=PEOPLE, examples=[["bob", "carol"]])
    event_id: str | None = Field(default=None, validation_alias=AliasChoices("eventId", "event_id"))
    metadata: dict[str, Any] | None = None
    client_id: str | None = Field(default=None, validation_alias=AliasChoices("clientId", "client_id"))


class PeopleOf(ChatOf):
    """Users who are to be in a chat."""

    user_ids: Ids = Field(validation_alias=PEOPLE, min_length=1, examples=[["carol", "dave"]])


class ParticipantOf(ChatOf):
    """Somebody in a chat."""

    user_id: str = Field(validation_alias=AliasChoices("userId", "user_id"))


class Place(Wire):
    """A place, in degrees."""

    latitude: float = Field(validation_alias=AliasChoices("latitude", "lat"))
    longitude: float = Field(validation_alias=AliasChoices("longitude", "lng", "lon"))
    address: str | None = None
    name: str | None = None


class Send(Wire):
    """A message: a text, an image or another file, or a location."""

    chat_id: str = Field(validation_alias=IN_CHAT)
    content: str = Field(default="", validation_alias=AliasChoices("content", "text"))
    type: Word | None = None
    file_url: str | None = Field(default=None, validation_alias=MEDIA)
    file_name: str | None = Field(default=None, validation_alias=AliasChoices("fileName", "file_name"))
    file_size: int | None = Field(default=None, validation_alias=AliasChoices("fileSize", "file_size"))
    mime_type: str | None = Field(default=None, validation_alias=AliasChoices("mimeType", "mime_type"))
    location: Place | None = None
    reply_to: str | None = Field(default=None, validation_alias=AliasChoices("replyTo", "replyToId", "reply_to"))
    metadata: dict[str, Any] | None = None
    client_id: str | None = Field(default=None, validation_alias=AliasChoices("clientId", "client_id"))


class MessageOf(Wire):
    """A message."""

    BARE = "message_id"

    message_id: str = Field(validation_alias=OF_MESSAGE)


class Edit(MessageOf):
    """What a message is to say."""

    content: str = Field(min_length=1, validation_alias=AliasChoices("content", "text"))
    metadata: dict[str, Any] | None = None


class PageOf(ChatOf):
    """A page of a chat's messages: the latest, or those before a message."""

    limit: int = Field(default=50, ge=1, le=200)
    before: str | None = None


class Typing(Wire):
    """Whether one is typing in a chat."""

    chat_id: str = Field(validation_alias=IN_CHAT)
    is_typing: bool = Field(default=True, validation_alias=AliasChoices("isTyping", "is_typing", "typing"))


class UpTo(Wire):
    """A chat up to a message; all of it, where none is named."""

    chat_id: str | None = Field(default=None, validation_alias=IN_CHAT, examples=["d61cbb1f0ea73c2f9a9d57a9c9d1f"])
    message_id: str | None = Field(default=None, validation_alias=OF_MESSAGE)


class Status(Wire):
    """Whether one wishes to be seen."""

    BARE = "status"

    status: Word = Field(examples=["away"])


# ── what they are shown ──────────────────────────────────────────────────────────────────────────────────────────


class Sender(Shape):
    """Who wrote a message."""

    id: str = at("id")
    firstName: str | None = at("first_name", omit=True)
    lastName: str | None = at("last_name", omit=True)
    avatar: str | None = at("avatar")


class Message(Shape):
    """A message."""

    id: str = at("id")
    chatId: str = at("room_id")
    seq: int = at("seq")
    senderId: str = at("sender.id")
    senderName: DisplayName = at("sender")
    sender: Sender = at("sender")
    type: str = at("type")
    content: str = at("content")
    mediaUrl: str | None = at("attachment.url", omit=True)
    thumbnailUrl: str | None = at("attachment.thumbnail_url", omit=True)
    fileName: str | None = at("attachment.name", omit=True)
    fileSize: int | None = at("attachment.size", omit=True)
    mimeType: str | None = at("attachment.mime_type", omit=True)
    location: dict[str, Any] | None = at("location", omit=True)
    replyTo: str | None = at("reply_to", omit=True)
    metadata: dict[str, Any] | None = at("metadata")
    status: Literal["sent", "delivered", "read"] = at("status", "sent")
    createdAt: str = at("created_at")
    editedAt: str | None = at("edited_at")
    deletedAt: str | None = at("deleted_at")


class Media(Shape):
    """A file that was uploaded; its `mediaUrl` is what a message takes. Until it is `ready`, no message does."""

    mediaId: str = at("file.id")
    mediaUrl: str = at("url")
    thumbnailUrl: str | None = at("thumbnail_url", omit=True)
    type: str = at("file.kind")
    status: str = at("file.state")
    fileName: str = at("file.name")
    fileSize: int = at("file.size")
    mimeType: str = at("file.mime_type")
    width: int | None = at("file.width", omit=True)
    height: int | None = at("file.height", omit=True)
    duration: float | None = at("file.duration", omit=True)
    createdAt: str = at("file.created_at")


class Participant(Shape):
    """Somebody in a chat."""

    userId: str = at("user_id")
    name: DisplayName = at("user")
    avatar: str | None = at("user.avatar")
    role: str = at("role")
    joinedAt: str = at("joined_at")


class Chat(Shape):
    """A chat."""

    id: str = at("id")
    type: str = at("type")
    name: str | None = at("name")
    eventId: EventId = at("external")
    participants: list[Participant] = at("members")
    participantCount: int = at("member_count")
    metadata: dict[str, Any] | None = at("metadata")
    lastMessage: Message | None = at("state.last_message")
    unreadCount: int = at("state.unread", 0)
    isActive: Open = at("closed", default=True)
    createdBy: str = at("created_by")
    createdAt: str = at("created_at")
    updatedAt: str = at("updated_at")


class Messages(Shape):
    """A page of messages, in the order of writing."""

    chatId: str = at("in.chat_id")
    messages: list[Message] = at("messages")
    hasMore: bool = at("history.has_before")


class Marks(Shape):
    """How far somebody has got in a chat: up to which `seq`."""

    userId: str = at("user_id")
    deliveredSeq: int = at("delivered_seq")
    readSeq: int = at("read_seq")


class Joined(Messages):
    """The socket hears of a chat; what was written there lately, and who has got how far."""

    receipts: list[Marks] = at("marks.receipts")


class InChat(Shape):
    """The chat that one has asked about."""

    chatId: str = at("in.chat_id")


class Done(Shape):
    """What one has asked for is done."""

    success: bool = True


class Marked(Done):
    """A chat is marked up to a `seq`."""

    chatId: str = at("target.room_id")
    deliveredSeq: int = at("result.delivered_seq")
    readSeq: int = at("result.read_seq")


class Ended(Done):
    """A chat is deleted, or left."""

    id: str = at("in.chat_id")
    deleted: bool = at("deletes", default=False)


class Removed(Done):
    """Somebody is not in a chat any more."""

    chatId: str = at("in.chat_id")
    userId: str = at("in.user_id")


class Gone(Done):
    """A message is deleted."""

    messageId: str = at("in.message_id")


class Connected(Shape):
    """The client is connected."""

    userId: str = at("me.id")
    socketId: str = at("connection")


class Told(Shape):
    """Something about a chat."""

    chatId: str = at("room.id")


class Renamed(Told):
    """A chat has another name, or is over, or is not any more."""

    name: str | None = at("room.name")
    isActive: Open = at("room.closed", default=True)


class Sent(Shape):
    """A message is kept."""

    id: str = at("result.message_id")
    chatId: str = at("in.chat_id")
    seq: int = at("result.seq")
    createdAt: str = at("result.created_at")


class Deleted(Shape):
    """A message is gone."""

    messageId: str = at("id")
    chatId: str = at("room_id")


class Typed(Told):
    """Somebody has started or stopped typing."""

    userId: str = at("user_id")
    isTyping: bool = at("typing")


class Receipt(Told):
    """Everything up to `deliveredSeq` has reached somebody, and they have read everything up to `readSeq`."""

    userId: str = at("user_id")
    deliveredSeq: int = at("delivered_seq")
    readSeq: int = at("read_seq")


class Came(Told):
    """Somebody is in a chat now."""

    participant: Participant = at("member")


class Went(Told):
    """Somebody is in a chat no more."""

    userId: str = at("user_id")


class Seen(Shape):
    """Whether somebody is here."""

    userId: str = at("user_id")
    status: str = at("status")
    lastSeen: str | None = at("last_seen", omit=True)


class Online(InChat):
    """Who of a chat is here."""

    users: list[Seen] = at("present.users")
    count: int = at("count")


class MessageStatus(Shape):
    """How far a message has got: the least of its readers, and each of them."""

    messageId: str = at("in.message_id")
    status: str = at("result.status")
    deliveredTo: list[str] = at("result.delivered_to")
    readBy: list[str] = at("result.read_by")


class Failed(shapes.Failed):
    """Something was refused."""

    details: Any = at("error.details", omit=True)
