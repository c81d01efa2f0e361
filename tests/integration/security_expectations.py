"""Who may do what, written by hand: the promise that nobody looks in, as tables. Knows nothing of shared.permissions.

`+` done, `f` forbidden, `n` not found, `c` conflict, `-` answered as though the room did not exist, `.` cannot be.
"""

from shared.contracts.membership import RoomType

CALLERS = {
    "owner": "member of the room with this role",
    "admin": "likewise",
    "member": "likewise",
    "reader": "likewise: read_only; has written when still a member",
    "former": "was a member, has written, and was removed",
    "stranger": "of the same tenant, never a member",
    "moderator": "likewise, with the global role `admin`",
    "assistant": "likewise, with the global role `assistant`",
    "service": "likewise, with the global role `service`",
    "foreigner": "of another tenant, with the owner's user id",
    "moderator abroad": "likewise, with the global role `admin`",
    "service abroad": "likewise, with the global role `service`",
}
ABROAD = ("foreigner", "moderator abroad", "service abroad")

ALL_ROOMS = """
                                  owner admin member reader former stranger moderator service abroad
message.send                        +     +     +      f      f       f         f        +      n
message.send for the system         f     f     f      f      f       f         f        +      n
message.edit one's own              +     +     +      f      f       .         .        +      n
message.edit another's              f     f     f      f      f       f         f        f      n
message.delete one's own            +     +     +      f      f       .         .        +      n
message.react                       +     +     +      f      f       f         f        +      n
message.unreact                     +     +     +      f      f       f         f        +      n
message.get                         +     +     +      +      f       f         +        +      n
message.status                      +     +     +      +      f       f         +        +      n
revisions.get one's own             +     +     +      +      f       .         .        +      n
history.get                         +     +     +      +      f       f         +        +      n
sync                                +     +     +      +      f       f         +        +      n
rooms.states                        +     +     +      +      -       -         +        +      -
receipts.get                        +     +     +      +      f       f         +        +      n
read.mark                           +     +     +      +      f       f         f        f      n
delivered.mark                      +     +     +      +      f       f         f        f      n
unread.mark                         +     +     +      +      f       f         f        f      n
room.get                            +     +     +      +      f       f         +        +      n
members.list                        +     +     +      +      f       f         +        +      n
rooms.list                          +     +     +      +      -       -         -        -      -
presence.room                       +     +     +      +      f       f         +        +      n
favorite.toggle                     +     +     +      +      f       f         +        +      n
room.subscribe                      +     +     +      +      f       f         +        +      n
typing.start                        +     +     +      f      f       f         f        +      f
typing.stop                         +     +     +      f      f       f         f        +      f
"""

GROUP = """
                                  owner admin member reader former stranger moderator service abroad
message.delete another's            +     +     f      f      f       f         +        +      n
revisions.get another's             +     +     f      f      f       f         +        +      n
room.update                         +     +     f      f      f       f         +        +      n
member.add                          +     +     f      f      f       f         +        +      n
member.add as an admin              +     f     f      f      f       f         +        +      n
member.remove                       +     +     f      f      f       f         +        +      n
member.remove an admin              +     f     f      f      f       f         +        +      n
member.set_role                     +     f     f      f      f       f         +        +      n
member.mute                         +     +     f      f      f       f         +        +      n
members.set                         +     f     f      f      f       f         +        +      n
room.leave                          +     +     +      +      f       f         f        f      n
room.close                          +     f     f      f      f       f         +        +      n
room.delete                         +     f     f      f      f       f         +        +      n
"""

EVENT = """
                                  owner admin member reader former stranger moderator service abroad
message.delete another's            +     +     f      f      f       f         +        +      n
room.update                         f     f     f      f      f       f         +        +      n
member.add                          f     f     f      f      f       f         +        +      n
member.add as an admin              f     f     f      f      f       f         +        +      n
member.remove                       f     f     f      f      f       f         +        +      n
member.remove an admin              f     f     f      f      f       f         +        +      n
member.set_role                     f     f     f      f      f       f         +        +      n
member.mute                         f     f     f      f      f       f         +        +      n
members.set                         f     f     f      f      f       f         +        +      n
room.leave                          f     f     f      f      f       f         f        f      n
room.close                          f     f     f      f      f       f         +        +      n
room.delete                         f     f     f      f      f       f         +        +      n
"""

SESSION = """
                                  owner admin member reader former stranger moderator service abroad
message.edit another's              +     f     f      f      f       f         f        f      n
room.update                         +     f     f      f      f       f         +        +      n
room.close                          +     f     f      f      f       f         +        +      n
room.delete                         +     f     f      f      f       f         +        +      n
timeline.clear                      +     f     f      f      f       f         +        +      n
"""

DIRECT = """
                                  owner admin member reader former stranger moderator service abroad
message.delete another's            f     f     f      f      .       f         +        +      n
revisions.get another's             f     f     f      f      .       f         +        +      n
room.update                         f     f     f      f      .       f         +        +      n
member.add                          f     f     f      f      .       f         c        c      n
member.add as an admin              f     f     f      f      .       f         c        c      n
member.remove                       f     f     f      f      .       f         c        c      n
member.set_role                     f     f     f      f      .       f         +        +      n
member.mute                         f     f     f      f      .       f         +        +      n
members.set                         f     f     f      f      .       f         c        c      n
room.leave                          f     f     f      f      .       f         f        f      n
room.close                          f     f     f      f      .       f         +        +      n
room.delete                         f     f     f      f      .       f         +        +      n
timeline.clear                      f     f     f      f      .       f         +        +      n
"""

ASSISTED = frozenset(
    {
        "message.send",
        "message.edit one's own",
        "message.delete one's own",
        "revisions.get one's own",
        "message.react",
        "message.unreact",
        "message.get",
        "history.get",
        "sync",
        "rooms.states",
        "receipts.get",
        "message.status",
        "presence.room",
        "favorite.toggle",
        "room.get",
        "members.list",
        "room.subscribe",
        "typing.start",
        "typing.stop",
    }
)
"""What an assistant may do in the sessions of their tenant. Elsewhere, and else, they are strangers."""

ABOUT_ONESELF = {
    "room.create", "room.unsubscribe", "auth.refresh", "ping", "presence.set", "presence.get", "presence.watch",
    "presence.unwatch", "users.get", "people.list", "favorites.list", "room.find", "rights.explain", "audit.list",
    "media.get", "media.find", "media.remove", "integration.apply", "participation.set_status", "participations.list",
}  # fmt: skip
"""What concerns no room of others; tests of their own show that it stays within the caller's tenant."""

INTERNAL = {
    "timeline.purge": "f",
    "rooms.access": "f",
    "user.record": "+",
    "presence.report": "f",
    "delivered.report": "f",
}
"""What clients cannot name at all, and how its owner answers who has not the role `service`."""

OUTCOMES = {"+": "ok", "f": "forbidden", "n": "not_found", "c": "conflict", "-": "unseen"}


PAIRS = frozenset(
    {
        RoomType.DIRECT,
        RoomType.CUSTOMER_HOTEL_OWNER,
        RoomType.CUSTOMER_ADMIN,
        RoomType.HOTEL_OWNER_ADMIN,
    }
)

TABLES: dict[RoomType, tuple[str, ...]] = {
    RoomType.GROUP: (GROUP,),
    RoomType.EVENT: (EVENT,),
    RoomType.SESSION: (EVENT, SESSION),
    **dict.fromkeys(PAIRS, (DIRECT,)),
}
"""What holds beside `ALL_ROOMS`; of two rows for one request the later."""


def expectations(kind: RoomType) -> dict[tuple[str, str], str]:
    """(request, caller) -> outcome in rooms of a type; what cannot be is left out."""
    table = _read(ALL_ROOMS)
    for own in TABLES[kind]:
        table |= _read(own)
    if kind in PAIRS:  # nobody can have been removed from one
        table = {key: outcome for key, outcome in table.items() if key[1] != "former"}
    for request in dict.fromkeys(request for request, _ in table):
        assisted = kind is RoomType.SESSION and request in ASSISTED
        if assisted or (request, "stranger") in table:
            table[request, "assistant"] = OUTCOMES["+"] if assisted else table[request, "stranger"]
    return table


def requests_of(kind: RoomType) -> list[str]:
    """The requests of a room type's table."""
    return list(dict.fromkeys(request for request, _ in expectations(kind)))


def _read(table: str) -> dict[tuple[str, str], str]:
    head, *lines = table.strip().splitlines()
    columns = head.split()
    result = {}
    for line in lines:
        (*words,) = line.split()
        request, cells = " ".join(words[: -len(columns)]), words[-len(columns) :]
        for column, cell in zip(columns, cells, strict=True):
            for caller in ABROAD if column == "abroad" else (column,):
                if cell != ".":
                    result[request, caller] = OUTCOMES[cell]
    return result
