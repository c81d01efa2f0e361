"""What clients of the team dialect are shown."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator

from services.gateway.dialects.rows import Shape, at
from services.gateway.dialects.team_steps import called

# ── how kinds are called ─────────────────────────────────────────────────────────────────────────────────────────

RoomKind = Annotated[
    Literal["GROUP", "DIRECT"], BeforeValidator(lambda value: "DIRECT" if value == "direct" else "GROUP")
]
"""What a room is to these clients: one of two, or any other."""

MESSAGE_KINDS = {"text": "TEXT", "location": "TEXT", "system": "SYSTEM"}

MessageKind = Annotated[
    Literal["TEXT", "SYSTEM", "FILE"], BeforeValidator(lambda value: MESSAGE_KINDS.get(value, "FILE"))
]
"""What a message is to these clients: images and the like are files."""

LastKind = Annotated[
    Literal["TEXT", "SYSTEM"], BeforeValidator(lambda value: "SYSTEM" if value == "system" else "TEXT")
]
"""What the last message of a room is to them."""

Capitals = Annotated[str, BeforeValidator(str.upper)]


class Named(Shape):
    """Somebody, who always has a name: their id, where none is known."""

    id: str = at("id")
    name: str = at("name")

    @model_validator(mode="before")
    @classmethod
    def _named(cls, known: Any) -> Any:
        user = known if isinstance(known, dict) else {"id": known}
        return {**user, "name": called(user)}


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Reaction(Shape):
    """An emoji, and who has chosen it."""

    emoji: str = at("emoji")
    users: list[Named] = at("users")


class File(Shape):
    """A file that a message shows."""

    url: str = at("url")
    name: str | None = at("name", omit=True)
    size: int | None = at("size", omit=True)
    mimeType: str | None = at("mime_type", omit=True)


class Message(Shape):
    """A message."""

    id: str = at("id")
    content: str = at("content")
    sender: Named = at("sender")
    timestamp: str = at("created_at")
    type: MessageKind = at("type")
    reactions: list[Reaction] = at("reactions", [])
    attachment: File | None = at("attachment", omit=True)


class ChatMessage(Message):
    """A message, and where it was written."""

    roomId: str = at("room_id")
    roomType: RoomKind = at("room.type")


class Updated(Shape):
    """A message is another one now."""

    roomId: str = at("room_id")
    message: ChatMessage = at("message")

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, known: Any) -> Any:
        return {**known, "message": known}


class Deleted(Shape):
    """A message is gone."""

    roomId: str = at("room_id")
    messageId: str = at("id")


class Started(Shape):
    """A direct room is there: what the document wants to be a message of it. It is not kept."""

    id: Annotated[str, BeforeValidator(lambda room_id: f"direct-{room_id}")] = at("room.id")
    content: str = "Direct chat started"
    sender: Named = at("room.created_by")
    timestamp: str = at("room.created_at")
    type: Literal["SYSTEM"] = "SYSTEM"
    reactions: list[Reaction] = []
    roomId: str = at("room.id")
    roomType: Literal["DIRECT"] = "DIRECT"


class Messages(Shape):
    """A page of messages, in the order of writing."""

    messages: list[Message] = at("messages")
    hasMore: bool = at("more")


# ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────────


class LastMessage(Shape):
    """The last message of a room."""

    content: str = at("content")
    timestamp: str = at("created_at")
    type: LastKind = at("type")


class Room(Shape):
    """A room, as sockets are told of it."""

    id: str = at("id")
    name: str = at("name")
    type: RoomKind = at("type")
    lastMessage: LastMessage | None = at("state.last_message", omit=True)
    unreadCount: int = at("state.unread", 0)
    avatar: str | None = at("avatar", omit=True)


class Person(Named):
    """Somebody one has talked with."""

    status: Literal["online", "offline", "away"] = at("status")
    lastSeen: str | None = at("last_seen", omit=True)
    avatar: str | None = at("avatar", omit=True)


class Favorite(Shape):
    """A room or user one has marked."""

    id: str = at("id")
    type: Capitals = at("kind")
    name: str = at("name")
    avatar: str | None = at("avatar", omit=True)
    lastMessage: str | None = at("last_message", omit=True)


class Lists(Shape):
    """All that a client begins with."""

    rooms: list[Room] = at("rooms")
    people: list[Person] = at("people")
    favorites: list[Favorite] = at("favorites")


# ── the REST API's rooms ─────────────────────────────────────────────────────────────────────────────────────────


class Participant(Named):
    """Somebody in a room."""

    avatar: str | None = at("avatar")


class Member(Shape):
    """Somebody in a room, as what, and since when."""

    user: Participant = at("user")
    role: Capitals = at("role")
    joinedAt: str = at("joined_at")

    @model_validator(mode="before")
    @classmethod
    def _known(cls, known: Any) -> Any:
        return {**known, "user": known.get("user") or known["user_id"]}


class Made(Shape):
    """A room that was made."""

    id: str = at("room.id")
    name: str = at("room.name")
    type: RoomKind = at("room.type")
    participants: list[Member] = at("members.members")


class Written(Shape):
    """The last message of a room, and who wrote it."""

    content: str = at("content")
    timestamp: str = at("created_at")
    sender: Named = at("sender")


class Listed(Shape):
    """A room of a list."""

    id: str = at("id")
    name: str = at("name")
    type: RoomKind = at("type")
    lastMessage: Written | None = at("state.last_message")
    participants: list[Participant] = at("participants")

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, known: Any) -> Any:
        members = known.get("members") or ()
        return {**known, "participants": [member.get("user") or member["user_id"] for member in members]}


class Rooms(Shape):
    """One's rooms, the one with the latest message first."""

    rooms: list[Listed] = at("rooms")


# ── the rest ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Reacted(Shape):
    """A reaction is kept."""

    id: str = at("reaction_id")
    emoji: str = at("in.emoji")
    messageId: str = at("in.message_id")
    userId: str = at("me.id")


class Gone(Shape):
    """It is taken back."""

    success: bool = True


class Healthy(Shape):
    """The service is well."""

    status: str = "ok"
    timestamp: str = at("now")


class Present(Shape):
    """Somebody has come, gone or become away."""

    userId: str = at("user_id")
    status: str = at("status")


class Joined(Shape):
    """The room that it is about."""

    roomId: str = at("in.room_id")


class Begun(Shape):
    """The room of two."""

    roomId: str = at("made.room.id")


class Sent(Shape):
    """A message is kept."""

    id: str = at("result.message_id")
    roomId: str = at("in.room_id")
    timestamp: str = at("result.created_at")


class Failed(Shape):
    """Something was refused."""

    message: str = at("error.message")


def _in_words(details: Any) -> str | None:
    """The particulars of an error as a text: the fields that are wrong, mostly."""
    if isinstance(details, list):
        return "; ".join(
            ": ".join(map(str, item.values())) if isinstance(item, dict) else str(item) for item in details
        )
    return None if details is None else str(details)


class Problem(Shape):
    """An error of the REST API."""

    error: str = at("error.message")
    details: Annotated[str | None, BeforeValidator(_in_words)] = at("error.details")
    code: int = at("status")
