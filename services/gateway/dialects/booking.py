"""The client API of a booking system's chat: rooms of two roles, `join_room`, `send_message`, `new_message`."""

from services.gateway.dialects.booking_shapes import (
    Connected,
    Deleted,
    Gone,
    Healthy,
    Joined,
    Marked,
    Message,
    MessageOf,
    Messages,
    NewRoom,
    Online,
    Page,
    PageOf,
    Problem,
    Read,
    Room,
    RoomOf,
    Rooms,
    Send,
    Sent,
)
from services.gateway.dialects.rows import (
    Ask,
    At,
    Emit,
    Follow,
    Greet,
    Make,
    On,
    Route,
    Say,
    Type,
    Unfollow,
    dialect,
    look_up,
)
from services.gateway.dialects.shapes import Failed, Nothing, Typed
from services.gateway.dialects.steps import EVERYTHING, WITH_STATES, attachment, offset_of, page_of
from services.gateway.voices import JSON
from shared.contracts import messages, presence, rooms

# ── what it takes ────────────────────────────────────────────────────────────────────────────────────────────────


def _others(known: JSON) -> JSON:
    """Who makes a room with whom: an admin may, for two others."""
    one, two, me = known["in"]["participant1_id"], known["in"]["participant2_id"], known["me"]["id"]
    if me in (one, two):
        return {"members": [two if me == one else one]}
    return {"owner": one, "members": [two]}


def _online(known: JSON) -> list[str]:
    return [user["user_id"] for user in known["present"]["users"]]


SEND = (
    Make("attachment", attachment),
    Ask(
        messages.SendMessage,
        {
            "room_id": At("in.room_id"),
            "content": At("in.content"),
            "type": At("in.type"),
            "attachment": At("attachment"),
            "metadata": At("in.metadata"),
            "client_id": At("in.client_id"),
        },
    ),
)
READ_ALL = (Ask(messages.MarkRead, {"room_id": At("in.room_id"), "seq": EVERYTHING}),)

BOOKING = dialect(
    "booking",
    on=(
        On("join_room", RoomOf, (Follow(At("in.room_id")),), (Say("joined_room", Joined),)),
        On("leave_room", RoomOf, (Unfollow(At("in.room_id")),), (Say("left_room", Joined),)),
        On("send_message", Send, SEND, ack=Say("", Sent), counted=True),
        On("mark_messages_read", RoomOf, READ_ALL, ack=Say("", Marked)),
        On("typing_start", RoomOf, (Type(At("in.room_id"), started=True),)),
        On("typing_stop", RoomOf, (Type(At("in.room_id"), started=False),)),
    ),
    emit=(
        Emit(messages.MessageCreated, "new_message", Message),
        Emit(messages.MessageUpdated, "message_updated", Message),
        Emit(messages.MessageDeleted, "message_deleted", Deleted),
        Emit(messages.ReceiptsUpdated, "messages_read", Read, each="receipts", when=lambda item: item["read_seq"] > 0),
        Emit(presence.Typing, "user_typing", Typed, spares="user_id"),
    ),
    greet=(Greet(Say("connected", Connected)),),
    routes=(
        Route(
            "POST",
            "/chat/rooms",
            NewRoom,
            (
                Make("who", _others),
                Make(
                    "metadata", lambda known: {"hotel_id": hotel} if (hotel := look_up(known, "in.hotel_id")) else None
                ),
                Ask(
                    rooms.CreateRoom,
                    {
                        "type": At("in.type"),
                        "owner": At("who.owner"),
                        "members": At("who.members"),
                        "metadata": At("metadata"),
                    },
                    "made",
                ),
                Ask(rooms.GetRoom, {"room_id": At("made.room.id"), "with_members": 2}, "room"),
            ),
            Room,
            "Make a room, or get the one there is.",
            of="room",
            status=201,
            existed="made",
        ),
        Route(
            "GET",
            "/chat/rooms",
            Page,
            (
                Ask(rooms.ListRooms, {"limit": 500, "with_members": 2}, "list", every="rooms"),
                *WITH_STATES,
                Make("total", lambda known: len(known["rooms"])),
                Make("page", page_of),
            ),
            Rooms,
            "List one's rooms, a page at a time.",
        ),
        Route(
            "GET",
            "/chat/rooms/{roomId}",
            RoomOf,
            (
                Ask(rooms.GetRoom, {"room_id": At("in.room_id"), "with_members": 2}, "room"),
                Make("list", lambda known: {"rooms": [known["room"]]}),
                *WITH_STATES,
            ),
            Room,
            "Get a room.",
            of="rooms.0",
        ),
        Route(
            "POST",
            "/chat/messages",
            Send,
            (*SEND, Ask(messages.GetMessage, {"message_id": At("result.message_id")}, "message")),
            Message,
            "Send a message.",
            of="message",
            status=201,
            counted=True,
            existed="result",
        ),
        Route(
            "GET",
            "/chat/rooms/{roomId}/messages",
            PageOf,
            (
                Make("offset", offset_of),
                Ask(
                    messages.GetHistory,
                    {"room_id": At("in.room_id"), "offset": At("offset"), "limit": At("in.limit")},
                    "history",
                ),
                Make("messages", lambda known: known["history"]["messages"]),
            ),
            Messages,
            "Read a page of the history.",
        ),
        Route("POST", "/chat/rooms/{roomId}/read", RoomOf, READ_ALL, Marked, "Mark everything as read."),
        Route(
            "DELETE",
            "/chat/messages/{messageId}",
            MessageOf,
            (Ask(messages.DeleteMessage, {"message_id": At("in.message_id")}),),
            Gone,
            "Delete a message.",
        ),
        Route(
            "GET",
            "/chat/rooms/{roomId}/online-users",
            RoomOf,
            (
                Ask(presence.GetOnline, {"room_id": At("in.room_id")}, "present"),
                Make("users", _online),
                Make("count", lambda known: len(known["users"])),
            ),
            Online,
            "See who of a room is here.",
        ),
        Route("GET", "/chat/health", Nothing, (), Healthy, "See whether the service is well.", public=True),
    ),
    failure=Say("error", Failed),
    problem=Problem,
)
