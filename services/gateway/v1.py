"""The canonical REST API, as rows. Everything it can do, the socket can do too."""

from services.gateway.rows import Pass, Route
from shared.contracts import integration, media, messages, people, presence, rooms

ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/rooms", rooms.CreateRoom, "Create a room, or get the one that exists.", 201, unwrap="room"),
    Route("GET", "/v1/rooms", rooms.ListRooms, "List one's rooms."),
    Route("GET", "/v1/rooms/{room_id}", rooms.GetRoom, "Get a room."),
    Route("PATCH", "/v1/rooms/{room_id}", rooms.UpdateRoom, "Rename a room or replace its metadata.", unwrap="room"),
    Route("DELETE", "/v1/rooms/{room_id}", rooms.DeleteRoom, "Delete a room with its timeline."),
    Route("POST", "/v1/rooms/{room_id}/leave", rooms.LeaveRoom, "End one's own membership."),
    Route("GET", "/v1/rooms/{room_id}/members", rooms.ListMembers, "List a room's members."),
    Route("POST", "/v1/rooms/{room_id}/members", rooms.AddMember, "Add a member.", 201, unwrap="member"),
    Route("PATCH", "/v1/rooms/{room_id}/members/{user_id}", rooms.SetRole, "Change a member's role.", unwrap="member"),
    Route("DELETE", "/v1/rooms/{room_id}/members/{user_id}", rooms.RemoveMember, "Remove a member."),
    Route("PUT", "/v1/rooms/{room_id}/members", rooms.SetMembers, "Make the members exactly these."),
    Route(
        "PUT",
        "/v1/rooms/{room_id}/members/{user_id}/mute",
        rooms.MuteMember,
        "Mute a member, or unmute them.",
        unwrap="member",
    ),
    Route(
        "POST", "/v1/rooms/{room_id}/close", rooms.CloseRoom, "End the conversation, or open it again.", unwrap="room"
    ),
    Route(
        "GET", "/v1/rooms/{room_id}/rights/{action}", rooms.ExplainRight, "See whether and why one may do something."
    ),
    Route("GET", "/v1/externals/{kind}/{id}/room", rooms.FindRoom, "Get the room of another system's object."),
    Route("GET", "/v1/audit", rooms.ListAudit, "List administrative acts; for admins."),
    Route("POST", "/v1/rooms/{room_id}/messages", messages.SendMessage, "Send a message.", 201, counted=True),
    Route("GET", "/v1/rooms/{room_id}/messages", messages.GetHistory, "Read a page of the history."),
    Route("POST", "/v1/rooms/{room_id}/read", messages.MarkRead, "Mark messages as read."),
    Route("POST", "/v1/rooms/{room_id}/delivered", messages.MarkDelivered, "Mark messages as delivered."),
    Route("POST", "/v1/rooms/{room_id}/unread", messages.MarkUnread, "Show the room as unread, to oneself."),
    Route("GET", "/v1/rooms/{room_id}/receipts", messages.GetReceipts, "See who has read how far."),
    Route("POST", "/v1/rooms/{room_id}/clear", messages.ClearTimeline, "Clear the conversation."),
    Route("GET", "/v1/messages/{message_id}", messages.GetMessage, "Get a message."),
    Route("GET", "/v1/messages/{message_id}/status", messages.GetStatus, "See whom a message has reached."),
    Route("GET", "/v1/messages/{message_id}/revisions", messages.GetRevisions, "See what it said before its edits."),
    Route("PATCH", "/v1/messages/{message_id}", messages.EditMessage, "Edit a message.", counted=True),
    Route("DELETE", "/v1/messages/{message_id}", messages.DeleteMessage, "Delete a message."),
    Route(
        "PUT", "/v1/messages/{message_id}/reactions/{emoji}", messages.ReactToMessage, "Add a reaction.", counted=True
    ),
    Route("DELETE", "/v1/messages/{message_id}/reactions/{emoji}", messages.UnreactToMessage, "Take a reaction back."),
    Route("GET", "/v1/rooms/{room_id}/online", presence.GetOnline, "List the members of a room who are here."),
    Route("PUT", "/v1/presence", presence.SetPresence, "Appear as online, away or offline.", counted=True),
    Route("POST", "/v1/presence/query", presence.GetPresence, "Get whether users are here."),
    Route("POST", "/v1/users/query", people.GetUsers, "Get users by id."),
    Route("GET", "/v1/people", people.ListPeople, "List the people one has talked with."),
    Route("GET", "/v1/favorites", people.ListFavorites, "List one's favorites."),
    Route("POST", "/v1/favorites/toggle", people.ToggleFavorite, "Mark a room or user as a favorite, or not."),
    Route("POST", "/v1/sync", messages.Sync, "Get what changed since one's cursors."),
    Route("POST", "/v1/rooms/states", messages.GetRoomStates, "Get where rooms stand: seq, rev, unread."),
    Route("POST", "/v1/integration/events", integration.ApplyExternal, "Tell what happened outside.", gathers="events"),
    Route(
        "GET",
        "/v1/externals/{kind}/{id}/participations",
        integration.ListParticipations,
        "List who wishes to take part.",
    ),
    Route(
        "PATCH",
        "/v1/participations/{participation_id}/status",
        integration.SetParticipation,
        "Accept, refuse or cancel a participation.",
    ),
    Route("GET", "/v1/media/{media_id}", media.GetMedia, "Get what is known of a file, and links to its forms."),
    Route("DELETE", "/v1/media/{media_id}", media.RemoveMedia, "Remove a file of one's own that no message shows."),
)

PASSES: tuple[Pass, ...] = (
    Pass("POST", "/v1/media", "Upload a file."),
    Pass("GET", "/v1/media/{media_id}/{variant}", "Download a form of a file.", linked=True),
    Pass("HEAD", "/v1/media/{media_id}/{variant}", "See what a download would bring.", linked=True),
    Pass("OPTIONS", "/v1/uploads", "See which resumable uploads the server takes.", public=True),
    Pass("POST", "/v1/uploads", "Begin a resumable upload."),
    Pass("OPTIONS", "/v1/uploads/{media_id}", "See which resumable uploads the server takes.", public=True),
    Pass("HEAD", "/v1/uploads/{media_id}", "See how much of a resumable upload has come."),
    Pass("PATCH", "/v1/uploads/{media_id}", "Go on with a resumable upload."),
    Pass("DELETE", "/v1/uploads/{media_id}", "Give a resumable upload up."),
    Pass("POST", "/v1/uploads/{media_id}", "Do what X-HTTP-Method-Override says, for clients that know few methods."),
)
"""What is passed on to the media service, bytes and all (docs/media.md)."""
