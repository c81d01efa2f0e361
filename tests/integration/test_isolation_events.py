"""What happens in a room reaches nobody outside it, on any gateway: no frame, no hint."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest

from deploy.embedded.stack import Stack
from services.gateway import native
from tests.harness.rawsocket import RawSocket
from tests.integration.security_overhear import Listener

JSON = dict[str, Any]
Token = Callable[..., str]


@pytest.fixture
def listen(
    stack: Stack, socket: Callable[..., Awaitable[RawSocket]], token: Token
) -> Callable[..., Awaitable[Listener]]:
    """Connects a listener to one of the gateways, with the claims given."""

    async def connect(sub: str, gateway: int = 0, **claims: Any) -> Listener:
        headers = {"Authorization": f"Bearer {token(sub, **claims)}"}
        return await Listener.open(await socket(url=stack.gateway_urls[gateway], headers=headers))

    return connect


Listen = Callable[..., Awaitable[Listener]]


MEMBERS = [
    {"user_id": "owner", "role": "owner"},
    {"user_id": "peer"},
    {"user_id": "away"},
]
MENTIONED = ["peer", "stranger", "former", "moderator"]
SHOWN = {
    "typing", "looking", "message.created", "message.reacted", "message.updated", "message.deleted", "timeline.cleared",
    "receipts.updated", "room.updated", "member.added", "member.updated", "member.removed",
}  # fmt: skip
"""What all members see of it."""
OTHERWISE = {"room.created", "room.deleted", "presence.changed", "favorites.updated"}
"""What comes before or after, and what is of people, not rooms: see test_presence.py and test_people.py."""
OWNERS = {"media.progress", "media.ready", "media.failed"}
"""What of files is told to their owners alone: see test_media_waiting.py."""


def test_all_that_is_told_is_among_it() -> None:
    """A new event must be made to happen here, or shown elsewhere to stay where it belongs."""
    assert native.EMIT.keys() == SHOWN | OTHERWISE | OWNERS


async def everything_that_can_happen(owner: Listener, peer: Listener, room_id: str, secret: str) -> None:
    """Every kind of change and sign of life in a room, done by two of its members."""
    sent = (await owner.ask("message.send", {"room_id": room_id, "content": secret}))["data"]
    about = {"message_id": sent["message_id"]}
    await owner.ask("typing.start", {"room_id": room_id})
    for name in ("message.react", "message.unreact"):
        assert (await peer.ask(name, {**about, "emoji": "x"}))["type"] == "ack"
    assert (await peer.ask("read.mark", {"room_id": room_id, "seq": sent["seq"]}))["type"] == "ack"
    changes: list[tuple[str, JSON]] = [
        (
            "message.send",
            {"room_id": room_id, "content": secret, "reply_to": sent["message_id"], "mentions": MENTIONED},
        ),
        ("message.edit", {**about, "content": f"{secret} edited"}),
        ("message.delete", about),
        ("typing.stop", {"room_id": room_id}),
        ("room.subscribe", {"room_id": room_id, "announce": True}),
        ("room.update", {"room_id": room_id, "name": secret, "metadata": {"secret": secret}}),
        ("member.add", {"room_id": room_id, "user_id": f"u-{secret}"}),
        ("member.set_role", {"room_id": room_id, "user_id": f"u-{secret}", "role": "admin"}),
        ("member.mute", {"room_id": room_id, "user_id": f"u-{secret}"}),
        ("members.set", {"room_id": room_id, "members": [*MEMBERS, {"user_id": f"u-{secret}"}]}),
        ("member.remove", {"room_id": room_id, "user_id": f"u-{secret}"}),
        ("unread.mark", {"room_id": room_id, "seq": 1}),
        ("favorite.toggle", {"kind": "room", "id": room_id}),
        ("room.close", {"room_id": room_id}),
        ("room.close", {"room_id": room_id, "closed": False}),
        ("timeline.clear", {"room_id": room_id}),
        ("message.send", {"room_id": room_id, "content": f"{secret} last"}),
    ]
    for name, data in changes:
        answer = await owner.ask(name, data)
        assert answer["type"] == "ack", (name, answer)


async def seen_by(witnesses: list[Listener], room_id: str, secret: str) -> None:
    """Return when all witnesses have seen all of it."""
    for witness in witnesses:
        for name in SHOWN:
            await witness.saw(name, room_id)
        await witness.saw("message.created", room_id, f"{secret} last")


async def test_nobody_outside_a_room_hears_of_it(listen: Listen, tenant: str) -> None:
    """Strangers, namesakes in another tenant, moderators who do not follow it, members who left or looked away."""
    owner, peer, former, away = await asyncio.gather(*(listen(name) for name in ("owner", "peer", "former", "away")))
    other_gateway = await listen("peer", gateway=1)
    outside = [
        await listen(sub, gateway, **claims)
        for gateway in (0, 1)
        for sub, claims in (
            ("stranger", {}),
            ("moderator", {"roles": ["admin"]}),
            ("service", {"roles": ["service"]}),
            ("owner", {"tenant": f"{tenant}-abroad"}),
            ("peer", {"tenant": f"{tenant}-abroad", "roles": ["admin"]}),
        )
    ]
    former_elsewhere = await listen("former", gateway=1)
    made = await owner.ask("room.create", {"name": "inside", "members": ["peer", "former", "away"]})
    room_id, secret = made["data"]["room"]["id"], uuid4().hex
    inside = [owner, peer, other_gateway]
    for member in (*inside, former, former_elsewhere, away):
        await member.saw("room.subscribed", room_id)
    await away.ask("room.unsubscribe", {"room_id": room_id})
    assert (await owner.ask("member.remove", {"room_id": room_id, "user_id": "former"}))["type"] == "ack"
    for gone in (former, former_elsewhere):
        await gone.saw("member.removed", room_id)
        gone.frames.clear()
    away.frames.clear()

    await everything_that_can_happen(owner, peer, room_id, secret)
    await seen_by(inside, room_id, secret)
    for listener in (*outside, former, former_elsewhere, away):
        assert await listener.overheard(room_id, secret) == []

    await owner.ask("room.delete", {"room_id": room_id})
    for member in inside:
        await member.saw("room.deleted", room_id)
    for listener in (*outside, former, former_elsewhere, away):
        assert await listener.overheard(room_id, secret) == []


async def test_a_direct_room_is_the_pairs_of_one_tenant(listen: Listen, tenant: str) -> None:
    """The same two names in two tenants have two rooms, and hear only their own."""
    home = [await listen(sub) for sub in ("ann", "ben")]
    abroad = [await listen(sub, tenant=f"{tenant}-abroad") for sub in ("ann", "ben")]
    rooms = []
    for (ann, ben), content in ((home, "at home"), (abroad, "abroad")):
        made = await ann.ask("room.create", {"type": "direct", "members": ["ben"], "client_id": "same"})
        room_id = made["data"]["room"]["id"]
        rooms.append(room_id)
        await ann.saw("room.subscribed", room_id)
        await ann.ask("message.send", {"room_id": room_id, "content": content, "client_id": "same"})
        await ben.saw("message.created", room_id, content)
    assert rooms[0] != rooms[1]
    assert await home[1].overheard(rooms[1], "abroad'") == []
    assert await abroad[1].overheard(rooms[0], "at home") == []


async def test_a_moderator_follows_only_as_long_as_they_are_one(listen: Listen, token: Token) -> None:
    """A renewed token without the role ends what the role had opened, before the renewal is acked."""
    owner, moderator = await listen("owner"), await listen("moderator", roles=["admin"])
    room_id = (await owner.ask("room.create", {"name": "r"}))["data"]["room"]["id"]
    await owner.saw("room.subscribed", room_id)
    assert (await moderator.ask("room.subscribe", {"room_id": room_id}))["type"] == "ack"
    await owner.ask("message.send", {"room_id": room_id, "content": "may be read"})
    await moderator.saw("message.created", room_id, "may be read")
    assert (await moderator.ask("auth.refresh", {"token": token("moderator")}))["type"] == "ack"
    moderator.frames.clear()
    await owner.ask("message.send", {"room_id": room_id, "content": "may not"})
    await owner.saw("message.created", room_id, "may not")
    assert await moderator.overheard(room_id, "may not") == []
    assert (await moderator.ask("room.subscribe", {"room_id": room_id}))["error"]["code"] == "forbidden"


async def test_a_new_member_hears_from_now_on_and_a_removed_one_no_more(listen: Listen) -> None:
    """Coming, going and coming again, on an open connection."""
    owner, guest = await listen("owner"), await listen("guest")
    room_id = (await owner.ask("room.create", {"name": "r"}))["data"]["room"]["id"]
    await owner.saw("room.subscribed", room_id)
    for visit in range(3):
        await owner.ask("message.send", {"room_id": room_id, "content": f"alone {visit}"})
        await owner.saw("message.created", room_id, f"alone {visit}")
        assert await guest.overheard(f"alone {visit}") == []
        await owner.ask("member.add", {"room_id": room_id, "user_id": "guest"})
        await guest.saw("room.subscribed", room_id)
        await owner.ask("message.send", {"room_id": room_id, "content": f"together {visit}"})
        await guest.saw("message.created", room_id, f"together {visit}")
        await owner.ask("member.remove", {"room_id": room_id, "user_id": "guest"})
        await guest.saw("member.removed", room_id)
        guest.frames.clear()


ROUNDS = 12


@pytest.mark.parametrize("how", ["connecting", "subscribing"])
async def test_who_is_removed_while_coming_in_does_not_stay(
    listen: Listen, socket: Any, token: Token, how: str
) -> None:
    """However a removal and a look-up of the same membership fall together, the removal wins."""
    owner, guest = await listen("owner"), await listen("guest")
    room_id = (await owner.ask("room.create", {"name": "r"}))["data"]["room"]["id"]
    await owner.saw("room.subscribed", room_id)
    bearer = {"Authorization": f"Bearer {token('guest')}"}

    async def come_in() -> Listener:
        if how == "subscribing":
            await guest.ask("room.subscribe", {"room_id": room_id})
            return guest
        fresh: RawSocket = await socket(headers=bearer)
        await fresh.ready()
        return Listener(fresh, guest.own_room)

    for number in range(ROUNDS):
        await owner.ask("member.add", {"room_id": room_id, "user_id": "guest"})
        owner.frames.clear()
        _, guests = await asyncio.gather(
            owner.ask("member.remove", {"room_id": room_id, "user_id": "guest"}),
            asyncio.gather(*(come_in() for _ in range(1 if how == "subscribing" else 3))),
        )
        await owner.saw("member.removed", room_id)
        secret = f"secret {number}"
        await owner.ask("message.send", {"room_id": room_id, "content": secret})
        await owner.saw("message.created", room_id, secret)
        for listener in guests:
            assert await listener.overheard(secret) == []
            if listener is not guest:
                await listener.socket.socket.close()
