"""What messages are made of, over the socket and REST: kinds, mentions, replies that follow, revisions, sessions."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from shared.contracts.errors import ChatError, ErrorCode
from tests.conftest import ClientOf
from tests.harness.rest import Api
from tests.integration.test_native_rooms import refusal, room_of

IMAGE = {"url": "/media/1", "name": "a.png", "size": 5, "mime_type": "image/png", "width": 3, "height": 4}
PLACE = {"latitude": 48.2, "longitude": 16.4, "name": "Vienna"}

KINDS: list[dict[str, Any]] = [
    {"content": "hi", "metadata": {"a": 1}},
    {"type": "image", "attachment": IMAGE, "content": "look"},
    {"type": "video", "attachment": {"url": "https://example.org/v.mp4", "thumbnail_url": "/t", "duration": 1.5}},
    {"type": "audio", "attachment": {"url": "https://example.org/a.ogg"}},
    {"type": "file", "attachment": {"url": "/media/2", "name": "a.pdf"}},
    {"type": "location", "location": PLACE},
]


# ── kinds ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("body", KINDS, ids=lambda body: body.get("type", "text"))
async def test_every_kind_comes_as_it_was_sent(client: ClientOf, api: Callable[..., Api], body: dict[str, Any]) -> None:
    """To who is there, to who asks later, on every way of asking; and sent again it is a duplicate."""
    alice, bob = await client("alice"), await client("bob")
    room = await room_of(alice, bob)
    sent = await alice.call("message.send", {"room_id": room, "client_id": "c-1", **body})
    live = (await bob.expect("message.created", room_id=room)).data
    assert {name: live.get(name) for name in body} == body
    assert live["author"] == "user"
    [page] = (await bob.call("history.get", {"room_id": room}))["messages"]
    [synced] = (await bob.call("sync", {"cursors": {room: "0:0"}}))["rooms"][room]["messages"]
    asked = await bob.call("message.get", {"message_id": sent["message_id"]})
    over_rest = (await api("bob")("GET", f"/v1/messages/{sent['message_id']}")).body
    [state] = (await api("bob")("POST", "/v1/rooms/states", {"room_ids": [room]})).body["states"]
    assert page == synced == asked == over_rest == state["last_message"] == live
    again = await alice.call("message.send", {"room_id": room, "client_id": "c-1", **body})
    assert again == {**sent, "duplicate": True}
    other = {"room_id": room, "client_id": "c-1", "content": "another body"}
    assert await refusal(alice, "message.send", **other) is ErrorCode.CONFLICT


async def test_over_rest_kinds_are_the_same(client: ClientOf, api: Callable[..., Api]) -> None:
    """And what a kind lacks, or has beside, is refused with the reason."""
    alice = await client("alice")
    room = await room_of(alice)
    rest = api("alice")
    made = await rest("POST", f"/v1/rooms/{room}/messages", {"type": "location", "location": PLACE})
    assert made.status == 201
    assert (await alice.expect("message.created", room_id=room)).data["location"] == PLACE
    for wrong in (
        {"type": "image"},
        {"content": ""},
        {"content": "x", "attachment": IMAGE},
        {"type": "image", "attachment": {"url": "javascript:alert(1)"}},
        {"type": "location", "location": {"latitude": 91, "longitude": 0}},
    ):
        assert (await rest("POST", f"/v1/rooms/{room}/messages", wrong)).error == "invalid", wrong


# ── replies ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_quote_says_what_the_message_says_now(client: ClientOf, api: Callable[..., Api]) -> None:
    """In every answer, through edit and deletion; who is there repaints it as the quoted message changes."""
    alice, bob = await client("alice"), await client("bob")
    room = await room_of(alice, bob)
    first = await alice.send(room, "Tea or coffee? " + "x" * 300)
    reply = await bob.send(room, "Tea", reply_to=first.message_id)
    quote = (await alice.said(room, "Tea")).data["quote"]
    assert (quote["message_id"], quote["seq"], quote["sender"]["id"]) == (first.message_id, 1, "alice")
    assert (len(quote["content"]), quote["deleted"]) == (200, False)

    async def quotes() -> list[tuple[str, bool]]:
        """What the reply quotes, wherever it is read."""
        views = [
            (await bob.call("message.get", {"message_id": reply.message_id})),
            (await bob.call("history.get", {"room_id": room}))["messages"][-1],
            (await bob.call("history.get", {"room_id": room, "after": 1}))["messages"][-1],
            (await bob.call("sync", {"cursors": {room: "0:1"}}))["rooms"][room]["messages"],
            (await bob.call("sync", {"cursors": {room: None}}))["rooms"][room]["messages"],
            (await api("bob")("POST", "/v1/rooms/states", {"room_ids": [room]})).body["states"][0]["last_message"],
        ]
        found = []
        for view in views:
            shown = next(it for it in view if it["id"] == reply.message_id) if isinstance(view, list) else view
            found.append((shown["quote"]["content"], shown["quote"]["deleted"]))
        return found

    assert await quotes() == [(quote["content"], False)] * 6
    await alice.edit(first.message_id, "Tea or juice?")
    updated = await bob.expect("message.updated", room_id=room)
    assert (updated.data["id"], updated.data["content"]) == (first.message_id, "Tea or juice?")
    assert await quotes() == [("Tea or juice?", False)] * 6
    await bob.react(reply.message_id, "+")
    assert (await alice.expect("message.reacted", room_id=room)).data["quote"]["content"] == "Tea or juice?"
    await alice.delete(first.message_id)
    assert await quotes() == [("", True)] * 6
    again = await refusal(bob, "message.send", room_id=room, content="Milk", reply_to=first.message_id)
    assert again is ErrorCode.CONFLICT


async def test_messages_of_other_rooms_cannot_be_quoted(client: ClientOf) -> None:
    """Not even by who may read both; and nothing is told of those one may not."""
    alice, bob = await client("alice"), await client("bob")
    shared, private = await room_of(alice, bob), (await alice.create_room()).id
    secret = await alice.send(private, "secret")
    errors = []
    for person, target in ((bob, secret.message_id), (alice, secret.message_id), (bob, "0" * 24)):
        with pytest.raises(ChatError) as caught:
            await person.send(shared, "what?", reply_to=target)
        errors.append((caught.value.code, caught.value.message.replace(target, "…")))
    assert set(errors) == {(ErrorCode.INVALID, errors[0][1])}


# ── mentions ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_mentions_name_members(client: ClientOf) -> None:
    """In the text or beside it; an edit mentions anew."""
    alice, bob = await client("alice"), await client("bob")
    room = (await alice.create_room(members=["bob", "carol"])).id
    await bob.expect("room.subscribed", room_id=room)
    sent = await alice.send(room, "hi @bob, @nobody and @alice", mentions=["carol", "stranger"])
    live = (await bob.expect("message.created", room_id=room)).data
    assert live["mentions"] == ["carol", "bob"]
    assert (await bob.history(room)).messages[0].mentions == ("carol", "bob")
    await alice.edit(sent.message_id, "hi @carol")
    assert (await bob.expect("message.updated", room_id=room)).data["mentions"] == ["carol"]


# ── revisions ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_revisions_for_who_wrote_it_and_who_moderates(client: ClientOf, api: Callable[..., Api]) -> None:
    """What it said before each edit, and since when; a deletion takes them along."""
    alice, bob, carol = await client("alice"), await client("bob"), await client("carol")
    room = await room_of(alice, bob, carol)
    sent = await bob.send(room, "one", metadata={"a": 1})
    assert (await bob.revisions(sent.message_id)).revisions == []
    await carol.react(sent.message_id, "+")
    await bob.edit(sent.message_id, "two")
    await bob.edit(sent.message_id, "three")
    for reader in (bob, alice):
        revisions = (await reader.revisions(sent.message_id)).revisions
        assert [(it.rev, it.content, it.metadata) for it in revisions] == [(1, "one", {"a": 1}), (3, "two", {"a": 1})]
        assert revisions[0].since == sent.created_at
    assert await refusal(carol, "revisions.get", message_id=sent.message_id) is ErrorCode.FORBIDDEN
    path = f"/v1/messages/{sent.message_id}/revisions"
    assert [it["content"] for it in (await api("bob")("GET", path)).body["revisions"]] == ["one", "two"]
    assert (await api("eve")("GET", path)).error == "forbidden"
    assert (await api("bob")("GET", f"/v1/messages/{'0' * 24}/revisions")).error == "not_found"
    await bob.delete(sent.message_id)
    assert (await alice.revisions(sent.message_id)).revisions == []


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_full_session_is_cleared_and_goes_on(client: ClientOf) -> None:
    """A thousand messages, then a conflict that says what to do, and no other room is concerned."""
    alice = await client("alice")
    session, group = (await alice.create_room(type="session")).id, (await alice.create_room()).id
    first = await alice.send(session, "first", client_id="c-1")
    for start in range(1, 1000, 37):
        await asyncio.gather(*(alice.send(session, f"{number}") for number in range(start, start + 37)))
    with pytest.raises(ChatError) as caught:
        await alice.send(session, "one too many")
    assert caught.value.code is ErrorCode.CONFLICT
    assert "clear" in caught.value.message
    assert (await alice.send(session, "first", client_id="c-1")) == first.model_copy(update={"duplicate": True})
    await alice.send(group, "hi")
    assert (await alice.clear(session)).seq == 1000
    assert (await alice.send(session, "again")).seq == 1001


async def test_an_assistant_is_the_author(client: ClientOf) -> None:
    """In somebody's session, of which it is no member."""
    alice, helper = await client("alice"), await client("helper", roles=("assistant",))
    session = (await alice.create_room(type="session")).id
    await alice.expect("room.subscribed", room_id=session)
    await helper.send(session, "How can I help?")
    assert (await alice.said(session, "How can I help?")).data["author"] == "assistant"


async def test_a_retried_reply_is_acked_although_what_it_answers_is_gone(client: ClientOf) -> None:
    """By deletion or by clearing: the reply was written when it was there, and its sender may not have heard."""
    alice = await client("alice")
    room = (await alice.create_room()).id
    question = await alice.send(room, "who?")
    answer = await alice.send(room, "me", client_id="c-1", reply_to=question.message_id)
    again = answer.model_copy(update={"duplicate": True})
    await alice.delete(question.message_id)
    assert await alice.send(room, "me", client_id="c-1", reply_to=question.message_id) == again
    await alice.clear(room)
    assert await alice.send(room, "me", client_id="c-1", reply_to=question.message_id) == again
    with pytest.raises(ChatError) as caught:
        await alice.send(room, "me, too", client_id="c-2", reply_to=question.message_id)
    assert caught.value.code is ErrorCode.INVALID
