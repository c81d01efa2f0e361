"""The native WebSocket protocol (docs/protocol.md) as rows, and the codec between its frames and the contracts.

Holds no state: what a frame means for connections and feeds is socket.py's business.
"""

from typing import Any, TypeVar

import orjson
from pydantic import Field, ValidationError
from typing_extensions import override

from services.gateway.frames import PING, close_frame, frame
from services.gateway.rows import Emit, Local, On, Tell
from services.gateway.voices import About, Voice
from shared.bus.codec import JSON
from shared.contracts import content, integration, media, membership, messages, people, presence, rooms
from shared.contracts.base import Id, Model, View
from shared.contracts.envelope import Actor
from shared.contracts.errors import ChatError, ErrorCode, invalid
from shared.contracts.timeline import RoomStateView

M = TypeVar("M", bound=Model)

SUBPROTOCOL = "parley.v1"


class Subscribe(Model):
    """Follow a room on this connection; with `announce`, let its readers know that one looks at it."""

    room_id: Id
    announce: bool = False


class Unsubscribe(Model):
    """Stop following a room on this connection; the membership stays."""

    room_id: Id


class Typing(Model):
    """Say that one has started or stopped typing."""

    room_id: Id


class Watch(Model):
    """Be told of changes of these users' presence on this connection."""

    user_ids: list[Id] = Field(min_length=1, max_length=presence.MAX_WATCHED)


class Unwatch(Model):
    """Be told no more of these users' presence."""

    user_ids: list[Id] = Field(min_length=1, max_length=presence.MAX_WATCHED)


class Refresh(Model):
    """Renew the token of an open connection; it must be the same user's."""

    token: str = Field(min_length=1, max_length=8192)


class Ping(Model):
    """Ask for a sign of life."""


class Done(View):
    """It is done."""


class Refreshed(View):
    """The connection now lasts until `expires` (seconds since the epoch)."""

    expires: float


class Pong(View):
    """The server's clock, in seconds since the epoch."""

    time: float


class ReadyUser(Actor):
    """Who the token says one is."""


class ReadyRoom(membership.RoomView):
    """A room one is in, and where its timeline stands."""

    epoch: str
    seq: int
    rev: int
    cleared_seq: int = 0
    read_seq: int
    unread: int
    mentions: int
    last_message: content.MessageView | None = None


class ReadyLimits(View):
    """The limits of this connection; 0 means unlimited. `heartbeat`: seconds between the server's pings."""

    max_message_length: int
    max_frame_bytes: int
    max_in_flight: int
    messages_per_minute: int
    heartbeat: float


class Ready(View):
    """The connection is open and subscribed."""

    connection_id: str
    user: ReadyUser
    rooms: list[ReadyRoom]
    unread: int
    """What is unread in all these rooms, and what of it mentions one."""
    mentions: int
    limits: ReadyLimits


class ProgressView(View):
    """So much of an upload has come. `total` is absent where it was not said; at most some a second come."""

    media_id: media.MediaId
    received: int
    total: int | None = None


class FileView(View):
    """A file of one's own, as it is now."""

    media: media.MediaView


class Reset(View):
    """Where the room's timeline stands now."""

    epoch: str
    seq: int
    rev: int


ON: dict[str, On] = {
    row.name: row
    for row in (
        On("message.send", messages.SendMessage, counted=True),
        On("message.edit", messages.EditMessage, counted=True),
        On("message.delete", messages.DeleteMessage),
        On("message.react", messages.ReactToMessage, counted=True),
        On("message.unreact", messages.UnreactToMessage),
        On("message.get", messages.GetMessage),
        On("message.status", messages.GetStatus),
        On("revisions.get", messages.GetRevisions),
        On("timeline.clear", messages.ClearTimeline),
        On("read.mark", messages.MarkRead),
        On("delivered.mark", messages.MarkDelivered),
        On("unread.mark", messages.MarkUnread),
        On("receipts.get", messages.GetReceipts),
        On("rooms.states", messages.GetRoomStates),
        On("history.get", messages.GetHistory),
        On("sync", messages.Sync),
        On("room.create", rooms.CreateRoom),
        On("room.update", rooms.UpdateRoom),
        On("room.leave", rooms.LeaveRoom),
        On("room.delete", rooms.DeleteRoom),
        On("room.get", rooms.GetRoom),
        On("rooms.list", rooms.ListRooms),
        On("member.add", rooms.AddMember),
        On("member.remove", rooms.RemoveMember),
        On("member.set_role", rooms.SetRole),
        On("member.mute", rooms.MuteMember),
        On("members.set", rooms.SetMembers),
        On("room.close", rooms.CloseRoom),
        On("room.find", rooms.FindRoom),
        On("rights.explain", rooms.ExplainRight),
        On("audit.list", rooms.ListAudit),
        On("members.list", rooms.ListMembers),
        On("integration.apply", integration.ApplyExternal),
        On("participation.set_status", integration.SetParticipation),
        On("participations.list", integration.ListParticipations),
        On("presence.set", presence.SetPresence, counted=True),
        On("presence.get", presence.GetPresence),
        On("presence.room", presence.GetOnline),
        On("users.get", people.GetUsers),
        On("people.list", people.ListPeople),
        On("favorite.toggle", people.ToggleFavorite),
        On("favorites.list", people.ListFavorites),
        On("media.get", media.GetMedia),
        On("media.find", media.FindMedia),
        On("media.remove", media.RemoveMedia),
    )
}

LOCAL: dict[str, Local] = {
    row.name: row
    for row in (
        Local("room.subscribe", Subscribe, RoomStateView, "Follow a room on this connection."),
        Local("room.unsubscribe", Unsubscribe, Done, "Stop following a room on this connection."),
        Local("typing.start", Typing, Done, "Show the room's readers that one is typing."),
        Local("typing.stop", Typing, Done, "Show that one is not typing any more."),
        Local("presence.watch", Watch, presence.PresencesView, "Be told of changes of some users' presence."),
        Local("presence.unwatch", Unwatch, Done, "Be told no more of some users' presence."),
        Local("auth.refresh", Refresh, Refreshed, "Renew the connection's token."),
        Local("ping", Ping, Pong, "Ask for a sign of life."),
    )
}

SHOWN: dict[str, type[View]] = {
    presence.PresenceChanged.TYPE: presence.PresenceView,
    people.FavoritesUpdated.TYPE: people.FavoritesView,
    media.MediaProgressed.TYPE: ProgressView,
    media.MediaReady.TYPE: FileView,
    media.MediaFailed.TYPE: FileView,
}
"""What is shown of events of which not all is."""

EMIT: dict[str, Emit] = {
    name: Emit(event, name, SHOWN.get(name))
    for events in (messages.EVENTS, rooms.EVENTS, presence.EVENTS, people.EVENTS, media.EVENTS)
    for name, event in events.items()
    if event not in {messages.WorkerBeat, messages.TimelinePurged} and not issubclass(event, media.Attaching)
}

TELL: dict[str, Tell] = {
    row.name: row
    for row in (
        Tell("ready", Ready, "The first frame of every connection.", in_room=False),
        Tell("room.subscribed", RoomStateView, "The connection follows a room one has just come into."),
        Tell("missed", Done, "Presence and favorites may have changed unheard: ask for them again.", in_room=False),
        Tell("room.reset", Reset, "Too much was missed, or the history was reset: read the room afresh."),
    )
}


class Incoming:
    """A frame that is at least of the right outer shape."""

    __slots__ = ("data", "id", "type")

    def __init__(self, type: str, id: str | int | None, data: JSON) -> None:
        self.type = type
        self.id = id
        self.data = data


class Misshapen(Exception):  # noqa: N818 - a state of a frame
    """A frame without a usable outer shape; `id` is what could be read of it."""

    def __init__(self, error: ChatError, id: Any = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.id = id if isinstance(id, str | int) else None


def read(text: bytes, max_bytes: int) -> Incoming:
    """The outer shape of a client's frame: `{"type", "id", "data"}`.

    Raises:
        Misshapen: saying what is wrong with it.
    """
    if len(text) > max_bytes:
        too_large = f"The frame has {len(text)} bytes; {max_bytes} are allowed."
        raise Misshapen(ChatError(ErrorCode.TOO_LARGE, too_large))
    try:
        outer = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _misshapen(f"The frame is not JSON: {error}.") from error
    if not isinstance(outer, dict):
        raise _misshapen("The frame is not a JSON object with 'type', 'id' and 'data'.")
    number, kind, data = outer.get("id"), outer.get("type"), outer.get("data", {})
    if number is not None and not (isinstance(number, str | int) and len(str(number)) <= 128):
        raise _misshapen("The frame's 'id' must be a string or number of at most 128 characters.")
    if not isinstance(kind, str):
        raise _misshapen("The frame has no 'type'.", number)
    if not isinstance(data, dict):
        raise _misshapen("The frame's 'data' must be a JSON object.", number)
    if outer.keys() - {"type", "id", "data"}:
        raise _misshapen("The frame has fields other than 'type', 'id' and 'data'.", number)
    return Incoming(kind, number, data)


def contract(model: type[M], incoming: Incoming) -> M:
    """The frame's data as the contract of its type. Raises ChatError `invalid`."""
    try:
        return model.model_validate(incoming.data)
    except ValidationError as error:
        raise invalid(error, incoming.type) from error


def unknown(kind: str) -> ChatError:
    """The error for a type that is no row."""
    return ChatError(ErrorCode.INVALID, f"There is no frame type '{kind[:100]}'.")


def ack(number: str | int | None, result: JSON | None) -> bytes:
    """The answer to a command or query that succeeded."""
    return frame(orjson.dumps({"type": "ack", "id": number, "data": result}))


def refusal(number: str | int | None, error: ChatError) -> bytes:
    """The answer to one that did not."""
    return frame(orjson.dumps({"type": "error", "id": number, "error": error.view().model_dump(mode="json")}))


class Native(Voice):
    """The native protocol, as it is spoken. It tells everything, as it is."""

    ping = frame(b"", PING)

    @override
    def timeline(self, kind: str, room: About, seq: int, rev: int, data: JSON) -> bytes:
        return frame(orjson.dumps({"type": kind, "room_id": room.id, "seq": seq, "rev": rev, "data": data}))

    @override
    def happening(self, kind: str, room: About, data: JSON) -> bytes:
        return frame(orjson.dumps({"type": kind, "room_id": room.id, "data": data}))

    @override
    def personal(self, kind: str, data: JSON) -> bytes:
        return frame(orjson.dumps({"type": kind, "data": data}))

    @override
    def farewell(self, code: int, reason: str) -> bytes:
        return close_frame(code, reason)


NATIVE = Native()


def ready(data: JSON) -> bytes:
    """The first frame of a connection."""
    return frame(orjson.dumps({"type": "ready", "data": data}))


def _misshapen(message: str, id: Any = None) -> Misshapen:
    return Misshapen(ChatError(ErrorCode.INVALID, message), id)
