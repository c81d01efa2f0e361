"""What the team dialect works out from what is known: its lists, its reactions and their ids. Pure."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode

from services.gateway.dialects.rows import look_up
from services.gateway.voices import JSON
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.presence import MAX_WATCHED

MAX_ASKED = 200
"""Users per question about who they are."""

MAX_NAMED = 1000
"""Of those who reacted to the messages of one page, so many are named; the others show by their ids."""


def called(user: JSON) -> str:
    """How somebody is called; by their id, where nothing else is known."""
    names = [user.get("first_name"), user.get("last_name")]
    return str(user.get("name") or " ".join(name for name in names if name) or user["id"])


# ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────────


def shown_rooms(known: JSON) -> list[JSON]:
    """The rooms of `rooms`, each with the name and avatar that `me` sees: of two, they are the other one's."""
    return [shown_room(room, known["me"]["id"]) for room in known["rooms"]]


def shown_room(room: JSON, me: str) -> JSON:
    """A room with the name and avatar that a user sees. One without a name has those of its other members, if any."""
    members = [_user(member) for member in room.get("members") or ()]
    others = [member for member in members if member["id"] != me]
    two = room["type"] == "direct" and others
    avatar = others[0].get("avatar") if two else look_up(room, "metadata.avatar")
    return {
        **room,
        "name": (None if two else room.get("name")) or ", ".join(called(member) for member in others or members),
        "avatar": avatar if isinstance(avatar, str) else None,
    }


def _user(member: JSON) -> JSON:
    return {**(member.get("user") or {}), "id": member["user_id"]}


def people_ids(known: JSON) -> list[str]:
    """Whose presence is watched: the people of `acquaintances`, as many as may be."""
    return list(dict.fromkeys(one["user"]["id"] for one in known["acquaintances"]["people"]))[:MAX_WATCHED]


def shown_people(known: JSON) -> list[JSON]:
    """The people of `acquaintances`, each once, with their presence as it was when they began to be `watched`."""
    watched = {view["user_id"]: view for view in known["watched"]["users"]}
    people = {one["user"]["id"]: one for one in known["acquaintances"]["people"]}
    return [{**one["user"], **watched.get(user_id, one["presence"])} for user_id, one in people.items()]


def shown_favorites(known: JSON) -> list[JSON]:
    """The favorites of `marked`, with what `rooms` says: names, and the last message there or with that person."""
    rooms = {room["id"]: room for room in known["rooms"]}
    room_with = {one["user"]["id"]: one["room_id"] for one in known["acquaintances"]["people"]}
    favorites = []
    for favorite in known["marked"]["favorites"]:
        room_id = favorite["id"] if favorite["kind"] == "room" else room_with.get(favorite["id"], "")
        room = rooms.get(room_id, {})
        seen = room if favorite["kind"] == "room" else {}
        favorites.append(
            {
                **favorite,
                "name": seen.get("name") or favorite.get("name") or favorite["id"],
                "avatar": seen.get("avatar") or favorite.get("avatar"),
                "last_message": look_up(room, "state.last_message.content"),
            }
        )
    return favorites


# ── rooms and messages ───────────────────────────────────────────────────────────────────────────────────────────


def partners(known: JSON) -> list[str]:
    """Who are to be in a new room besides oneself, each once."""
    return [user_id for user_id in dict.fromkeys(known["in"]["participants"]) if user_id != known["me"]["id"]]


def unread(known: JSON) -> bool:
    """Whether there is something to be marked as read in the room of `state`, and one may."""
    return bool(known["state"].get("role") and known["state"].get("unread"))


def is_wanted(known: JSON) -> bool:
    """Whether `room` is of the kind that was asked for, where one was."""
    room = known.get("room")
    return room is None or known["in"]["type"] == ("direct" if room["type"] == "direct" else "group")


def page(known: JSON) -> list[JSON]:
    """The messages of `history` that are there still; none of another kind of room than was asked for."""
    if not is_wanted(known):
        return []
    messages: list[JSON] = known["history"]["messages"]
    # Where all of a page is deleted it is shown so: a reader goes on from the first message of each page.
    return [message for message in messages if "deleted_at" not in message] or messages


def more(known: JSON) -> bool:
    """Whether there are pages before this one."""
    return is_wanted(known) and bool(known["history"]["has_before"])


def reactors(known: JSON) -> list[list[str]]:
    """Who has reacted to the messages of `page`, in parts of which each can be asked about at once."""
    reactions = [reaction for message in known["page"] for reaction in message.get("reactions", ())]
    users = list(dict.fromkeys(user_id for reaction in reactions for user_id in reaction["users"]))[:MAX_NAMED]
    return [users[start : start + MAX_ASKED] for start in range(0, len(users), MAX_ASKED)]


def named(known: JSON) -> list[JSON]:
    """The messages of `page` with who has reacted as the directory (`users0`, `users1`, …) knows them."""
    parts = (known.get(f"users{number}") for number in range(MAX_NAMED // MAX_ASKED))
    users = {user["id"]: user for part in parts if part for user in part["users"]}

    def reaction(one: JSON) -> JSON:
        return {**one, "users": [users.get(user_id, {"id": user_id}) for user_id in one["users"]]}

    return [
        {**message, "reactions": [reaction(one) for one in message.get("reactions", ())]} for message in known["page"]
    ]


# ── reactions ────────────────────────────────────────────────────────────────────────────────────────────────────


def reaction_id(known: JSON) -> str:
    """The id of one's reaction: the message, the emoji and who one is, such that it can stand in a path."""
    return ".".join((known["in"]["message_id"], _coded(known["in"]["emoji"]), _coded(known["me"]["id"])))


def reaction_of(known: JSON) -> JSON:
    """The message and emoji of the reaction that `in.reaction_id` names.

    Raises:
        ChatError: `not_found` where it names none, `forbidden` where it is somebody else's.
    """
    nothing = ChatError(ErrorCode.NOT_FOUND, "There is no such reaction.")
    parts = known["in"]["reaction_id"].split(".")
    if len(parts) != 3:
        raise nothing
    try:
        emoji, user_id = (urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode() for part in parts[1:])
    except (binascii.Error, ValueError) as error:
        raise nothing from error
    if user_id != known["me"]["id"]:
        raise ChatError(ErrorCode.FORBIDDEN, "A reaction is taken back by whose it is.")
    return {"message_id": parts[0], "emoji": emoji}


def _coded(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")
