"""What clients of the team dialect send."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, field_validator

from services.gateway.dialects.rows import Wire

MAX_PAGE = 200

Lowered = Annotated[str, BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)]
"""A word that these clients write in capitals."""


class RoomOf(Wire):
    """A room."""

    BARE = "room_id"

    room_id: str = Field(alias="roomId")


class MessageOf(Wire):
    """A message."""

    BARE = "message_id"

    message_id: str = Field(alias="messageId")


class UserOf(Wire):
    """Somebody else."""

    BARE = "user_id"

    user_id: str = Field(validation_alias=AliasChoices("targetUserId", "userId"))


class Status(Wire):
    """As what one wants to appear."""

    BARE = "status"

    status: Lowered


class Send(Wire):
    """A message."""

    room_id: str = Field(alias="roomId")
    content: str = ""
    type: Lowered = "text"
    file_url: str | None = Field(default=None, alias="fileUrl")
    file_name: str | None = Field(default=None, alias="fileName")
    file_size: int | None = Field(default=None, alias="fileSize")
    mime_type: str | None = Field(default=None, alias="mimeType")
    client_id: str | None = Field(default=None, alias="clientId")


class Edit(Wire):
    """What a message is to say."""

    message_id: str = Field(alias="messageId")
    content: str


class Typing(Wire):
    """Whether one is typing."""

    room_id: str = Field(alias="roomId")
    typing: bool = Field(alias="isTyping")


class Mark(Wire):
    """A room or user, to be a favorite or not."""

    id: str
    kind: Lowered = Field(alias="type")


class NewRoom(Wire):
    """A room."""

    name: str
    participants: list[str] = Field(max_length=5000)
    client_id: str | None = Field(default=None, alias="clientId")


class History(Wire):
    """A page of a room's messages, the latest or those before a time."""

    room_id: str = Field(alias="roomId")
    type: Literal["direct", "group"] | None = None
    before: datetime | None = None
    limit: int = Field(default=50, ge=1)

    @field_validator("type", mode="before")
    @classmethod
    def _canonical(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("before")
    @classmethod
    def _aware(cls, value: datetime | None) -> datetime | None:
        """A time that names no zone is UTC."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value

    @field_validator("limit")
    @classmethod
    def _bounded(cls, value: int) -> int:
        return min(value, MAX_PAGE)


class React(Wire):
    """An emoji on a message."""

    message_id: str = Field(alias="messageId")
    emoji: str

    @field_validator("emoji")
    @classmethod
    def _bare(cls, value: str) -> str:
        return value.strip()


class ReactionOf(Wire):
    """A reaction."""

    reaction_id: str = Field(alias="reactionId", examples=["934e4f863b4e815ca37b82de.8J-RjQ.YWxpY2U"])
