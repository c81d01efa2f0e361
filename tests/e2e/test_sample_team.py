"""The sample code of the team document, character by character but for address, token and ids.

It logs next to nothing, so what its socket is told is looked at, and what others are told of it.
"""

from collections.abc import AsyncIterator, Callable

import pytest
from jsonschema import Draft202012Validator

from deploy.embedded.stack import Stack
from tests.conftest import TokenOf
from tests.e2e.conftest import Begin
from tests.e2e.samples import sample
from tests.e2e.talkers import DrivenTalker
from tests.e2e.typescript import interfaces
from tests.harness.rest import Api
from tests.harness.sio import SioPerson

SERVER = "ws://localhost:3003"
START, STARTED, WRITE, WRITTEN = sample("team/direct.js").split("\n\n")
LISTEN, ROOMS, PEOPLE, FAVORITES, TOGGLE = sample("team/lists.js").split("\n\n")
TOLD = interfaces(sample("team/lists.ts") + sample("team/events.ts"))["ServerToClientEvents"]["properties"]


@pytest.fixture
def home(stack: Stack) -> str:
    """The port of gateway 0 that is as 3003 is by default."""
    return f"http://127.0.0.1:{stack.ports.team}"


@pytest.fixture
async def bob(stack: Stack, token: TokenOf) -> AsyncIterator[SioPerson]:
    """Whom alice talks to, at the other gateway, by python-socketio."""
    auth = {"token": f"Bearer {token('bob')}", "userId": "bob"}
    async with SioPerson(stack.gateway_urls[1], namespace="/chat/", auth=auth) as person:
        assert (await person.expect("chat:init_data"))["rooms"] == []
        yield person


@pytest.fixture
async def room(api: Callable[..., Api], bob: SioPerson) -> str:
    """A group of alice and bob."""
    body = {"name": "Plans", "participants": ["alice"]}
    made = await api("bob")("POST", "/api/v2/chat/rooms", body)
    await bob.expect("chat:room_list_update", lambda rooms: [room["name"] for room in rooms] == ["Plans"])
    return str(made.body["id"])


@pytest.fixture(params=["upgrading", "websocket", "port for all"])
async def alice(
    request: pytest.FixtureRequest, begin: Begin, home: str, stack: Stack, token: TokenOf, room: str
) -> DrivenTalker:
    """The program, as far as connecting and listening to the lists and errors; in both ways it is printed."""
    program = await begin()
    server = stack.gateway_urls[0] if request.param == "port for all" else home
    if request.param == "websocket":
        begun = connecting("connect-websocket", server, your_jwt_token=token("alice"), user_id="alice")
    else:
        begun = connecting("connect", server, YOUR_JWT_TOKEN=token("alice"), YOUR_USER_ID="alice")
    listening = (sample("team/init.js"), sample("team/errors.js"), LISTEN, ROOMS, PEOPLE, FAVORITES)
    await program.run("\n".join((begun, *listening)))
    await program.expect("@connect" if request.param == "websocket" else "@upgrade")
    lists = await program.expect("chat:init_data")
    assert [shown["id"] for shown in lists["rooms"]] == [room]
    return program


def connecting(name: str, server: str, **places: str) -> str:
    """The program's first piece."""
    return sample(f"team/{name}.js", {SERVER: server.replace("http://", "ws://"), **places})


def check_what_is_told(alice: DrivenTalker, *names: str) -> None:
    """All that it was told is as the document's types have it; and these events were among it."""
    told = [heard for heard in alice.log if not heard.name.startswith("@")]
    assert set(names) <= {heard.name for heard in told}
    for heard in told:
        Draft202012Validator(TOLD[heard.name]).validate(heard.data)


async def test_a_room(alice: DrivenTalker, bob: SioPerson, room: str) -> None:
    """Messages, typing and presence, both ways; and the favorites."""
    here = {"room_id": room}
    await alice.run(sample("team/join.js", here))
    await alice.run(sample("team/send.js", here))
    said = await bob.expect("chat:message")
    assert (said["content"], said["type"], said["sender"]["id"]) == ("Hello, world!", "TEXT", "alice")
    assert (await alice.expect("chat:message"))["id"] == said["id"]
    await bob.emit("chat:send_message", {"roomId": room, "content": "Hello, program!"})
    assert (await alice.expect("chat:message"))["content"] == "Hello, program!"
    await alice.run(sample("team/typing.js", here))
    for typing in (True, False):
        assert await bob.expect("chat:typing_status") == {"userId": "alice", "roomId": room, "isTyping": typing}
    await bob.emit("chat:typing", {"roomId": room, "isTyping": True})
    assert await alice.expect("chat:typing_status") == {"userId": "bob", "roomId": room, "isTyping": True}
    await alice.run(TOGGLE.replace("room_or_user_id", room))
    [favorite] = await alice.expect("chat:favorites_update", len)
    assert (favorite["id"], favorite["type"], favorite["name"]) == (room, "ROOM", "Plans")
    assert alice.all("@error") == []
    check_what_is_told(alice, "chat:message", "chat:typing_status", "chat:favorites_update", "chat:room_list_update")


async def test_presence(alice: DrivenTalker, bob: SioPerson, room: str) -> None:
    """Others' is told; one's own is what one says."""
    await bob.emit("chat:presence", "away")
    assert await alice.expect("chat:presence_update", lambda told: told["userId"] == "bob" and told["status"] == "away")
    await alice.run("socket.emit('chat:presence', 'away');")
    await bob.expect("chat:presence_update", lambda told: told == {"userId": "alice", "status": "away"})
    await alice.run(sample("team/presence.js"))
    await bob.expect("chat:presence_update", lambda told: told == {"userId": "alice", "status": "online"})
    assert alice.all("@error") == []
    check_what_is_told(alice, "chat:presence_update")


async def test_a_direct_chat(alice: DrivenTalker, bob: SioPerson) -> None:
    """It begins with a message that says so, whose room is written to."""
    await alice.run(STARTED)
    await alice.run(WRITTEN)
    await alice.run(START.replace("target_user_id", "bob"))
    began = await alice.expect("chat:message")
    assert (began["type"], began["content"]) == ("SYSTEM", "Direct chat started")
    await alice.run(WRITE.replace("direct_room_id", began["roomId"]))
    for person in (alice, bob):
        said = await person.expect("chat:message", lambda message: message["type"] == "TEXT")
        assert (said["content"], said["roomId"], said["roomType"]) == ("Hey, how are you?", began["roomId"], "DIRECT")
    [person] = await alice.expect("chat:people_list_update", len)
    assert person["id"] == "bob"
    check_what_is_told(alice, "chat:message", "chat:people_list_update")


async def test_what_is_refused_is_logged(alice: DrivenTalker) -> None:
    """As the program has it: the words of `chat:error`."""
    await alice.run(sample("team/join.js", {"room_id": "0" * 24}))
    label, why = await alice.expect("@error")
    assert label == "Chat error:"
    assert why
    check_what_is_told(alice, "chat:error")


@pytest.mark.parametrize(
    ("scheme", "user"), [("", "alice"), ("Bearer ", "bob"), ("Bearer ", "")], ids=["no scheme", "other user", "no user"]
)
async def test_who_is_rejected(begin: Begin, home: str, token: TokenOf, scheme: str, user: str) -> None:
    """As the document says: without `Bearer `, without a user, with a user who is not the token's."""
    program = await begin()
    places = {"Bearer YOUR_JWT_TOKEN": scheme + token("alice"), "YOUR_USER_ID": user}
    await program.run(connecting("connect", home, **places))
    assert await program.expect("@connect_error")
    assert program.all("@connect") == []
