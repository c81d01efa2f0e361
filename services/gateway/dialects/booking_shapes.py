"""What clients of the booking dialect send, and what they are shown."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, field_validator

from services.gateway.dialects import shapes
from services.gateway.dialects.rows import Shape, Wire, at

# ── what clients send ────────────────────────────────────────────────────────────────────────────────────────────


class RoomOf(Wire):
    """A room."""

    BARE = "room_id"

    room_id: str = Field(alias="roomId")


class Page(Wire):
    """A page of a list, counted from 1."""

    page: int = Field(default=1, ge=1, le=1_000_000)
    limit: int = Field(default=20, ge=1, le=200)


class PageOf(Page):
    """A page of a room's messages."""

    room_id: str = Field(alias="roomId")
    limit: int = Field(default=50, ge=1, le=200)


class MessageOf(Wire):
    """A message."""

    message_id: str = Field(alias="messageId")


class NewRoom(Wire):
    """A room of two."""

    type: str = Field(examples=["customer_hotel_owner"])
    participant1_id: str
    participant2_id: str
    hotel_id: str | None = None

    @field_validator("type")
    @classmethod
    def _canonical(cls, value: str) -> str:
        return value.lower()


class Send(Wire):
    """A message."""

    room_id: str = Field(alias="chat_room_id")
    content: str = ""
    type: str = "text"
    file_url: str | None = None
    file_name: str | None = None
    file_size: int | None = None
    metadata: dict[str, Any] | None = None
    client_id: str | None = None

    @field_validator("type")
    @classmethod
    def _canonical(cls, value: str) -> str:
        return value.lower()


# ── what they are shown ──────────────────────────────────────────────────────────────────────────────────────────


class Sender(Shape):
    """Who wrote a message."""

    id: str = at("id")
    first_name: str = Field(validation_alias=AliasChoices("first_name", "name", "id"))
    """Clients show it without looking whether there is one."""
    last_name: str | None = at("last_name")
    name: str | None = at("name")


class Message(Shape):
    """A message."""

    id: str = at("id")
    chat_room_id: str = at("room_id")
    seq: int = at("seq")
    """The message's place in the room's order."""
    sender_id: str = at("sender.id")
    sender: Sender = at("sender")
    content: str = at("content")
    type: str = at("type")
    status: Literal["sent", "delivered", "read"] = at("status", "sent")
    file_url: str | None = at("attachment.url")
    file_name: str | None = at("attachment.name")
    file_size: int | None = at("attachment.size")
    metadata: dict[str, Any] | None = at("metadata")
    is_edited: Annotated[bool, BeforeValidator(bool)] = at("edited_at", default=False)
    edited_at: str | None = at("edited_at")
    created_at: str = at("created_at")


class Participant(Shape):
    """Somebody in a room."""

    id: str = at("user_id")
    first_name: str | None = at("user.first_name")
    last_name: str | None = at("user.last_name")
    name: str | None = at("user.name")
    avatar: str | None = at("user.avatar")


class Room(Shape):
    """A room."""

    id: str = at("id")
    type: str = at("type")
    participant1_id: str | None = at("members.0.user_id")
    participant2_id: str | None = at("members.1.user_id")
    participant1: Participant | None = at("members.0")
    participant2: Participant | None = at("members.1")
    hotel_id: str | None = at("metadata.hotel_id")
    last_message_content: str | None = at("state.last_message.content")
    last_message_at: str | None = at("state.last_message.created_at")
    unread_count: int = at("state.unread", 0)
    is_active: bool = at("active", default=True)
    created_at: str = at("created_at")
    updated_at: str = at("updated_at")


class Rooms(Shape):
    """A page of rooms, the one with the latest message first."""

    rooms: list[Room] = at("page")
    total: int = at("total")
    page: int = at("in.page")
    limit: int = at("in.limit")


class Messages(Shape):
    """A page of messages, the latest page first, each in the order of writing."""

    messages: list[Message] = at("messages")
    total: int = at("history.total")
    page: int = at("in.page")
    limit: int = at("in.limit")


class Read(Shape):
    """Somebody has read a room."""

    roomId: str = at("room.id")
    userId: str = at("user_id")


class Marked(Shape):
    """What one has asked for is done."""

    success: bool = True
    roomId: str = at("in.room_id")


class Gone(Shape):
    """A message is deleted."""

    success: bool = True
    messageId: str = at("in.message_id")


class Online(Shape):
    """Who of a room is here."""

    roomId: str = at("in.room_id")
    users: list[str] = at("users")
    count: int = at("count")


class Healthy(Shape):
    """The service is well."""

    status: str = "healthy"
    timestamp: str = at("now")


class Connected(Shape):
    """The client is connected."""

    message: str = "Connected to chat"
    userId: str = at("me.id")


class Joined(Shape):
    """The client hears of a room."""

    roomId: str = at("in.room_id")


class Sent(Shape):
    """A message is kept."""

    id: str = at("result.message_id")
    seq: int = at("result.seq")
    chat_room_id: str = at("in.room_id")
    created_at: str = at("result.created_at")


class Deleted(Shape):
    """A message is gone."""

    messageId: str = at("id")
    roomId: str = at("room_id")


class Problem(shapes.Problem):
    """An error of the REST API."""

    timestamp: str = at("now")
    path: str = at("path")
