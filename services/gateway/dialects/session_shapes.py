"""What clients of the session dialect send, and what they are shown."""

from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field

from services.gateway.dialects import shapes
from services.gateway.dialects.rows import Shape, Wire, at

KIND = "session"
"""What sessions are among the objects of other systems."""


def session_id(room: Any) -> Any:
    """The id under which clients know a room: that of the session it belongs to, else its own."""
    if not isinstance(room, dict):
        return room
    external = room.get("external") or {}
    return external["id"] if external.get("kind") == KIND else room["id"]


SessionId = Annotated[str, BeforeValidator(session_id)]
Role = Annotated[str, AfterValidator(str.upper)]


# ── what clients send ────────────────────────────────────────────────────────────────────────────────────────────


class SessionOf(Wire):
    """A session."""

    BARE = "session_id"

    session_id: str = Field(validation_alias=AliasChoices("sessionId", "session_id"))


class Written(Wire):
    """What a message says."""

    BARE = "content"

    content: str = Field(min_length=1)
    metadata: dict[str, Any] | None = None


class Send(Written):
    """A message to the session that the socket has joined."""

    client_id: str | None = Field(default=None, validation_alias=AliasChoices("client_id", "clientId"))
    chat_room_id: None = None
    """Who names a room by this speaks another dialect."""


class SendTo(Written):
    """A message to a session."""

    session_id: str = Field(validation_alias=AliasChoices("sessionId", "session_id"))
    client_id: str | None = Field(default=None, validation_alias=AliasChoices("client_id", "clientId"))


class Typing(Wire):
    """Whether one is typing."""

    BARE = "is_typing"

    is_typing: bool = Field(validation_alias=AliasChoices("isTyping", "is_typing"))
    room: None = Field(default=None, validation_alias=AliasChoices("sortieId", "chatId", "roomId"))
    """Who names a room by one of these speaks another dialect."""


class PageOf(SessionOf):
    """A page of a session's messages, counted from the latest."""

    limit: int = Field(default=50, ge=1, le=200)
    offset: int = Field(default=0, ge=0, le=2**31)


class RecentOf(SessionOf):
    """The latest messages of a session, those that are deleted left out."""

    limit: int = Field(default=10, ge=1, le=200)


class MessageOf(Wire):
    """A message."""

    message_id: str = Field(alias="messageId")


class Edit(Written):
    """What a message is to say."""

    message_id: str = Field(alias="messageId")


# ── what they are shown ──────────────────────────────────────────────────────────────────────────────────────────


class Envelope(Shape):
    """What every payload on a socket is put into."""

    type: str = at("kind")
    data: Any = at("payload")
    timestamp: str = at("now")


class Message(Shape):
    """A message (`ConversationMessage`)."""

    id: str = at("id")
    sessionId: SessionId = at("room")
    role: Role = at("author", "USER")
    content: str = at("content")
    metadata: dict[str, Any] | None = at("metadata", omit=True)
    timestamp: str = at("created_at")
    senderId: str | None = at("sender.id", omit=True)
    editedAt: str | None = at("edited_at", omit=True)
    deletedAt: str | None = at("deleted_at", omit=True)


class Connected(Shape):
    """The client is connected."""

    userId: str = at("me.id")
    socketId: str = at("connection")
    message: str = "Connected to chat"


class Joined(Shape):
    """The socket is in a session now."""

    sessionId: SessionId = at("room")
    userId: str = at("me.id")
    recentMessages: list[Message] = at("messages")


class Left(Shape):
    """The socket has left its session, where it was in one."""

    sessionId: str | None = at("here.session_id")


class Sent(Shape):
    """A message is kept."""

    id: str = at("result.message_id")
    sessionId: str = at("here.session_id")
    timestamp: str = at("result.created_at")


class Typed(Shape):
    """Somebody has started or stopped typing."""

    sessionId: SessionId = at("room")
    userId: str = at("user_id")
    isTyping: bool = at("typing")


class Info(Shape):
    """Who the socket speaks for, and the session it is in."""

    sessionId: str | None = at("here.session_id")
    userId: str = at("me.id")
    socketId: str = at("connection")
    name: str | None = at("room.name", omit=True)
    isActive: bool | None = at("active", omit=True)
    messageCount: int | None = at("history.total", omit=True)
    createdAt: str | None = at("room.created_at", omit=True)
    updatedAt: str | None = at("room.updated_at", omit=True)
    metadata: dict[str, Any] | None = at("room.metadata", omit=True)


class Deleted(Shape):
    """A message is gone."""

    messageId: str = at("id")
    sessionId: SessionId = at("room")


class Cleared(Shape):
    """A conversation was cleared."""

    sessionId: SessionId = at("room")
    clearedBy: str | None = at("by", omit=True)


class Read(Shape):
    """Somebody has read a session up to its message number `seq`."""

    sessionId: SessionId = at("room")
    userId: str = at("user_id")
    seq: int = at("read_seq")


class Ended(Shape):
    """A session is over."""

    sessionId: SessionId = at("room")


class Gone(Shape):
    """A message is deleted."""

    success: bool = True
    messageId: str = at("in.message_id")


class Emptied(Shape):
    """A conversation is cleared."""

    success: bool = True
    sessionId: SessionId = at("room")


class Count(Shape):
    """How many messages there are."""

    sessionId: SessionId = at("room")
    count: int = at("history.total")


class Failed(Shape):
    """Something was refused."""

    message: str = at("error.message")
    code: str = at("error.code")
    statusCode: int = at("status")
    event: str = at("event")
    details: Any = at("error.details", omit=True)
    correlationId: str | None = at("error.details.correlation_id", omit=True)


class Problem(shapes.DetailedProblem):
    """An error of the REST API."""

    timestamp: str = at("now")
    path: str = at("path")
