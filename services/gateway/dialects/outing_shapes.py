"""What clients of the outing dialect send, and what they are shown."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, model_validator

from services.gateway.dialects.rows import Shape, Wire, at, fixed

SORTIE = AliasChoices("sortieId", "sortie_id", "sortie")
CHAT = AliasChoices("chatId", "chat_id", "roomId", "room_id", "chat")
MESSAGE = AliasChoices("messageId", "message_id", "_id", "id")

Ref = Annotated[str | None, BeforeValidator(lambda value: str(value) if type(value) is int else value or None)]
"""The id of something, or nothing where it is empty."""

Lower = Annotated[str, AfterValidator(str.lower)]

# ── what clients send ────────────────────────────────────────────────────────────────────────────────────────────


class ChatIf(Wire):
    """A chat, by itself or by its outing; the one that was joined last, where neither is named."""

    BARE: ClassVar[str | None] = "sortie_id"

    sortie_id: Ref = Field(default=None, validation_alias=SORTIE, examples=["66f0c0ffee00000000000001"])
    chat_id: Ref = Field(default=None, validation_alias=CHAT)


class ChatOf(ChatIf):
    """A chat, by itself or by its outing."""

    @model_validator(mode="after")
    def _is_named(self) -> Self:
        if self.sortie_id is None and self.chat_id is None:
            raise ValueError("name the chat by 'sortieId' or 'chatId'")
        return self


class Place(Wire):
    """A place, in degrees."""

    latitude: float = Field(validation_alias=AliasChoices("latitude", "lat"))
    longitude: float = Field(validation_alias=AliasChoices("longitude", "lng", "lon"))
    address: str | None = None
    name: str | None = None


class Send(ChatIf):
    """A message."""

    BARE = None

    type: Lower = "text"
    content: Annotated[str, BeforeValidator(lambda value: "" if value is None else value)] = Field(
        default="", validation_alias=AliasChoices("content", "text", "message")
    )
    media_url: Ref = Field(default=None, validation_alias=AliasChoices("mediaUrl", "media_url", "url"))
    thumbnail_url: Ref = Field(default=None, validation_alias=AliasChoices("thumbnailUrl", "thumbnail_url"))
    media_duration: float | None = Field(
        default=None, validation_alias=AliasChoices("mediaDuration", "media_duration", "duration")
    )
    file_size: int | None = Field(default=None, validation_alias=AliasChoices("fileSize", "file_size"))
    file_name: Ref = Field(default=None, validation_alias=AliasChoices("fileName", "file_name"))
    mime_type: Ref = Field(default=None, validation_alias=AliasChoices("mimeType", "mime_type"))
    location: Place | None = None
    reply_to: Ref = Field(default=None, validation_alias=AliasChoices("replyTo", "reply_to", "replyToId"))
    client_id: Ref = Field(default=None, validation_alias=AliasChoices("clientId", "client_id", "tempId"))


class SendTo(Send, ChatOf):
    """A message to a chat that is named."""


class Typing(ChatOf):
    """Whether one is typing."""

    BARE = None

    typing: bool = Field(default=True, validation_alias=AliasChoices("isTyping", "typing", "is_typing"))


class MessageOf(Wire):
    """A message."""

    BARE = "message_id"

    message_id: str = Field(validation_alias=MESSAGE)


class PageOf(ChatOf):
    """A page of a chat's messages: so many of the latest passed over, or those before a message or a time."""

    page: int = Field(default=1, ge=1, le=1_000_000)
    limit: int = Field(default=50, ge=1, le=200)
    before: Ref = Field(default=None, validation_alias=AliasChoices("before", "cursor"))


class MembersOf(ChatOf):
    """A page of a chat's members."""

    after: Ref = None
    limit: int = Field(default=500, ge=1, le=500)


class Decision(Wire):
    """Where somebody's wish to take part shall stand."""

    participation_id: str = Field(validation_alias="id")
    status: Annotated[str, AfterValidator(str.upper)] = Field(examples=["ACCEPTEE"])


# ── what they are shown ──────────────────────────────────────────────────────────────────────────────────────────


class Person(Shape):
    """Somebody."""

    mongo_id: str = at("id", name="_id")
    id: str = at("id")
    name: str | None = at("name")
    firstName: str | None = at("first_name")
    lastName: str | None = at("last_name")
    avatar: str | None = at("avatar")


class Location(Shape):
    """A place."""

    latitude: float = at("latitude")
    longitude: float = at("longitude")
    address: str | None = at("address", omit=True)
    name: str | None = at("name", omit=True)


Readers = Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]
"""Who has read a message: at first who wrote it."""

Given = Annotated[bool, BeforeValidator(bool)]
"""Whether there is something."""


class Message(Shape):
    """A message."""

    mongo_id: str = at("id", name="_id")
    id: str = at("id")
    chatId: str = at("room_id")
    sortieId: str | None = at("room.external.id")
    senderId: str = at("sender.id")
    sender: Person = at("sender")
    type: str = at("type")
    content: str = at("content", "")
    mediaUrl: str | None = at("attachment.url")
    thumbnailUrl: str | None = at("attachment.thumbnail_url")
    mediaDuration: float | None = at("attachment.duration")
    fileSize: int | None = at("attachment.size")
    fileName: str | None = at("attachment.name")
    mimeType: str | None = at("attachment.mime_type")
    location: Location | None = at("location")
    readBy: Readers = at("read_by", otherwise=("sender.id",))
    isDeleted: Given = at("deleted_at", default=False)
    replyTo: str | None = at("reply_to")
    clientId: str | None = at("client_id", omit=True)
    createdAt: str = at("created_at")
    updatedAt: str = at("deleted_at", otherwise=("edited_at", "created_at"))


class Media(Shape):
    """A file that was uploaded; its `mediaUrl`, the same as its `secure_url`, is what a message takes."""

    secure_url: str = at("url")
    url: str = at("url")
    mediaUrl: str = at("url")
    thumbnailUrl: str | None = at("thumbnail_url")
    public_id: str = at("file.id")
    type: str = at("file.kind")
    status: str = at("file.state")
    mediaDuration: float | None = at("file.duration")
    fileSize: int = at("file.size")
    fileName: str = at("file.name")
    mimeType: str = at("file.mime_type")
    width: int | None = at("file.width", omit=True)
    height: int | None = at("file.height", omit=True)


class Chat(Shape):
    """An outing's chat. `members` are the first of them, where there are many."""

    mongo_id: str = at("id", name="_id")
    id: str = at("id")
    sortieId: str | None = at("external.id")
    name: str | None = at("name")
    avatar: str | None = at("metadata.avatar")
    members: list[str] = at("member_ids")
    memberCount: int = at("member_count")
    lastMessage: Message | None = at("state.last_message")
    unreadCount: int = at("state.unread", 0)
    isActive: bool = at("active", default=True)
    createdAt: str = at("created_at")
    updatedAt: str = at("updated_at")


class Member(Shape):
    """Somebody in a chat."""

    mongo_id: str = at("user_id", name="_id")
    id: str = at("user_id")
    userId: str = at("user_id")
    name: str | None = at("user.name")
    firstName: str | None = at("user.first_name")
    lastName: str | None = at("user.last_name")
    avatar: str | None = at("user.avatar")
    role: str = at("role")
    joinedAt: str = at("joined_at")


class Messages(Shape):
    """A page of messages in the order of writing; page 1 has the latest. `nextCursor` is `before` for the next one."""

    messages: list[Message] = at("messages")
    total: int = at("history.total")
    page: int = at("in.page")
    limit: int = at("in.limit")
    totalPages: int = at("pages")
    hasMore: bool = at("history.has_before")
    nextCursor: str | None = at("next")


class Participation(Shape):
    """A wish to take part."""

    mongo_id: str = at("id", name="_id")
    id: str = at("id")
    sortieId: str = at("external.id")
    userId: str = at("user_id")
    chatId: str = at("room_id")
    status: str = at("status")
    updatedAt: str = at("updated_at")


class Marked(Shape):
    """A message is marked as read, with all before it."""

    success: bool = fixed(value=True)
    messageId: str = at("in.message_id")


class Gone(Shape):
    """A message is deleted."""

    success: bool = fixed(value=True)
    message: str = fixed("Message deleted")
    messageId: str = at("in.message_id")


class Sent(Shape):
    """A message is kept."""

    success: bool = fixed(value=True)
    mongo_id: str = at("result.message_id", name="_id")
    id: str = at("result.message_id")
    messageId: str = at("result.message_id")
    chatId: str = at("room_id")
    clientId: str | None = at("in.client_id", omit=True)
    createdAt: str = at("result.created_at")


class Left(Shape):
    """The socket hears of a chat no more."""

    success: bool = fixed(value=True)
    chatId: str = at("room_id")
    sortieId: str | None = at("in.sortie_id")


class Connected(Shape):
    """The client is connected."""

    message: str = fixed("Connected to chat")
    userId: str = at("me.id")
    socketId: str = at("connection")


class Joined(Shape):
    """The client is in an outing's chat."""

    chatId: str = at("room.id")
    sortieId: str | None = at("room.external.id")
    name: str | None = at("room.name")
    messages: list[Message] = at("messages")
    unreadCount: int = at("state.unread", 0)


class Online(Shape):
    """Who of a chat is here."""

    chatId: str = at("room.id")
    sortieId: str | None = at("room.external.id")
    users: list[str] = at("users")
    count: int = at("count")


class Typed(Shape):
    """Somebody has started or stopped typing."""

    userId: str = at("user_id")
    chatId: str = at("room_id")
    sortieId: str | None = at("room.external.id")
    isTyping: bool = at("typing")


class Came(Shape):
    """Somebody has opened a chat, or closed it."""

    userId: str = at("user_id")
    chatId: str = at("room_id")
    sortieId: str | None = at("room.external.id")
    timestamp: str = at("now")


class Read(Shape):
    """Somebody has read a message."""

    messageId: str = at("message_id")
    userId: str = at("user_id")
    chatId: str = at("room.id")
    sortieId: str | None = at("room.external.id")
    readAt: str = at("now")


class Deleted(Shape):
    """A message is gone."""

    messageId: str = at("id")
    chatId: str = at("room_id")
    sortieId: str | None = at("room.external.id")


class Notice(Shape):
    """What an outing's chat says by itself. `data` says the same for those who word it themselves."""

    type: str = at("metadata.event", "system")
    message: str = at("content")
    chatId: str = at("room_id")
    sortieId: str | None = at("room.external.id")
    data: dict[str, Any] | None = at("metadata")
    timestamp: str = at("created_at")


class Admitted(Shape):
    """One takes part now."""

    type: str = fixed("chat.joined")
    message: str = fixed("You have joined the chat")
    chatId: str = at("room.id")
    sortieId: str | None = at("room.external.id")
    name: str | None = at("room.name")
    timestamp: str = at("now")


class Removed(Admitted):
    """One does not take part any more."""

    type: str = fixed("chat.left")
    message: str = fixed("You are no longer in the chat")


class Over(Admitted):
    """The outing is no more, nor is its chat."""

    type: str = fixed("chat.deleted")
    message: str = fixed("The outing was deleted")
