"""Who does not get in by the team dialect, by which door one does, and what is refused to those inside."""

from contextlib import AsyncExitStack
from typing import Any

import pytest
from socketio.exceptions import ConnectionError as NotConnected

from deploy.embedded.stack import Stack
from tests.conftest import ClientOf, TokenOf
from tests.harness.sio import People, SioPerson

pytest_plugins = ("tests.integration.team_fixtures",)


@pytest.mark.parametrize(
    "wrong",
    [
        {"token": None},
        {"userId": None},
        {"userId": "bob"},
        {"token": "{token}"},
        {"token": "bearer {token}"},
        {"token": "Bearer {expired}"},
        {"token": "Bearer nonsense"},
        {"token": 7},
    ],
    ids=str,
)
async def test_credentials(stack: Stack, token: TokenOf, wrong: dict[str, Any]) -> None:
    """Missing ones, a token without its scheme, one that is not valid, and somebody else's are all refused."""
    known = {"token": token("alice"), "expired": token("alice", ttl=-60)}
    auth = {"token": f"Bearer {known['token']}", "userId": "alice"} | wrong
    auth = {name: value.format(**known) if isinstance(value, str) else value for name, value in auth.items()}
    auth = {name: value for name, value in auth.items() if value is not None}
    with pytest.raises(NotConnected):
        async with SioPerson(stack.gateway_urls[0], namespace="/chat/", auth=auth):
            pass


async def test_a_foreign_tenant_is_refused(people: People) -> None:
    """Where a header names one."""
    with pytest.raises(NotConnected):
        await people("alice", headers={"x-tenant-tag": "elsewhere"})


@pytest.mark.parametrize(
    "door",
    [
        {"namespace": "/chat/"},
        {"namespace": "/chat/", "transports": ["polling"]},
        {"namespace": "/chat/", "transports": ["polling", "websocket"]},
        {"namespace": "/", "socketio_path": "/chat/"},
        {"namespace": "/", "socketio_path": "/chat/", "transports": ["polling", "websocket"]},
        {"namespace": "/chat/", "socketio_path": "/chat/"},
    ],
    ids=str,
)
async def test_doors(people: People, client: ClientOf, door: dict[str, Any]) -> None:
    """By namespace and by path, by WebSocket, polling and upgrade: all are served alike, nothing is lost on the way."""
    owner = await client("bob")
    room = await owner.create_room(members=["alice"])
    alice = await people("alice", **door)
    await owner.send(room.id, "first")
    data = await alice.expect("chat:init_data")
    assert [shown["id"] for shown in data["rooms"]] == [room.id]
    await alice.call("chat:send_message", {"roomId": room.id, "content": "Hello"})
    await alice.expect("chat:message", lambda message: message["content"] == "Hello")
    told = [heard.data["content"] for heard in alice.log if heard.name == "chat:message"]
    assert told == ["first", "Hello"] or (told == ["Hello"] and data["rooms"][0]["unreadCount"] == 1)
    names = [heard.name for heard in alice.log]
    assert names.count("chat:init_data") == 1
    assert names[0] == "chat:init_data"


async def test_another_tenant_hears_nothing(
    stack: Stack, token: TokenOf, people: People, closing: AsyncExitStack
) -> None:
    """Not even who has the same id there."""
    auth = {"token": f"Bearer {token('bob', tenant='elsewhere')}", "userId": "bob"}
    stranger = await closing.enter_async_context(SioPerson(stack.gateway_urls[0], namespace="/chat/", auth=auth))
    alice, bob = await people("alice"), await people("bob")
    for person in (alice, bob, stranger):
        await person.expect("chat:init_data")
    room_id = (await alice.call("chat:start_direct", "bob"))["roomId"]
    await alice.call("chat:send_message", {"roomId": room_id, "content": "Hello"})
    await bob.expect("chat:message", lambda message: message["content"] == "Hello")
    await bob.emit("chat:presence", "away")
    await alice.expect("chat:presence_update", lambda told: told["status"] == "away")
    assert "message" in await stranger.call("chat:join", room_id)
    assert {heard.name for heard in stranger.log} == {"chat:init_data", "chat:error"}


async def test_who_turns_out_to_speak_it(people: People, client: ClientOf) -> None:
    """A client at the usual door, which names nothing, is served from its first event on."""
    owner = await client("bob")
    room = await owner.create_room(members=["alice"])
    alice = await people("alice", namespace="/")
    await alice.expect("connected")
    await alice.emit("chat:presence", "online")
    assert [shown["id"] for shown in (await alice.expect("chat:init_data"))["rooms"]] == [room.id]
    await owner.send(room.id, "Hello")
    assert (await alice.expect("chat:message"))["content"] == "Hello"


async def test_other_namespaces_are_others(stack: Stack, token: TokenOf, closing: AsyncExitStack) -> None:
    """At the path of this dialect nothing else is spoken."""
    auth = {"token": f"Bearer {token('alice')}", "userId": "alice"}
    person = SioPerson(stack.gateway_urls[0], namespace="/chat", socketio_path="/chat/", auth=auth)
    with pytest.raises(NotConnected):
        await closing.enter_async_context(person)


async def test_what_is_refused_is_said(people: People, client: ClientOf) -> None:
    """By `chat:error`: what is malformed, others' rooms and messages, and system messages, which users do not write."""
    owner = await client("alice")
    room = await owner.create_room(members=["bob"])
    sent = await owner.send(room.id, "mine")
    bob, eve = await people("bob"), await people("eve")
    for name, payload in (
        ("chat:join", room.id),
        ("chat:join", "no-such-room"),
        ("chat:send_message", {"roomId": room.id, "content": "let me in"}),
        ("chat:typing", {"roomId": room.id, "isTyping": True}),
        ("chat:update_message", {"messageId": sent.message_id, "content": "hers"}),
        ("chat:delete_message", sent.message_id),
        ("chat:toggle_favorite", {"id": room.id, "type": "ROOM"}),
    ):
        assert (await eve.call(name, payload)).keys() == {"message"}, name
        assert (await eve.expect("chat:error"))["message"], name
    malformed: tuple[tuple[str, Any], ...] = (
        ("chat:join", None),
        ("chat:join", 7),
        ("chat:send_message", "Hello"),
        ("chat:send_message", {"roomId": room.id}),
        ("chat:send_message", {"roomId": room.id, "content": "Direct chat started", "type": "SYSTEM"}),
        ("chat:typing", {"roomId": room.id}),
        ("chat:presence", "busy"),
        ("chat:update_message", {"messageId": sent.message_id, "content": "his"}),
        ("chat:delete_message", "nonsense"),
        ("chat:start_direct", "bob"),
        ("chat:toggle_favorite", {"id": room.id, "type": "PLANET"}),
        ("chat:no_such_event", {}),
    )
    for name, payload in malformed:
        assert (await bob.call(name, payload)).keys() == {"message"}, name
        assert (await bob.expect("chat:error"))["message"], name
    await bob.call("chat:send_message", {"roomId": room.id, "content": "still here"})
    assert (await bob.expect("chat:message"))["content"] == "still here"
    assert not [heard for heard in eve.log if heard.name == "chat:message"]


async def test_a_moderator_joins_without_being_a_member(
    stack: Stack, token: TokenOf, client: ClientOf, closing: AsyncExitStack
) -> None:
    """Who may read every room of the tenant may follow it, and marks nothing as read."""
    owner = await client("alice")
    room = await owner.create_room()
    await owner.send(room.id, "before")
    auth = {"token": f"Bearer {token('root', roles=('admin',))}", "userId": "root"}
    root = await closing.enter_async_context(SioPerson(stack.gateway_urls[1], namespace="/chat/", auth=auth))
    await root.expect("chat:init_data")
    assert await root.call("chat:join", room.id) == {"roomId": room.id}
    await owner.send(room.id, "after")
    assert (await root.expect("chat:message"))["content"] == "after"
