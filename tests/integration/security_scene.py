"""A room with everybody who can stand in some relation to it, made on the bus, quickly. No expectations here."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4
from zlib import crc32

from shared.contracts.membership import RoomType
from shared.permissions import POLICIES
from tests.integration.security_bus import Insider
from tests.integration.security_expectations import CALLERS, PAIRS

JSON = dict[str, Any]

PEER = "peer"
"""Whose messages are another's to everybody."""

SHARDS = 4
AGREED = 6
"""Refusals in a row after which every worker (two, taking turns) has heard that somebody is out."""

ROLES = {"owner": "owner", "admin": "admin", "member": "member", "reader": "read_only"}


class Refused(Exception):  # noqa: N818 - reads as what it says
    """A command of the scene's making was refused."""


@dataclass(slots=True)
class Scene:
    """Rooms of one type, and what there is in them, by caller. Group: one room for all; direct: one per member."""

    kind: RoomType
    tenant: str
    rooms: dict[str, str] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)
    """A message of the caller's, where they could ever write one."""
    doomed: dict[str, str] = field(default_factory=dict)
    """Another one of theirs, to be deleted."""
    others: dict[str, str] = field(default_factory=dict)
    """A message of `PEER` in the caller's room."""

    def room(self, caller: str) -> str:
        """The room a caller is about: their own, or that of somebody who is in one."""
        return self.rooms.get(caller) or self.rooms["member"]

    def actor(self, caller: str) -> JSON:
        """Who the caller is on the bus, and the claims of their token."""
        return actor(self.tenant, caller)


def actor(tenant: str, caller: str) -> JSON:
    """A caller as an actor. Those abroad bear the names of those at home."""
    home = not caller.endswith("abroad") and caller != "foreigner"
    name = "owner" if caller == "foreigner" else caller.removesuffix(" abroad")
    roles = {"moderator": ["admin"], "service": ["service"], "assistant": ["assistant"]}.get(name, [])
    return {"id": name, "tenant": tenant if home else f"{tenant}-abroad", "roles": roles}


async def rooms_command(bus: Insider, who: JSON, kind: str, /, **body: Any) -> JSON:
    """A command to the rooms service; its result. Raises Refused."""
    return _result(await bus.ask("chat.commands", "rooms", bus.envelope(kind, body, who)))


async def messages_command(bus: Insider, who: JSON, kind: str, key: str, /, **body: Any) -> JSON:
    """A command to the messages service by the key of its shard; its result. Raises Refused."""
    return _result(await bus.ask("chat.commands", key, bus.envelope(kind, body, who)))


async def write(bus: Insider, who: JSON, room_id: str, content: str = "hello") -> str:
    """Write a message; its id."""
    return str(
        (await messages_command(bus, who, "message.send", room_key(room_id), room_id=room_id, content=content))[
            "message_id"
        ]
    )


def room_key(room_id: str) -> str:
    """The routing key of a room's message commands (crc32 of the id, modulo 256, modulo the shards)."""
    return f"messages.{crc32(room_id.encode()) % 256 % SHARDS}"


def message_key(message_id: str) -> str:
    """The routing key of a message's commands: its first byte is the room's bucket."""
    return f"messages.{int(message_id[:2], 16) % SHARDS}"


async def shared_room(bus: Insider, tenant: str, kind: RoomType, members: Iterable[str]) -> str:
    """A room of `owner` with members who are nothing but members; its id."""
    external = {"external": {"kind": "event", "id": uuid4().hex}} if kind is RoomType.EVENT else {}
    made = await rooms_command(
        bus,
        actor(tenant, "service"),
        "room.create",
        type=kind.value,
        name="scene",
        owner="owner",
        members=list(members),
        **external,
    )
    return str(made["room"]["id"])


async def set_role(bus: Insider, tenant: str, room_id: str, user_id: str, role: str) -> None:
    """Give a member a role, as a service may everywhere."""
    await rooms_command(bus, actor(tenant, "service"), "member.set_role", room_id=room_id, user_id=user_id, role=role)


async def pair(bus: Insider, tenant: str, kind: RoomType, one: str, other: str) -> str:
    """A room of two; its id. Rooms that want roles find them in the directory."""
    for user_id, role in zip((one, other), POLICIES[kind].pair or (), strict=False):
        await rooms_command(bus, {"id": user_id, "tenant": tenant, "roles": [role]}, "user.record")
    made = await rooms_command(
        bus, actor(tenant, "service"), "room.create", type=kind.value, owner=one, members=[other]
    )
    return str(made["room"]["id"])


async def room_for(bus: Insider, tenant: str, kind: RoomType, caller: str) -> str:
    """A room of its own for one caller, in which they stand as their name says."""
    if kind in PAIRS:
        # They are one per pair: another peer makes another room.
        other = f"peer-{uuid4().hex[:8]}"
        room_id = await pair(bus, tenant, kind, caller if caller in ROLES else PEER, other)
    else:
        room_id = await shared_room(bus, tenant, kind, [caller] if caller in ROLES and caller != "owner" else [])
    if caller in ROLES and (kind in PAIRS or caller != "owner"):
        await set_role(bus, tenant, room_id, caller, ROLES[caller])
    return room_id


async def scene(bus: Insider, kind: RoomType, tenant: str) -> Scene:
    """Set it up."""
    made = Scene(kind, tenant)
    await (_fill_pairs(bus, made) if kind in PAIRS else _fill_shared(bus, made))
    return made


async def _fill_shared(bus: Insider, made: Scene) -> None:
    tenant = made.tenant
    targets = [f"{purpose}-{slug(caller)}" for purpose in ("victim", "deputy", "pupil", "loud") for caller in CALLERS]
    room_id = await shared_room(bus, tenant, made.kind, ["admin", "member", "reader", "former", PEER, *targets])
    made.rooms = dict.fromkeys(("owner", "admin", "member", "reader", "former"), room_id)
    await _write_all(bus, made, [*made.rooms, "service", *(["assistant"] if made.kind is RoomType.SESSION else [])])
    for user_id, role in (("admin", "admin"), ("reader", "read_only")):
        await set_role(bus, tenant, room_id, user_id, role)
    for caller in ("owner", "admin", "moderator", "service"):  # whom only some may remove
        await set_role(bus, tenant, room_id, f"deputy-{caller}", "admin")
    await rooms_command(bus, actor(tenant, "service"), "member.remove", room_id=room_id, user_id="former")
    await _until_refused(bus, made, "reader", "former")


async def _fill_pairs(bus: Insider, made: Scene) -> None:
    for caller in ROLES:
        made.rooms[caller] = await pair(bus, made.tenant, made.kind, caller, PEER)
    await _write_all(bus, made, [*made.rooms, "service"])
    for caller, role in ROLES.items():
        await set_role(bus, made.tenant, made.rooms[caller], caller, role)
    await _until_refused(bus, made, "reader", None)


async def _write_all(bus: Insider, made: Scene, callers: list[str]) -> None:
    async def both(caller: str) -> None:
        room_id, who = made.room(caller), made.actor(caller)
        made.own[caller] = await write(bus, who, room_id, f"{caller} was here")
        made.doomed[caller] = await write(bus, who, room_id, f"{caller} was here as well")

    await asyncio.gather(*(both(caller) for caller in callers))
    peer = {"id": PEER, "tenant": made.tenant}
    for caller in CALLERS:
        made.others[caller] = await write(bus, peer, made.room(caller), f"for {caller}")


async def _until_refused(bus: Insider, made: Scene, reader: str, former: str | None) -> None:
    """Membership is cached by the messages workers: go on when all have heard of its last changes."""
    refusals = 0
    while refusals < AGREED:
        outcomes = [await _may(bus, "chat.commands", room_key(made.room(reader)), "message.react", made, reader)]
        if former is not None:
            outcomes.append(await _may(bus, "chat.queries", "messages", "message.get", made, former))
        refusals = 0 if any(outcomes) else refusals + 1


async def _may(bus: Insider, exchange: str, key: str, type: str, made: Scene, caller: str) -> bool:
    body = {"message_id": made.others[caller], **({"emoji": "x"} if type == "message.react" else {})}
    return "ok" in await bus.ask(exchange, key, bus.envelope(type, body, made.actor(caller)))


def slug(caller: str) -> str:
    """A caller's name as part of a user id."""
    return caller.replace(" ", "-")


def _result(answer: JSON) -> JSON:
    if "ok" not in answer:
        raise Refused(answer["error"])
    result: JSON = answer["ok"]
    return result
