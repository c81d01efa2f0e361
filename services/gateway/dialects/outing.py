"""The client API of outings' chats: one room per outing (`sortie`), `joinRoom`, `sendMessage`, `receiveMessage`."""

from services.gateway.dialects import outing_steps as steps
from services.gateway.dialects.outing_shapes import (
    Admitted,
    Came,
    Chat,
    ChatIf,
    ChatOf,
    Connected,
    Decision,
    Deleted,
    Gone,
    Joined,
    Left,
    Marked,
    Media,
    Member,
    MembersOf,
    Message,
    MessageOf,
    Messages,
    Notice,
    Online,
    Over,
    PageOf,
    Participation,
    Read,
    Removed,
    Send,
    SendTo,
    Sent,
    Typed,
    Typing,
)
from services.gateway.dialects.rows import (
    Announce,
    Ask,
    At,
    Emit,
    Follow,
    Greet,
    Keep,
    Make,
    On,
    Route,
    Say,
    Step,
    Type,
    Unfollow,
    Upload,
    dialect,
)
from services.gateway.dialects.shapes import DetailedProblem, Failed, Nothing
from services.gateway.dialects.steps import WITH_STATES
from shared.contracts import integration, messages, presence, rooms

# ── steps that several rows take ─────────────────────────────────────────────────────────────────────────────────

ROOM_ID = Make("room_id", steps.room_id)
ROOM: tuple[Step, ...] = (ROOM_ID, Ask(rooms.GetRoom, {"room_id": At("room_id")}, "room"))
SHOWN: tuple[Step, ...] = (
    Ask(messages.GetReceipts, {"room_id": At("room.id")}, "receipts"),
    Make("messages", steps.with_readers),
)
HISTORY: tuple[Step, ...] = (
    Ask(
        messages.GetHistory,
        {
            "room_id": At("room.id"),
            "limit": At("page.limit"),
            "offset": At("page.offset"),
            "before": At("page.before"),
            "before_time": At("page.before_time"),
        },
        "history",
    ),
    Make("list", lambda known: known["history"]["messages"]),
    *SHOWN,
)
JOIN: tuple[Step, ...] = (
    ROOM_ID,
    Follow(At("room_id")),
    Ask(rooms.GetRoom, {"room_id": At("room_id")}, "room"),
    Make("page", steps.latest),
    *HISTORY,
    Announce(At("room_id")),
    Keep("room_id", At("room_id")),
)
LEAVE: tuple[Step, ...] = (ROOM_ID, Unfollow(At("room_id")), Make("still", steps.still), Keep("room_id", At("still")))
SEND: tuple[Step, ...] = (
    ROOM_ID,
    Make("attachment", steps.attachment),
    Ask(
        messages.SendMessage,
        {
            "room_id": At("room_id"),
            "content": At("in.content"),
            "type": At("in.type"),
            "attachment": At("attachment"),
            "location": At("in.location"),
            "reply_to": At("in.reply_to"),
            "client_id": At("in.client_id"),
        },
    ),
)
THE_MESSAGE = Ask(messages.GetMessage, {"message_id": At("in.message_id")}, "message")
ITSELF: tuple[Step, ...] = (
    Ask(rooms.GetRoom, {"room_id": At("message.room_id")}, "room"),
    Make("list", lambda known: [known["message"]]),
    *SHOWN,
)
MARK: tuple[Step, ...] = (
    THE_MESSAGE,
    Ask(messages.MarkRead, {"room_id": At("message.room_id"), "seq": At("message.seq")}),
)
PAGE: tuple[Step, ...] = (
    *ROOM,
    Make("before_message", steps.before_message),
    Ask(messages.GetMessage, {"message_id": At("in.before")}, "cursor", given=At("before_message")),
    Make("page", lambda known: {**steps.start(known), "limit": known["in"]["limit"]}),
    *HISTORY,
    Make("pages", steps.pages),
    Make("next", steps.next_cursor),
)
CHATS: tuple[Step, ...] = (*WITH_STATES, Make("rooms", steps.chats))
CHAT: tuple[Step, ...] = (
    *ROOM,
    Ask(rooms.ListMembers, {"room_id": At("room.id"), "limit": 500}, "page"),
    Make("list", lambda known: {"rooms": [{**known["room"], "members": known["page"]["members"]}]}),
    *CHATS,
    Make("rooms", steps.found),
)

# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────

OUTING = dialect(
    "outing",
    on=(
        On("joinRoom", ChatOf, JOIN, (Say("joinedRoom", Joined),), leads=True),
        On("sendMessage", Send, SEND, ack=Say("", Sent), counted=True),
        On("typing", Typing, (ROOM_ID, Type(At("room_id"), started=At("in.typing")))),
        On("markAsRead", MessageOf, MARK, ack=Say("", Marked)),
        On("leaveRoom", ChatIf, LEAVE, ack=Say("", Left)),
        On(
            "getOnlineUsers",
            ChatIf,
            (
                *ROOM,
                Ask(presence.GetOnline, {"room_id": At("room.id")}, "present"),
                Make("users", lambda known: [user["user_id"] for user in known["present"]["users"]]),
                Make("count", lambda known: len(known["users"])),
            ),
            (Say("onlineUsers", Online),),
        ),
    ),
    emit=(
        Emit(messages.MessageCreated, "receiveMessage", Message),
        Emit(messages.MessageCreated, "notification", Notice, when=steps.is_system),
        Emit(messages.MessageUpdated, "messageUpdated", Message),
        Emit(messages.MessageDeleted, "messageDeleted", Deleted),
        Emit(messages.ReceiptsUpdated, "messageRead", Read, each="receipts", messages=steps.newly_read),
        Emit(presence.Typing, "userTyping", Typed, spares="user_id"),
        Emit(presence.Looking, "userJoinedRoom", Came, spares="user_id", when=lambda data: data["looking"]),
        Emit(presence.Looking, "userLeftRoom", Came, spares="user_id", when=lambda data: not data["looking"]),
        Emit(rooms.MemberAdded, "notification", Admitted, only="member.user_id"),
        Emit(rooms.MemberRemoved, "notification", Removed, only="user_id"),
        Emit(rooms.RoomDeleted, "notification", Over),
    ),
    greet=(Greet(Say("connected", Connected)),),
    routes=(
        Route(
            "GET",
            "/chats",
            Nothing,
            (
                Ask(rooms.ListRooms, {"limit": 500, "with_members": 20}, "list", every="rooms"),
                *CHATS,
            ),
            Chat,
            "List one's chats, the one with the latest message first.",
            of="rooms",
            many=True,
        ),
        Route("GET", "/chats/sortie/{sortieId}", ChatOf, CHAT, Chat, "Get an outing's chat.", of="rooms.0"),
        Route("GET", "/chats/{chatId}", ChatOf, CHAT, Chat, "Get a chat.", of="rooms.0"),
        Route(
            "GET",
            "/chats/sortie/{sortieId}/members",
            MembersOf,
            (
                ROOM_ID,
                Ask(
                    rooms.ListMembers,
                    {"room_id": At("room_id"), "after": At("in.after"), "limit": At("in.limit")},
                    "page",
                ),
            ),
            Member,
            "List the members of an outing's chat.",
            of="page.members",
            many=True,
        ),
        Route("GET", "/messages/sortie/{sortieId}", PageOf, PAGE, Messages, "Read a page of an outing's messages."),
        Route("GET", "/messages/chat/{chatId}", PageOf, PAGE, Messages, "Read a page of a chat's messages."),
        Route(
            "POST",
            "/messages/sortie/{sortieId}",
            SendTo,
            (
                *SEND,
                Ask(messages.GetMessage, {"message_id": At("result.message_id")}, "message"),
                *ITSELF,
            ),
            Message,
            "Send a message.",
            of="messages.0",
            status=201,
            counted=True,
            existed="result",
        ),
        Route("GET", "/messages/{messageId}", MessageOf, (THE_MESSAGE, *ITSELF), Message, "Get one.", of="messages.0"),
        Route(
            "DELETE",
            "/messages/{messageId}",
            MessageOf,
            (
                THE_MESSAGE,
                Make("own", steps.own),
                Ask(messages.DeleteMessage, {"message_id": At("in.message_id")}),
            ),
            Gone,
            "Delete one's message.",
        ),
        Route("POST", "/messages/{messageId}/read", MessageOf, MARK, Marked, "Mark a message as read."),
        Route(
            "PATCH",
            "/participations/{id}/status",
            Decision,
            (
                Ask(
                    integration.SetParticipation,
                    {"participation_id": At("in.participation_id"), "status": At("in.status")},
                ),
            ),
            Participation,
            "Accept, refuse or cancel a participation.",
            of="result",
        ),
    ),
    uploads=(Upload("/messages/upload", Media, "Upload a file, to be shown by a message."),),
    failure=Say("error", Failed),
    problem=DetailedProblem,
)
