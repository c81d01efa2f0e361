"""Every frame type of the native protocol: what it answers, and how it refuses. Rows are taken from the tables."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from deploy.embedded.stack import Stack
from services.gateway import native
from shared.contracts.errors import ChatError, ErrorCode
from shared.contracts.messages import MAX_REACTION_KINDS
from tests.harness.person import Person
from tests.harness.scene import OUTING, OUTSIDE, PARTICIPATION, UNKNOWN_MESSAGE, Scene, scene

JSON = dict[str, Any]
ROWS = {**native.ON, **native.LOCAL}


def wire_of(name: str) -> Any:
    """The model of a frame type's data."""
    return native.ON[name].contract if name in native.ON else native.LOCAL[name].wire


def result_of(name: str) -> Any:
    """The view of a frame type's ack."""
    return native.ON[name].contract.RESULT if name in native.ON else native.LOCAL[name].result


@pytest.fixture(name="scene")
async def own_scene(stack: Stack) -> AsyncIterator[Scene]:
    """A scene that the test may change."""
    async with scene(stack) as fresh:
        yield fresh


@pytest.fixture(scope="module")
async def still(stack: Stack) -> AsyncIterator[Scene]:
    """A scene that all tests here share, for requests that are refused and change nothing."""
    async with scene(stack) as shared:
        yield shared


async def refused(person: Person, name: str, data: JSON) -> ChatError:
    """The error a frame is answered with."""
    with pytest.raises(ChatError) as caught:
        await person.request(name, data)
    return caught.value


# ── what succeeds ────────────────────────────────────────────────────────────────────────────────────────────────

Step = tuple[Callable[[Scene], Person], Callable[[Scene], JSON], Callable[[JSON, Scene], object]]


def as_alice(data: Callable[[Scene], JSON], check: Callable[[JSON, Scene], object] = lambda _a, _s: True) -> Step:
    """A step of the owner's."""
    return (lambda scene: scene.alice, data, check)


def as_bob(data: Callable[[Scene], JSON], check: Callable[[JSON, Scene], object] = lambda _a, _s: True) -> Step:
    """A step of a member's."""
    return (lambda scene: scene.bob, data, check)


def as_organizer(data: Callable[[Scene], JSON], check: Callable[[JSON, Scene], object]) -> Step:
    """A step of the outing's owner."""
    return (lambda scene: scene.organizer, data, check)


def outing() -> Callable[[Scene], JSON]:
    """Data that names the outing."""
    return lambda _: {"kind": "sortie", "id": OUTING}


def in_room(**more: Any) -> Callable[[Scene], JSON]:
    """Data that names the scene's room."""
    return lambda scene: {"room_id": scene.room.id, **more}


def of_message(**more: Any) -> Callable[[Scene], JSON]:
    """Data that names the scene's message."""
    return lambda scene: {"message_id": scene.message.message_id, **more}


SUCCEEDS: dict[str, Step] = {
    "message.send": as_bob(in_room(content="hi"), lambda it, _: (it["seq"], it["duplicate"]) == (2, False)),
    "message.edit": as_alice(of_message(content="1st"), lambda it, _: (it["rev"], it["changed"]) == (2, True)),
    "message.delete": as_alice(of_message(), lambda it, _: (it["rev"], it["changed"]) == (2, True)),
    "message.react": as_bob(of_message(emoji="👍"), lambda it, _: (it["rev"], it["changed"]) == (2, True)),
    "message.unreact": as_bob(of_message(emoji="👍"), lambda it, _: (it["rev"], it["changed"]) == (1, False)),
    "message.get": as_bob(of_message(), lambda it, _: it["content"] == "first" and it["sender"]["name"] == "Alice"),
    "message.status": as_bob(of_message(), lambda it, _: it["read_by"] == []),
    "revisions.get": as_alice(of_message(), lambda it, _: it["revisions"] == []),
    "timeline.clear": as_alice(in_room(), lambda it, _: (it["seq"], it["rev"], it["changed"]) == (1, 2, True)),
    "read.mark": as_bob(in_room(seq=9), lambda it, _: (it["read_seq"], it["delivered_seq"]) == (1, 1)),
    "delivered.mark": as_bob(in_room(seq=1), lambda it, _: (it["read_seq"], it["delivered_seq"]) == (0, 1)),
    "unread.mark": as_bob(in_room(seq=1), lambda it, _: (it["read_seq"], it["unread_from"]) == (0, 1)),
    "receipts.get": as_bob(in_room(), lambda it, _: it["receipts"][0]["user_id"] == "alice"),
    "history.get": as_bob(in_room(), lambda it, _: [m["content"] for m in it["messages"]] == ["first"]),
    "rooms.states": as_bob(
        lambda scene: {"room_ids": [scene.room.id]}, lambda it, _: (it["states"][0]["seq"], it["unread"]) == (1, 1)
    ),
    "sync": as_bob(
        lambda scene: {"cursors": {scene.room.id: None}}, lambda it, scene: it["rooms"][scene.room.id]["reset"]
    ),
    "presence.set": as_bob(lambda _: {"status": "away"}, lambda it, _: it["status"] == "away"),
    "presence.get": as_bob(lambda _: {"user_ids": ["nobody"]}, lambda it, _: it["users"][0]["status"] == "offline"),
    "presence.room": as_bob(in_room(), lambda it, _: it["users"] is not None),
    "presence.watch": as_bob(lambda _: {"user_ids": ["nobody"]}, lambda it, _: it["users"][0]["user_id"] == "nobody"),
    "presence.unwatch": as_bob(lambda _: {"user_ids": ["nobody"]}),
    "users.get": as_bob(lambda _: {"user_ids": ["nobody"]}, lambda it, _: it["users"] == []),
    "people.list": as_bob(lambda _: {}, lambda it, _: it["people"] == []),
    "favorite.toggle": as_bob(
        lambda scene: {"kind": "room", "id": scene.room.id}, lambda it, _: it["favorites"][0]["name"] == "scene"
    ),
    "favorites.list": as_bob(lambda _: {}, lambda it, _: it["favorites"] == []),
    "room.create": as_bob(
        lambda _: {"type": "direct", "members": ["alice"]},
        lambda it, _: it["created"] and it["room"]["type"] == "direct" and it["room"]["role"] == "member",
    ),
    "room.update": as_alice(
        in_room(name="renamed", metadata={"a": [1]}),
        lambda it, _: (it["room"]["name"], it["room"]["metadata"]) == ("renamed", {"a": [1]}),
    ),
    "room.leave": as_bob(in_room(), lambda it, _: it["user_id"] == "bob"),
    "room.delete": as_alice(in_room(), lambda it, scene: it["room_id"] == scene.room.id),
    "room.get": as_bob(in_room(), lambda it, _: (it["name"], it["role"], it["member_count"]) == ("scene", "member", 3)),
    "rooms.list": as_bob(lambda _: {}, lambda it, scene: [room["id"] for room in it["rooms"]] == [scene.room.id]),
    "member.add": as_alice(in_room(user_id="outsider"), lambda it, _: it["member"]["role"] == "member"),
    "member.remove": as_alice(in_room(user_id="bob"), lambda it, _: it["user_id"] == "bob"),
    "member.set_role": as_alice(in_room(user_id="bob", role="admin"), lambda it, _: it["member"]["role"] == "admin"),
    "members.list": as_bob(
        in_room(), lambda it, _: [m["user_id"] for m in it["members"]] == ["alice", "bob", "reader"]
    ),
    "member.mute": as_alice(in_room(user_id="bob"), lambda it, _: it["member"]["muted"]),
    "members.set": as_alice(
        in_room(members=[{"user_id": "alice", "role": "owner"}, {"user_id": "carol"}]),
        lambda it, _: (it["added"], it["removed"], it["changed"]) == (1, 2, 0),
    ),
    "room.close": as_alice(in_room(), lambda it, _: it["room"]["closed"]),
    "rights.explain": as_bob(
        in_room(action="remove_member", user_id="bob"), lambda it, _: (it["user_id"], it["allowed"]) == ("bob", False)
    ),
    "room.find": as_organizer(outing(), lambda it, _: (it["name"], it["role"]) == ("Plage", "owner")),
    "participations.list": as_organizer(
        outing(), lambda it, _: [wish["user_id"] for wish in it["participations"]] == ["bob"]
    ),
    "participation.set_status": as_organizer(
        lambda _: {"participation_id": PARTICIPATION, "status": "ACCEPTEE"}, lambda it, _: it["status"] == "ACCEPTEE"
    ),
    "integration.apply": (
        lambda scene: scene.service, lambda _: {"events": OUTSIDE},
        lambda it, _: [(result["applied"], result["effective"]) for result in it["results"]] == [(True, False)] * 2,
    ),
    "audit.list": (
        lambda scene: scene.admin, in_room(),
        lambda it, _: [entry["act"] for entry in it["entries"]] == ["member.add", "room.create"],
    ),
    "room.subscribe": (
        lambda scene: scene.admin, in_room(), lambda it, _: (it["seq"], it["last_message"]["content"]) == (1, "first"),
    ),
    "room.unsubscribe": as_bob(in_room()),
    "typing.start": as_bob(in_room()),
    "typing.stop": as_bob(in_room()),
    "media.find": as_bob(lambda _: {"media_ids": ["0" * 32]}, lambda it, _: it["media"] == []),
    "ping": as_bob(lambda _: {}, lambda it, _: it["time"] > 1.7e9),
}  # fmt: skip


def test_every_frame_type_is_shown_to_succeed() -> None:
    """A new row without a step here fails."""
    # These need tokens, and files: test_native_tokens.py, test_media_handlers.py
    assert SUCCEEDS.keys() | {"auth.refresh", "media.get", "media.remove"} == ROWS.keys()


@pytest.mark.parametrize("name", SUCCEEDS)
async def test_a_frame_is_answered_as_its_contract_says(scene: Scene, name: str) -> None:
    """The ack's data is exactly the view that the row names."""
    who, data, check = SUCCEEDS[name]
    answer = await who(scene).request(name, data(scene))
    result_of(name).model_validate(answer)
    assert check(answer, scene), answer


# ── what is refused, by the shape of the row ─────────────────────────────────────────────────────────────────────

NEEDS_ROOM = [name for name in ROWS if "room_id" in wire_of(name).model_fields]
NEEDS_MESSAGE = [name for name in ROWS if "message_id" in wire_of(name).model_fields]
FILLING: JSON = {
    "content": "x", "emoji": "x", "seq": 1, "user_id": "bob", "role": "member", "name": "x", "user_ids": ["bob"],
    "members": [{"user_id": "alice", "role": "owner"}], "action": "read",
}  # fmt: skip
ALWAYS_ALLOWED = {"room.unsubscribe"}
ONLY_FOLLOWERS = {"typing.start", "typing.stop"}
"""Judged by what the connection follows, so that typing costs no look-up."""
ONLY_MODERATORS = {"audit.list"}
"""Judged by the caller's role in the tenant, before any room is looked at."""


def filled(name: str, **given: Any) -> JSON:
    """Data that is valid for a frame type, apart from what it is about."""
    return {key: value for key, value in FILLING.items() if key in wire_of(name).model_fields} | given


@pytest.mark.parametrize("name", ROWS)
async def test_an_unknown_field_is_named(still: Scene, name: str) -> None:
    """A typo is an error, not something that passes unread."""
    error = await refused(still.bob, name, {"nonsense": 1})
    assert error.code is ErrorCode.INVALID
    assert {"field": "nonsense", "problem": "Extra inputs are not permitted"} in error.details
    assert name in error.message


@pytest.mark.parametrize(
    "name", [name for name in ROWS if any(f.is_required() for f in wire_of(name).model_fields.values())]
)
async def test_missing_fields_are_named(still: Scene, name: str) -> None:
    """All of them at once, in the details."""
    error = await refused(still.bob, name, {})
    assert error.code is ErrorCode.INVALID
    required = {field for field, info in wire_of(name).model_fields.items() if info.is_required()}
    assert {item["field"] for item in error.details} == required


@pytest.mark.parametrize("name", [name for name in NEEDS_ROOM if name not in ALWAYS_ALLOWED])
async def test_a_room_is_closed_to_others(still: Scene, name: str) -> None:
    """Forbidden within the tenant; to other tenants it does not exist, just as one that was never made."""
    here, nowhere = filled(name, room_id=still.room.id), filled(name, room_id="nowhere")
    hidden = ErrorCode.FORBIDDEN if name in ONLY_FOLLOWERS | ONLY_MODERATORS else ErrorCode.NOT_FOUND
    assert (await refused(still.outsider, name, here)).code is ErrorCode.FORBIDDEN
    assert (await refused(still.foreigner, name, here)).code is hidden
    assert (await refused(still.alice, name, nowhere)).code is hidden


@pytest.mark.parametrize("name", NEEDS_MESSAGE)
async def test_a_message_is_closed_to_others(still: Scene, name: str) -> None:
    """As its room is, although the frame names the message only."""
    here = filled(name, message_id=still.message.message_id)
    nowhere = filled(name, message_id=UNKNOWN_MESSAGE)
    assert (await refused(still.outsider, name, here)).code is ErrorCode.FORBIDDEN
    assert (await refused(still.foreigner, name, here)).code is ErrorCode.NOT_FOUND
    assert (await refused(still.alice, name, nowhere)).code is ErrorCode.NOT_FOUND


# ── what is refused, one by one ──────────────────────────────────────────────────────────────────────────────────

Refusal = tuple[Callable[[Scene], Person], str, Callable[[Scene], JSON], ErrorCode]


def by_alice(name: str, data: Callable[[Scene], JSON], code: ErrorCode) -> Refusal:
    """A refusal of the owner."""
    return (lambda scene: scene.alice, name, data, code)


def by_bob(name: str, data: Callable[[Scene], JSON], code: ErrorCode) -> Refusal:
    """A refusal of a member."""
    return (lambda scene: scene.bob, name, data, code)


def by_reader(name: str, data: Callable[[Scene], JSON], code: ErrorCode) -> Refusal:
    """A refusal of a read-only member."""
    return (lambda scene: scene.reader, name, data, code)


def by_admin(name: str, data: Callable[[Scene], JSON], code: ErrorCode) -> Refusal:
    """A refusal of a global admin who is no member."""
    return (lambda scene: scene.admin, name, data, code)


REFUSALS: dict[str, Refusal] = {
    "a reader writes": by_reader("message.send", in_room(content="x"), ErrorCode.FORBIDDEN),
    "a reader reacts": by_reader("message.react", of_message(emoji="x"), ErrorCode.FORBIDDEN),
    "an admin who is no member writes": by_admin("message.send", in_room(content="x"), ErrorCode.FORBIDDEN),
    "a member speaks for the system": by_bob("message.send", in_room(content="x", type="system"), ErrorCode.FORBIDDEN),
    "nothing is said": by_bob("message.send", in_room(content=""), ErrorCode.INVALID),
    "too much is said": by_bob("message.send", in_room(content="x" * 10_001), ErrorCode.TOO_LARGE),
    "an unknown type": by_bob("message.send", in_room(content="x", type="hologram"), ErrorCode.INVALID),
    "too much beside it": by_bob("message.send", in_room(content="x", metadata={"a": "x" * 5000}), ErrorCode.INVALID),
    "a client_id with a space": by_bob("message.send", in_room(content="x", client_id="a b"), ErrorCode.INVALID),
    "another's message is edited": by_bob("message.edit", of_message(content="x"), ErrorCode.FORBIDDEN),
    "another's message is edited by an admin": by_admin("message.edit", of_message(content="x"), ErrorCode.FORBIDDEN),
    "an edit is too long": by_alice("message.edit", of_message(content="x" * 10_001), ErrorCode.TOO_LARGE),
    "another's message is deleted": by_bob("message.delete", of_message(), ErrorCode.FORBIDDEN),
    "no message id": by_bob("message.get", lambda _: {"message_id": "xyz"}, ErrorCode.INVALID),
    "no emoji": by_bob("message.react", of_message(emoji=" "), ErrorCode.INVALID),
    "a negative seq": by_bob("read.mark", in_room(seq=-1), ErrorCode.INVALID),
    "two bounds at once": by_bob("history.get", in_room(before=3, after=1), ErrorCode.INVALID),
    "a page of none": by_bob("history.get", in_room(limit=0), ErrorCode.INVALID),
    "a page too long": by_bob("history.get", in_room(limit=201), ErrorCode.INVALID),
    "no cursors": by_bob("sync", lambda _: {"cursors": {}}, ErrorCode.INVALID),
    "no cursor": by_bob("sync", lambda scene: {"cursors": {scene.room.id: "yesterday"}}, ErrorCode.INVALID),
    "a direct room of one": by_bob("room.create", lambda _: {"type": "direct", "members": []}, ErrorCode.INVALID),
    "a direct room of three": by_bob(
        "room.create", lambda _: {"type": "direct", "members": ["alice", "carol"]}, ErrorCode.INVALID
    ),
    "an unknown room type": by_bob("room.create", lambda _: {"type": "castle"}, ErrorCode.INVALID),
    "a member renames": by_bob("room.update", in_room(name="x"), ErrorCode.FORBIDDEN),
    "an update of nothing": by_alice("room.update", in_room(), ErrorCode.INVALID),
    "an update of what is no more": by_alice("room.update", in_room(name="x", version=99), ErrorCode.CONFLICT),
    "a member deletes": by_bob("room.delete", in_room(), ErrorCode.FORBIDDEN),
    "a member adds": by_bob("member.add", in_room(user_id="carol"), ErrorCode.FORBIDDEN),
    "a member removes": by_bob("member.remove", in_room(user_id="reader"), ErrorCode.FORBIDDEN),
    "a stranger is removed": by_alice("member.remove", in_room(user_id="outsider"), ErrorCode.NOT_FOUND),
    "the last owner is removed": by_alice("member.remove", in_room(user_id="alice"), ErrorCode.CONFLICT),
    "the last owner steps down": by_alice(
        "member.set_role", in_room(user_id="alice", role="member"), ErrorCode.CONFLICT
    ),
    "a stranger gets a role": by_alice(
        "member.set_role", in_room(user_id="outsider", role="admin"), ErrorCode.NOT_FOUND
    ),
    "a member promotes": by_bob("member.set_role", in_room(user_id="bob", role="owner"), ErrorCode.FORBIDDEN),
    "what only services may send": by_admin("timeline.purge", in_room(), ErrorCode.INVALID),
    "what only services may ask": by_admin("rooms.access", lambda s: {"room_ids": [s.room.id]}, ErrorCode.INVALID),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_wish_is_refused_and_changes_nothing(still: Scene, case: str) -> None:
    """With the code that the table says, and a message for people."""
    who, name, data, code = REFUSALS[case]
    error = await refused(who(still), name, data(still))
    assert error.code is code, error
    assert error.message


async def test_refusals_have_left_no_trace(still: Scene) -> None:
    """After all refusals above, room and timeline are as they were."""
    history = await still.bob.history(still.room.id)
    assert [(message.content, message.rev) for message in history.messages] == [("first", 1)]
    room = await still.bob.request("room.get", {"room_id": still.room.id})
    assert (room["name"], room["member_count"], room["version"]) == ("scene", 3, 2)


async def test_one_client_id_is_one_message(scene: Scene) -> None:
    """A repetition gets the same ack, another body `conflict`, another sender a message of their own."""
    once = await scene.bob.send(scene.room.id, "once", client_id="k")
    again = await scene.bob.send(scene.room.id, "once", client_id="k")
    assert again == once.model_copy(update={"duplicate": True})
    error = await refused(scene.bob, "message.send", {"room_id": scene.room.id, "content": "other", "client_id": "k"})
    assert error.code is ErrorCode.CONFLICT
    # The same key of another sender is another message.
    assert (await scene.alice.send(scene.room.id, "once", client_id="k")).seq == once.seq + 1


async def test_what_is_deleted_stays_so(scene: Scene) -> None:
    """It keeps its place, loses its content, and can be changed no more."""
    target = {"message_id": scene.message.message_id}
    deleted = await scene.alice.delete(**target)
    assert (await scene.alice.delete(**target)).model_dump() == {**deleted.model_dump(), "changed": False}
    assert (await refused(scene.alice, "message.edit", {**target, "content": "x"})).code is ErrorCode.CONFLICT
    assert (await refused(scene.bob, "message.react", {**target, "emoji": "x"})).code is ErrorCode.CONFLICT
    left = await scene.bob.request("message.get", target)
    assert (left["content"], left["seq"], left["rev"]) == ("", 1, 2)


async def test_reactions_are_counted_per_person_and_bounded(scene: Scene) -> None:
    """Everybody chooses each emoji once; a message takes so many kinds."""
    target = scene.message.message_id
    for emoji in map(str, range(MAX_REACTION_KINDS)):
        assert (await scene.bob.react(target, emoji)).changed
    assert not (await scene.bob.react(target, "0")).changed
    assert (await scene.alice.react(target, "0")).changed
    error = await refused(scene.alice, "message.react", {"message_id": target, "emoji": "one more"})
    assert error.code is ErrorCode.CONFLICT
    assert (await scene.bob.unreact(target, "0")).changed
    message = await scene.bob.request("message.get", {"message_id": target})
    assert message["reactions"][0] == {"emoji": "0", "users": ["alice"]}


async def test_a_direct_room_is_one_whoever_starts(scene: Scene) -> None:
    """Nobody leaves, joins or ends it."""
    one = await scene.bob.create_room(type="direct", members=["alice"])
    other = await scene.alice.create_room(type="direct", members=["bob"])
    assert one.id == other.id
    for name in ("room.leave", "room.delete", "member.add"):
        error = await refused(scene.bob, name, filled(name, room_id=one.id))
        assert error.code in {ErrorCode.FORBIDDEN, ErrorCode.CONFLICT}, name
