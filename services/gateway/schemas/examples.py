"""Examples made from schemas: the same story everywhere, told by the names of the fields. Pure."""

from collections.abc import Mapping, Set
from typing import Any, NamedTuple

from services.gateway.schemas.components import JSON, Components
from shared.ids import group_room_id, message_id

ROOM = group_room_id("default", "alice", "weekend")
MESSAGE = message_id(ROOM, "alice", "c-7")
MOMENT = "2026-01-05T09:30:00.123Z"

SHOWN = frozenset({"client_id", "content", "last_message", "limit", "members", "name", "role", "type"})
"""Fields that examples show although they may be left out."""

VALUES: dict[str, Any] = {
    "Actor.id": "alice",
    "MessageView.id": MESSAGE,
    "ReadyRoom.id": ROOM,
    "ReadyUser.id": "alice",
    "RoomView.id": ROOM,
    "SenderView.id": "alice",
    "UserView.id": "bob",
    "Actor.name": "Alice",
    "ReadyUser.name": "Alice",
    "SenderView.name": "Alice",
    "UserView.name": "Bob",
    "CreateRoom.members": ["bob", "carol"],
    "RoomDeleted.members": ["alice", "bob", "carol"],
    "RoomAccess.members": {"alice": "owner", "bob": "member"},
    "Sync.cursors": {ROOM: "0:14", "d41d8cd98f00b204e9800998ecf8427": None},
    "SyncView.errors": {"d41d8cd98f00b204e9800998ecf8427": "not_found"},
    "MessageView.client_id": "c-7",
    "SendMessage.client_id": "c-7",
    "ApplyExternal.events": [
        {"specversion": "1.0", "id": "1", "source": "/events", "type": "event.cancelled", "data": {"event_id": "42"}}
    ],
    "External.id": "42",
    "External.kind": "event",
    "FindRoom.id": "7",
    "FindRoom.kind": "sortie",
    "ListParticipations.id": "7",
    "ListParticipations.kind": "sortie",
    "born": 15,
    "client_id": "c-1",
    "connection_id": "9f2c4be1d07a63e5",
    "content": "Shall we take the early train?",
    "created_by": "alice",
    "cursor": "0:15",
    "ReportDelivered.delivered": {"bob": 12, "carol": 11},
    "delivered_seq": 12,
    "delivered_to": ["bob", "carol"],
    "emoji": "👍",
    "epoch": "0",
    "expires": 1767607800.0,
    "heartbeat": 25.0,
    "joined_at": MOMENT,
    "limit": 50,
    "max_frame_bytes": 65536,
    "max_in_flight": 64,
    "max_message_length": 10000,
    "member_count": 3,
    "mentions": 1,
    "message_id": MESSAGE,
    "messages_per_minute": 60,
    "name": "Weekend",
    "participation_id": "p-1",
    "read_by": ["bob"],
    "read_seq": 9,
    "recorded": True,
    "rev": 15,
    "replyto": "gateway-0",
    "role": "member",
    "roles": [],
    "room_id": ROOM,
    "room_ids": [ROOM],
    "roomrev": 15,
    "roomseq": 12,
    "seq": 12,
    "source": "/gateway-0",
    "specversion": "1.0",
    "subject": ROOM,
    "tenant": "default",
    "time": MOMENT,
    "type": "group",
    "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "typing": True,
    "looking": True,
    "announce": True,
    "read_from": 8,
    "unread": 3,
    "unread_from": 4,
    "user_id": "bob",
    "ReactionView.users": ["bob", "carol"],
    "PersonView.room_id": "d5a4f1c0e9b8a7d6c5b4a3f2e1d0c9b",
    "ToggleFavorite.id": ROOM,
    "FavoriteView.id": ROOM,
    "user_ids": ["bob", "carol"],
    "last_seen": MOMENT,
    "kind": "room",
    "favorite": True,
    "lease": 30.0,
    "gateway": "gateway-0.5f0c2a91b7d4",
    "number": 3,
    "version": 3,
    "worker": "messages-0",
}


class Story(NamedTuple):
    """What examples tell."""

    values: Mapping[str, Any] = VALUES
    """By `Owner.field`, or by the field alone."""
    shown: Set[str] = SHOWN
    """Fields that are shown although they may be left out, named so too."""


PLAIN = Story()


def example(schema: JSON, components: Components, path: str = "", story: Story = PLAIN) -> Any:
    """A value that the schema allows.

    Args:
        path: `Owner.field`, for the story's values; the owner's part is the title of its schema.
    """
    for key in (path, path.rpartition(".")[2]):
        if key in story.values and fits(story.values[key], schema, components):
            return story.values[key]
    if "$ref" in schema:
        return example(components.resolve(schema), components, path, story)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema.get("default", schema["enum"][0])
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            return _first(schema[choice], components, path, story)
    return _plain(schema, components, path, story)


def fits(value: Any, schema: JSON, components: Components) -> bool:
    """Whether a value of the table is at all of the kind that the schema wants."""
    schema = components.resolve(schema)
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices is not None:
        return any(fits(value, choice, components) for choice in choices)
    if "enum" in schema or "const" in schema:
        return value in schema.get("enum", [schema.get("const")])
    return isinstance(value, _KINDS.get(schema.get("type", ""), object))


_KINDS: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


def _first(choices: list[JSON], components: Components, path: str, story: Story) -> Any:
    """The first choice that says something; null for optional values that the table has nothing for."""
    telling = [choice for choice in choices if "$ref" in choice or "properties" in choice]
    optional = any(choice.get("type") == "null" for choice in choices)
    if not telling and optional:
        return None
    return example((telling or choices)[0], components, path, story)


def _plain(schema: JSON, components: Components, path: str, story: Story) -> Any:
    match schema.get("type"):
        case "object":
            return _object(schema, components, path, story)
        case "array":
            return [example(schema["items"], components, path, story)] if "items" in schema else []
        case "string":
            return MOMENT if schema.get("format") == "date-time" else path.rpartition(".")[2] or "text"
        case "integer" | "number":
            return schema.get("default", schema.get("minimum", 1))
        case "boolean":
            return schema.get("default", False)
        case _:
            return None


def _object(schema: JSON, components: Components, path: str, story: Story) -> JSON:
    owner, required = schema.get("title", path.partition(".")[0]), schema.get("required", ())
    shown = {
        name: example(part, components, f"{owner}.{name}", story)
        for name, part in schema.get("properties", {}).items()
        if name in required or {name, f"{owner}.{name}"} & story.shown
    }
    if not shown and isinstance(schema.get("additionalProperties"), dict):
        return {ROOM: example(schema["additionalProperties"], components, story=story)}
    return shown
