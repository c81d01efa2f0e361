"""The client API of a team's chat: `chat:*` events, lists of rooms, people and favorites, reactions."""

from services.gateway.dialects.rows import (
    Ask,
    At,
    Emit,
    Follow,
    Greet,
    Make,
    On,
    Refresh,
    Route,
    Say,
    Type,
    Unfollow,
    Watch,
    dialect,
)
from services.gateway.dialects.shapes import Nothing, Typed
from services.gateway.dialects.steps import WITH_STATES, attachment
from services.gateway.dialects.team_shapes import (
    Begun,
    ChatMessage,
    Deleted,
    Failed,
    Favorite,
    Gone,
    Healthy,
    Joined,
    Lists,
    Made,
    Messages,
    Person,
    Present,
    Problem,
    Reacted,
    Room,
    Rooms,
    Sent,
    Started,
    Updated,
)
from services.gateway.dialects.team_steps import (
    MAX_ASKED,
    MAX_NAMED,
    more,
    named,
    page,
    partners,
    people_ids,
    reaction_id,
    reaction_of,
    reactors,
    shown_favorites,
    shown_people,
    shown_room,
    shown_rooms,
    unread,
)
from services.gateway.dialects.team_wires import (
    Edit,
    History,
    Mark,
    MessageOf,
    NewRoom,
    React,
    ReactionOf,
    RoomOf,
    Send,
    Status,
    Typing,
    UserOf,
)
from shared.contracts import messages, people, presence, rooms

# ── the lists of sockets ─────────────────────────────────────────────────────────────────────────────────────────

IN_ORDER = (
    *WITH_STATES,
    Make("rooms", shown_rooms),
)
ROOMS = (Ask(rooms.ListRooms, {"limit": 500, "with_members": 2}, "list", every="rooms"), *IN_ORDER)
ACQUAINTANCES = (Ask(people.ListPeople, {"limit": 500}, "acquaintances", every="people"),)
PRESENCES = (
    Make("people_ids", people_ids),
    Watch(At("people_ids")),
    Make("people", shown_people),
)
PEOPLE = (*ACQUAINTANCES, *PRESENCES)
FAVORITES = (
    *ROOMS,
    *ACQUAINTANCES,
    Ask(people.ListFavorites, {}, "marked"),
    Make("favorites", shown_favorites),
)

ABOUT_ROOMS = (
    rooms.RoomCreated,
    rooms.RoomUpdated,
    rooms.RoomDeleted,
    rooms.MemberAdded,
    rooms.MemberRemoved,
)
ABOUT_MESSAGES = (
    messages.MessageCreated,
    messages.MessageUpdated,
    messages.MessageDeleted,
    messages.TimelineCleared,
)

# ── what is asked for in several ways ────────────────────────────────────────────────────────────────────────────

NAMES = tuple(
    Ask(people.GetUsers, {"user_ids": At(f"who.{number}")}, f"users{number}", given=At(f"who.{number}"))
    for number in range(MAX_NAMED // MAX_ASKED)
)
START_DIRECT = (
    Ask(rooms.CreateRoom, {"type": "direct", "members": At("who")}, "made"),
    Make("again", lambda known: not known["made"].get("created")),
    Follow(At("made.room.id"), given=At("again")),
)

TEAM = dialect(
    "team",
    on=(
        On(
            "chat:join",
            RoomOf,
            (
                Follow(At("in.room_id")),
                Make("unread", unread),
                Ask(messages.MarkRead, {"room_id": At("in.room_id"), "seq": At("state.seq")}, given=At("unread")),
            ),
            ack=Say("", Joined),
        ),
        On("chat:leave", RoomOf, (Unfollow(At("in.room_id")),), ack=Say("", Joined)),
        On(
            "chat:send_message",
            Send,
            (
                Make("attachment", attachment),
                Ask(
                    messages.SendMessage,
                    {
                        "room_id": At("in.room_id"),
                        "content": At("in.content"),
                        "type": At("in.type"),
                        "attachment": At("attachment"),
                        "client_id": At("in.client_id"),
                    },
                ),
            ),
            ack=Say("", Sent),
            counted=True,
        ),
        On("chat:typing", Typing, (Type(At("in.room_id"), started=At("in.typing")),)),
        On("chat:presence", Status, (Ask(presence.SetPresence, {"status": At("in.status")}),), counted=True),
        On(
            "chat:update_message",
            Edit,
            (Ask(messages.EditMessage, {"message_id": At("in.message_id"), "content": At("in.content")}),),
            counted=True,
        ),
        On("chat:delete_message", MessageOf, (Ask(messages.DeleteMessage, {"message_id": At("in.message_id")}),)),
        On(
            "chat:start_direct",
            UserOf,
            (Make("who", lambda known: [known["in"]["user_id"]]), *START_DIRECT),
            (Say("chat:message", Started, of="made", given=At("again")),),
            ack=Say("", Begun),
        ),
        On("chat:toggle_favorite", Mark, (Ask(people.ToggleFavorite, {"kind": At("in.kind"), "id": At("in.id")}),)),
    ),
    emit=(
        Emit(messages.MessageCreated, "chat:message", ChatMessage),
        Emit(messages.MessageUpdated, "chat:message_update", Updated),
        Emit(messages.MessageReacted, "chat:message_update", Updated),
        Emit(messages.MessageDeleted, "chat:message_delete", Deleted),
        Emit(rooms.RoomCreated, "chat:message", Started, when=lambda made: made["room"]["type"] == "direct"),
        Emit(presence.Typing, "chat:typing_status", Typed, spares="user_id"),
        Emit(presence.PresenceChanged, "chat:presence_update", Present),
    ),
    greet=(Greet(Say("chat:init_data", Lists), (*FAVORITES, *PRESENCES)),),
    refresh=(
        Refresh(
            (*ABOUT_ROOMS, *ABOUT_MESSAGES, messages.ReceiptsUpdated),
            Say("chat:room_list_update", Room, of="rooms", many=True),
            ROOMS,
        ),
        Refresh(
            (*ABOUT_ROOMS, presence.PresenceChanged),
            Say("chat:people_list_update", Person, of="people", many=True),
            PEOPLE,
        ),
        Refresh(
            (*ABOUT_ROOMS, *ABOUT_MESSAGES, people.FavoritesUpdated),
            Say("chat:favorites_update", Favorite, of="favorites", many=True),
            FAVORITES,
        ),
    ),
    routes=(
        Route(
            "POST",
            "/api/v2/chat/rooms",
            NewRoom,
            (
                Make("who", partners),
                Ask(
                    rooms.CreateRoom,
                    {
                        "type": "group",
                        "name": At("in.name"),
                        "members": At("who"),
                        "client_id": At("in.client_id"),
                    },
                    "made",
                ),
                Ask(rooms.GetRoom, {"room_id": At("made.room.id"), "with_members": 2}, "room"),
                Make("room", lambda known: shown_room(known["room"], known["me"]["id"])),
                Ask(rooms.ListMembers, {"room_id": At("made.room.id"), "limit": 500}, "members", every="members"),
            ),
            Made,
            "Make a room.",
            status=201,
            existed="made",
        ),
        Route(
            "GET",
            "/api/v2/chat/rooms",
            Nothing,
            (
                Ask(rooms.ListRooms, {"limit": 500, "with_members": rooms.MAX_SHOWN}, "list", every="rooms"),
                *IN_ORDER,
            ),
            Rooms,
            "List one's rooms.",
        ),
        Route(
            "GET",
            "/api/v2/chat/messages",
            History,
            (
                Ask(rooms.GetRoom, {"room_id": At("in.room_id")}, "room", given=At("in.type")),
                Ask(
                    messages.GetHistory,
                    {"room_id": At("in.room_id"), "before_time": At("in.before"), "limit": At("in.limit")},
                    "history",
                ),
                Make("page", page),
                Make("who", reactors),
                *NAMES,
                Make("messages", named),
                Make("more", more),
            ),
            Messages,
            "Read a page of a room's history.",
        ),
        Route(
            "POST",
            "/api/v2/chat/reactions",
            React,
            (
                Ask(messages.ReactToMessage, {"message_id": At("in.message_id"), "emoji": At("in.emoji")}),
                Make("reaction_id", reaction_id),
            ),
            Reacted,
            "React to a message.",
            status=201,
            counted=True,
        ),
        Route(
            "DELETE",
            "/api/v2/chat/reactions/{reactionId}",
            ReactionOf,
            (
                Make("reaction", reaction_of),
                Ask(
                    messages.UnreactToMessage,
                    {"message_id": At("reaction.message_id"), "emoji": At("reaction.emoji")},
                ),
            ),
            Gone,
            "Take a reaction back.",
        ),
        Route("GET", "/health", Nothing, (), Healthy, "See whether the service is well.", public=True),
    ),
    failure=Say("chat:error", Failed),
    problem=Problem,
    namespaces=("/chat/", "/"),
    demands=("token", "userId"),
    bearer=True,
    follows=True,
    prefix="/api/v2/chat",
)
