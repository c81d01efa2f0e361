"""The client API of an assistant's chat: a socket is in one session, and what it sends goes there.

Every payload on a socket is put into an envelope `{type, data, timestamp}`.
"""

from services.gateway.dialects.rows import (
    Ask,
    At,
    Either,
    Emit,
    Follow,
    Greet,
    Keep,
    Make,
    Need,
    On,
    Route,
    Say,
    Type,
    Unfollow,
    dialect,
)
from services.gateway.dialects.session_shapes import (
    KIND,
    Cleared,
    Connected,
    Count,
    Deleted,
    Edit,
    Emptied,
    Ended,
    Envelope,
    Failed,
    Gone,
    Info,
    Joined,
    Left,
    Message,
    MessageOf,
    PageOf,
    Problem,
    Read,
    RecentOf,
    Send,
    SendTo,
    Sent,
    SessionOf,
    Typed,
    Typing,
    session_id,
)
from services.gateway.dialects.shapes import Nothing
from services.gateway.dialects.steps import before_live
from services.gateway.voices import JSON
from shared.contracts import messages, presence, rooms

RECENT = 50
"""Messages that a socket is given when it joins."""


def _with_room(known: JSON) -> list[JSON]:
    """The messages of a page, each with its room beside it."""
    return [{**message, "room": known["room"]} for message in known["history"]["messages"]]


def _recent(known: JSON) -> list[JSON]:
    """Those of a page that have not been deleted: nobody turns it, so none need keep its place."""
    return [message for message in _with_room(known) if message.get("deleted_at") is None]


def _left(known: JSON) -> str | None:
    """The room that the socket was in, where that is another one."""
    before = known["here"].get("room_id")
    return before if before != known["room"]["id"] else None


FIND = Either(
    (
        Ask(rooms.FindRoom, {"kind": KIND, "id": At("in.session_id")}),
        Ask(rooms.GetRoom, {"room_id": At("in.session_id")}),
    ),
    "Session not found: there is none with this id, or it is not yours.",
    into="room",
)
JOINED = Need(At("here.room_id"), "This socket is in no session: send join_session first.")
PAGE = Ask(
    messages.GetHistory, {"room_id": At("room.id"), "limit": At("in.limit"), "offset": At("in.offset")}, "history"
)
RESULT = (
    Ask(messages.GetMessage, {"message_id": At("in.message_id")}, "message"),
    Ask(rooms.GetRoom, {"room_id": At("message.room_id")}, "room"),
    Make("message", lambda known: {**known["message"], "room": known["room"]}),
)

SESSION = dialect(
    "session",
    on=(
        On(
            "join_session",
            SessionOf,
            (
                FIND,
                Follow(At("room.id")),
                Make("left", _left),
                Unfollow(At("left")),
                Keep("room_id", At("room.id")),
                Make("session_id", lambda known: session_id(known["room"])),
                Keep("session_id", At("session_id")),
                Make("before", before_live),
                Ask(
                    messages.GetHistory,
                    {"room_id": At("room.id"), "before": At("before"), "limit": RECENT},
                    "history",
                ),
                Make("messages", _recent),
            ),
            (Say("session_joined", Joined, kind="system"),),
            leads=True,
        ),
        On(
            "leave_session",
            Nothing,
            (
                Unfollow(At("here.room_id")),
                Keep("room_id", None),
                Keep("session_id", None),
            ),
            ack=Say("", Left, kind="system"),
        ),
        On(
            "send_message",
            Send,
            (
                JOINED,
                Ask(
                    messages.SendMessage,
                    {
                        "room_id": At("here.room_id"),
                        "content": At("in.content"),
                        "metadata": At("in.metadata"),
                        "client_id": At("in.client_id"),
                    },
                ),
            ),
            ack=Say("", Sent, kind="message"),
            counted=True,
        ),
        On("typing", Typing, (JOINED, Type(At("here.room_id"), started=At("in.is_typing")))),
        On(
            "get_session_info",
            Nothing,
            (
                Ask(rooms.GetRoom, {"room_id": At("here.room_id")}, "room", given=At("here.room_id")),
                Ask(
                    messages.GetHistory,
                    {"room_id": At("here.room_id"), "limit": 1},
                    "history",
                    given=At("here.room_id"),
                ),
                Make("active", lambda known: not known["room"]["closed"] if "room" in known else None),
            ),
            (Say("session_info", Info, kind="system"),),
        ),
    ),
    emit=(
        Emit(messages.MessageCreated, "message_received", Message, kind="message"),
        Emit(messages.MessageUpdated, "message_updated", Message, kind="message"),
        Emit(messages.MessageDeleted, "message_deleted", Deleted, kind="message"),
        Emit(messages.TimelineCleared, "conversation_cleared", Cleared, kind="system"),
        Emit(
            messages.ReceiptsUpdated,
            "messages_read",
            Read,
            each="receipts",
            when=lambda item: item["read_seq"] > 0,
            kind="system",
        ),
        Emit(presence.Typing, "typing_indicator", Typed, spares="user_id", kind="typing"),
        Emit(rooms.RoomUpdated, "session_ended", Ended, when=lambda it: it["room"]["closed"], kind="system"),
        Emit(rooms.RoomDeleted, "session_ended", Ended, kind="system"),
    ),
    greet=(Greet(Say("connected", Connected, kind="system")),),
    routes=(
        Route(
            "POST",
            "/chat/sessions/{sessionId}/messages",
            SendTo,
            (
                FIND,
                Ask(
                    messages.SendMessage,
                    {
                        "room_id": At("room.id"),
                        "content": At("in.content"),
                        "metadata": At("in.metadata"),
                        "client_id": At("in.client_id"),
                    },
                ),
                Ask(messages.GetMessage, {"message_id": At("result.message_id")}, "message"),
                Make("message", lambda known: {**known["message"], "room": known["room"]}),
            ),
            Message,
            "Send a message.",
            of="message",
            status=201,
            counted=True,
            existed="result",
        ),
        Route(
            "GET",
            "/chat/sessions/{sessionId}/messages",
            PageOf,
            (FIND, PAGE, Make("messages", _with_room)),
            Message,
            "Read a page of the conversation.",
            of="messages",
            many=True,
        ),
        Route(
            "GET",
            "/chat/sessions/{sessionId}/messages/recent",
            RecentOf,
            (FIND, PAGE, Make("messages", _recent)),
            Message,
            "Read the latest messages.",
            of="messages",
            many=True,
        ),
        Route(
            "GET",
            "/chat/sessions/{sessionId}/messages/count",
            SessionOf,
            (FIND, Ask(messages.GetHistory, {"room_id": At("room.id"), "limit": 1}, "history")),
            Count,
            "Count the messages.",
        ),
        Route(
            "PUT",
            "/chat/messages/{messageId}",
            Edit,
            (
                Ask(
                    messages.EditMessage,
                    {"message_id": At("in.message_id"), "content": At("in.content"), "metadata": At("in.metadata")},
                ),
                *RESULT,
            ),
            Message,
            "Change a message.",
            of="message",
        ),
        Route(
            "DELETE",
            "/chat/messages/{messageId}",
            MessageOf,
            (Ask(messages.DeleteMessage, {"message_id": At("in.message_id")}),),
            Gone,
            "Delete a message.",
        ),
        Route(
            "DELETE",
            "/chat/sessions/{sessionId}/messages",
            SessionOf,
            (FIND, Ask(messages.ClearTimeline, {"room_id": At("room.id")})),
            Emptied,
            "Clear the conversation.",
        ),
    ),
    failure=Say("error", Failed, kind="error"),
    problem=Problem,
    envelope=Envelope,
)
