"""The client API of direct, group and event chats.

Its document names the REST endpoints. It says what sockets do, but not by which events: these are chosen so that no
other dialect has one of the same name.
"""

from services.gateway.dialects.eventchat_shapes import (
    Came,
    Chat,
    ChatOf,
    Connected,
    Deleted,
    Done,
    Edit,
    Ended,
    Failed,
    Gone,
    InChat,
    Joined,
    Marked,
    Media,
    Message,
    MessageOf,
    Messages,
    MessageStatus,
    NewChat,
    Online,
    Page,
    PageOf,
    ParticipantOf,
    PeopleOf,
    Receipt,
    Removed,
    Renamed,
    Seen,
    Send,
    Sent,
    Status,
    Told,
    Typed,
    Typing,
    UpTo,
    Went,
)
from services.gateway.dialects.rows import (
    Ask,
    At,
    Each,
    Emit,
    Follow,
    Greet,
    Make,
    On,
    Route,
    Say,
    Type,
    Unfollow,
    Upload,
    dialect,
    look_up,
)
from services.gateway.dialects.shapes import DetailedProblem
from services.gateway.dialects.steps import EVERYTHING, WITH_STATES, attachment, before_live, page_of, with_status
from services.gateway.voices import JSON
from shared.contracts import messages, presence, rooms

MANY = 100
"""Participants past which nobody is told how far each of them has got."""

# ── what it works out ────────────────────────────────────────────────────────────────────────────────────────────


def _kind_of_chat(known: JSON) -> str:
    """What kind of chat is meant, where that is not said: with one other and without a name it is direct."""
    sent = known["in"]
    others = set(sent["user_ids"]) - {known["me"]["id"]}
    inferred = "direct" if len(others) == 1 and not sent.get("name") else "group"
    return str(sent.get("type") or ("event" if sent.get("event_id") else inferred))


def _external(known: JSON) -> JSON | None:
    event_id = known["in"].get("event_id")
    return None if event_id is None else {"kind": "event", "id": event_id}


def _kind_of_message(known: JSON) -> str:
    """What kind of message is meant, where that is not said: by its parts."""
    sent = known["in"]
    if sent.get("file_url"):
        kind = sent.get("mime_type", "image/").partition("/")[0]
        inferred = kind if kind in {"image", "video", "audio"} else "file"
    else:
        inferred = "location" if sent.get("location") else "text"
    return str(sent.get("type") or inferred)


def _deletes(known: JSON) -> bool:
    """Whether who is done with a chat ends it for all: its owner does, and who may but is not in it. Others leave."""
    room = known["room"]
    may = room.get("capabilities", ())
    return "delete_room" in may and (room.get("role") in {None, "owner"} or "leave" not in may)


def _target(known: JSON) -> JSON:
    """The room and `seq` that are to be marked."""
    message = known.get("message")
    if message is None:
        return {"room_id": known["in"].get("chat_id"), "seq": EVERYTHING}
    return {"room_id": message["room_id"], "seq": message["seq"]}


# ── steps that several rows have ─────────────────────────────────────────────────────────────────────────────────

WHOLE = (
    Ask(rooms.ListMembers, {"room_id": At("room.id"), "limit": 500}, "people"),
    Make("list", lambda known: {"rooms": [{**known["room"], "members": known["people"]["members"]}]}),
    *WITH_STATES,
)
CHAT = (Ask(rooms.GetRoom, {"room_id": At("in.chat_id")}, "room"), *WHOLE)
HISTORY = (
    Ask(rooms.GetRoom, {"room_id": At("in.chat_id")}, "room"),
    Ask(messages.GetMessage, {"message_id": At("in.before")}, "mark", given=At("in.before")),
    Make("before", lambda known: look_up(known, "mark.seq") or before_live(known)),
    Ask(
        messages.GetHistory,
        {"room_id": At("in.chat_id"), "before": At("before"), "limit": At("in.limit")},
        "history",
    ),
    Make("few", lambda known: known["room"]["member_count"] <= MANY),
    Ask(messages.GetReceipts, {"room_id": At("in.chat_id")}, "marks", given=At("few")),
    Make("messages", with_status),
)
SEND = (
    Make("attachment", attachment),
    Make("type", _kind_of_message),
    Ask(
        messages.SendMessage,
        {
            "room_id": At("in.chat_id"),
            "content": At("in.content"),
            "type": At("type"),
            "attachment": At("attachment"),
            "location": At("in.location"),
            "reply_to": At("in.reply_to"),
            "metadata": At("in.metadata"),
            "client_id": At("in.client_id"),
        },
    ),
)
EDIT = (
    Ask(
        messages.EditMessage,
        {"message_id": At("in.message_id"), "content": At("in.content"), "metadata": At("in.metadata")},
    ),
    Ask(messages.GetMessage, {"message_id": At("in.message_id")}, "message"),
)
DELETE = (Ask(messages.DeleteMessage, {"message_id": At("in.message_id")}),)
TARGET = (
    Ask(messages.GetMessage, {"message_id": At("in.message_id")}, "message", given=At("in.message_id")),
    Make("target", _target),
)
MARK = {"room_id": At("target.room_id"), "seq": At("target.seq")}

# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────

EVENTCHAT = dialect(
    "eventchat",
    on=(
        On("join_chat", PageOf, (Follow(At("in.chat_id")), *HISTORY), (Say("chat_joined", Joined),), leads=True),
        On("leave_chat", ChatOf, (Unfollow(At("in.chat_id")),), (Say("chat_left", InChat),)),
        On("get_messages", PageOf, HISTORY, (Say("messages", Messages),)),
        On("create_message", Send, SEND, ack=Say("", Sent), counted=True),
        On("edit_message", Edit, EDIT, ack=Say("", Message, of="message")),
        On("delete_message", MessageOf, DELETE, ack=Say("", Gone)),
        On("set_typing", Typing, (Type(At("in.chat_id"), started=At("in.is_typing")),), ack=Say("", Done)),
        On("mark_delivered", UpTo, (*TARGET, Ask(messages.MarkDelivered, MARK)), ack=Say("", Marked)),
        On("mark_read", UpTo, (*TARGET, Ask(messages.MarkRead, MARK)), ack=Say("", Marked)),
        On(
            "get_message_status",
            MessageOf,
            (Ask(messages.GetStatus, {"message_id": At("in.message_id")}),),
            (Say("message_status", MessageStatus),),
        ),
        On(
            "get_online",
            ChatOf,
            (
                Ask(presence.GetOnline, {"room_id": At("in.chat_id")}, "present"),
                Make("count", lambda known: len(known["present"]["users"])),
            ),
            (Say("online_users", Online),),
        ),
        On(
            "set_status",
            Status,
            (Ask(presence.SetPresence, {"status": At("in.status")}),),
            ack=Say("", Seen, of="result"),
        ),
    ),
    emit=(
        Emit(messages.MessageCreated, "message_created", Message),
        Emit(messages.MessageUpdated, "message_edited", Message),
        Emit(messages.MessageDeleted, "message_deleted", Deleted),
        Emit(messages.TimelineCleared, "chat_cleared", Told),
        Emit(messages.ReceiptsUpdated, "receipt_updated", Receipt, each="receipts"),
        Emit(presence.Typing, "typing_changed", Typed, spares="user_id"),
        Emit(presence.PresenceChanged, "user_status", Seen),
        Emit(rooms.RoomUpdated, "chat_updated", Renamed),
        Emit(rooms.RoomDeleted, "chat_deleted", Told),
        Emit(rooms.MemberAdded, "participant_added", Came),
        Emit(rooms.MemberRemoved, "participant_removed", Went),
    ),
    greet=(Greet(Say("connected", Connected)),),
    routes=(
        Route(
            "POST",
            "/chat",
            NewChat,
            (
                Make("type", _kind_of_chat),
                Make("external", _external),
                Ask(
                    rooms.CreateRoom,
                    {
                        "type": At("type"),
                        "name": At("in.name"),
                        "members": At("in.user_ids"),
                        "external": At("external"),
                        "metadata": At("in.metadata"),
                        "client_id": At("in.client_id"),
                    },
                    "made",
                ),
                Make("room", lambda known: look_up(known, "made.room")),
                *WHOLE,
            ),
            Chat,
            "Make a chat, or get the one there is.",
            of="rooms.0",
            status=201,
            existed="made",
        ),
        Route(
            "GET",
            "/chat",
            Page,
            (
                Ask(rooms.ListRooms, {"limit": 500, "with_members": rooms.MAX_SHOWN}, "list", every="rooms"),
                *WITH_STATES,
                Make("page", page_of),
            ),
            Chat,
            "List one's chats, the one with the latest message first.",
            of="page",
            many=True,
        ),
        Route("GET", "/chat/{chatId}", ChatOf, CHAT, Chat, "Get a chat.", of="rooms.0"),
        Route(
            "DELETE",
            "/chat/{chatId}",
            ChatOf,
            (
                Ask(rooms.GetRoom, {"room_id": At("in.chat_id")}, "room"),
                Make("deletes", _deletes),
                Make("leaves", lambda known: not known["deletes"]),
                Ask(rooms.DeleteRoom, {"room_id": At("in.chat_id")}, given=At("deletes")),
                Ask(rooms.LeaveRoom, {"room_id": At("in.chat_id")}, given=At("leaves")),
            ),
            Ended,
            "Delete a chat that is one's own; leave any other.",
        ),
        Route(
            "GET",
            "/chat/{chatId}/messages",
            PageOf,
            HISTORY,
            Messages,
            "Read a page of the messages.",
        ),
        Route(
            "POST",
            "/chat/{chatId}/participants",
            PeopleOf,
            (
                Each(
                    At("in.user_ids"),
                    Ask(rooms.AddMember, {"room_id": At("in.chat_id"), "user_id": At("item")}),
                ),
                *CHAT,
            ),
            Chat,
            "Add participants.",
            of="rooms.0",
            status=201,
        ),
        Route(
            "DELETE",
            "/chat/{chatId}/participants/{userId}",
            ParticipantOf,
            (
                Make("oneself", lambda known: known["in"]["user_id"] == known["me"]["id"]),
                Make("another", lambda known: not known["oneself"]),
                Ask(rooms.LeaveRoom, {"room_id": At("in.chat_id")}, given=At("oneself")),
                Ask(
                    rooms.RemoveMember,
                    {"room_id": At("in.chat_id"), "user_id": At("in.user_id")},
                    given=At("another"),
                ),
            ),
            Removed,
            "Remove a participant, or leave.",
        ),
        Route(
            "POST",
            "/chat/message",
            Send,
            (*SEND, Ask(messages.GetMessage, {"message_id": At("result.message_id")}, "message")),
            Message,
            "Send a message.",
            of="message",
            status=201,
            counted=True,
            existed="result",
        ),
        Route("PATCH", "/chat/message", Edit, EDIT, Message, "Change a message.", of="message"),
        Route("DELETE", "/chat/message/{messageId}", MessageOf, DELETE, Gone, "Delete a message."),
    ),
    uploads=(Upload("/chat/media", Media, "Upload a file, to be shown by a message."),),
    failure=Say("error", Failed),
    problem=DetailedProblem,
)
