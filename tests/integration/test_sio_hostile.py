"""Socket.IO from clients that are broken or mean harm: answered, bounded, and nobody else notices."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import ClientOf, TokenOf
from tests.harness.engine import Engine, engine
from tests.harness.gateway import Gateway
from tests.harness.sio import SioPerson

GatewayWith = Callable[..., Awaitable[Gateway]]

MEBI = 1024 * 1024


class Ground:
    """A gateway of its own, where somebody lives peacefully beside whoever comes."""

    def __init__(self, gateway: Gateway, neighbour: SioPerson, room_id: str, log: Path) -> None:
        self.url = gateway.url
        self.gateway = gateway
        self.room_id = room_id
        self._neighbour = neighbour
        self._log = log

    async def check(self) -> None:
        """The neighbour is still served, and nothing has surprised the gateway."""
        joined = await self._neighbour.call("join_room", {"roomId": self.room_id})
        assert joined == {"roomId": self.room_id}
        assert "Traceback" not in self._log.read_text()
        assert "unexpected error" not in self._log.read_text()


@pytest.fixture
async def ground(gateway_with: GatewayWith, client: ClientOf, token: TokenOf, tmp_path: Path) -> AsyncIterator[Ground]:
    gateway = await gateway_with()
    owner = await client("neighbour")
    room = await owner.create_room(members=["mallory"])
    [log] = tmp_path.glob("gateway-*/log/gateway.log")  # noqa: ASYNC240 - of a directory that a test has to itself
    async with SioPerson(gateway.url, auth={"token": token("neighbour"), "dialect": "booking"}) as neighbour:
        yield Ground(gateway, neighbour, room.id, log)


async def connected(ground: Ground, token: TokenOf, session: ClientSession, **more: Any) -> Engine:
    """A bare client that is connected to `/chat` and greeted."""
    bare = await engine(session, ground.url)
    await bare.connect("/chat", {"token": token("mallory"), "dialect": "booking", **more})
    await bare.event("connected")
    return bare


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=40)
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
)
FIELDS = st.dictionaries(
    st.sampled_from(["roomId", "room_id", "chat_room_id", "content", "type", "metadata", "file_url", "status"]), JSON
)
NAMES = st.sampled_from(["join_room", "leave_room", "send_message", "mark_messages_read", "typing_start"]) | st.text(
    max_size=60
)


async def test_events_made_up(ground: Ground, token: TokenOf, http: ClientSession) -> None:
    """Every event that wants an answer gets one: what it asked for, or an error in the dialect's shape."""
    bare = await connected(ground, token, http)

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(NAMES, JSON | FIELDS), max_size=3))
    def made(batch: list[tuple[str, Any]]) -> None:
        examples.extend(batch)

    examples: list[tuple[str, Any]] = [("join_room", ""), ("join_room", "€"), ("join_room", {"roomId": "x" * 200})]
    made()
    for number, (name, payload) in enumerate(examples):
        await bare.send_text(f"42/chat,{number}{json.dumps([name, payload])}")
        try:
            answer = await bare.ack(number)
        except (TimeoutError, ConnectionError) as error:
            raise AssertionError(f"no answer to {name!r} {payload!r}; told was {bare.told[-3:]}") from error
        if "message" in answer:
            assert set(answer) == {"message", "code", "event"}, answer
            assert answer["code"] != "internal", (name, payload)
    await ground.check()


ODD_PACKETS = [
    "", "4", "x", "b", "b!!!", "7", "9junk", "0", "2", "2probe", "3", "6", "4{}", "4[]", "4null", '4"2"', "4\u00b2",
    "4x",
    "42", "42[", "42[]", "42[1]", '42{"a":1}', '42/chat["x"]', '42/chat,["x"', '42/chat,x["x"]', "42/chat,[null]",
    '42/nowhere,["join_room"]', '42/chat,99999999999999999999["x"]', '42/chat,-1["x"]', "42/chat,[[]]",
    '42/chat,["\\ud800"]', "42/chat," + "[" * 30_000, '42/chat,["x",' + "[" * 2000 + "]" * 2000 + "]",
    "40", "40/chat,", '40/chat,{"token":1}', '40/chat,["x"]', "40/chat,{", "40/nowhere,", "40//", "40" + "/a" * 100,
    "41/nowhere,", "41/chat,x", "43/chat,1[]", "43[", "43/chat,", "44/chat,{}", "44", "45", "45-", "451-", "45x-[]",
    '45/chat,["x"]', '451-/chat,["join_room",{"_placeholder":true,"num":9}]', '459999999999-/chat,["join_room"]',
    '45999999999999999999-/chat,["x"]', '461-/chat,1[{"_placeholder":true,"num":0}]', "47", "49", "4 ", "4\u0000",
]  # fmt: skip


async def test_packets_that_make_no_sense(ground: Ground, token: TokenOf, http: ClientSession) -> None:
    """Before and after connecting: who sent it goes on, or is shown out; nobody else notices."""
    late = await connected(ground, token, http)
    for number, text in enumerate(ODD_PACKETS):
        early = await engine(http, ground.url)
        await early.send_text(text)
        await early.close()
        await late.send_text(text)
        if text in ("41/chat,x", ""):
            await late.close()
            late = await connected(ground, token, http)
        await late.send_text(f'42/chat,{number}["join_room",{{"roomId":"{ground.room_id}"}}]')
        assert await late.ack(number) == {"roomId": ground.room_id}, text
    await ground.check()


async def test_texts_made_up(ground: Ground, token: TokenOf, http: ClientSession) -> None:
    """By chance, of the characters that mean something."""
    examples: list[str] = []

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.text(alphabet='0123456789-/,[]{}":chatbx\u00b2 ', max_size=30))
    def made(text: str) -> None:
        examples.append(text)

    made()
    bare = await connected(ground, token, http)
    for text in examples:
        if bare.closed:
            bare = await connected(ground, token, http)
        await bare.send_text(f"4{text}")
    await ground.check()


async def test_binary_attachments_are_refused(ground: Ground, token: TokenOf, http: ClientSession) -> None:
    """With an answer; what belongs to the event is passed over, what belongs to none is odd."""
    bare = await connected(ground, token, http)
    await bare.send_text('452-/chat,5["send_message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
    assert "binary" in (await bare.ack(5))["message"]
    await bare.send_bytes(b"one")
    await bare.send_bytes(b"two")
    await bare.send_text(f'42/chat,6["join_room",{{"roomId":"{ground.room_id}"}}]')
    assert await bare.ack(6) == {"roomId": ground.room_id}
    assert not [told for told in bare.told if told[0] == "error" and told[1]["event"] == ""]
    await bare.send_bytes(b"three")
    assert (await bare.event("error", lambda told: told["event"] == ""))["code"] == "invalid"
    await ground.check()


async def test_who_goes_on_with_nonsense_is_shown_out(ground: Ground, token: TokenOf, http: ClientSession) -> None:
    """Connected or not."""
    early, late = await engine(http, ground.url), await connected(ground, token, http)
    for bare in (early, late):
        for _ in range(25):
            await bare.send_text("4nonsense")
        await bare.ended()
    await ground.check()


async def test_connecting_again_and_again(ground: Ground, token: TokenOf, http: ClientSession) -> None:
    """To the same namespace, or to ones that there are not: odd; what it holds ends with its socket."""
    bare = await connected(ground, token, http)
    await bare.send_text(f'40/chat,{{"token":"{token("mallory")}"}}')
    assert "already" in (await bare.event("error"))["message"]
    for number in range(10):
        await bare.send_text(f"40/n{number},")
    assert await connections(ground, http) == 2
    await bare.close()
    await ground.check()
    assert await connections(ground, http) == 1


async def connections(ground: Ground, http: ClientSession) -> int:
    """How many the gateway counts."""
    async with http.get(f"{ground.url}/metrics") as response:
        return int((await response.json())["connections"])


NO_AUTH: list[Any] = [
    None, 1, "x", [], {}, {"token": None}, {"token": {"a": 1}}, {"token": "Bearer "}, {"token": "a.b.c"},
    {"token": "\u00e9"}, {"token": "VALID", "userId": []}, {"token": "VALID", "userId": "somebody"},
    {"token": "VALID", "dialect": ["booking"]}, {"token": "VALID", "dialect": {"a": 1}},
    {"token": "VALID", "dialect": 7},
]  # fmt: skip


async def test_connecting_without_what_it_takes(ground: Ground, token: TokenOf, http: ClientSession) -> None:
    """Refused with a reason; the next attempt on the same socket may succeed."""
    for auth in NO_AUTH:
        if isinstance(auth, dict) and auth.get("token") == "VALID":
            auth["token"] = token("mallory")
        bare = await engine(http, ground.url)
        await bare.send_text(f"40/chat,{json.dumps(auth)}")
        refused = await bare.refused("/chat")
        assert refused["message"]
        assert refused["data"]["code"] in {"unauthenticated", "invalid"}, auth
        await bare.connect("/chat", {"token": token("mallory")})
        await bare.close()
    await ground.check()
