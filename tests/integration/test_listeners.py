"""Several ports of one gateway, each bound to what is spoken there."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from aiohttp import ClientSession
from socketio.exceptions import ConnectionError as NotConnectedError

from deploy.embedded.errors import EmbeddedError
from deploy.embedded.ports import find_free
from deploy.embedded.stack import Stack
from tests.conftest import TokenOf
from tests.harness.gateway import Gateway
from tests.harness.rest import Api
from tests.harness.sio import SioPerson

GatewayWith = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def bound(gateway_with: GatewayWith) -> tuple[str, str]:
    """A gateway that speaks to whoever comes at its own port, and booking at another."""
    other = find_free() + 1
    gateway = await gateway_with(LISTENERS=f"{other}=booking")
    return gateway.url, f"http://127.0.0.1:{other}"


async def test_listeners_share_one_hub(
    bound: tuple[str, str], token: TokenOf, http: ClientSession, closing: AsyncExitStack
) -> None:
    """Who connects at one port is told of what somebody at another one does."""
    auto, booking = bound
    alice, bob = [
        await closing.enter_async_context(SioPerson(url, auth={"token": token(name)}))
        for url, name in ((auto, "alice"), (booking, "bob"))
    ]
    room = await Api(http, booking, token("alice"))("POST", "/v1/rooms", {"members": ["bob"]})
    room_id = room.body["id"]
    for person in (alice, bob):
        assert await person.call("join_room", {"roomId": room_id}) == {"roomId": room_id}
    await alice.call("send_message", {"chat_room_id": room_id, "content": "over there"})
    assert (await bob.expect("new_message"))["content"] == "over there"


async def test_a_bound_listener_speaks_its_dialect_at_once(
    bound: tuple[str, str], token: TokenOf, closing: AsyncExitStack
) -> None:
    """The greeting is the dialect's own, not the one for everybody; a client may still ask for another dialect."""
    _, booking = bound
    person = await closing.enter_async_context(SioPerson(booking, auth={"token": token("alice")}))
    assert await person.expect("connected") == {"message": "Connected to chat", "userId": "alice"}
    with pytest.raises(NotConnectedError, match="failed to connect: /chat"):
        await SioPerson(booking, auth={"token": token("alice"), "dialect": "klingon"}).__aenter__()


async def test_every_listener_has_the_canonical_api(
    bound: tuple[str, str], http: ClientSession, token: TokenOf
) -> None:
    """`/v1`, `/ws`, health and documents; what is not there is refused in the words of the dialect."""
    for url in bound:
        caller = Api(http, url, token("alice"))
        assert (await caller("GET", "/v1/rooms")).status == 200
        assert (await caller("GET", "/readyz")).body["status"] == "ready"
        assert (await caller("GET", "/openapi.json")).status == 200
        async with http.ws_connect(f"{url}/ws", headers={"Authorization": f"Bearer {token('alice')}"}) as socket:
            assert (await socket.receive_json())["type"] == "ready"
        assert (await caller("GET", "/v1/nothing")).error == "not_found"
    auto, booking = [await Api(http, url, token("alice"))("GET", "/chat/nothing/here") for url in bound]
    assert auto.error == "not_found"
    assert (booking.status, booking.body["statusCode"], booking.body["path"]) == (404, 404, "/chat/nothing/here")


async def test_a_stack_listens_where_the_team_document_says(
    stack: Stack, http: ClientSession, token: TokenOf, closing: AsyncExitStack
) -> None:
    """Three above `PORT`, in the document's namespace and at its path of Engine.IO's."""
    url = f"http://127.0.0.1:{stack.ports.team}"
    assert (await Api(http, url, token("alice"))("GET", "/nowhere")).body["code"] == 404
    credentials = {"token": f"Bearer {token('alice')}", "userId": "alice"}
    for options in ({"namespace": "/chat/"}, {"namespace": "/", "socketio_path": "chat"}):
        person = SioPerson(url, auth=credentials, **options)
        assert "rooms" in await (await closing.enter_async_context(person)).expect("chat:init_data")


async def test_all_listeners_are_drained(gateway_with: GatewayWith, http: ClientSession) -> None:
    """After SIGTERM nobody listens any more, at any port."""
    other = find_free() + 1
    gateway = await gateway_with(LISTENERS=f"{other}=booking", CHAT_SERVER_PORT=other + 1)
    urls = [gateway.url, f"http://127.0.0.1:{other}", f"http://127.0.0.1:{other + 1}"]
    for url in urls:
        async with http.get(f"{url}/livez") as response:
            assert response.status == 200
    await gateway.terminate()
    for url in urls:
        with pytest.raises(OSError, match="Cannot connect"):
            await http.get(f"{url}/livez")


@pytest.mark.parametrize(
    ("listeners", "named"),
    [
        ("booking", "'booking' is not PORT=DIALECT"),
        ("3000=auto,3001=cooking", "there is no such dialect, only auto, "),
        ("3000=auto,3000=booking", "port 3000 is there twice"),
        ("70000=auto", "a port is a number from 1 to 65535"),
    ],
)
async def test_what_makes_no_sense_ends_the_start_with_a_clear_line(
    gateway_with: GatewayWith, listeners: str, named: str
) -> None:
    """Naming the variable and what is wrong with it."""
    with pytest.raises((EmbeddedError, ExceptionGroup)) as raised:
        await gateway_with(LISTENERS=listeners)
    said = str(raised.value) + "".join(str(part) for part in getattr(raised.value, "exceptions", ()))
    assert "LISTENERS: " in said
    assert named in said
